"""What a column says about its geometries: how they are encoded, their CRS, and what its edges are."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from rasterflight._crs import LON_LAT, projjson_text
from rasterflight.errors import CrsRequiredError

_PREFIX: Final = "geoarrow."
_NAME: Final = b"ARROW:extension:name"
_METADATA: Final = b"ARROW:extension:metadata"
_PLANAR: Final = "planar"


@dataclass(frozen=True)
class Encoding:
    """How a column holds geometries."""

    #: As GeoArrow calls it, without its prefix: "wkb", "wkt", "polygon", "box" ...
    name: str
    #: Text that PROJ understands; None: the column does not say.
    crs: str | None = None
    #: "planar", or the curve that joins two vertices.
    edges: str = _PLANAR

    @property
    def planar(self) -> bool:
        """Whether edges are straight lines."""
        return self.edges == _PLANAR


def told_encoding(field: pa.Field, schema: pa.Schema | None = None) -> Encoding | None:
    """What a field says about itself as GeoArrow, or its schema about it as GeoParquet; None: nothing.

    Parameters
    ----------
    field
        Of a GeoArrow column; its extension type may be registered with pyarrow, or left in the metadata.
    schema
        Of the table around it; that of a GeoParquet file has the key ``geo``.

    Raises
    ------
    CrsRequiredError
        It says its CRS in a way that cannot be read.
    """
    parquet = _geoparquet(schema).get(field.name)
    name, metadata = _extension(field)
    if name.startswith(_PREFIX):
        told = _json_object(metadata, field.name)
        crs = _crs(told, field.name) or (None if parquet is None else _parquet_crs(parquet, field.name))
        return Encoding(name.removeprefix(_PREFIX), crs, told.get("edges") or _PLANAR)
    if parquet is not None:
        encoding = str(parquet.get("encoding", "WKB")).lower()
        return Encoding(encoding, _parquet_crs(parquet, field.name), parquet.get("edges") or _PLANAR)
    return None


def primary_column(schema: pa.Schema) -> str | None:
    """The column that a GeoParquet file calls its primary one."""
    geo = _geo(schema)
    name = geo.get("primary_column")
    return name if isinstance(name, str) and name in schema.names else None


def is_wkb(kind: pa.DataType) -> bool:
    """Whether a column of this type may hold WKB."""
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _extension(field: pa.Field) -> tuple[str, bytes]:
    if isinstance(field.type, pa.BaseExtensionType):
        name = str(field.type.extension_name)
        return name, field.type.__arrow_ext_serialize__() if name.startswith(_PREFIX) else b""
    metadata = field.metadata or {}
    return metadata.get(_NAME, b"").decode(errors="replace"), metadata.get(_METADATA, b"")


def _geo(schema: pa.Schema | None) -> dict[str, Any]:
    metadata = {} if schema is None else schema.metadata or {}
    return _json_object(metadata.get(b"geo", b""), "geo")


def _geoparquet(schema: pa.Schema | None) -> dict[str, Mapping[str, Any]]:
    columns = _geo(schema).get("columns")
    return columns if isinstance(columns, dict) else {}


def _json_object(text: bytes, column: str) -> dict[str, Any]:
    try:
        told = json.loads(text) if text else {}
    except ValueError:
        raise _unreadable(column) from None
    if not isinstance(told, dict):
        raise _unreadable(column)
    return told


def _crs(told: Mapping[str, Any], column: str) -> str | None:
    crs = told.get("crs")
    match crs:
        case None:
            return None
        case dict():
            return projjson_text(crs)
        case int() if told.get("crs_type") == "srid" and not isinstance(crs, bool):
            return f"EPSG:{crs}"
        case str() if crs:
            # what an SRID means is up to its producer; all that write one into files mean EPSG
            srid = told.get("crs_type") == "srid" and crs.isdecimal()
            return f"EPSG:{crs}" if srid else crs
    raise _unreadable(column)


def _parquet_crs(told: Mapping[str, Any], column: str) -> str | None:
    """GeoParquet: lon/lat where nothing is said, unknown where null is said."""
    return _crs(told, column) if "crs" in told else LON_LAT


def _unreadable(column: str) -> CrsRequiredError:
    return CrsRequiredError(
        f"what the column {column!r} says about its CRS cannot be read",
        field="geometry_crs",
        hint="take the metadata off, and pass geometry_crs=",
    )
