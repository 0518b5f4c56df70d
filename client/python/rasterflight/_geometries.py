"""Areas as people have them, made into the areas of a request."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa

from rasterflight._areacolumns import column_areas
from rasterflight._arrow import is_arrow, open_arrow, without_views
from rasterflight._boxes import box_shapes, boxes_message, is_box
from rasterflight._columns import geometry_column_of
from rasterflight._crs import AUTO, is_auto, told_crs, untold_crs
from rasterflight._frames import frame_crs, frame_parts, is_geo
from rasterflight._geoarrow import Encoding, is_wkb, told_encoding
from rasterflight._geojson import geojson_crs, geojson_shapes
from rasterflight._shapes import area_wkb, is_shape, object_array, shapes_from_wkb
from rasterflight.errors import BadGeometryError
from rasterflight_protocol.v1.read_pb2 import Geometries, WkbList

_ACCEPTED: Final = (
    "a bbox tuple (minx, miny, maxx, maxy), a Shapely geometry, WKB bytes, a GeoJSON dict, a list of these, "
    "a GeoSeries or GeoDataFrame, or any Arrow array, table or stream"
)
_PLANE: Final = 2


@dataclass(frozen=True)
class Areas:
    """Areas of a request, and what the caller gave with them."""

    #: What the server gets; numbered from 1 in this order.
    message: Geometries
    #: The same as they were given: an array of Shapely geometries, or bbox, WKB or Shapely geometry each.
    originals: Sequence[Any] | np.ndarray
    #: The other columns, row by row as the areas: of a GeoDataFrame a pandas frame, of a table a pyarrow Table; None:
    #: there were none.
    columns: Any = None

    @property
    def crs(self) -> str:
        """CRS of the coordinates."""
        return self.message.crs

    @property
    def column_names(self) -> list[Any]:
        """Names of the other columns."""
        if self.columns is None:
            return []
        return list(self.columns.schema.names if isinstance(self.columns, pa.Table) else self.columns.columns)

    @cached_property
    def shapes(self) -> np.ndarray:
        """The areas as Shapely geometries, an object array. A bbox across the antimeridian is a MultiPolygon."""
        if isinstance(self.originals, np.ndarray) and self.originals.ndim == 1:
            return self.originals
        if self.message.WhichOneof("source") == "bboxes":
            return box_shapes(np.asarray(self.originals, np.float64))
        shapes = object_array([None if isinstance(one, bytes) else one for one in self.originals])
        encoded = [index for index, one in enumerate(self.originals) if isinstance(one, bytes)]
        shapes[encoded] = shapes_from_wkb([self.originals[index] for index in encoded], "geometry", 1)
        for index, one in enumerate(self.originals):
            if is_box(one):
                shapes[index] = _box(one, index + 1)
        return shapes


def areas_from(geometries: Any, geometry_crs: Any = AUTO, geometry_column: str | None = None) -> Areas:
    """Read areas in any accepted form.

    Parameters
    ----------
    geometries
        A bbox tuple ``(minx, miny, maxx, maxy)``, a Shapely geometry, WKB or EWKB bytes, a GeoJSON dict, or a list of
        these; a GeoSeries or GeoDataFrame; an Arrow array (WKB, any encoding of GeoArrow); a pandas DataFrame, or any
        table or stream with ``__arrow_c_stream__``. WKB goes to the server untouched; the rest becomes 2-D ISO WKB, Z
        and M are left behind.
    geometry_crs
        ``"auto"``, text that PROJ understands, an EPSG number, or an object with ``to_wkt()`` (pyproj). ``"auto"``:
        what a table, frame or GeoArrow array says, and it must; for everything else lon/lat (OGC:CRS84). The SRID
        inside EWKB is ignored.
    geometry_column
        The column of a table to use; None: of a GeoDataFrame its active geometry, of a table the only one that says
        that it holds geometries, or the primary one of GeoParquet.

    Raises
    ------
    BadGeometryError
        A geometry is missing, no area, empty, not finite, or has edges that are not straight; names it, from 1.
    BadRequestError
        The column is not there, or not clear.
    CrsRequiredError
        A table, frame or GeoArrow array without CRS, or with another than ``geometry_crs``.
    TypeError
        The input is of no accepted kind.
    """
    if is_geo(geometries):
        return _from_frame(geometries, geometry_crs, geometry_column)
    if is_arrow(geometries):
        return _from_arrow(geometries, geometry_crs, geometry_column)
    if geometry_column is not None:
        raise TypeError("geometry_column= names a column of a GeoDataFrame or table, and geometries= is none")
    items = [geometries] if _is_single(geometries) else _items(geometries)
    own = geojson_crs(items[0]) if items else None
    crs = own if own is not None and is_auto(geometry_crs) else untold_crs(geometry_crs)
    return _areas(_flat(items), crs)


def _from_frame(frame: Any, geometry_crs: Any, geometry_column: str | None) -> Areas:
    series, columns = frame_parts(frame, geometry_column)
    return _areas(object_array(series.array), frame_crs(series.crs, geometry_crs, "geometries"), columns)


def _from_arrow(value: Any, geometry_crs: Any, geometry_column: str | None) -> Areas:
    opened = open_arrow(value)
    if isinstance(opened, pa.RecordBatchReader):
        place = geometry_column_of(opened.schema, geometry_column)
        crs = told_crs(place.encoding.crs, geometry_crs, "geometries")
        table = opened.read_all().replace_schema_metadata(None)
        found = column_areas(table.column(place.index).chunks, place.encoding)
        others = table.remove_column(place.index)
        return _areas(found, crs, without_views(others) if others.num_columns else None)
    if geometry_column is not None:
        raise TypeError("geometry_column= names a column of a GeoDataFrame or table, and geometries= is an array")
    encoding = told_encoding(opened.field)
    if encoding is not None:
        crs = told_crs(encoding.crs, geometry_crs, "geometries")
    elif is_wkb(opened.field.type):
        encoding, crs = Encoding("wkb"), untold_crs(geometry_crs)
    else:
        raise TypeError(f"geometries is an array of {opened.field.type}, expected {_ACCEPTED}")
    return _areas(column_areas(opened.chunks, encoding), crs)


def _areas(originals: Sequence[Any] | np.ndarray, crs: str, columns: Any = None) -> Areas:
    """Make areas of Shapely geometries (1-D array), boxes (2-D array), or of any of bbox, WKB and Shapely geometry."""
    if not len(originals):
        raise BadGeometryError("geometries is empty", field="geometries")
    if isinstance(originals, np.ndarray):
        if originals.ndim == _PLANE:
            return Areas(Geometries(crs=crs, bboxes=boxes_message(originals)), originals, columns)
        return Areas(Geometries(crs=crs, wkb=WkbList(values=area_wkb(originals))), originals, columns)
    kinds = set(map(type, originals))
    if kinds == {bytes}:
        return Areas(Geometries(crs=crs, wkb=WkbList(values=originals)), originals, columns)
    if all(map(is_shape, kinds)):
        return _areas(object_array(originals), crs, columns)
    if all(map(is_box, originals)):
        return _areas(np.array(originals, np.float64), crs, columns)
    return Areas(Geometries(crs=crs, wkb=WkbList(values=_mixed_wkb(originals))), originals, columns)


def _mixed_wkb(originals: Sequence[Any]) -> list[bytes]:
    found: list[bytes] = []
    for number, one in enumerate(originals, 1):
        if isinstance(one, bytes):
            found.append(one)
            continue
        shape = _box(one, number) if is_box(one) else one
        if shape is not None and not is_shape(type(shape)):
            raise TypeError(f"geometry {number} is a {type(one).__name__}, expected {_ACCEPTED}")
        found += area_wkb(object_array([shape]), number)
    return found


def _box(values: Any, number: int) -> Any:
    bounds = np.array([values], np.float64)
    boxes_message(bounds, number)
    return box_shapes(bounds)[0]


def _is_single(value: Any) -> bool:
    return isinstance(value, bytes | Mapping) or is_shape(type(value)) or is_box(value)


def _items(value: Any) -> list[Any]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(f"geometries is a {type(value).__name__}, expected {_ACCEPTED}")
    return list(value)


def _flat(items: list[Any]) -> list[Any]:
    """The same with the geometries of GeoJSON in place of its dicts."""
    if not any(isinstance(item, Mapping) for item in items):
        return items
    return [
        part for item in items for part in (geojson_shapes(item, "geometries") if isinstance(item, Mapping) else [item])
    ]
