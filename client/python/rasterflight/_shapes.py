"""Shapely geometries by the array: taken in, checked, and written as WKB or as coordinates."""

from typing import Any, Final

import numpy as np

from rasterflight._extras import need
from rasterflight.errors import BadGeometryError

_POLYGON, _MULTIPOLYGON, _POINT, _MULTIPOINT = 3, 6, 0, 4
_NOT_AREA: Final = "values at points are what sample_points is for"
_NOT_POINT: Final = "pixels of areas are what get_gdf and get_numpy are for"


def is_shape(kind: type) -> bool:
    """Whether objects of a class are Shapely geometries."""
    return hasattr(kind, "geom_type") and hasattr(kind, "wkb")


def field_of(what: str) -> str:
    """Field of the request that holds what errors call "point", or anything else."""
    return "points" if what == "point" else "geometries"


def object_array(items: Any) -> np.ndarray:
    """Hold objects one by one, whatever NumPy could make of them."""
    array = np.empty(len(items), object)
    array[:] = items
    return array


def shapes_from_wkb(values: Any, what: str, first: int) -> np.ndarray:
    """Decode WKB or EWKB; None stays None.

    Parameters
    ----------
    values
        Sequence of bytes.
    what
        What one of them is called in errors.
    first
        Number of the first, for errors.

    Raises
    ------
    BadGeometryError
        One cannot be read; names it.
    """
    return _decoded(need("shapely", "geo").from_wkb, "WKB", values, what, first)


def shapes_from_wkt(values: Any, what: str, first: int) -> np.ndarray:
    """Decode WKT; as `shapes_from_wkb`."""
    return _decoded(need("shapely", "geo").from_wkt, "WKT", values, what, first)


def area_wkb(shapes: np.ndarray, first: int = 1) -> list[bytes]:
    """Check areas, numbered from ``first``, and write them as 2-D ISO WKB.

    Raises
    ------
    BadGeometryError
        One is missing, no Polygon or MultiPolygon, empty, or has a coordinate that is no number.
    """
    shapely = need("shapely", "geo")
    kinds = shapely.get_type_id(shapes)
    wrong = ~np.isin(kinds, (_POLYGON, _MULTIPOLYGON)) | shapely.is_empty(shapes) | ~_finite(shapes)
    if wrong.any():
        index = int(np.argmax(wrong))
        raise _bad_area(shapes[index], f"geometry {first + index}")
    return list(shapely.to_wkb(shapes, output_dimension=2, flavor="iso"))


def point_coordinates(shapes: np.ndarray, first: int) -> np.ndarray:
    """Check points, numbered from ``first``, and give their coordinates, shape (n, 2). A MultiPoint of one point is a point.

    Raises
    ------
    BadGeometryError
        One is missing, empty, or no point.
    """
    shapely = need("shapely", "geo")
    kinds, counts = shapely.get_type_id(shapes), shapely.get_num_coordinates(shapes)
    wrong = ~np.isin(kinds, (_POINT, _MULTIPOINT)) | (counts != 1)
    if wrong.any():
        index = int(np.argmax(wrong))
        raise _bad_point(shapes[index], f"point {first + index}")
    return np.asarray(shapely.get_coordinates(shapes))


def _decoded(decode: Any, form: str, values: Any, what: str, first: int) -> np.ndarray:
    shapely = need("shapely", "geo")
    array = object_array(values)
    try:
        return object_array(decode(array, on_invalid="raise"))
    except (shapely.errors.ShapelyError, TypeError):
        for index, value in enumerate(array):
            try:
                decode(value, on_invalid="raise")
            except (shapely.errors.ShapelyError, TypeError) as error:
                raise BadGeometryError(
                    f"{what} {first + index} is no valid {form}: {error}", field=field_of(what)
                ) from None
        raise


def _finite(shapes: np.ndarray) -> np.ndarray:
    coordinates, index = need("shapely", "geo").get_coordinates(shapes, return_index=True)
    finite = np.ones(len(shapes), bool)
    finite[index[~np.isfinite(coordinates).all(axis=1)]] = False
    return finite


def _bad_area(shape: Any, name: str) -> BadGeometryError:
    if shape is None:
        return BadGeometryError(f"{name} is missing", field="geometries")
    if shape.geom_type not in ("Polygon", "MultiPolygon"):
        collection = shape.geom_type == "GeometryCollection"
        return BadGeometryError(
            f"{name} is a {shape.geom_type}, and areas are Polygons or MultiPolygons",
            field="geometries",
            hint="take the polygons out of it first" if collection else _NOT_AREA,
        )
    if shape.is_empty:
        return BadGeometryError(f"{name} is empty", field="geometries", hint="drop empty geometries first")
    return BadGeometryError(f"{name} has a coordinate that is NaN or infinite", field="geometries")


def _bad_point(shape: Any, name: str) -> BadGeometryError:
    if shape is None:
        return BadGeometryError(f"{name} is missing", field="points")
    if shape.geom_type == "MultiPoint" and not shape.is_empty:
        return BadGeometryError(
            f"{name} is a MultiPoint of {len(shape.geoms)} points, expected one",
            field="points",
            hint="take it apart first, as explode() of a GeoDataFrame does",
        )
    if shape.is_empty and shape.geom_type in ("Point", "MultiPoint"):
        return BadGeometryError(f"{name} is empty", field="points", hint="drop empty points first")
    return BadGeometryError(f"{name} is a {shape.geom_type}", field="points", hint=_NOT_POINT)
