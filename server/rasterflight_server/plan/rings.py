"""The rings of polygons in pixel coordinates, as GDAL sees them before it burns them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError

#: Vertices of a ring closer than this, in units of the CRS, are one vertex to OGR when it looks for the orientation.
_SAME_VERTEX = 1e-5
#: GDAL counts pixels in 32 bits: what it burns for vertices further away than this is not defined.
_FURTHEST = 2.0**31


@dataclass(frozen=True, slots=True)
class Edges:
    """The sides of all rings of polygons and multipolygons, in pixel coordinates and in the order of the vertices."""

    x1: npt.NDArray[np.float64]
    y1: npt.NDArray[np.float64]
    x2: npt.NDArray[np.float64]
    y2: npt.NDArray[np.float64]
    #: The polygon that a side belongs to, counted through all parts of all geometries.
    part: npt.NDArray[np.int64]
    #: The geometry that each polygon is a part of.
    geometry: npt.NDArray[np.int64]
    #: The ring that a side belongs to, counted through all parts.
    ring: npt.NDArray[np.int64]
    #: The rings as they were given, in units of the CRS.
    rings: npt.NDArray[np.object_]


def pixel_edges(geometries: npt.NDArray[np.object_], transforms: npt.NDArray[np.float64]) -> Edges:
    """Place the rings of geometries on pixel grids.

    Parameters
    ----------
    geometries
        Polygons and multipolygons, each in the CRS of its transform; a third coordinate is ignored.
    transforms
        Shape (n, 6), one for each geometry, as in ``affine.Affine``: pixel corner (col, row) -> (x, y); neither rotated
        nor sheared.

    Raises
    ------
    RequestError
        BAD_GEOMETRY: a vertex is not finite, or out of all proportion to the grid.
        UNSUPPORTED_LAYOUT: a grid is rotated or sheared.
    """
    if transforms[:, [1, 3]].any():
        raise RequestError(
            ErrorCode.UNSUPPORTED_LAYOUT, "geometries cannot be burnt on a rotated or sheared pixel grid"
        )
    parts, geometry = shapely.get_parts(geometries, return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    vertices, ring = shapely.get_coordinates(rings, return_index=True)
    x, y = _to_pixels(vertices, transforms, geometry[part[ring]])
    if not ((np.abs(x) < _FURTHEST).all() and (np.abs(y) < _FURTHEST).all()):  # also true of NaN
        raise RequestError(
            ErrorCode.BAD_GEOMETRY,
            "a vertex of a geometry is not finite, or more than 2**31 pixels away from the raster",
            hint="clip the geometry to the area of interest",
        )
    first = np.flatnonzero(ring[1:] == ring[:-1])
    second = first + 1
    ring = ring[first]
    return Edges(x[first], y[first], x[second], y[second], part[ring], geometry, ring, rings)


def _to_pixels(
    vertices: npt.NDArray[np.float64], transforms: npt.NDArray[np.float64], number: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Columns and rows of vertices, each by the transform of its number.

    GDAL inverts a transform without rotation axis by axis, and adds the offset first. That differs in the last bit
    from ``~transform``, which is what rasterio takes for windows.
    """
    a, _, c, _, e, f = transforms.T
    with np.errstate(over="ignore", invalid="ignore"):
        col = (-c / a)[number] + vertices[:, 0] * (1.0 / a)[number]
        row = (-f / e)[number] + vertices[:, 1] * (1.0 / e)[number]
    return col, row


def is_clockwise(ring: shapely.LinearRing) -> bool:
    """Whether OGR takes a ring for clockwise, also where the ring crosses or touches itself.

    OGR looks at the turn at the lowest vertex, and of several lowest ones at the rightmost. Only where that vertex
    occurs twice, has a neighbour in the same place, or makes no turn, does it ask for the sign of the area.
    ``shapely.is_ccw`` answers differently for rings that cross themselves.
    """
    x, y = shapely.get_coordinates(ring).T
    lowest = np.flatnonzero(y[:-1] == y[:-1].min())
    pivots = lowest[x[lowest] == x[lowest].max()]
    pivot = int(pivots[0])
    before, after = (pivot - 1) % (len(x) - 1), (pivot + 1) % (len(x) - 1)
    dx0, dy0 = float(x[before] - x[pivot]), float(y[before] - y[pivot])
    dx1, dy1 = float(x[after] - x[pivot]), float(y[after] - y[pivot])
    turn = dx1 * dy0 - dx0 * dy1
    if len(pivots) > 1 or _near(dx0, dy0) or _near(dx1, dy1) or turn == 0.0:
        return _area_sign_is_negative(x, y)
    return turn < 0.0


def _near(dx: float, dy: float) -> bool:
    return abs(dx) < _SAME_VERTEX and abs(dy) < _SAME_VERTEX


def _area_sign_is_negative(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> bool:
    """Sign of the shoelace sum over all vertices, the repeated last one included.

    Summed from the first vertex to the last: where the area is nearly nothing, the order of the additions decides.
    """
    terms = x * (np.roll(y, -1) - np.roll(y, 1))
    return bool(np.cumsum(terms)[-1] < 0.0)
