"""Areas as people have them, made into the areas of a request."""

import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from rasterflight._crs import AUTO, LON_LAT, crs_text
from rasterflight._extras import need
from rasterflight.errors import BadGeometryError, BadRequestError, CrsRequiredError
from rasterflight_protocol.v1.read_pb2 import BBox, BBoxes, Geometries, WkbList

_ACCEPTED: Final = (
    "a bbox tuple (minx, miny, maxx, maxy), a Shapely geometry, WKB bytes, a GeoJSON dict, a list of these, "
    "a GeoSeries or a GeoDataFrame"
)
_BBOX_SIZE: Final = 4


@dataclass(frozen=True)
class Areas:
    """Areas of a request, and what the caller gave with them."""

    #: What the server gets; numbered from 1 in this order.
    message: Geometries
    #: The same as they were given: bbox, WKB or Shapely geometry each.
    originals: Sequence[Any]
    #: The other columns of a GeoDataFrame, row by row as the areas; None: there were none.
    columns: Any = None

    @property
    def crs(self) -> str:
        """CRS of the coordinates."""
        return self.message.crs

    @cached_property
    def shapes(self) -> np.ndarray:
        """The areas as Shapely geometries, an object array."""
        shapely = need("shapely", "geo")
        array = np.empty(len(self.originals), object)
        for index, original in enumerate(self.originals):
            if isinstance(original, bytes):
                array[index] = shapely.from_wkb(original)
            else:
                array[index] = shapely.box(*original) if _is_quadruple(original) else original
        return array


def areas_from(geometries: Any, geometry_crs: Any = AUTO, geometry_column: str | None = None) -> Areas:
    """Read areas in any accepted form.

    Parameters
    ----------
    geometries
        A bbox tuple ``(minx, miny, maxx, maxy)``, a Shapely geometry, WKB bytes, a GeoJSON dict, a list of these, a
        GeoSeries or a GeoDataFrame. WKB goes to the server untouched; the rest becomes 2-D ISO WKB.
    geometry_crs
        ``"auto"``, text that PROJ understands, an EPSG number, or an object with ``to_wkt()`` (pyproj).
    geometry_column
        The column of a GeoDataFrame to use; None: its active geometry.

    Raises
    ------
    BadGeometryError
        A geometry is missing, no area, or a bbox is inverted or not finite.
    CrsRequiredError
        A GeoDataFrame without CRS, or with another than ``geometry_crs``.
    TypeError
        The input is of no accepted kind.
    """
    if _is_frame(geometries):
        return _from_frame(geometries, geometry_crs, geometry_column)
    if geometry_column is not None:
        raise TypeError("geometry_column= names a column of a GeoDataFrame, and geometries= is none")
    items = [geometries] if _is_single(geometries) else _items(geometries)
    crs = (_geojson_crs(items[0]) if items else None) if _is_auto(geometry_crs) else crs_text(geometry_crs)
    parts = [part for item in items for part in _parts(item)]
    if not parts:
        raise BadGeometryError("geometries is empty", field="geometries")
    return Areas(_message(parts, crs or LON_LAT), parts)


def bbox_from(values: Any, field: str = "bbox") -> BBox:
    """Read ``(minx, miny, maxx, maxy)``.

    Raises
    ------
    BadGeometryError
        Not four finite numbers, or inverted.
    """
    if not _is_quadruple(values):
        raise BadGeometryError(f"{field} is {values!r}, expected (minx, miny, maxx, maxy)", field=field)
    minx, miny, maxx, maxy = (float(value) for value in values)
    if not all(map(math.isfinite, (minx, miny, maxx, maxy))):
        raise BadGeometryError(f"{field} {(minx, miny, maxx, maxy)} has a coordinate that is no number", field=field)
    if minx > maxx or miny > maxy:
        raise BadGeometryError(
            f"{field} {(minx, miny, maxx, maxy)} is inverted: expected (minx, miny, maxx, maxy)", field=field
        )
    return BBox(minx=minx, miny=miny, maxx=maxx, maxy=maxy)


def _is_quadruple(value: Any) -> bool:
    return (
        isinstance(value, Sequence | np.ndarray)
        and not isinstance(value, str | bytes)
        and len(value) == _BBOX_SIZE
        and all(isinstance(number, numbers.Real) for number in value)
    )


def _is_frame(value: Any) -> bool:
    return any(cls.__name__ in ("GeoDataFrame", "GeoSeries") for cls in type(value).__mro__)


def _is_shape(value: Any) -> bool:
    return hasattr(value, "geom_type") and hasattr(value, "wkb")


def _is_single(value: Any) -> bool:
    return isinstance(value, bytes | Mapping) or _is_shape(value) or _is_quadruple(value)


def _is_auto(crs: Any) -> bool:
    return isinstance(crs, str) and crs == AUTO


def _items(value: Any) -> list[Any]:
    tabular = hasattr(value, "__arrow_c_stream__") or hasattr(value, "__arrow_c_array__")
    if isinstance(value, str) or tabular or not isinstance(value, Iterable):
        raise TypeError(f"geometries is a {type(value).__name__}, expected {_ACCEPTED}")
    return list(value)


def _parts(item: Any) -> list[Any]:
    """What one item of the input holds: a bbox, WKB or Shapely geometries."""
    if not isinstance(item, Mapping):
        return [item]
    kind = item.get("type")
    if kind == "FeatureCollection":
        return [part for feature in item.get("features") or () for part in _parts(feature)]
    if kind == "Feature":
        return _parts(item.get("geometry") or {})
    if kind is None:
        raise BadGeometryError("a GeoJSON dict has no type, or a Feature has no geometry", field="geometries")
    shapely = need("shapely", "geo")
    try:
        return [shapely.geometry.shape(item)]
    except (LookupError, TypeError, ValueError, shapely.errors.ShapelyError) as error:
        raise BadGeometryError(f"a GeoJSON {kind} cannot be read: {error}", field="geometries") from None


def _geojson_crs(item: Any) -> str | None:
    """What a GeoJSON of before RFC 7946 says about its CRS; GDAL and geopandas still write it."""
    member = item.get("crs") if isinstance(item, Mapping) else None
    if member is None:
        return None
    try:
        return crs_text(member["properties"]["name"])
    except (KeyError, TypeError):
        raise CrsRequiredError(
            "the crs member of the GeoJSON cannot be read", field="geometries.crs", hint="pass geometry_crs="
        ) from None


def _message(parts: Sequence[Any], crs: str) -> Geometries:
    if all(map(_is_quadruple, parts)):
        boxes = [bbox_from(part, f"geometry {number}: bbox") for number, part in enumerate(parts, 1)]
        return Geometries(crs=crs, bboxes=BBoxes(values=boxes))
    return Geometries(crs=crs, wkb=WkbList(values=[_wkb(part, number) for number, part in enumerate(parts, 1)]))


def _wkb(part: Any, number: int) -> bytes:
    if isinstance(part, bytes):
        return part
    shapely = need("shapely", "geo")
    if _is_quadruple(part):
        box = bbox_from(part, f"geometry {number}: bbox")
        part = shapely.box(box.minx, box.miny, box.maxx, box.maxy)
    if part is None:
        raise BadGeometryError(f"geometry {number} is missing", field="geometries")
    if not _is_shape(part):
        raise TypeError(f"geometry {number} is a {type(part).__name__}, expected {_ACCEPTED}")
    if part.geom_type not in ("Polygon", "MultiPolygon"):
        raise BadGeometryError(
            f"geometry {number} is a {part.geom_type}, and areas are Polygons or MultiPolygons",
            field="geometries",
            hint="values at points are what sample_points is for",
        )
    return bytes(shapely.to_wkb(part, output_dimension=2, flavor="iso"))


def _from_frame(frame: Any, geometry_crs: Any, geometry_column: str | None) -> Areas:
    series, columns = frame, None
    if hasattr(frame, "columns"):
        if geometry_column is not None and geometry_column not in frame.columns:
            raise BadRequestError(f"the GeoDataFrame has no column {geometry_column!r}", field="geometry_column")
        name = frame.geometry.name if geometry_column is None else geometry_column
        series, columns = frame[name], frame.drop(columns=name).reset_index(drop=True)
        if not hasattr(series, "crs"):
            raise BadRequestError(f"the column {name!r} holds no geometries", field="geometry_column")
    elif geometry_column is not None:
        raise TypeError("geometry_column= names a column of a GeoDataFrame, and geometries= is a GeoSeries")
    if series.empty:
        raise BadGeometryError("geometries is empty", field="geometries")
    shapes = list(series)
    return Areas(_message(shapes, _frame_crs(series.crs, geometry_crs)), shapes, columns)


def _frame_crs(own: Any, explicit: Any) -> str:
    if _is_auto(explicit):
        if own is None:
            raise CrsRequiredError(
                "the geometries have no CRS", field="geometries.crs", hint="pass geometry_crs=, or use set_crs()"
            )
        return str(own.to_string())
    text = crs_text(explicit)
    if own is not None and own != text:
        raise CrsRequiredError(
            f"geometry_crs is {text}, but the geometries say that they are in {own.to_string()}",
            field="geometries.crs",
            hint="leave geometry_crs= out, or use to_crs() or set_crs()",
        )
    return text
