"""Windows laid one below the other, so that one array operation does for all of them."""

from functools import cached_property

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


class Stack:
    """Rows of several windows, counted through all of them as lines; pixels likewise, in reading order.

    Parameters
    ----------
    widths, heights
        Of each window.
    """

    def __init__(self, widths: Ints, heights: Ints) -> None:
        self.widths = widths
        self.heights = heights

    def __len__(self) -> int:
        return len(self.widths)

    @cached_property
    def lines(self) -> Ints:
        """Lines before each window, and at the end all of them."""
        return running_total(self.heights)

    @cached_property
    def pixels(self) -> Ints:
        """Pixels before each window, and at the end all of them."""
        return running_total(self.heights * self.widths)

    @cached_property
    def width(self) -> int:
        """Width of the widest window."""
        return int(self.widths.max(initial=0))

    def window_of(self, lines: npt.NDArray[np.integer]) -> Ints:
        """The window that each line belongs to; ``lines`` must exist."""
        if len(self) == 1:
            return np.zeros(len(lines), dtype=np.int64)
        return np.searchsorted(self.lines, lines, side="right") - 1

    def pixel_of(self, lines: npt.NDArray[np.integer]) -> Ints:
        """The pixel that each line begins with; the line after the last one begins after the last pixel."""
        window = np.minimum(self.window_of(lines), len(self) - 1)
        return self.pixels[window] + (lines - self.lines[window]) * self.widths[window]


def running_total(counts: Ints) -> Ints:
    """What comes before each, and at the end all."""
    total = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=total[1:])
    return total
