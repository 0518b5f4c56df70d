"""Cutting chips into rows of bounded size, and rows into batches."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from rasterflight_server.plan.cutouts import GridCut, RecordCut
from rasterflight_server.types import Window

#: A batch has at most this many rows, however small they are: other columns than pixels weigh too.
MAX_BATCH_ROWS = 4096

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of the chips layout that belong to one record, in order. A row is a block: some rows of a chip at full width.

    A record that cannot be read has one row, without a chip.
    """

    record: RecordCut
    #: Position of the grid in ``record.cuts``; -1: none.
    cut: Ints
    #: Position of the window in ``cut.windows``.
    chip: Ints
    #: Rows of the window (start, stop).
    start: Ints
    stop: Ints

    def __len__(self) -> int:
        return len(self.cut)

    def part(self, first: int, stop: int) -> "Rows":
        """Some of the rows."""
        chosen = slice(first, stop)
        return Rows(self.record, self.cut[chosen], self.chip[chosen], self.start[chosen], self.stop[chosen])

    def of_chips(self, values: Sequence[npt.NDArray[np.int64]]) -> Ints:
        """What belongs to the chip of each row; -1 without a chip.

        Parameters
        ----------
        values
            For each grid of the record, a value for each of its windows.
        """
        found = np.full(len(self), -1, dtype=np.int64)
        for position, of_cut in enumerate(values):
            here = self.cut == position
            found[here] = of_cut[self.chip[here]]
        return found

    @property
    def numbers(self) -> Ints:
        """0-based number of the area or window of each row; -1: the whole record."""
        return self.of_chips([cut.numbers for cut in self.record.cuts])

    @property
    def nbytes(self) -> Ints:
        """Bytes of pixels of each row in all bands."""
        # Where no band is read, there is still to be said which pixels are inside.
        row_bytes = self.of_chips([cut.windows[:, 2] * (cut.pixel_bytes or 1) for cut in self.record.cuts])
        return (self.stop - self.start) * row_bytes


def cut_rows(window: Window, cut: GridCut, target: int) -> list[tuple[int, int]]:
    """Rows (start, stop) inside the window of each of its blocks.

    A window that fits the target is one block. A larger one is cut at rows of tiles; where a single row of tiles
    is too large, that is cut into equal parts.
    """
    row_bytes = window.width * cut.block_bytes
    rows = max(1, target // row_bytes)
    if window.height <= rows:
        return [(0, window.height)]
    tile = cut.block_rows
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


def block_windows(cut: GridCut, target: int) -> Ints:
    """Windows of all blocks of a record's grid, shape (n, 4), in the order of the chips."""
    return strips(cut, *_blocks(cut, target))


def strips(cut: GridCut, chip: Ints, start: Ints, stop: Ints) -> Ints:
    """Windows of blocks, shape (n, 4)."""
    windows = cut.windows[chip]
    windows[:, 1] += start
    windows[:, 3] = stop - start
    return windows


def record_rows(record: RecordCut, target: int) -> Rows:
    """All rows of a record: by area, then by grid in the order of the bands, then downwards."""
    if record.error is not None:
        none = np.full(1, -1, dtype=np.int64)
        zero = np.zeros(1, dtype=np.int64)
        return Rows(record, none, none, zero, zero)
    found = [_blocks(cut, target) for cut in record.cuts]
    if len(found) == 1:
        return Rows(record, np.zeros(len(found[0][0]), dtype=np.int64), *found[0])
    position = np.repeat(np.arange(len(found)), [len(chip) for chip, _, _ in found])
    chip, start, stop = (np.concatenate(parts) for parts in zip(*found, strict=True))
    number = np.concatenate([cut.numbers[chips] for cut, (chips, _, _) in zip(record.cuts, found, strict=True)])
    order = np.lexsort((start, position, number))
    return Rows(record, position[order], chip[order], start[order], stop[order])


def _blocks(cut: GridCut, target: int) -> tuple[Ints, Ints, Ints]:
    """Chip, first and last row (exclusive) of each block."""
    chip = np.arange(len(cut.windows))
    heights = cut.windows[:, 3]
    large = np.flatnonzero(cut.windows[:, 2] * heights * cut.block_bytes > target)
    if not len(large):
        return chip, np.zeros_like(heights), heights
    rows = {number: np.array(cut_rows(Window(*cut.windows[number].tolist()), cut, target)) for number in large.tolist()}
    counts = np.ones_like(heights)
    counts[large] = [len(rows[number]) for number in large.tolist()]
    first = np.cumsum(counts) - counts
    chip = np.repeat(chip, counts)
    start, stop = np.zeros_like(chip), heights[chip]
    for number, edges in rows.items():
        blocks = slice(int(first[number]), int(first[number]) + len(edges))
        start[blocks], stop[blocks] = edges[:, 0], edges[:, 1]
    return chip, start, stop


def batches(records: Iterable[Rows], target: int, geometry_bytes: Ints | None = None) -> Iterator[list[Rows]]:
    """Group rows, in order, into batches of about ``target`` bytes; a record that fits into one is not divided.

    Parameters
    ----------
    records
        The rows of each record.
    geometry_bytes
        Size of each area, which travels with every row; None when there are none.
    """
    batch: list[Rows] = []
    size = count = 0
    for rows in records:
        weight = np.cumsum(row_weights(rows, geometry_bytes))
        if batch and weight[-1] <= target < size + weight[-1]:
            # Its batches would share tiles, which would have to be kept from one to the other.
            yield batch
            batch, size, count = [], 0, 0
        first = 0
        while first < len(rows):
            before = int(weight[first - 1]) if first else 0
            fitting = int(np.searchsorted(weight, before + target - size, side="right"))
            # A batch has at least one row.
            stop = min(max(fitting, first + (not count)), first + MAX_BATCH_ROWS - count)
            if stop > first:
                batch.append(rows.part(first, stop))
                size += int(weight[min(stop, len(rows)) - 1]) - before
                count += len(batch[-1])
                first = stop
            if first < len(rows):
                yield batch
                batch, size, count = [], 0, 0
    if batch:
        yield batch


def row_weights(rows: Rows, geometry_bytes: Ints | None) -> Ints:
    """Bytes of each row, with the area that travels with it."""
    weights = rows.nbytes
    if geometry_bytes is not None:
        numbers = rows.numbers
        weights = weights + np.where(numbers < 0, 0, geometry_bytes[numbers])
    return weights
