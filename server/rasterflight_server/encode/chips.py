"""The chips layout: blocks of pixels as rows."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rasterflight_protocol import BandField
from rasterflight_protocol.bands import pixel_type
from rasterflight_protocol.schemas import CRS_KEY, GRID_KEY, SNAPSHOT_KEY
from rasterflight_server.encode.segments import Segment, segments
from rasterflight_server.errors import ServiceError
from rasterflight_server.plan.blocks import Rows
from rasterflight_server.plan.crs import parse_crs
from rasterflight_server.plan.planner import ReadPlan
from rasterflight_server.plan.stack import running_total

Pixels = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]


def plan_metadata(plan: ReadPlan) -> dict[bytes, bytes]:
    """What the schema of the stream that answers a plan tells besides its columns."""
    definitions = {}
    for crs in plan.crs:
        wkt, projjson = _definition(plan, crs)
        definitions[crs] = {"wkt": wkt, "projjson": projjson}
    return {
        CRS_KEY: json.dumps(definitions).encode(),
        SNAPSHOT_KEY: plan.collection.snapshot.encode(),
        **({} if plan.grid_facts is None else {GRID_KEY: plan.grid_facts}),
    }


def _definition(plan: ReadPlan, crs: str) -> tuple[str, dict[str, Any]]:
    """WKT2 and PROJJSON of a CRS: of the collection, or asked for."""
    try:
        return plan.collection.crs_definition(crs)
    except KeyError:
        definition = parse_crs(crs, "grid.target_crs")
        return definition.wkt, json.loads(definition.projjson)


class ChipsBatch:
    """One record batch in the making: its pixel buffers are allocated here, filled elsewhere, and wrapped without a copy.

    Parameters
    ----------
    plan
        Of the read.
    schema
        With all columns of the layout.
    rows
        In order.
    """

    def __init__(self, plan: ReadPlan, schema: pa.Schema, rows: Sequence[Rows]) -> None:
        self.segments = list(segments(rows))
        self._plan = plan
        self._schema = schema
        self._rows = rows
        self._length = sum(map(len, rows))
        self._pixels: list[Pixels] = []
        self._starts: list[Ints] = []
        self._valid: list[npt.NDArray[np.bool_]] = []
        for column, band in enumerate(plan.bands):
            sizes = np.zeros(self._length, dtype=np.int64)
            for segment in self.segments:
                if any(source.column == column for source in segment.cut.bands):
                    sizes[segment.rows] = segment.sizes
            starts = running_total(sizes)
            self._starts.append(starts)
            self._pixels.append(np.empty(starts[-1], dtype=band.dtype))
            if band.masked:
                self._valid.append(np.ones(starts[-1], dtype=np.bool_))

    @property
    def nbytes(self) -> int:
        """Bytes of pixels."""
        return sum(pixels.nbytes for pixels in self._pixels)

    def array(self, segment: Segment, column: int) -> Pixels:
        """The pixels of one band in the rows of a segment, in one dimension; writes go into the batch."""
        start = self._starts[column][segment.rows[0]]
        return self._pixels[column][start : start + segment.pixels]

    def set_validity(self, segment: Segment, column: int, invalid: npt.NDArray[np.bool_] | None) -> None:
        """Say which pixels of one band in a segment are invalid; in a read that is not masked, nothing happens."""
        if self._valid and invalid is not None:
            start = self._starts[column][segment.rows[0]]
            np.logical_not(invalid, out=self._valid[column][start : start + segment.pixels])

    def set_outside(self, segment: Segment, outside: npt.NDArray[np.bool_] | None) -> None:
        """Say which pixels of a segment are outside the areas; here they have places in the rows like all others."""

    def finished(self, failed: Mapping[int, ServiceError]) -> Iterator[pa.RecordBatch]:
        """Make record batches: here just one.

        Parameters
        ----------
        failed
            Rows that could not be read; their bands are null.
        """
        errors = {**dict(self._unreadable()), **failed}
        arrays = [*self._of_records(), *self._of_areas(), *self._of_chips(), *self._bands(errors)]
        if self._plan.request.skip_errors:
            arrays.append(pa.array([str(errors[row]) if row in errors else None for row in range(self._length)]))
        batch = pa.RecordBatch.from_arrays(
            [array.cast(field.type) for array, field in zip(arrays, self._schema, strict=True)], schema=self._schema
        )
        columns = self._plan.request.columns
        yield batch.select(columns) if columns else batch

    def _unreadable(self) -> Iterator[tuple[int, ServiceError]]:
        """Rows that stand for records of which it was known before that they cannot be read."""
        row = 0
        for rows in self._rows:
            if rows.record.error is not None:
                yield row, rows.record.error
            row += len(rows)

    def _of_records(self) -> list[pa.Array]:
        """The columns record_id, datetime, cloud_cover, collection."""
        records = [rows.record.record for rows in self._rows]
        facts = (
            pa.array([record.id for record in records], pa.utf8()),
            pa.array([record.datetime for record in records], pa.int64()),
            pa.array([record.cloud_cover for record in records], pa.float64()),
            pa.array([self._plan.collection.name] * len(records), pa.utf8()),
        )
        number = np.repeat(np.arange(len(records)), [len(rows) for rows in self._rows])
        return [fact.take(pa.array(number)) for fact in facts]

    def _of_areas(self) -> list[pa.Array]:
        """The columns geometry_id, geometry."""
        ids = self._geometry_ids()
        areas = self._plan.request.areas
        wkb = pa.nulls(self._length, pa.binary()) if areas is None else areas.wkb.take(pc.subtract(ids, 1))
        return [ids, wkb]

    def _geometry_ids(self) -> pa.Array:
        numbers = np.concatenate([rows.numbers for rows in self._rows])
        return pa.array(numbers + 1, mask=numbers < 0)

    def _of_chips(self) -> list[pa.Array]:
        """The columns crs, transform, chip_height, chip_width, row_off, height, width."""
        transforms = np.zeros((self._length, 6))
        shapes = np.zeros((5, self._length), dtype=np.int32)
        for segment in self.segments:
            windows = segment.cut.windows[segment.chip]
            transforms[segment.rows] = segment.cut.grid.window_transforms(windows)
            shapes[:2, segment.rows] = windows[:, 3], windows[:, 2]
            shapes[2:, segment.rows] = segment.start, segment.stop - segment.start, windows[:, 2]
        crs = self._of_segments([segment.cut.grid.crs for segment in self.segments], pa.utf8())
        none = shapes[0] == 0
        transform = pa.FixedSizeListArray.from_arrays(
            pa.array(transforms.reshape(-1)), type=self._schema.field("transform").type, mask=pa.array(none)
        )
        return [crs, transform, *map(pa.array, shapes)]

    def _of_segments(self, values: Sequence[object], type_: pa.DataType) -> pa.Array:
        """Give to each row what belongs to its segment; null without one."""
        number = np.full(self._length, -1)
        for index, segment in enumerate(self.segments):
            number[segment.rows] = index
        return pa.array(values, type_).take(pa.array(number, mask=number < 0))

    def _bands(self, errors: Mapping[int, object]) -> list[pa.Array]:
        arrays = []
        for column, band in enumerate(self._plan.bands):
            starts, pixels = self._starts[column], self._pixels[column]
            valid = np.diff(starts) > 0
            for row in errors:
                # What was not written must not show, even where it counts as null.
                pixels[starts[row] : starts[row + 1]] = 0
                valid[row] = False
            values = pixel_array(band, pixels, self._valid[column] if self._valid else None)
            arrays.append(_list_array(self._schema.field(band.name).type, starts, values, valid))
        return arrays


def pixel_array(band: BandField, pixels: Pixels, valid: npt.NDArray[np.bool_] | None) -> pa.Array:
    """Pixels as an Arrow array; their buffer is not copied."""
    nulls = None if valid is None or valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    type_ = pixel_type(band.dtype)
    if not pa.types.is_fixed_size_list(type_):
        return pa.Array.from_buffers(type_, len(pixels), [nulls, pa.py_buffer(pixels)])
    parts = pa.Array.from_buffers(type_.value_type, 2 * len(pixels), [None, pa.py_buffer(pixels)])
    return pa.Array.from_buffers(type_, len(pixels), [nulls], children=[parts])


def _list_array(type_: pa.DataType, starts: Ints, values: pa.Array, valid: npt.NDArray[np.bool_]) -> pa.Array:
    """A list column; a row that is not valid is null."""
    offsets = pa.py_buffer(starts.astype(np.int32))
    mask = None if valid.all() else pa.array(valid).buffers()[1]
    return pa.Array.from_buffers(type_, len(valid), [mask, offsets], children=[values])
