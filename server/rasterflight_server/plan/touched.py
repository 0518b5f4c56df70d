"""Pixels that the border of a polygon passes through: the rule of GDAL's ``GDALdllImageLineAllTouched``."""

from math import floor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rasterflight_server.plan.rings import Edges
from rasterflight_server.plan.runs import Runs, concatenate_ranges
from rasterflight_server.plan.stack import Stack

#: A side this close to a pixel edge, in pixels, lies on it and touches neither neighbour; the far end of a straight side
#: has to reach this far into a pixel.
_ON_EDGE = 1e-4
#: A side that leaves its column, or its row, by less than this is straight.
_STRAIGHT = 0.01
#: The least step away from the pixel edge that a walk arrived at.
_LEAST_STEP = 1e-9
#: Sides are walked side by side in array operations; this few are faster one after the other.
_FEW = 40

#: GDAL 3.10 and older also take a side for straight when both ends lie in one column, or in one row, of pixels; newer
#: ones do not. Masks differ by it where a far end reaches less than ``_ON_EDGE`` into the next pixel.
STRAIGHT_WITHIN_CELL = True


class Windows(NamedTuple):
    """The window that each side runs through."""

    width: npt.NDArray[np.int64]
    height: npt.NDArray[np.int64]
    #: Its first line in the stack.
    line: npt.NDArray[np.int64]

    def where(self, kept: npt.NDArray[np.bool_]) -> "Windows":
        """Those of some of the sides."""
        return Windows(*(array[kept] for array in self))


class Sides(NamedTuple):
    """Sides of polygons in pixel coordinates, from the left end to the right end."""

    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    x_end: npt.NDArray[np.float64]
    y_end: npt.NDArray[np.float64]
    window: Windows

    def where(self, kept: npt.NDArray[np.bool_]) -> "Sides":
        """Keep some of the sides."""
        return Sides(self.x[kept], self.y[kept], self.x_end[kept], self.y_end[kept], self.window.where(kept))


class _Walks(NamedTuple):
    """Where walks along sloped sides are, and where they lead."""

    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    x_end: npt.NDArray[np.float64]
    slope: npt.NDArray[np.float64]
    window: Windows

    def where(self, kept: npt.NDArray[np.bool_]) -> "_Walks":
        return _Walks(self.x[kept], self.y[kept], self.x_end[kept], self.slope[kept], self.window.where(kept))


def touched_runs(edges: Edges, stack: Stack) -> Runs:
    """Find the runs of pixels that the sides pass through, as GDAL steps along them.

    Parameters
    ----------
    edges
        Of the geometries.
    stack
        The window of each geometry.
    """
    sides = _left_to_right(edges, stack)
    upright = _is_straight(sides.x, sides.x_end)
    level = ~upright & _is_straight(sides.y, sides.y_end)
    return _upright_runs(sides.where(upright)).join(
        _level_runs(sides.where(level)), *_sloped_runs(sides.where(~(upright | level)))
    )


def _left_to_right(edges: Edges, stack: Stack) -> Sides:
    """Keep the sides that are not wholly beyond one border of the window."""
    window = edges.geometry[edges.part]
    width, height = stack.widths[window], stack.heights[window]
    x1, y1, x2, y2 = edges.x1, edges.y1, edges.x2, edges.y2
    above, below = (y1 < 0) & (y2 < 0), (y1 > height) & (y2 > height)
    left, right = (x1 < 0) & (x2 < 0), (x1 > width) & (x2 > width)
    swap = x1 > x2
    sides = Sides(
        np.where(swap, x2, x1),
        np.where(swap, y2, y1),
        np.where(swap, x1, x2),
        np.where(swap, y1, y2),
        Windows(width, height, stack.lines[window]),
    )
    return sides.where(~(above | below | left | right))


def _is_straight(start: npt.NDArray[np.float64], end: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    straight: npt.NDArray[np.bool_] = np.abs(start - end) < _STRAIGHT
    if STRAIGHT_WITHIN_CELL:
        straight |= np.floor(start) == np.floor(end)
    return straight


def _on_edge(start: npt.NDArray[np.float64], end: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    near: npt.NDArray[np.bool_] = (np.abs(start - np.rint(start)) < _ON_EDGE) & (np.abs(end - np.rint(end)) < _ON_EDGE)
    return near


def _cells(
    start: npt.NDArray[np.float64], end: npt.NDArray[np.float64], size: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Half-open ranges of the cells that straight sides run through."""
    first = np.clip(np.floor(start), 0, size).astype(np.int64)
    stop = np.clip(np.floor(end - _ON_EDGE) + 1, 0, size).astype(np.int64)
    return first, stop


def _upright_runs(sides: Sides) -> Runs:
    col = np.floor(sides.x_end)
    kept = ~_on_edge(sides.x, sides.x_end) & (col >= 0) & (col < sides.window.width)
    sides, col = sides.where(kept), col[kept]
    first, stop = _cells(np.minimum(sides.y, sides.y_end), np.maximum(sides.y, sides.y_end), sides.window.height)
    row, side = concatenate_ranges(first, stop)
    start = col[side].astype(np.int64)
    return Runs(sides.window.line[side] + row, start, start + 1)


def _level_runs(sides: Sides) -> Runs:
    row = np.floor(sides.y)
    kept = ~_on_edge(sides.y, sides.y_end) & (row >= 0) & (row < sides.window.height)
    sides = sides.where(kept)
    return Runs(sides.window.line + row[kept].astype(np.int64), *_cells(sides.x, sides.x_end, sides.window.width))


def _sloped_runs(sides: Sides) -> list[Runs]:
    """Walk along sloped sides from pixel to pixel.

    Each step goes to the next column or to the next row, whichever is nearer, and adds to the place where the last step
    ended. The rounding errors of the steps add up; they are part of the rule, and the reason why no side can be cut
    into pieces that are walked at the same time.
    """
    walks = _clip(sides)
    runs = []
    while True:
        walking = (walks.x >= 0.0) & (walks.x < walks.x_end)
        if not walking.all():
            walks = walks.where(walking)
        if len(walks.x) <= _FEW:
            break
        row = np.floor(walks.y)
        runs.append(_single_pixels(row, np.floor(walks.x), walks))
        x, y = _step(walks.x, walks.y, row, walks.slope)
        walks = walks._replace(x=x, y=y)
    sides_left = zip(*(array.tolist() for array in walks[:4]), strict=True)
    windows = zip(*(array.tolist() for array in walks.window), strict=True)
    runs.extend(_walk(side, *window) for side, window in zip(sides_left, windows, strict=True))
    return runs


def _single_pixels(row: npt.NDArray[np.float64], col: npt.NDArray[np.float64], walks: _Walks) -> Runs:
    inside = (row >= 0) & (row < walks.window.height) & (col < walks.window.width)
    start = col[inside].astype(np.int64)
    return Runs(walks.window.line[inside] + row[inside].astype(np.int64), start, start + 1)


def _clip(sides: Sides) -> _Walks:
    """Cut sloped sides at the borders of the window, in GDAL's order, where each cut starts from what the last one left.

    The end of a side that leaves at the bottom moves on instead of back. GDAL does that too; the pixels that it adds are
    below the window.
    """
    x, y, x_end, y_end, (width, height, _) = sides
    slope = (y_end - y) / (x_end - x)
    y_end = np.where(x_end > width, y_end - (x_end - width) * slope, y_end)
    x_end = np.minimum(x_end, width)
    y = np.where(x < 0, y + (0.0 - x) * slope, y)
    x = np.maximum(x, 0.0)
    falls = y_end > y
    from_above, from_below = falls & (y < 0), ~falls & (y >= height)
    x = np.where(from_above, x + (0.0 - y) / slope, np.where(from_below, x + (height - y) / slope, x))
    y = np.where(from_above, 0.0, np.where(from_below, height, y))
    x_end = np.where(falls & (y_end >= height), np.minimum(x_end + (y_end - height) / slope, width), x_end)
    x_end = np.where(~falls & (y_end < 0), x_end - y_end / slope, x_end)
    return _Walks(x, y, x_end, slope, sides.window)


def _step(
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    row: npt.NDArray[np.float64],
    slope: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Places after one step of many walks."""
    right = np.floor(x + 1.0) - x
    rise = right * slope
    to_row = np.where(slope < 0, np.minimum(row - y, -_LEAST_STEP), np.maximum(row + 1 - y, _LEAST_STEP))
    same_row = np.floor(y + rise) == row
    return x + np.where(same_row, right, to_row / slope), y + np.where(same_row, rise, to_row)


def _walk(side: tuple[float, float, float, float], width: int, height: int, line: int) -> Runs:
    """One walk: the steps of :func:`_step`, with one run for the pixels of a row; ``side`` is x, y, x_end, slope."""
    x, y, x_end, slope = side
    rows: list[int] = []
    starts: list[int] = []
    stops: list[int] = []
    while 0.0 <= x < x_end:
        row, start, col = floor(y), floor(x), 0
        while x < x_end and floor(y) == row:
            col = floor(x)
            right = floor(x + 1.0) - x
            rise = right * slope
            if floor(y + rise) != row:
                rise = min(row - y, -_LEAST_STEP) if slope < 0 else max(row + 1 - y, _LEAST_STEP)
                right = rise / slope
            x += right
            y += rise
            if right > 1.0:
                # From less than one rounding error left of a pixel edge, a step leaps over the next pixel.
                break
        rows.append(row)
        starts.append(start)
        stops.append(col + 1)
    row_array = np.array(rows, dtype=np.int64)
    inside = (row_array >= 0) & (row_array < height)
    return Runs(
        line + row_array[inside],
        np.clip(np.array(starts, dtype=np.int64)[inside], 0, width),
        np.clip(np.array(stops, dtype=np.int64)[inside], 0, width),
    )
