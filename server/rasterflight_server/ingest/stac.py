"""Records from a STAC ItemCollection."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from os.path import normpath
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import shapely
from affine import Affine
from pyproj import CRS
from pyproj.exceptions import CRSError
from shapely.geometry.base import BaseGeometry

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.ingest.classes import read_classes
from rasterflight_server.ingest.geokeys import crs_name
from rasterflight_server.ingest.sources import AssetSource, BandHint, Failure, RecordSource
from rasterflight_server.store import Stores, read_whole

_SUFFIXES: Final = (".tif", ".tiff")
_TRANSFORM: Final = 6


def read_stac(location: str, stores: Stores | None = None) -> Iterator[RecordSource | Failure]:
    """Read the items of a STAC ItemCollection (or a single Item).

    Rasters are the assets whose media type says TIFF, or that have none and end in .tif or .tiff. A band is named by
    its asset's key; the name in ``eo:bands`` or ``bands`` is another name for it. Files with several bands go by those
    names. An item whose ``datetime`` is null has that of ``start_datetime``.

    Parameters
    ----------
    location
        Path or URL of the JSON; relative hrefs start from it.
    stores
        Where it is opened; None: without options.

    Raises
    ------
    SourceError
        The JSON cannot be read.
    RequestError
        It is not an ItemCollection.
    """
    document = _load(location, stores)
    items = [document] if document["type"] == "Feature" else document["features"]
    for number, item in enumerate(items):
        try:
            yield _record(item, location)
        except _BadItemError as error:
            name = item.get("id") if isinstance(item, dict) else None
            yield Failure(str(name) if name else f"item {number}", "", str(error))
    links = document.get("links")
    if isinstance(links, list) and any(isinstance(link, dict) and link.get("rel") == "next" for link in links):
        yield Failure("", "", "the ItemCollection goes on (it has a link to the next page): only this page is indexed")


class _BadItemError(Exception):
    """An item cannot be used; says why."""


def _load(location: str, stores: Stores | None) -> dict[str, Any]:
    try:
        document = json.loads(read_whole(location, stores))
    except (ValueError, RecursionError):
        raise _not_items("it is not JSON") from None
    kind = document.get("type") if isinstance(document, dict) else None
    if kind == "FeatureCollection" and isinstance(document.get("features"), list):
        return dict(document)
    if kind == "Feature":
        return dict(document)
    raise _not_items(f"its type is {kind!r}" if isinstance(kind, str) else "it has no type")


def _not_items(why: str) -> RequestError:
    return RequestError(
        ErrorCode.BAD_REQUEST,
        f"the source is not a STAC ItemCollection: {why}",
        hint="give a FeatureCollection of STAC items, or a folder of GeoTIFFs",
    )


def _record(item: Any, location: str) -> RecordSource:
    if not isinstance(item, dict):
        raise _BadItemError("it is not a STAC item")
    record = item.get("id")
    if not isinstance(record, str) or not record:
        raise _BadItemError("the item has no id")
    properties = _mapping(item.get("properties"))
    assets = [
        _asset(key, asset, properties, location)
        for key, asset in _mapping(item.get("assets")).items()
        if isinstance(asset, dict) and _is_raster(asset)
    ]
    if not assets:
        raise _BadItemError("the item has no asset that is a TIFF")
    return RecordSource(
        id=record,
        assets=tuple(assets),
        when=_datetime(properties),
        geometry=_geometry(item.get("geometry")),
        properties={key: value for key, value in properties.items() if key != "datetime"},
    )


def _is_raster(asset: Mapping[str, Any]) -> bool:
    href, media_type, roles = asset.get("href"), asset.get("type"), asset.get("roles")
    if not isinstance(href, str) or (isinstance(roles, list) and "thumbnail" in roles):
        return False
    if isinstance(media_type, str) and media_type:
        return "tiff" in media_type.lower()
    return urlsplit(href).path.lower().endswith(_SUFFIXES)


def _asset(key: str, asset: Mapping[str, Any], properties: Mapping[str, Any], location: str) -> AssetSource:
    return AssetSource(
        key=key,
        href=_resolve(asset["href"], location),
        hints=_hints(asset),
        single=key,
        unnamed=f"{key}_",
        crs=_crs(asset) or _crs(properties),
        transform=_transform(asset) or _transform(properties),
    )


def _resolve(href: str, location: str) -> str:
    if "://" in href:
        return href
    if "://" in location:
        return urljoin(location, href)
    return normpath(Path(location).absolute().parent.resolve() / href)


def _hints(asset: Mapping[str, Any]) -> tuple[BandHint, ...]:
    """Join what the band lists of STAC 1.1 (``bands``) and 1.0 (``eo:bands``, ``raster:bands``) say."""
    lists = [value for key in ("bands", "eo:bands", "raster:bands") if isinstance(value := asset.get(key), list)]
    hints = []
    for i in range(max(map(len, lists), default=0)):
        facts: dict[str, Any] = {}
        for entries in reversed(lists):
            entry = _mapping(entries[i]) if i < len(entries) else {}
            facts |= {key.removeprefix("raster:"): value for key, value in entry.items()}
        hints.append(
            BandHint(
                name=_text(facts.get("name")),
                scale=_number(facts.get("scale")),
                offset=_number(facts.get("offset")),
                unit=_text(facts.get("unit")),
                description=_text(facts.get("description")),
                categories=read_classes(facts.get("classification:classes")),
            )
        )
    if len(hints) <= 1:
        categories = read_classes(asset.get("classification:classes"))
        hint = hints[0] if hints else BandHint()
        hints = [replace(hint, categories=hint.categories or categories)] if hints or categories else []
    return tuple(hints)


def _crs(facts: Mapping[str, Any]) -> str | None:
    code, epsg, wkt = facts.get("proj:code"), facts.get("proj:epsg"), facts.get("proj:wkt2")
    if isinstance(epsg, int) and not isinstance(code, str):
        code = f"EPSG:{epsg}"
    text = code if isinstance(code, str) else wkt
    return _named_crs(text) if isinstance(text, str) else None


@lru_cache(maxsize=1024)
def _named_crs(text: str) -> str | None:
    try:
        return crs_name(CRS.from_user_input(text))
    except CRSError:
        return None


def _transform(facts: Mapping[str, Any]) -> Affine | None:
    values = facts.get("proj:transform")
    if not isinstance(values, list) or len(values) < _TRANSFORM:
        return None
    numbers = [number for value in values[:_TRANSFORM] if (number := _number(value)) is not None]
    return Affine(*numbers) if len(numbers) == _TRANSFORM else None


def _datetime(properties: Mapping[str, Any]) -> datetime | None:
    text = properties.get("datetime") or properties.get("start_datetime")
    if text is None:
        return None
    try:
        value = datetime.fromisoformat(text)
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    except (TypeError, ValueError, OverflowError):
        raise _BadItemError(f"its datetime {text!r:.60} is not a date") from None


def _geometry(document: Any) -> BaseGeometry | None:
    if document is None:
        return None
    try:
        geometry = shapely.force_2d(shapely.from_geojson(json.dumps(document)))
    except (shapely.errors.GEOSException, ValueError) as error:
        raise _BadItemError(f"its geometry is not GeoJSON: {error!s:.100}") from None
    if geometry.is_empty or not all(map(math.isfinite, geometry.bounds)):
        return None
    return geometry if geometry.is_valid else shapely.make_valid(geometry)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Any) -> float | None:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable else None
