"""The footprint of a STAC item: as it should have been written."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from rasterflight_server.ingest.jsonvalues import numbers, sequence
from rasterflight_server.plan.antimeridian import within_a_turn
from rasterflight_server.types.lonlat import HALF_TURN, TURN, Box, crosses

_POLYGONS: Final = ("Polygon", "MultiPolygon")
_POLE: Final = 90.0
_NOISE: Final = 1e-6


class BadGeometryError(Exception):
    """A geometry is not GeoJSON; says why."""


def read_footprint(item: Mapping[str, Any]) -> tuple[BaseGeometry | None, list[str]]:
    """Read the footprint of an item.

    Heights are dropped, what is not valid is mended, what crosses the antimeridian is cut there. A geometry that is no area, or
    lies nowhere on earth, is none: then the outline of the raster counts.

    Returns
    -------
    tuple
        A valid Polygon or MultiPolygon in OGC:CRS84, or None; and what is odd, in words.

    Raises
    ------
    BadGeometryError
        The geometry is not GeoJSON.
    """
    geometry = _parse(item.get("geometry"))
    return (None, []) if geometry is None else mend(geometry, _bbox(item.get("bbox")))


def mend(geometry: BaseGeometry, bbox: Box | None) -> tuple[BaseGeometry | None, list[str]]:
    """As ``read_footprint``, of a plane geometry that is not empty."""
    found = _areas(geometry)
    if found is None:
        return None, [f"its geometry is a {geometry.geom_type}, not an area: the outline of the raster counts"]
    west, south, east, north = found.bounds
    if south < -_POLE - _NOISE or north > _POLE + _NOISE or west < -TURN or east > TURN:
        return None, [
            "its geometry reaches beyond the poles, as where latitudes come first: the outline of the raster counts"
        ]
    if bbox is not None and crosses(bbox) and east - west > HALF_TURN:
        found = _eastward(found) or found
    return _cut(found), _contradiction(geometry.bounds, bbox)


def _parse(document: Any) -> BaseGeometry | None:
    if document is None:
        return None
    try:
        geometry = shapely.force_2d(shapely.from_geojson(json.dumps(document)))
    except (shapely.errors.GEOSException, ValueError):
        raise BadGeometryError("its geometry is not GeoJSON") from None
    return None if geometry.is_empty or not all(map(math.isfinite, geometry.bounds)) else geometry


def _areas(geometry: BaseGeometry) -> BaseGeometry | None:
    """The polygons of a geometry, valid; None: it has none."""
    valid = geometry if geometry.is_valid else shapely.make_valid(geometry)
    if valid.geom_type in _POLYGONS:
        return valid
    parts = [part for part in shapely.get_parts(valid) if part.geom_type in _POLYGONS]
    return shapely.union_all(parts) if parts else None


def _eastward(geometry: BaseGeometry) -> BaseGeometry | None:
    """Count longitudes from 0 to 360, as a polygon around the antimeridian needs it; None: that makes it no narrower."""

    def turned(coordinates: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.column_stack([coordinates[:, 0] % TURN, coordinates[:, 1]])

    found = _areas(shapely.transform(geometry, turned))
    return found if found is not None and found.bounds[2] - found.bounds[0] <= HALF_TURN else None


def _cut(geometry: BaseGeometry) -> BaseGeometry:
    """Bring a valid polygon between -180 and 180, as a MultiPolygon of both sides if it goes on beyond."""
    found, _ = within_a_turn(np.array([geometry], dtype=object), "geometry")
    cut: BaseGeometry = found[0]
    return cut


def _bbox(value: Any) -> Box | None:
    """The box on the ground; that of a volume has heights in between."""
    count = len(sequence(value))
    found = numbers(value, count) if count in (4, 6) else None
    if found is None:
        return None
    half = count // 2
    return found[0], found[1], found[half], found[half + 1]


def _contradiction(bounds: Sequence[float], bbox: Box | None) -> list[str]:
    """Say so where the two hold latitudes and longitudes in different order."""
    if bbox is None or _alike(bbox, bounds):
        return []
    west, south, east, north = bbox
    turned = _alike((south, west, north, east), bounds)
    return ["its bbox and its geometry disagree: one of them has latitude before longitude"] if turned else []


def _alike(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(abs(a - b) <= _NOISE for a, b in zip(one, other, strict=True))
