"""Windows of geometries on a pixel grid, equal to ``rasterio.features.geometry_window``."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import shapely

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.plan.bounds import vertex_bounds
from rasterflight_server.types.grid import Grid, Window

Ints = npt.NDArray[np.int64]


def geometry_window(geometry: shapely.Geometry, grid: Grid) -> Window | None:
    """Find the smallest window that holds a geometry, clipped to the raster.

    Parameters
    ----------
    geometry
        In the CRS of the grid.
    grid
        Rotated and sheared grids are refused.

    Returns
    -------
    Window or None
        None where the geometry and the raster do not have one pixel in common.

    Raises
    ------
    RequestError
        As :func:`geometry_windows`.
    """
    one = np.empty(1, dtype=np.object_)
    one[0] = geometry
    window = Window(*(int(value) for value in geometry_windows(one, grid)[0]))
    return window if window.width else None


def geometry_windows(geometries: npt.NDArray[np.object_], grid: Grid) -> Ints:
    """Find the windows of many geometries on one grid.

    Parameters
    ----------
    geometries
        Shapely geometries in the CRS of the grid.
    grid
        Rotated and sheared grids are refused.

    Returns
    -------
    ndarray
        Shape (n, 4): col_off, row_off, width, height. Where a geometry has no pixel in common with the raster,
        width and height are both 0.

    Raises
    ------
    RequestError
        BAD_GEOMETRY: one of the geometries is missing, empty, or has coordinates that no pixel grid can hold.
        UNSUPPORTED_LAYOUT: the grid is rotated or sheared.
    """
    return bounds_windows(vertex_bounds(geometries), [grid], np.zeros(len(geometries), dtype=np.int64))


def bounds_windows(bounds: npt.NDArray[np.float64], grids: Sequence[Grid], which: Ints) -> Ints:
    """Find the windows of many geometries, each on one of some grids; result and errors are those of :func:`geometry_windows`.

    Parameters
    ----------
    bounds
        Of the vertices of each geometry, in the CRS of its grid, shape (n, 4): minx, miny, maxx, maxy.
    grids
        Rotated and sheared grids are refused.
    which
        Position of the grid of each geometry.
    """
    if not all(grid.axis_aligned for grid in grids):
        raise RequestError(
            ErrorCode.UNSUPPORTED_LAYOUT,
            "geometries cannot be placed on a rotated or sheared pixel grid",
            hint="ask for windows in pixels instead",
        )
    # one grid is the same for all
    each = which if len(grids) > 1 else slice(None)
    cols, rows = _pixel_bounds(bounds, np.array([~grid.transform for grid in grids])[each, :6].T)
    finite = np.isfinite(np.concatenate([cols, rows])).all(axis=0).reshape(-1)
    if not finite.all():
        first = which[np.argmin(finite)]
        raise _nowhere(finite[which == first], grids[first])
    widths, heights = np.array([(grid.width, grid.height) for grid in grids])[each].T
    col_start, col_stop = _cells(cols, widths)
    row_start, row_stop = _cells(rows, heights)
    windows = np.stack([col_start, row_start, col_stop - col_start, row_stop - row_start], axis=1)
    windows[(windows[:, 2:] <= 0).any(axis=1), 2:] = 0
    return windows


def part_windows(geometries: npt.NDArray[np.object_], grids: Sequence[Grid], which: Ints) -> Ints:
    """Find the smallest windows around those parts of multi-part geometries that meet their raster.

    Grids, result and errors are those of :func:`bounds_windows`, which has also to reach over what lies between a part on the
    raster and one far from it.
    """
    parts, whole = shapely.get_parts(geometries, return_index=True)
    windows = bounds_windows(vertex_bounds(parts), grids, which[whole])
    here = windows[:, 2] > 0
    beyond = np.array([max(grid.width, grid.height) for grid in grids])[which]
    start = np.stack([beyond, beyond], axis=1)
    stop = np.zeros_like(start)
    np.minimum.at(start, whole[here], windows[here, :2])
    np.maximum.at(stop, whole[here], windows[here, :2] + windows[here, 2:])
    return np.hstack([np.minimum(start, stop), np.maximum(stop - start, 0)])


def _nowhere(finite: npt.NDArray[np.bool_], grid: Grid) -> RequestError:
    return RequestError(
        ErrorCode.BAD_GEOMETRY,
        f"{np.count_nonzero(~finite)} of {len(finite)} geometries cannot be placed on the pixel grid: "
        f"the one at position {int(np.argmin(finite))} is empty or has coordinates outside of all bounds",
        hint=f"check that the geometries can be expressed in {grid.crs or 'the CRS of the raster'}",
    )


def _pixel_bounds(
    bounds: npt.NDArray[np.float64], inverse: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Column and row of two opposite corners: two arrays of shape (2, n); ``inverse`` of transforms, shape (6, n) or (6, 1).

    The products and sums come in the order in which ``~transform @ (x, y)`` has them, because the last bit decides
    on which side of a pixel edge a coordinate falls. Each step is monotonic in its rounded result, so that the corners
    of the bounds give the extremes of all vertices, to the bit.
    """
    a, b, c, d, e, f = inverse
    x, y = bounds[:, 0::2].T, bounds[:, 1::2].T
    with np.errstate(over="ignore", invalid="ignore"):
        return x * a + y * b + c, x * d + y * e + f


def _cells(ends: npt.NDArray[np.float64], sizes: Ints) -> tuple[Ints, Ints]:
    """Half-open ranges of the cells between two ends, clipped to ``[0, size)`` while they still are floats of any size."""
    start = np.clip(np.floor(ends.min(axis=0)), 0, sizes)
    stop = np.clip(np.ceil(ends.max(axis=0)), 0, sizes)
    return start.astype(np.int64), stop.astype(np.int64)
