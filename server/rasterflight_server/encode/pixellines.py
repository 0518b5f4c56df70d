"""Lines of pixels, one below the other, and where those of their pixels are that count."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from rasterflight_server.plan.stack import running_total

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Values = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines of blocks of chips, each as long as its chip is wide."""

    #: Which block it belongs to.
    block: Ints
    #: Which pixel of all blocks it begins with, and how many it has.
    first: Ints
    width: Ints
    #: Its place in the chip.
    row: Ints
    #: Place of its first pixel on the grid.
    grid_row: Ints
    grid_col: Ints
    #: How many of its pixels count.
    count: Ints

    def __len__(self) -> int:
        return len(self.block)

    def part(self, start: int, stop: int) -> "Lines":
        """Some of the lines."""
        return Lines(*(values[start:stop] for values in vars(self).values() if isinstance(values, np.ndarray)))


class LinePixels:
    """The pixels of some lines that count, in reading order.

    Parameters
    ----------
    lines
        At least one.
    counts
        Which pixels of all blocks count; None: all.
    """

    def __init__(self, lines: Lines, counts: Bools | None) -> None:
        self.lines = lines
        #: Where the lines are among the pixels of all blocks.
        self.slice = slice(int(lines.first[0]), int(lines.first[-1] + lines.width[-1]))
        some = None if counts is None else counts[self.slice]
        self._counts = None if some is None or some.all() else some

    def of_all(self, pixels: Values) -> Values:
        """Take what belongs to these pixels from what belongs to the pixels of all blocks."""
        part = pixels[self.slice]
        return part if self._counts is None else part[self._counts]

    @cached_property
    def rows(self) -> Ints:
        """Row of each pixel in its chip."""
        return np.repeat(self.lines.row, self.lines.count)

    @cached_property
    def cols(self) -> Ints:
        """Column of each pixel in its chip."""
        if self._counts is None:
            starts = running_total(self.lines.width)
            return np.arange(starts[-1]) - np.repeat(starts[:-1], self.lines.width)
        return np.flatnonzero(self._counts) - np.repeat(self.lines.first - self.slice.start, self.lines.count)

    def along(self, transforms: Floats) -> Floats:
        """Coordinate of the centre of each pixel along one axis, in the arithmetic of ``affine.Affine``.

        Parameters
        ----------
        transforms
            Shape (number of lines, 3): what a column, a row, and the origin of the grid of each line add.
        """
        of_col, of_row, origin = transforms.T
        rows = (self.lines.grid_row + 0.5) * of_row
        if not of_col.any():
            return np.repeat(rows + origin, self.lines.count)
        col = self.cols + np.repeat(self.lines.grid_col + 0.5, self.lines.count)
        if (transforms == transforms[0]).all():
            of_pixel = col * of_col[0]
            if of_row.any():
                of_pixel += np.repeat(rows, self.lines.count)
            return np.asarray(of_pixel + origin[0])
        of_pixel = col * np.repeat(of_col, self.lines.count) + np.repeat(rows, self.lines.count)
        return np.asarray(of_pixel + np.repeat(origin, self.lines.count))
