"""Columns of a table as values of records: a batch at a time by array operations, since tables are long."""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError
from shapely.geometry.base import BaseGeometry

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.ingest.footprint import to_lonlat
from rasterflight_server.ingest.sources import AssetSource, Failure, Notice, RecordSource
from rasterflight_server.ingest.stacassets import resolve_href
from rasterflight_server.ingest.stacgeometry import mend
from rasterflight_server.store import is_remote
from rasterflight_server.types.lonlat import HALF_TURN, Box

_EXTENSION, _METADATA = b"ARROW:extension:name", b"ARROW:extension:metadata"
_LON_LAT: Final = ("OGC:CRS84", "EPSG:4326")
_YEARS: Final = range(1, 10_000)

#: ``shapely.GeometryType`` of Polygon and MultiPolygon.
_POLYGONS: Final = (3, 6)
_POLE: Final = 90.0
_BBOX: Final = ("xmin", "ymin", "xmax", "ymax")

Shapes = npt.NDArray[np.object_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Flaw:
    """Stands for a value that cannot be used; says why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Footprints:
    """A column of footprints."""

    shapes: Sequence[BaseGeometry | Flaw | None]
    #: Row -> what is odd about its geometry, in words.
    odd: Mapping[int, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rows:
    """A batch as values, one of each for every record."""

    ids: Sequence[str | None]
    assets: Sequence[tuple[AssetSource, ...] | Flaw]
    whens: Sequence[datetime | Flaw | None]
    footprints: "Footprints"
    properties: Sequence[Mapping[str, Any]]

    def records(self, first: int) -> Iterator[RecordSource | Failure]:
        """Records, or why there is none; the row that comes first has this number in its table."""
        rows = zip(self.ids, self.assets, self.whens, self.footprints.shapes, self.properties, strict=True)
        for row, (record, assets, when, footprint, properties) in enumerate(rows):
            if not record:
                yield Failure(f"row {first + row}", "", "it has no id")
            elif isinstance(assets, Flaw):
                yield Failure(record, "", assets.reason)
            elif isinstance(when, Flaw):
                yield Failure(record, "", when.reason)
            elif isinstance(footprint, Flaw):
                yield Failure(record, "", footprint.reason)
            elif not assets:
                yield Failure(record, "", "it has no href")
            else:
                odd = self.footprints.odd.get(row, ())
                notices = tuple(Notice(record, "", reason) for reason in odd)
                yield RecordSource(record, assets, when, footprint, properties, notices)


def texts(array: pa.Array, name: str) -> list[str | None]:
    """Values of a column as text: ids may be numbers.

    Raises
    ------
    RequestError
        Values of this type are no text.
    """
    plain = _plain(array)
    try:
        return _values(plain if pa.types.is_string(plain.type) else plain.cast(pa.utf8()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            f"the column {name!r} is no text, its type is {plain.type!s:.60}",
            field="map",
            hint="a query can take the text out of it",
        ) from None


def hrefs(array: pa.Array, name: str, location: str) -> list[str | None]:
    """Values of a column as absolute paths and URLs; relative ones start from where the table lies.

    Raises
    ------
    RequestError
        As ``texts``.
    """
    return [href if not href or is_remote(href) else resolve_href(href, location) for href in texts(array, name)]


def instants(batch: pa.RecordBatch, name: str | None) -> list[datetime | Flaw | None]:
    """Values of a column as naive UTC: from timestamps, dates, ISO 8601 texts, or whole numbers that are years.

    Without a name, no record has one.

    Raises
    ------
    RequestError
        Nothing of this type is a date.
    """
    if name is None:
        return [None] * batch.num_rows
    array = _plain(batch.column(name))
    kind = array.type
    if pa.types.is_temporal(kind) and not (pa.types.is_time(kind) or pa.types.is_duration(kind)):
        if pa.types.is_timestamp(kind) and kind.tz is not None:
            array = array.cast(pa.timestamp(kind.unit, "UTC"))
        moments = array.cast(pa.timestamp("us"), safe=False).to_numpy(zero_copy_only=False)
        return [_in_calendar(value) for value in moments.astype("datetime64[us]").tolist()]
    if pa.types.is_string(kind):
        return [None if value is None else _parsed(value) for value in _values(array)]
    if pa.types.is_integer(kind):
        return [None if value is None else _year(value) for value in _values(array)]
    if pa.types.is_null(kind):
        return [None] * len(array)
    raise RequestError(
        ErrorCode.BAD_REQUEST,
        f"the column {name!r} is no datetime, its type is {kind}",
        field="map",
        hint="timestamps, dates, ISO 8601 texts and years are",
    )


def footprints(batch: pa.RecordBatch, name: str | None, metadata: Mapping[bytes, bytes] | None) -> Footprints:
    """Values of a column as footprints in OGC:CRS84: from WKB, WKT or any GeoArrow encoding, in the CRS that the table states.

    They are mended as ``stacgeometry.read_footprint`` does; a column ``bbox`` helps. Without a name, no record has one.
    ``metadata`` is that of the table.

    Raises
    ------
    RequestError
        Nothing of this type is a geometry, or the CRS is not known.
    """
    if name is None:
        return Footprints([None] * batch.num_rows)
    column = batch.schema.field(name)
    shapes, missing = _shapes(batch.column(name), column)
    crs = _crs(column, metadata)
    if crs is not None:
        shapes = _projected(shapes, crs)
    shapes = shapely.force_2d(shapes)
    found: list[BaseGeometry | Flaw | None] = list(shapes)
    present = ~shapely.is_missing(shapes)
    for row in np.flatnonzero(~present & ~missing):
        found[row] = Flaw(f"its {name} is not a geometry")
    bounds, boxes = shapely.bounds(shapes), _boxes(batch)
    nowhere = present & ~np.isfinite(bounds).all(axis=1)  # as of empty ones
    for row in np.flatnonzero(nowhere):
        found[row] = None
    odd: dict[int, Sequence[str]] = {}
    for row in np.flatnonzero(present & ~nowhere & _unusual(shapes, bounds, boxes)):
        found[row], notes = mend(shapes[row], _box(boxes[row]))
        if notes:
            odd[int(row)] = notes
    return Footprints(found, odd)


def properties(batch: pa.RecordBatch, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Columns, by their names, as properties, by theirs, of each record, in words that JSON has: dates as ISO 8601, decimals as floats.

    Binary columns are left out.
    """
    named = [(name, _plain(batch.column(column))) for column, name in names.items()]
    kept = [(name, _simple(array)) for name, array in named if not _is_binary(array.type)]
    if not kept:
        return [{} for _ in range(batch.num_rows)]
    keys = [name for name, _ in kept]
    return [dict(zip(keys, values, strict=True)) for values in zip(*(_values(array) for _, array in kept), strict=True)]


def field_of(struct: pa.StructArray, name: str) -> pa.Array:
    """Child of a struct, null where the struct is."""
    return pc.struct_field(struct, name)


def _plain(array: pa.Array) -> pa.Array:
    """Values without dictionaries, extension types, and the variants of text."""
    if isinstance(array.type, pa.ExtensionType):
        array = array.storage
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type):
        return array.cast(pa.utf8())
    if pa.types.is_large_binary(array.type) or pa.types.is_binary_view(array.type):
        return array.cast(pa.binary())
    return array


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _values(array: pa.Array) -> list[Any]:
    return list(array.to_pylist())


def _simple(array: pa.Array) -> pa.Array:
    kind = array.type
    if pa.types.is_timestamp(kind):
        if kind.tz is not None:
            array = array.cast(pa.timestamp(kind.unit, "UTC"))
        moments = array.cast(pa.timestamp("us"), safe=False)
        return pc.replace_substring(pc.strftime(moments, "%Y-%m-%dT%H:%M:%SZ"), ".000000Z", "Z")
    if pa.types.is_decimal(kind):
        return array.cast(pa.float64())
    if pa.types.is_temporal(kind):
        return array.cast(pa.utf8())
    return array


def _in_calendar(value: Any) -> datetime | Flaw | None:
    """NumPy gives a number where a moment lies outside of the calendar of Python."""
    return (
        value
        if value is None or isinstance(value, datetime)
        else Flaw("its datetime lies outside of the years 1 to 9999")
    )


def _parsed(text: str) -> datetime | Flaw:
    try:
        value = datetime.fromisoformat(text)
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    except (ValueError, OverflowError):
        return Flaw(f"its datetime {text!r:.60} is not a date")


def _year(value: int) -> datetime | Flaw:
    if value not in _YEARS:
        return Flaw(f"its datetime {value} is not a year")
    return datetime(value, 1, 1)  # noqa: DTZ001, naive UTC is what records hold


def _shapes(array: pa.Array, field: pa.Field) -> tuple[Shapes, npt.NDArray[np.bool_]]:
    """Geometries, None where a value is null or cannot be read; and where it is null."""
    plain = _plain(array)
    missing = plain.is_null().to_numpy(zero_copy_only=False)
    if _is_binary(plain.type):
        return shapely.from_wkb(np.array(_values(plain), dtype=object), on_invalid="ignore"), missing
    if pa.types.is_string(plain.type):
        return shapely.from_wkt(np.array(_values(plain), dtype=object), on_invalid="ignore"), missing
    if pa.types.is_null(plain.type):
        return np.full(len(array), None, dtype=object), missing
    if _extension(array, field).startswith("geoarrow."):
        table = pa.Table.from_arrays([array], schema=pa.schema([field]))
        return np.array(gpd.GeoDataFrame.from_arrow(table, geometry=field.name).geometry, dtype=object), missing
    raise RequestError(
        ErrorCode.BAD_REQUEST,
        f"the column {field.name!r} is no geometry, its type is {plain.type}",
        field="map",
        hint="WKB, WKT and GeoArrow are",
    )


def _extension(array: pa.Array, field: pa.Field) -> str:
    if isinstance(array.type, pa.ExtensionType):
        return str(array.type.extension_name)
    return str((field.metadata or {}).get(_EXTENSION, b""), "utf-8")


def _crs(field: pa.Field, metadata: Mapping[bytes, bytes] | None) -> CRS | None:
    """CRS by the metadata of GeoArrow or GeoParquet; None: longitude and latitude, as where nothing is said."""
    said: Any = None
    own = (field.metadata or {}).get(_METADATA)
    if own is None and isinstance(field.type, pa.ExtensionType):
        own = field.type.__arrow_ext_serialize__()
    if own:
        said = json.loads(own).get("crs")
    elif metadata and b"geo" in metadata:
        said = json.loads(metadata[b"geo"]).get("columns", {}).get(field.name, {}).get("crs")
    if not said:
        return None
    try:
        crs = CRS.from_user_input(said)
    except CRSError:
        raise RequestError(
            ErrorCode.BAD_REQUEST, f"the CRS of the column {field.name!r} is not known to PROJ", field="map"
        ) from None
    return None if any(crs.equals(CRS.from_user_input(name), ignore_axis_order=True) for name in _LON_LAT) else crs


def _projected(shapes: Shapes, crs: CRS) -> Shapes:
    transformer = to_lonlat(crs.to_wkt())

    def project(coordinates: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.column_stack(transformer.transform(coordinates[:, 0], coordinates[:, 1]))

    return np.asarray(shapely.transform(shapes, project))


def _boxes(batch: pa.RecordBatch) -> Floats:
    """The column ``bbox``, shape (rows, 4); NaN where there is none."""
    kind = batch.schema.field("bbox").type if "bbox" in batch.schema.names else pa.null()
    inside = {child.name for child in kind} if pa.types.is_struct(kind) else set()
    if not inside.issuperset(_BBOX):
        return np.full((batch.num_rows, 4), np.nan)
    sides = [field_of(batch.column("bbox"), name).cast(pa.float64()) for name in _BBOX]
    return np.column_stack([side.to_numpy(zero_copy_only=False) for side in sides])


def _box(values: Floats) -> Box | None:
    west, south, east, north = values.tolist()
    return None if np.isnan(values).any() else (west, south, east, north)


def _unusual(shapes: Shapes, bounds: Floats, boxes: Floats) -> npt.NDArray[np.bool_]:
    """Rows whose geometry needs a closer look."""
    west, south, east, north = bounds.T
    outside = (west < -HALF_TURN) | (east > HALF_TURN) | (south < -_POLE) | (north > _POLE)
    wide = (east - west > HALF_TURN) & (boxes[:, 0] > boxes[:, 2])
    turned = np.isclose(boxes[:, [1, 0, 3, 2]], bounds).all(axis=1) & ~np.isclose(boxes, bounds).all(axis=1)
    areas = np.isin(shapely.get_type_id(shapes), _POLYGONS)
    unusual: npt.NDArray[np.bool_] = outside | wide | turned | ~areas | ~shapely.is_valid(shapes)
    return unusual


def unknown_column(name: str, given: Iterable[str], what: str, field: str) -> RequestError:
    """Error for a column that a table does not have; names the nearest one."""
    given = list(given)
    near = difflib.get_close_matches(name, given, n=1, cutoff=0.5) or [
        column for column in given if column.casefold() == name.casefold()
    ]
    listed = ", ".join(map(repr, given[:20])) + (" ..." if len(given) > 20 else "")  # noqa: PLR2004
    return RequestError(
        ErrorCode.BAD_REQUEST,
        f"{what} has no column {name!r}",
        field=field,
        hint=f"did you mean {near[0]!r}? It has {listed}" if near else f"it has {listed}",
    )
