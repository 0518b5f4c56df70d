"""Where a window of the target stands in the source: lowest and highest place of points of it, as GDAL samples them."""

from collections.abc import Callable

import numpy as np

from rasterflight_server.types import Grid, Window
from rasterflight_server.warp.transformer import F64, Transformer

#: Points along each side of a window.
_STEPS = 21
#: Points that have to project.
_FEWEST = 5


def footing(
    transformer: Transformer, window: Window, more: Callable[[], F64], *, everywhere: bool
) -> tuple[F64, F64, bool] | None:
    """Find the lowest and the highest place (x, y) of a window in the source, and whether any point of it does not project.

    Parameters
    ----------
    transformer
        From the target to the source.
    window
        Pixels of the target.
    more
        Places in the source, (2, points), that are known to lie in the window; asked for when edges alone do not tell.
    everywhere
        Look at points all over the window, not only along its edges, as it takes where it holds a pole.

    Returns
    -------
    tuple or None
        None: hardly any point projects.
    """
    corner, _ = transformer.exact(*_corners(window))
    edges = _every_edge_point(window) if np.isnan(corner).any() else _edge_points(window)
    places = [np.stack(transformer.exact(*edges))]
    if everywhere or np.isnan(places[0]).any():
        places.append(np.stack(transformer.exact(*_grid_points(window))))
    lost = np.isnan(places[-1][0])
    if lost.sum() > lost.size - _FEWEST:
        return None
    if len(places) > 1:
        places.append(more())
    found = np.concatenate(places, axis=1)
    return np.nanmin(found, axis=1), np.nanmax(found, axis=1), bool(lost.any())


def from_source(backward: Transformer, source: Grid, window: Window) -> F64:
    """Points of a grid over the source that come to lie in a window of the target: (2, points).

    Parameters
    ----------
    backward
        From the source to the target.
    source
        Whole source.
    window
        Pixels of the target.
    """
    grid = np.meshgrid(_ratios(source.width) * source.width, _ratios(source.height) * source.height)
    x, y = grid[0].ravel(), grid[1].ravel()
    to_x, to_y = backward.exact(x, y)
    inside = (to_x >= window.col_off) & (to_x <= window.col_off + window.width)
    inside &= (to_y >= window.row_off) & (to_y <= window.row_off + window.height)
    return np.stack([x[inside], y[inside]])


def _corners(window: Window) -> tuple[F64, F64]:
    left, top, right, bottom = _sides(window)
    return np.array([left, right, left, right]), np.array([top, top, bottom, bottom])


def _edge_points(window: Window) -> tuple[F64, F64]:
    """Points all around a window."""
    left, top, right, bottom = _sides(window)
    # Summed up step by step, rounding errors and all.
    ratio = np.cumsum(np.concatenate([[0.0], np.full(_STEPS - 1, 1.0 / (_STEPS - 1))]))
    x, y = ratio * window.width + left, ratio * window.height + top
    same = np.ones_like(ratio)
    return (
        np.concatenate([x, x, left * same, right * same]),
        np.concatenate([top * same, bottom * same, y, y]),
    )


def _every_edge_point(window: Window) -> tuple[F64, F64]:
    """The corners of all pixels along the edge of a window."""
    left, top, right, bottom = _sides(window)
    x, y = np.arange(left, right + 1), np.arange(top + 1, bottom)
    return (
        np.concatenate([x, x, np.full_like(y, left), np.full_like(y, right)]),
        np.concatenate([np.full_like(x, top), np.full_like(x, bottom), y, y]),
    )


def _grid_points(window: Window) -> tuple[F64, F64]:
    """Points all over a window. The margin is that of the width for both axes, as it is in GDAL."""
    ratio = _ratios(window.width)
    x, y = np.meshgrid(ratio * window.width + window.col_off, ratio * window.height + window.row_off)
    return x.ravel(), y.ravel()


def _ratios(size: int) -> F64:
    """Steps from 0 to 1, and the middles of the first and the last pixel."""
    return np.concatenate([[0.5 / size], np.arange(_STEPS) * (1.0 / (_STEPS - 1)), [1 - 0.5 / size]])


def _sides(window: Window) -> tuple[float, float, float, float]:
    left, top = float(window.col_off), float(window.row_off)
    return left, top, left + window.width, top + window.height
