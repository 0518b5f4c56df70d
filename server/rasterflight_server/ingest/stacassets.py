"""The files of a STAC item: which of its assets they are, where they lie, and what is said of them."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from os.path import join, normpath
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urljoin

from affine import Affine
from pyproj import CRS
from pyproj.exceptions import CRSError

from rasterflight_server.ingest.geokeys import crs_name
from rasterflight_server.ingest.jsonvalues import mapping, number, numbers, sequence, text
from rasterflight_server.ingest.sentinel2 import reflectance
from rasterflight_server.ingest.sources import AssetSource, BandHint
from rasterflight_server.ingest.stacbands import read_bands
from rasterflight_server.store import from_elsewhere, is_remote

_SUFFIXES: Final = (".tif", ".tiff")
#: What shows or describes the data is not the data; the role "data" overrules.
_BESIDE: Final = frozenset(["thumbnail", "overview", "metadata"])
_TRANSFORM: Final = 6
#: How GDAL spells what is elsewhere.
_GDAL_PREFIXES: Final = {"/vsicurl/": "", "/vsis3/": "s3://", "/vsigs/": "gs://"}


@dataclass(frozen=True, slots=True)
class AssetChoice:
    """Which assets are wanted, and from where."""

    #: Keys; empty: all that are data.
    keys: tuple[str, ...] = ()
    #: Scheme of the URL to take where an asset has several (extension ``alternate``): "s3", "https"; None: the asset's own.
    prefer: str | None = None
    #: Each key is in some item; False: no matter if not.
    expected: bool = True


ALL_DATA: Final = AssetChoice()


def read_assets(
    item: Mapping[str, Any], location: str, choice: AssetChoice, defaults: Mapping[str, Any]
) -> Iterator[AssetSource]:
    """Find the GeoTIFFs of an item.

    They are the assets whose media type says TIFF, or that have none and end in .tif or .tiff; of all others only by their key.
    Thumbnails, overviews and metadata are none.

    Parameters
    ----------
    item
        The item.
    location
        Path or URL that it came from; relative hrefs start there.
    choice
        Which assets to take.
    defaults
        ``item_assets`` of its collection: what an asset does not say.
    """
    properties = mapping(item.get("properties"))
    for key, own in mapping(item.get("assets")).items():
        if not isinstance(own, dict) or not isinstance(own.get("href"), str):
            continue
        asset = {**mapping(defaults.get(key)), **own}
        if (key in choice.keys) if choice.keys else _is_data(asset):
            yield _source(key, asset, properties, resolve_href(_href(asset, choice.prefer), location))


def _is_data(asset: Mapping[str, Any]) -> bool:
    roles = set(filter(None, map(text, sequence(asset.get("roles")))))
    if roles & _BESIDE and "data" not in roles:
        return False
    media_type = text(asset.get("type"))
    if media_type is not None:
        return "tiff" in media_type.lower()
    # By hand: a URL that is none is a failure of this file, when it is opened.
    return re.split("[?#]", str(asset["href"]), maxsplit=1)[0].lower().endswith(_SUFFIXES)


def _href(asset: Mapping[str, Any], prefer: str | None) -> str:
    own = str(asset["href"])
    wanted = (prefer or "").lower()
    if prefer is None or _scheme(own) == wanted:
        return own
    alternate = asset.get("alternate")
    others = alternate if isinstance(alternate, list) else mapping(alternate).values()
    hrefs = (text(mapping(other).get("href")) for other in others)
    return next((href for href in hrefs if href is not None and _scheme(href) == wanted), own)


def _scheme(href: str) -> str:
    return href.partition("://")[0].lower() if "://" in href else ""


def resolve_href(href: str, location: str) -> str:
    """Path or URL that the href of an asset means, also as GDAL spells them."""
    for prefix, plain in _GDAL_PREFIXES.items():
        if href.startswith(prefix):
            return resolve(plain + href.removeprefix(prefix), location)
    return resolve(href, location)


def resolve(href: str, location: str) -> str:
    """Path or URL that an href means in a document from ``location``; of what ``from_elsewhere`` says of documents of others."""
    if not is_remote(location):
        # Joined as text: of a table, millions of them.
        return href if "://" in href else normpath(join(_folder(location), href))  # noqa: PTH118
    if "://" not in href:
        scheme, _, rest = location.partition("://")
        # Of schemes that it does not know, urljoin would not join anything.
        href = scheme + urljoin(f"http://{rest}", href).removeprefix("http")
    return from_elsewhere(href)


@lru_cache(maxsize=256)
def _folder(location: str) -> str:
    """Folder that a document lies in; asking the disk for each of its hrefs would take longer than all else."""
    return str(Path(location).absolute().parent.resolve())


def _source(key: str, asset: Mapping[str, Any], properties: Mapping[str, Any], href: str) -> AssetSource:
    hints, rest = read_bands(asset)
    grid = read_grid(asset, properties)
    return AssetSource(
        key=key,
        href=href,
        hints=reflectance(key, hints or (() if rest == BandHint() else (rest,)), properties),
        rest=rest,
        single=key,
        unnamed=f"{key}_",
        crs=grid.crs,
        transform=grid.transform,
        shape=grid.shape,
    )


class GridFacts(NamedTuple):
    """What STAC says about the grid of a file; as in ``AssetSource``."""

    crs: str | None
    transform: Affine | None
    shape: tuple[int, int] | None


def read_grid(asset: Mapping[str, Any], properties: Mapping[str, Any]) -> GridFacts:
    """Read the projection extension (``proj:...``): an asset counts before its item."""
    shape = numbers(asset.get("proj:shape"), 2) or numbers(properties.get("proj:shape"), 2)
    return GridFacts(
        crs=_crs(asset) or _crs(properties),
        transform=_transform(asset) or _transform(properties),
        shape=(int(shape[0]), int(shape[1])) if shape else None,
    )


def _crs(facts: Mapping[str, Any]) -> str | None:
    """Read ``proj:code``, or else ``proj:epsg``, ``proj:wkt2``, ``proj:projjson``."""
    code, epsg = text(facts.get("proj:code")), number(facts.get("proj:epsg"))
    if code is None and epsg is not None:
        code = f"EPSG:{int(epsg)}"
    projjson = facts.get("proj:projjson")
    found = code or text(facts.get("proj:wkt2")) or (json.dumps(projjson) if isinstance(projjson, dict) else None)
    return None if found is None else _named_crs(found)


@lru_cache(maxsize=1024)
def _named_crs(definition: str) -> str | None:
    try:
        return crs_name(CRS.from_user_input(definition))
    except CRSError:
        return None


def _transform(facts: Mapping[str, Any]) -> Affine | None:
    values = numbers(facts.get("proj:transform"), _TRANSFORM)
    return Affine(*values) if values else None
