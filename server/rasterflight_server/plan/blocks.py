"""Cutting chips into rows of bounded size, and rows into batches."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from rasterflight_server.plan.cutouts import Chip, GridCut, RecordCut
from rasterflight_server.types import Window

#: A batch has at most this many rows, however small they are: other columns than pixels weigh too.
MAX_BATCH_ROWS = 4096


@dataclass(frozen=True, slots=True)
class Block:
    """Rows ``row_start`` to ``row_stop`` of a chip at full width; what one row of the chips layout holds."""

    chip: Chip
    row_start: int
    row_stop: int

    @property
    def window(self) -> Window:
        """The block on the record's grid."""
        col_off, row_off, width, _ = self.chip.window
        return Window(col_off, row_off + self.row_start, width, self.row_stop - self.row_start)

    @property
    def nbytes(self) -> int:
        """Bytes of its pixels in all bands."""
        return self.window.width * self.window.height * self.chip.cut.pixel_bytes


def cut_rows(window: Window, cut: GridCut, target: int) -> list[tuple[int, int]]:
    """Rows (start, stop) inside the window of each of its blocks.

    A window that fits the target is one block. A larger one is cut at rows of tiles; where a single row of tiles
    is too large, that is cut into equal parts.
    """
    row_bytes = window.width * cut.pixel_bytes
    rows = max(1, target // row_bytes)
    if window.height <= rows:
        return [(0, window.height)]
    tile = max(band.level.tile_height for band in cut.bands)
    step = rows // tile * tile
    edges = [0]
    bottom = window.row_off + window.height
    row = window.row_off
    while row < bottom:
        stop = min(bottom, (row // step + 1) * step if step else (row // tile + 1) * tile)
        parts = 1 if step else -(-(stop - row) // rows)
        edges.extend(row - window.row_off + (stop - row) * part // parts for part in range(1, parts + 1))
        row = stop
    return list(pairwise(edges))


def block_windows(cut: GridCut, target: int) -> npt.NDArray[np.int64]:
    """Windows of all blocks of a record's grid, shape (n, 4)."""
    too_large = cut.windows[:, 2] * cut.windows[:, 3] * cut.pixel_bytes > target
    if not too_large.any():
        return cut.windows
    pieces = [cut.windows[~too_large]]
    for col_off, row_off, width, height in cut.windows[too_large].tolist():
        rows = np.array(cut_rows(Window(col_off, row_off, width, height), cut, target))
        block = np.empty((len(rows), 4), dtype=np.int64)
        block[:, 0], block[:, 2] = col_off, width
        block[:, 1], block[:, 3] = row_off + rows[:, 0], rows[:, 1] - rows[:, 0]
        pieces.append(block)
    return np.concatenate(pieces)


def batches(
    records: Iterable[RecordCut], target: int, geometry_bytes: Sequence[int]
) -> Iterator[Sequence[Block | RecordCut]]:
    """Group blocks, in order, into batches of about ``target`` bytes; a record that cannot be read stands for itself.

    Parameters
    ----------
    geometry_bytes
        Size of each area, which travels with every block; empty when there are none.
    """
    batch: list[Block | RecordCut] = []
    size = 0
    for record in records:
        for item in _blocks(record, target):
            nbytes = item.nbytes
            if geometry_bytes and isinstance(item, Block):
                nbytes += geometry_bytes[item.chip.number]
            if batch and (size + nbytes > target or len(batch) == MAX_BATCH_ROWS):
                yield batch
                batch, size = [], 0
            batch.append(item)
            size += nbytes
    if batch:
        yield batch


def _blocks(record: RecordCut, target: int) -> Iterator[Block | RecordCut]:
    if record.error is not None:
        yield record
        return
    for chip in record:
        for start, stop in cut_rows(chip.window, chip.cut, target):
            yield Block(chip, start, stop)
