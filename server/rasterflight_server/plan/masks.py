"""Masks of a request's areas on the grids of its records, made once for records that share a grid."""

from collections import OrderedDict
from collections.abc import Iterator
from itertools import pairwise

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
        self._remembered: OrderedDict[tuple[Grid, bytes, bytes], Spans] = OrderedDict()
        self._bytes = 0

    def inside(self, cut: GridCut, first: int, stop: int) -> npt.NDArray[np.bool_]:
        """Say which pixels are inside, on some lines of the stacked chips of a cut; one dimension, in reading order."""
        if cut.uncut is not None:
            return self._inside_parts(cut, first, stop)
        parts = [
            spans.inside(max(first, begin) - begin, min(stop, end) - begin)
            for spans, begin, end in self._spans(cut, first, stop)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def count(self, cut: GridCut) -> int:
        """How many pixels of the chips of a cut are inside."""
        lines = cut.stack.lines
        if cut.uncut is None:
            return sum(spans.count for spans, _, _ in self._spans(cut, 0, int(lines[-1])))
        return sum(int(self.inside(cut, *edges).sum()) for edges in pairwise(lines.tolist()))

    def _inside_parts(self, cut: GridCut, first: int, stop: int) -> npt.NDArray[np.bool_]:
        """The same of chips that were cut off: burnt as a whole, since rounding depends on where a chip begins."""
        whole, lines = cut.whole, cut.stack.lines
        found = []
        chip = int(np.searchsorted(lines, first, side="right")) - 1
        while chip < len(cut.windows) and lines[chip] < stop:
            col, row, width, _ = (int(offset) for offset in cut.windows[chip] - whole.windows[chip] * (1, 1, 0, 0))
            rows = max(first, lines[chip]) - lines[chip], min(stop, lines[chip + 1]) - lines[chip]
            begin, end = (int(whole.stack.lines[chip] + row + line) for line in rows)
            full = self.inside(whole, begin, end).reshape(end - begin, int(whole.windows[chip, 2]))
            found.append(full[:, col : col + width].ravel())
            chip += 1
        return np.concatenate(found)

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
        if cut.uncut is not None:
            blocks = zip(windows, edges.tolist(), strict=True)
            return np.concatenate([self._tiles_of_part(cut, level, window, edge) for window, edge in blocks])
        found = []
        for spans, begin, end in self._spans(cut, int(edges[0]), int(edges[-1] + windows[-1, 3])):
            of_part = slice(*np.searchsorted(edges, [begin, end]).tolist())
            found.append(spans.tiles(level.tile_width, level.tile_height, windows[of_part], edges[of_part] - begin))
        return np.concatenate(found)

    def _tiles_of_part(self, cut: GridCut, level: Level, window: Ints, edge: int) -> npt.NDArray[np.bool_]:
        col, row, width, height = window.tolist()
        inside = self._inside_parts(cut, edge, edge + height).reshape(height, width)
        rows, cols = _borders(row, height, level.tile_height), _borders(col, width, level.tile_width)
        return np.logical_or.reduceat(np.logical_or.reduceat(inside, rows, axis=0), cols, axis=1).ravel()

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
        key = cut.grid, numbers.tobytes(), windows.tobytes()
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


def _borders(start: int, length: int, tile: int) -> Ints:
    """Where tiles begin under some pixels, counted from the first of them."""
    borders = np.arange(start // tile * tile, start + length, tile, dtype=np.int64) - start
    borders[0] = 0
    return borders
