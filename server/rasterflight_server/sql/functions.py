"""The functions that read, in SQL: their arguments, made into the request that the same read over Flight would be."""

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, NamedTuple

import pyarrow as pa
import shapely

from rasterflight_protocol import ErrorCode
from rasterflight_protocol.v1 import read_pb2
from rasterflight_protocol.v1.read_pb2 import BBox, Filter, Geometries, GridOptions, Points, ReadRequest
from rasterflight_server.errors import RequestError

_LONLAT: Final = "OGC:CRS84"
_TEXTS: Final = pa.list_(pa.utf8())
_NUMBERS: Final = pa.list_(pa.float64())


class Function(NamedTuple):
    """A function that reads."""

    layout: read_pb2.Layout
    #: Arguments by name, and what they are for parameters whose values are not known yet.
    arguments: Mapping[str, pa.DataType]


_OF_ALL: Final = {
    "collection": pa.utf8(),
    "bands": _TEXTS,
    "crs": pa.utf8(),
    "ids": _TEXTS,
    "date_range": _TEXTS,
    "cloud_cover_lt": pa.float64(),
    "bbox": _NUMBERS,
    "cql2": pa.utf8(),
    "scaled": pa.bool_(),
}
_OF_GRIDS: Final = {
    "geometry": pa.utf8(),
    "geometries": _TEXTS,
    "all_touched": pa.bool_(),
    "target_crs": pa.utf8(),
    "resolution": pa.float64(),
    "resampling": pa.utf8(),
    "bounds": _NUMBERS,
}
_RESAMPLING: Final = {
    "nearest": read_pb2.RESAMPLING_NEAREST,
    "bilinear": read_pb2.RESAMPLING_BILINEAR,
    "cubic": read_pb2.RESAMPLING_CUBIC,
    "average": read_pb2.RESAMPLING_AVERAGE,
    "mode": read_pb2.RESAMPLING_MODE,
}
_OF_POINTS: Final = {"points": pa.list_(_NUMBERS), "match": pa.utf8(), "max_distance_pixels": pa.int32()}

FUNCTIONS: Final = {
    "read_pixels": Function(read_pb2.LAYOUT_PIXELS, _OF_ALL | _OF_GRIDS),
    "read_chips": Function(read_pb2.LAYOUT_CHIPS, _OF_ALL | _OF_GRIDS | {"masked": pa.bool_()}),
    "read_points": Function(read_pb2.LAYOUT_POINTS, _OF_ALL | _OF_POINTS | {"masked": pa.bool_()}),
}


def check_arguments(function: str, names: Sequence[str]) -> None:
    """Refuse arguments that a function does not have, or has twice.

    Raises
    ------
    RequestError
        BAD_REQUEST naming the argument.
    """
    known = FUNCTIONS[function].arguments
    for number, name in enumerate(names):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has: {', '.join(known)}"
            raise _bad(function, name[:100], "there is no such argument", hint)
        if name in names[:number]:
            raise _bad(function, name, "it is given twice", "give each argument once")


def make_request(function: str, given: Mapping[str, Any], default_bands: Callable[[str], Sequence[str]]) -> ReadRequest:
    """Make the request of a call.

    Parameters
    ----------
    given
        Values of arguments, as Python has them; None stands for an argument that is not given.
    default_bands
        All bands of a collection.

    Raises
    ------
    RequestError
        BAD_REQUEST, BAD_GEOMETRY: a value cannot be used; names the argument.
    """
    values = _Values(function, {name: value for name, value in given.items() if value is not None})
    collection = values.text("collection")
    if not collection:
        hint = f"name the collection first: {function}('s2', bands := ['B04'])"
        raise _bad(function, "collection", "no collection is named", hint)
    message = ReadRequest(collection=collection, layout=FUNCTIONS[function].layout)
    message.bands.extend(values.texts("bands") if "bands" in values.given else default_bands(collection))
    _set_filters(message, values)
    _set_grid(message.grid, values)
    if message.layout == read_pb2.LAYOUT_POINTS:
        message.points.CopyFrom(_points(values))
    elif "geometry" in values.given or "geometries" in values.given:
        message.geometries.CopyFrom(_geometries(values))
    return message


class _Values:
    """Values of arguments, checked as they are taken."""

    def __init__(self, function: str, given: Mapping[str, Any]) -> None:
        self.function = function
        self.given = given

    def text(self, name: str) -> str:
        return str(self._of(name, str, "a text", ""))

    def number(self, name: str) -> float:
        try:
            return float(self.given.get(name, 0.0))
        except (TypeError, ValueError):
            raise self.bad(name, "a number") from None

    def flag(self, name: str) -> bool:
        return bool(self._of(name, bool, "true or false", default=False))

    def texts(self, name: str) -> list[str]:
        value = self.given.get(name, [])
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise self.bad(name, "a list of texts")
        return list(value)

    def numbers(self, name: str, count: int) -> list[float]:
        value = self.given.get(name)
        try:
            found = [float(one) for one in value or ()]
        except (TypeError, ValueError):
            found = []
        if len(found) != count:
            raise self.bad(name, f"a list of {count} numbers")
        return found

    def bad(self, name: str, wanted: str) -> RequestError:
        """Why a value cannot be used."""
        shown = str(self.given.get(name))[:60]
        return _bad(self.function, name, f"{shown!r} cannot be used", f"give {wanted}")

    def _of(self, name: str, kind: type, wanted: str, default: Any) -> Any:
        value = self.given.get(name, default)
        if not isinstance(value, kind):
            raise self.bad(name, wanted)
        return value


def _set_filters(message: ReadRequest, values: _Values) -> None:
    kept = Filter()
    if "cloud_cover_lt" in values.given:
        kept.cloud_cover_lt = values.number("cloud_cover_lt")
    if "date_range" in values.given:
        kept.date_range.start, kept.date_range.end = _dates(values)
    if "bbox" in values.given:
        kept.bbox.CopyFrom(BBox(**dict(zip(("minx", "miny", "maxx", "maxy"), values.numbers("bbox", 4), strict=True))))
    kept.ids.extend(values.texts("ids"))
    kept.where = values.text("cql2")
    if kept.ListFields():
        message.filters.append(kept)


def _dates(values: _Values) -> tuple[str, str]:
    given = values.given["date_range"]
    if not isinstance(given, list) or len(given) != 2:  # noqa: PLR2004 - from and to
        raise values.bad("date_range", "a list of two, from and to; NULL is open")
    return _date(given[0]), _date(given[1])


def _date(value: Any) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def _set_grid(grid: GridOptions, values: _Values) -> None:
    grid.all_touched = values.flag("all_touched")
    grid.masked = values.flag("masked")
    grid.target_crs = values.text("target_crs")
    if values.flag("scaled"):
        grid.values = read_pb2.VALUES_SCALED
    if "resolution" in values.given:
        value = values.given["resolution"]
        grid.resolution.extend(
            values.numbers("resolution", 2) if isinstance(value, list) else [values.number("resolution")]
        )
    if "bounds" in values.given:
        box = dict(zip(("minx", "miny", "maxx", "maxy"), values.numbers("bounds", 4), strict=True))
        grid.bounds.CopyFrom(BBox(**box))
    if "resampling" in values.given:
        name = values.text("resampling").lower()
        if name not in _RESAMPLING:
            raise values.bad("resampling", ", ".join(_RESAMPLING))
        grid.resampling = _RESAMPLING[name]


def _geometries(values: _Values) -> Geometries:
    if "geometry" in values.given and "geometries" in values.given:
        raise _bad(values.function, "geometries", "geometry is given too", "leave one of them out")
    one = "geometry" in values.given
    name = "geometry" if one else "geometries"
    given = [values.given[name]] if one else values.given[name]
    if not isinstance(given, list):
        raise values.bad(name, "a list of geometries")
    made = Geometries(crs=values.text("crs") or _LONLAT)
    made.wkb.values.extend(
        _wkb(values, name if one else f"{name}[{number}]", each) for number, each in enumerate(given)
    )
    return made


def _wkb(values: _Values, name: str, geometry: Any) -> bytes:
    """WKB of a geometry: WKT, GeoJSON, WKB, or a list of bounds."""
    try:
        if isinstance(geometry, bytes):
            return geometry
        if isinstance(geometry, list):
            minx, miny, maxx, maxy = map(float, geometry)
            return bytes(shapely.box(minx, miny, maxx, maxy).wkb)
        if isinstance(geometry, dict):
            geometry = json.dumps(geometry)
        text = str(geometry).strip()
        return bytes((shapely.from_geojson(text) if text.startswith("{") else shapely.from_wkt(text)).wkb)
    except (shapely.errors.ShapelyError, TypeError, ValueError):
        raise RequestError(
            ErrorCode.BAD_GEOMETRY,
            f"{values.function}: {name}: {str(geometry)[:60]!r} is no geometry",
            field=name,
            hint="give WKT, GeoJSON, WKB, or [minx, miny, maxx, maxy]",
        ) from None


def _points(values: _Values) -> Points:
    given = values.given.get("points")
    try:
        pairs = [_pair(each) for each in given or ()]
    except (shapely.errors.ShapelyError, IndexError, TypeError, ValueError):
        pairs = []
    if not pairs:
        raise values.bad("points", "a list of points, each [x, y], (x, y) or WKT")
    made = Points(crs=values.text("crs") or _LONLAT, max_distance_pixels=int(values.number("max_distance_pixels")))
    made.x.extend(x for x, _ in pairs)
    made.y.extend(y for _, y in pairs)
    if "match" in values.given:
        matches = {"all": read_pb2.MATCH_ALL, "latest": read_pb2.MATCH_LATEST}
        if values.text("match") not in matches:
            raise values.bad("match", "'all' or 'latest'")
        made.match = matches[values.text("match")]
    return made


def _pair(point: Any) -> tuple[float, float]:
    if isinstance(point, str):
        point = shapely.get_coordinates(shapely.from_wkt(point))[0]
    x, y = point.values() if isinstance(point, dict) else point
    return float(x), float(y)


def _bad(function: str, name: str, message: str, hint: str) -> RequestError:
    return RequestError(ErrorCode.BAD_REQUEST, f"{function}: {name}: {message}", field=name, hint=hint)
