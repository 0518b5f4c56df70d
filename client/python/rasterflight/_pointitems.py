"""Points one by one: tuples, Shapely geometries, WKB and GeoJSON, in any mixture."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from rasterflight._crs import is_auto, untold_crs
from rasterflight._geojson import geojson_crs, geojson_shapes
from rasterflight._shapes import is_shape, object_array, point_coordinates, shapes_from_wkb

_PAIR: Final = 2
_ACCEPTED: Final = (
    "a tuple (x, y), an array of shape (n, 2), a Shapely Point, WKB bytes, a GeoJSON dict, a list of these, a GeoSeries "
    "or GeoDataFrame, or any Arrow array, table or stream"
)


def item_coordinates(points: Any, geometry_crs: Any) -> tuple[np.ndarray, str]:
    """Coordinates of one point or of an iterable of points, shape (n, 2), and their CRS.

    Raises
    ------
    BadGeometryError
        One is missing, empty, or no point; names it, from 0.
    TypeError
        One is of no accepted kind.
    """
    if _is_pair(points) or isinstance(points, bytes | Mapping) or is_shape(type(points)):
        points = [points]
    if isinstance(points, str) or not isinstance(points, Iterable):
        raise TypeError(f"points is a {type(points).__name__}, expected {_ACCEPTED}")
    items = points if isinstance(points, np.ndarray) and points.dtype != object else list(points)
    own = geojson_crs(items[0]) if len(items) else None
    crs = own if own is not None and is_auto(geometry_crs) else untold_crs(geometry_crs)
    return _coordinates(items), crs


def _coordinates(items: Any) -> np.ndarray:
    """Coordinates of points of one kind at once, of mixed kinds one by one; shape (n, 2)."""
    if not len(items):
        return np.empty((0, _PAIR))
    if isinstance(items, np.ndarray):
        if items.ndim == _PAIR and items.shape[1] == _PAIR and items.dtype.kind in "iuf":
            return items
        raise TypeError(f"points is an array of {items.dtype} {items.shape}, expected numbers of shape (n, 2)")
    kinds = set(map(type, items))
    if kinds == {bytes}:
        return point_coordinates(shapes_from_wkb(items, "point", 0), 0)
    if all(map(is_shape, kinds)):
        return point_coordinates(object_array(items), 0)
    if kinds <= {tuple, list} and (pairs := _pairs(items)) is not None:
        return pairs
    found: list[Any] = []
    for item in items:
        found += _parts(item, len(found))
    return np.array(found, np.float64).reshape(-1, _PAIR)


def _pairs(items: Sequence[Any]) -> np.ndarray | None:
    try:
        pairs = np.asarray(items)
    except ValueError:  # not all of one length
        return None
    return pairs if pairs.ndim == _PAIR and pairs.shape[1] == _PAIR and pairs.dtype.kind in "iuf" else None


def _parts(item: Any, number: int) -> list[Any]:
    """Coordinates of what one item of the input holds: one point, or those of a GeoJSON."""
    if _is_pair(item):
        return [item]
    if isinstance(item, Mapping):
        shapes = geojson_shapes(item, "points")
    elif isinstance(item, bytes):
        shapes = list(shapes_from_wkb([item], "point", number))
    elif item is None or is_shape(type(item)):
        shapes = [item]
    else:
        raise TypeError(f"point {number} is {item!r:.50}, expected {_ACCEPTED}")
    return list(point_coordinates(object_array(shapes), number)) if shapes else []


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, Sequence | np.ndarray)
        and not isinstance(value, str | bytes)
        and len(value) == _PAIR
        and all(isinstance(number, int | float | np.number) for number in value)
    )
