"""Masks of a request's areas on the grids of its records, made once for records that share a grid."""

from collections import OrderedDict
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from rasterflight_server.plan.areas import Areas
from rasterflight_server.plan.cutouts import GridCut
from rasterflight_server.plan.spans import Spans, polygon_spans
from rasterflight_server.plan.stack import Stack
from rasterflight_server.types import Grid, Level

#: Areas are burnt together, as many as have about this many rows of pixels: enough to make a call worth it.
_LINES_TOGETHER = 1 << 15
#: Masks are remembered up to this many bytes: records of a time series often share one grid.
_REMEMBERED_BYTES = 64 << 20

Ints = npt.NDArray[np.int64]


class Masks:
    """Which pixels of the chips of a read are inside their areas."""

    def __init__(self, areas: Areas, *, all_touched: bool) -> None:
        self._areas = areas
        self._all_touched = all_touched
        self._remembered: OrderedDict[tuple[Grid, bytes], Spans] = OrderedDict()
        self._bytes = 0

    def inside(self, cut: GridCut, first: int, stop: int) -> npt.NDArray[np.bool_]:
        """Say which pixels are inside, on some lines of the stacked chips of a cut; one dimension, in reading order."""
        parts = [
            spans.inside(max(first, begin) - begin, min(stop, end) - begin)
            for spans, begin, end in self._spans(cut, first, stop)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def tiles(self, cut: GridCut, level: Level, windows: Ints, edges: Ints) -> npt.NDArray[np.bool_]:
        """Which of the tiles under blocks of a cut hold a pixel that is inside.

        Parameters
        ----------
        level
            Whose tiles.
        windows
            Shape (n, 4): consecutive blocks, at the full width of their chips.
        edges
            The line of the stacked chips that each block begins with.

        Returns
        -------
        ndarray
            One dimension: the tiles of each block by row and column, block after block.
        """
        found = []
        for spans, begin, end in self._spans(cut, int(edges[0]), int(edges[-1] + windows[-1, 3])):
            of_part = slice(*np.searchsorted(edges, [begin, end]).tolist())
            found.append(spans.tiles(level.tile_width, level.tile_height, windows[of_part], edges[of_part] - begin))
        return np.concatenate(found)

    def _spans(self, cut: GridCut, first: int, stop: int) -> Iterator[tuple[Spans, int, int]]:
        """The spans that some lines of a cut belong to, and the lines where each begins and ends."""
        lines = cut.stack.lines
        # Where parts begin depends on the cut alone, so that records with the same areas on the same grid share them.
        part = lines[:-1] // _LINES_TOGETHER
        begin = int(np.searchsorted(lines, first, side="right")) - 1
        while begin < len(part) and lines[begin] < stop:
            begin, end = np.searchsorted(part, [part[begin], part[begin] + 1]).tolist()
            yield self._of_chips(cut, begin, end), int(lines[begin]), int(lines[end])
            begin = end

    def _of_chips(self, cut: GridCut, begin: int, end: int) -> Spans:
        numbers, windows = cut.numbers[begin:end], cut.windows[begin:end]
        key = cut.grid, numbers.tobytes()
        if key in self._remembered:
            self._remembered.move_to_end(key)
            return self._remembered[key]
        spans = polygon_spans(
            self._areas.to_crs(cut.grid.crs or "", numbers),
            cut.grid.window_transforms(windows),
            Stack(windows[:, 2], windows[:, 3]),
            all_touched=self._all_touched,
        )
        self._remembered[key] = spans
        self._bytes += spans.nbytes
        while self._bytes > _REMEMBERED_BYTES and len(self._remembered) > 1:
            self._bytes -= self._remembered.popitem(last=False)[1].nbytes
        return spans
