"""Areas at the antimeridian: cut there, so that each part lies where the rasters of its side have their coordinates."""

from typing import Final

import numpy as np
import numpy.typing as npt
import shapely
from shapely.affinity import translate

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.plan.bounds import vertex_bounds
from rasterflight_server.plan.crs import LONLAT, transform_points
from rasterflight_server.types.lonlat import HALF_TURN, TURN

#: Degrees by which a transformation may miss 180.
_NOISE: Final = 1e-9

Geometries = npt.NDArray[np.object_]


def within_a_turn(geometries: Geometries, field: str) -> tuple[Geometries, npt.NDArray[np.bool_]]:
    """Polygons in degrees with all longitudes between -180 and 180: what lies beyond comes back in on the other side.

    A polygon that crosses the antimeridian by longitudes beyond 180 (or -180) becomes a MultiPolygon of both sides. One
    that reaches further than a turn is left as it is: degrees are not what its coordinates are. Also says which were cut.

    Raises
    ------
    RequestError
        BAD_GEOMETRY: a polygon crosses the antimeridian and itself, so that it is not clear what is inside.
    """
    west, _, east, _ = vertex_bounds(geometries).T
    beyond = ((west < -HALF_TURN - _NOISE) | (east > HALF_TURN + _NOISE)) & (west >= -TURN) & (east <= TURN)
    cut = np.zeros(len(geometries), dtype=bool)
    if not beyond.any():
        return geometries, cut
    found = geometries.copy()
    for index in np.flatnonzero(beyond):
        shift = TURN if east[index] <= -HALF_TURN else -TURN if west[index] >= HALF_TURN else 0.0
        if shift:
            found[index] = translate(geometries[index], xoff=shift)
            continue
        if not shapely.is_valid(geometries[index]):
            raise RequestError(
                ErrorCode.BAD_GEOMETRY,
                f"geometry {index + 1} goes on beyond 180 degrees of longitude and is not valid: "
                f"{shapely.is_valid_reason(geometries[index])}",
                field=field,
                hint="cut it at the antimeridian, or mend it with shapely.make_valid",
            )
        found[index], cut[index] = _cut(geometries[index]), True
    return found, cut


def unwrapped(lonlat: Geometries, geometries: Geometries, crs: str) -> Geometries:
    """Areas in degrees that the way from another CRS, vertex by vertex, tore apart at the antimeridian, put together again.

    Parameters
    ----------
    lonlat
        The areas in OGC:CRS84. Those that cross the antimeridian come back as MultiPolygons of both sides, those around
        a pole as the band of latitudes that they reach.
    geometries, crs
        The same as they were given.
    """
    west, _, east, _ = vertex_bounds(lonlat).T
    torn = np.flatnonzero(east - west > HALF_TURN)
    if not len(torn):
        return lonlat
    poles = transform_points(np.array([(0.0, -90.0), (0.0, 90.0)]), LONLAT, crs)
    minx, miny, maxx, maxy = shapely.bounds(geometries[torn]).T
    middles = transform_points(np.column_stack([minx + maxx, miny + maxy]) / 2, crs, LONLAT)[:, 0]
    found = lonlat.copy()
    for index, middle in zip(torn, middles, strict=True):
        south, north = shapely.contains_xy(geometries[index], poles)
        found[index] = _band(lonlat[index], south=south, north=north) or _mended(lonlat[index], middle)
    return found


def _band(lonlat: shapely.Geometry, *, south: bool, north: bool) -> shapely.Geometry | None:
    if not (south or north):
        return None
    _, low, _, high = shapely.bounds(lonlat)
    return shapely.box(-HALF_TURN, -90.0 if south else low, HALF_TURN, 90.0 if north else high)


def _mended(lonlat: shapely.Geometry, middle: float) -> shapely.Geometry:
    """Put an area together if it is narrow when counted eastwards from 0, and its middle is there too."""
    shifted = shapely.transform(lonlat, _eastward)
    low, _, high, _ = shapely.bounds(shifted)
    if high - low > HALF_TURN or not low <= middle % TURN <= high:
        return lonlat
    return _cut(shifted if shapely.is_valid(shifted) else shapely.envelope(shifted))


def _eastward(coordinates: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.column_stack([coordinates[:, 0] % TURN, coordinates[:, 1]])


def _cut(geometry: shapely.Geometry) -> shapely.Geometry:
    """Cut a valid polygon at -180 and 180, and bring all parts between the two."""
    west, south, east, north = shapely.bounds(geometry)
    parts = []
    for turn in (0.0, -TURN, TURN):
        strip = shapely.box(-HALF_TURN - turn, south - 1, HALF_TURN - turn, north + 1)
        inside = shapely.get_parts(shapely.intersection(geometry, strip))
        parts += [translate(part, xoff=turn) for part in inside if part.geom_type == "Polygon"]
    # one that is wider than a turn covers some places twice
    return shapely.union_all(parts) if east - west > TURN else shapely.MultiPolygon(parts)
