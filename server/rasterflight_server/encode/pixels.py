"""The pixels layout: pixels as rows. They are read as chips are, and written out line by line."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rasterflight_server.encode.chips import ChipsBatch, pixel_array
from rasterflight_server.encode.pixellines import LinePixels, Lines
from rasterflight_server.encode.segments import Segment
from rasterflight_server.errors import ServiceError
from rasterflight_server.plan.blocks import Rows
from rasterflight_server.plan.planner import ReadPlan
from rasterflight_server.plan.stack import running_total

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


class PixelsBatch(ChipsBatch):
    """Blocks of chips that become rows, a pixel each; all bands of a record are on one grid.

    The parameters are those of ``ChipsBatch``.
    """

    def __init__(self, plan: ReadPlan, schema: pa.Schema, rows: Sequence[Rows]) -> None:
        super().__init__(plan, schema, rows)
        self._fields: list[pa.Field] = [schema.field(name) for name in plan.request.columns or schema.names]
        #: col_off, row_off, width and height of each block on its grid, and its first row in its chip.
        self._windows = np.zeros((self._length, 4), dtype=np.int64)
        self._row_off = np.zeros(self._length, dtype=np.int64)
        for segment in self.segments:
            self._windows[segment.rows], self._row_off[segment.rows] = segment.windows, segment.start
        self._first = running_total(self._windows[:, 2] * self._windows[:, 3])
        self._inside: Bools | None = None

    def set_outside(self, segment: Segment, outside: Bools | None) -> None:
        """Say which pixels of a segment are outside the areas: they get no row."""
        if outside is None:
            return
        if self._inside is None:
            self._inside = np.ones(self._first[-1], dtype=np.bool_)
        start = self._first[segment.rows[0]]
        np.logical_not(outside, out=self._inside[start : start + segment.pixels])

    def finished(self, failed: Mapping[int, ServiceError]) -> Iterator[pa.RecordBatch]:
        """Make record batches of bounded size, one after the other.

        Parameters
        ----------
        failed
            Blocks that could not be read: one row for each says so.
        """
        errors = {**dict(self._unreadable()), **failed}
        lines, before = self._lines(), running_total(self._windows[:, 3])
        start = 0
        for block in [*sorted(errors), self._length]:
            yield from self._batches(lines.part(before[start], before[block]))
            if block in errors:
                yield self._error(block, str(errors[block]))
            start = block + 1

    def _lines(self) -> Lines:
        heights = self._windows[:, 3]
        block = np.repeat(np.arange(self._length), heights)
        line = np.arange(len(block)) - np.repeat(running_total(heights)[:-1], heights)
        col_off, row_off, width, _ = self._windows[block].T
        first = self._first[block] + line * width
        count = width
        if self._inside is not None:
            count = np.add.reduceat(self._inside, first, dtype=np.int64)
        return Lines(block, first, width, self._row_off[block] + line, row_off + line, col_off, count)

    def _batches(self, lines: Lines) -> Iterator[pa.RecordBatch]:
        """The pixels of some lines that are inside, as rows."""
        # Bitmaps, and offsets of texts, end some bytes after their last row.
        most = max(1, int(self._plan.request.batch_bytes / self._row_bytes) - 8 * len(self._fields))
        before = running_total(lines.count)
        start = 0
        while start < len(lines):
            stop = max(start + 1, int(np.searchsorted(before, before[start] + most, side="right")) - 1)
            if before[stop] > before[start]:
                batch = self._batch(lines.part(start, stop))
                # A single line may be too long.
                yield from (batch.slice(first, most) for first in range(0, len(batch), most))
                del batch
            start = stop

    @cached_property
    def _row_bytes(self) -> float:
        """Bytes of a row, at the most."""
        sizes = {band.name: np.dtype(band.dtype).itemsize for band in self._plan.bands}
        texts = [*(rows.record.record.id for rows in self._rows), *(one.cut.grid.crs or "" for one in self.segments)]
        text = 4 + max(len(text.encode()) for text in texts)
        bits = sum(
            8 * (text if pa.types.is_string(field.type) else sizes.get(field.name) or field.type.bit_width // 8)
            for field in self._fields
        )
        # And one for each column, that says whether there is a value.
        return (bits + len(self._fields)) / 8

    def _batch(self, lines: Lines) -> pa.RecordBatch:
        pixels = LinePixels(lines, self._inside)
        arrays = [self._array(field, pixels) for field in self._fields]
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(self._fields, metadata=self._schema.metadata))

    def _array(self, field: pa.Field, pixels: LinePixels) -> pa.Array:
        match field.name:
            case "row":
                return pa.array(pixels.rows.astype(np.int32))
            case "col":
                return pa.array(pixels.cols.astype(np.int32))
            case "x" | "y":
                return pa.array(pixels.along(self._transforms[field.name][pixels.lines.block]))
            case "error":
                return pa.nulls(int(pixels.lines.count.sum()), pa.utf8())
            case name if name in self._facts:
                return _spread(self._facts[name], pixels.lines).cast(field.type)
        column = self._schema.get_field_index(field.name) - self._first_band
        band = self._plan.bands[column]
        values = np.ascontiguousarray(pixels.of_all(self._pixels[column]))
        return pixel_array(band, values, pixels.of_all(self._valid[column]))

    @property
    def _first_band(self) -> int:
        """Position of the first band in the schema."""
        return int(self._schema.get_field_index("y")) + 1

    @cached_property
    def _facts(self) -> dict[str, pa.Array]:
        """Of each block: the columns that are the same for all of its pixels."""
        record_id, datetime, cloud_cover, _ = self._of_records()
        crs = self._of_segments([one.cut.grid.crs for one in self.segments], pa.utf8())
        ids = self._geometry_ids()
        return {
            "record_id": record_id,
            "datetime": datetime,
            "cloud_cover": cloud_cover,
            "geometry_id": ids,
            "crs": crs,
        }

    @cached_property
    def _transforms(self) -> dict[str, npt.NDArray[np.float64]]:
        """Of the grid of each block: what a column, a row, and the origin add to x, and to y."""
        both = np.zeros((self._length, 6))
        for segment in self.segments:
            both[segment.rows] = segment.cut.grid.transform[:6]
        return {"x": both[:, :3], "y": both[:, 3:]}

    def _error(self, block: int, message: str) -> pa.RecordBatch:
        """The row of a block that could not be read."""
        known = {name: values.slice(block, 1) for name, values in self._facts.items()}
        known["error"] = pa.array([message])
        arrays = [known[f.name].cast(f.type) if f.name in known else pa.nulls(1, f.type) for f in self._fields]
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(self._fields, metadata=self._schema.metadata))


def _spread(of_blocks: pa.Array, lines: Lines) -> pa.Array:
    """Give to each pixel that counts what belongs to its block."""
    first, last = int(lines.block[0]), int(lines.block[-1])
    if first == last:
        return pa.repeat(of_blocks[first], int(lines.count.sum()))
    return of_blocks.take(pa.array(np.repeat(lines.block, lines.count)))
