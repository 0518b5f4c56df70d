"""Raw runs of pixels and the integer ranges they are made of."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Runs(NamedTuple):
    """Half-open runs of pixels on the lines of stacked windows, in any order; they may be empty and may overlap."""

    lines: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    stops: npt.NDArray[np.int64]

    def join(self, *others: "Runs") -> "Runs":
        """Put these runs and those together."""
        return Runs(*(np.concatenate(arrays) for arrays in zip(self, *others, strict=True)))

    def union(self, width: int) -> "Runs":
        """Give the same pixels as runs in reading order that neither overlap nor touch.

        The ends of all runs are put on one axis, line after line, and sorted apart from the starts. Where as many runs
        have ended as have started, a gap begins.

        Parameters
        ----------
        width
            Length of the longest line.
        """
        kept = self.stops > self.starts
        offsets = self.lines[kept] * (width + 1)
        starts, stops = np.sort(offsets + self.starts[kept]), np.sort(offsets + self.stops[kept])
        gap = starts[1:] > stops[:-1]
        starts = starts[np.concatenate(([True], gap))] if len(starts) else starts
        stops = stops[np.concatenate((gap, [True]))] if len(stops) else stops
        lines, first = np.divmod(starts, width + 1)
        return Runs(lines, first, stops - lines * (width + 1))


def concatenate_ranges(
    starts: npt.NDArray[np.int64], stops: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """All integers of ``range(start, stop)``, range after range, and for each the index of its range."""
    lengths = np.maximum(stops - starts, 0)
    index = np.repeat(np.arange(len(lengths)), lengths)
    before = np.cumsum(lengths) - lengths
    return np.arange(len(index)) + (starts - before)[index], index
