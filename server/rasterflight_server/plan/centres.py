"""Pixels whose centre lies inside a polygon: the scanline rule of GDAL's ``GDALdllImageFilledPolygon``."""

import numpy as np
import numpy.typing as npt

from rasterflight_server.plan.rings import Edges, is_clockwise
from rasterflight_server.plan.runs import Runs, concatenate_ranges
from rasterflight_server.plan.stack import Stack, running_total


def centre_runs(edges: Edges, stack: Stack) -> Runs:
    """Find the runs of pixels whose centre is inside, by the even-odd rule within each part.

    A horizontal line runs through the centres of each row of pixels. Where it crosses sides of the polygon, the pixels
    between the first and the second crossing are inside, those between the third and the fourth, and so on. A side
    includes its upper end and not its lower one, so that a vertex on the line counts once.

    Parameters
    ----------
    edges
        Of the geometries.
    stack
        The window of each geometry.
    """
    runs = _between_crossings(edges, stack)
    level = edges.y1 == edges.y2
    return runs.join(_along_centres(edges, level, stack)) if level.any() else runs


def _between_crossings(edges: Edges, stack: Stack) -> Runs:
    down = edges.y1 < edges.y2
    top, bottom = np.where(down, edges.y1, edges.y2), np.where(down, edges.y2, edges.y1)
    x_top, x_bottom = np.where(down, edges.x1, edges.x2), np.where(down, edges.x2, edges.x1)
    window = edges.geometry[edges.part]
    height = stack.heights[window]
    first = np.clip(np.ceil(top - 0.5), 0, height).astype(np.int64)
    last = np.clip(np.ceil(bottom - 0.5), 0, height).astype(np.int64)
    row, side = concatenate_ranges(first, last)
    # The order of the operations is GDAL's: it decides where a crossing falls on a pixel centre.
    run, rise = (x_bottom - x_top)[side], (bottom - top)[side]
    crossing = (row + 0.5 - top[side]) * run / rise + x_top[side]
    col = np.clip(np.floor(crossing + 0.5), 0, stack.widths[window[side]]).astype(np.int64)
    # Each part is filled by itself: as if each stood on a window of its own.
    parts = running_total(stack.heights[edges.geometry])
    shift = parts[:-1] - stack.lines[edges.geometry]
    line = stack.lines[window[side]] + row
    ordered = np.sort((line + shift[edges.part[side]]) * (stack.width + 1) + col)
    of_part, col = np.divmod(ordered, stack.width + 1)
    line = of_part[0::2]
    line = line - shift[np.searchsorted(parts, line, side="right") - 1]
    return Runs(line, col[0::2], col[1::2])


def _along_centres(edges: Edges, level: npt.NDArray[np.bool_], stack: Stack) -> Runs:
    """Find the runs of level sides exactly on a row of centres.

    Such a side crosses no line. Its pixels count as inside where it runs leftwards in a clockwise ring: then it is
    a lower border in units of the CRS (north up), and otherwise the rows beside it have it already.
    """
    window = edges.geometry[edges.part]
    row = np.floor(edges.y1 - 0.5)
    on_centres = np.flatnonzero(
        level & (row + 0.5 == edges.y1) & (row >= 0) & (row < stack.heights[window]) & (edges.x1 != edges.x2)
    )
    ring = edges.ring[on_centres]
    clockwise = np.zeros(len(edges.rings), dtype=bool)
    for number in np.unique(ring):
        clockwise[number] = is_clockwise(edges.rings[number])
    burnt = on_centres[(edges.x1[on_centres] > edges.x2[on_centres]) == clockwise[ring]]
    left = np.minimum(edges.x1[burnt], edges.x2[burnt])
    right = np.maximum(edges.x1[burnt], edges.x2[burnt])
    width = stack.widths[window[burnt]]
    start, stop = (np.clip(np.floor(x + 0.5), 0, width).astype(np.int64) for x in (left, right))
    return Runs(stack.lines[window[burnt]] + row[burnt].astype(np.int64), start, stop)
