"""The chips layout: blocks of pixels as rows."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rasterflight_protocol import BandField, chips_schema
from rasterflight_protocol.bands import pixel_type
from rasterflight_protocol.schemas import CRS_KEY, SNAPSHOT_KEY
from rasterflight_server.errors import ServiceError
from rasterflight_server.plan.blocks import Block
from rasterflight_server.plan.cutouts import Chip, Record, RecordCut
from rasterflight_server.plan.planner import ReadPlan

Pixels = npt.NDArray[Any]
Item = Block | RecordCut


def plan_schema(plan: ReadPlan) -> pa.Schema:
    """The exact schema of the stream that answers a plan."""
    definitions = {}
    for crs in plan.crs:
        wkt, projjson = plan.collection.crs_definition(crs)
        definitions[crs] = {"wkt": wkt, "projjson": projjson}
    areas = plan.request.areas
    return chips_schema(
        plan.bands,
        geometry_crs=None if areas is None else areas.projjson,
        with_error=plan.request.skip_errors,
        metadata={CRS_KEY: json.dumps(definitions).encode(), SNAPSHOT_KEY: plan.collection.snapshot.encode()},
    )


class ChipsBatch:
    """One record batch in the making: its pixel buffers are allocated here, filled elsewhere, and wrapped without a copy.

    Parameters
    ----------
    plan
        Of the read.
    schema
        From ``plan_schema``.
    items
        The rows, in order.
    """

    def __init__(self, plan: ReadPlan, schema: pa.Schema, items: Sequence[Item]) -> None:
        self.items = items
        self._plan = plan
        self._schema = schema
        self._pixels: list[Pixels] = []
        self._starts: list[npt.NDArray[np.int64]] = []
        self._valid: list[npt.NDArray[np.bool_]] = []
        for column, band in enumerate(plan.bands):
            sizes = [_pixels_of(item, column) for item in items]
            starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
            self._starts.append(starts)
            self._pixels.append(np.empty(starts[-1], dtype=band.dtype))
            if band.masked:
                self._valid.append(np.ones(starts[-1], dtype=np.bool_))

    @property
    def nbytes(self) -> int:
        """Bytes of pixels."""
        return sum(pixels.nbytes for pixels in self._pixels)

    def array(self, row: int, column: int) -> Pixels:
        """The pixels of one band in one row, shape (height, width); writes go into the batch."""
        item = self.items[row]
        assert isinstance(item, Block)
        window = item.window
        start = self._starts[column][row]
        return self._pixels[column][start : start + window.width * window.height].reshape(window.height, window.width)

    def set_validity(self, row: int, column: int, invalid: npt.NDArray[np.bool_] | None) -> None:
        """Say which pixels of one band in one row are invalid; in a read that is not masked, nothing happens."""
        if self._valid and invalid is not None:
            start, stop = self._starts[column][row : row + 2]
            np.logical_not(invalid.reshape(-1), out=self._valid[column][start:stop])

    def finish(self, failed: Mapping[int, ServiceError]) -> pa.RecordBatch:
        """Wrap the buffers.

        Parameters
        ----------
        failed
            Rows that could not be read; their bands are null.
        """
        plan = self._plan
        chips = [item.chip if isinstance(item, Block) else None for item in self.items]
        windows = [item.window if isinstance(item, Block) else None for item in self.items]
        records = [_record(item) for item in self.items]
        errors = {
            **{row: item.error for row, item in enumerate(self.items) if isinstance(item, RecordCut)},
            **failed,
        }
        columns = [
            [record.id for record in records],
            [record.datetime for record in records],
            [record.cloud_cover for record in records],
            [plan.collection.name] * len(records),
            [None if chip is None or chip.number < 0 else chip.number + 1 for chip in chips],
            [self._geometry(chip) for chip in chips],
            [None if chip is None else chip.cut.grid.crs for chip in chips],
            [None if chip is None else _transform(chip) for chip in chips],
            [0 if chip is None else chip.window.height for chip in chips],
            [0 if chip is None else chip.window.width for chip in chips],
            [item.row_start if isinstance(item, Block) else 0 for item in self.items],
            [0 if window is None else window.height for window in windows],
            [0 if window is None else window.width for window in windows],
        ]
        arrays = [pa.array(values, self._schema.field(position).type) for position, values in enumerate(columns)]
        arrays.extend(self._bands(errors))
        if plan.request.skip_errors:
            arrays.append(pa.array([str(errors[row]) if row in errors else None for row in range(len(records))]))
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def _geometry(self, chip: Chip | None) -> bytes | None:
        areas = self._plan.request.areas
        return None if areas is None or chip is None else areas.wkb[chip.number]

    def _bands(self, errors: Mapping[int, object]) -> list[pa.Array]:
        arrays = []
        for column, band in enumerate(self._plan.bands):
            field = self._schema.field(band.name)
            valid = np.array(
                [row not in errors and _pixels_of(item, column) > 0 for row, item in enumerate(self.items)]
            )
            pixels = _values(band, self._pixels[column], self._valid[column] if self._valid else None)
            arrays.append(_list_array(field.type, self._starts[column], pixels, valid))
        return arrays


def _values(band: BandField, pixels: Pixels, valid: npt.NDArray[np.bool_] | None) -> pa.Array:
    """Pixels as an Arrow array; their buffer is not copied."""
    nulls = None if valid is None or valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    type_ = pixel_type(band.dtype)
    if not pa.types.is_fixed_size_list(type_):
        return pa.Array.from_buffers(type_, len(pixels), [nulls, pa.py_buffer(pixels)])
    parts = pa.Array.from_buffers(type_.value_type, 2 * len(pixels), [None, pa.py_buffer(pixels)])
    return pa.Array.from_buffers(type_, len(pixels), [nulls], children=[parts])


def _list_array(
    type_: pa.DataType, starts: npt.NDArray[np.int64], values: pa.Array, valid: npt.NDArray[np.bool_]
) -> pa.Array:
    """A list column; a row that is not valid is null."""
    offsets = pa.py_buffer(starts.astype(np.int32))
    mask = None if valid.all() else pa.array(valid).buffers()[1]
    return pa.Array.from_buffers(type_, len(valid), [mask, offsets], children=[values])


def _pixels_of(item: Item, column: int) -> int:
    """Pixels that a row has in a band; none when the band is on another grid, or the record failed."""
    if isinstance(item, RecordCut) or all(band.column != column for band in item.chip.cut.bands):
        return 0
    window = item.window
    return window.width * window.height


def _record(item: Item) -> Record:
    return item.record if isinstance(item, RecordCut) else item.chip.record


def _transform(chip: Chip) -> list[float]:
    return list(chip.cut.grid.window_transform(chip.window)[:6])
