"""From what the user names to records: paths and URLs of any kind that can be indexed."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, Final

import requests

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError, SourceError
from rasterflight_server.ingest.documents import NotJsonError, label, open_document, parse_json
from rasterflight_server.ingest.files import is_glob, is_prefix, read_glob, read_prefix
from rasterflight_server.ingest.folder import compile_pattern, read_folder
from rasterflight_server.ingest.jsonvalues import mapping, sequence
from rasterflight_server.ingest.sources import Failure, RecordSource
from rasterflight_server.ingest.stac import read_item
from rasterflight_server.ingest.stacassets import ALL_DATA, AssetChoice
from rasterflight_server.ingest.staccatalog import walk_catalog
from rasterflight_server.ingest.stacitems import FoundItem, items_in_lines, items_in_pages
from rasterflight_server.ingest.stacquery import StacQuery
from rasterflight_server.ingest.tables import Query, is_table_source, read_table
from rasterflight_server.ingest.web import new_session
from rasterflight_server.store import Stores

_LINES: Final = (".ndjson", ".jsonl", ".geojsonl", ".ndjson.gz", ".jsonl.gz", ".geojsonl.gz")
#: What a document of another kind begins with, and what to say of it.
_OTHERS: Final = {
    b"II*\0": "a TIFF: give the folder that it lies in",
    b"MM\0*": "a TIFF: give the folder that it lies in",
    b"II+\0": "a TIFF: give the folder that it lies in",
    b"MM\0+": "a TIFF: give the folder that it lies in",
    b"<": "a web page or XML, not JSON",
}
_HINT: Final = "give STAC (an ItemCollection, a catalog, items one on each line, a STAC API with a search), a table (Parquet or Arrow), or a folder of GeoTIFFs"

_TEXT_TABLES: Final = (".csv", ".tsv")

_Found = Iterator[RecordSource | Failure]
_Items = Iterator[tuple[FoundItem, Mapping[str, Any]] | Failure]


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How sources are read; what a kind of source has no use for is refused."""

    #: For folders: what file names look like, see ``read_folder``.
    pattern: str | None = None
    #: For tables: ``id``, ``datetime``, ``geometry`` or the name of a band -> column, see ``read_table``.
    map: Mapping[str, str] | None = None
    #: Where files are opened and listed; None: without options.
    stores: Stores | None = None
    #: For STAC: which assets to take, and from where.
    assets: AssetChoice = ALL_DATA
    #: For STAC APIs: what to search for.
    search: StacQuery | None = None
    #: Documents of a catalog that are fetched at a time.
    jobs: int = 16


DEFAULTS: Final = SourceOptions()


def find_records(sources: Sequence[Any], options: SourceOptions = DEFAULTS) -> Iterator[RecordSource | Failure]:
    """Find the records of all sources, one source after the other.

    A source is a folder of GeoTIFFs, a path with wildcards, a prefix of an object store that ends in "/"; a table: a Parquet or Arrow
    file, a folder of them, a ``Query``, or an object with ``__arrow_c_stream__``; or STAC by path or URL: a catalog or collection, which is followed from link to link, an
    ItemCollection with all its pages, an item, items one on each line, gzipped or not, or the landing page of an API with
    ``options.search``. What it is, its content says. A record whose id was there before is a failure.

    Raises
    ------
    RequestError
        There is no source, one of them cannot be indexed, or an option does not go with it.
    SourceError
        A source cannot be read.
    """
    check_sources(sources)
    if options.pattern is not None:
        compile_pattern(options.pattern)
    origins: dict[str, Any] = {}
    keys: set[str] = set()
    with new_session() as session:
        for source in sources:
            for each in _named_errors(source, _records(source, options, session)):
                found = each if isinstance(each, Failure) else _unless_twice(each, source, origins)
                if isinstance(found, RecordSource):
                    keys.update(asset.key for asset in found.assets)
                elif len(sources) > 1:
                    found = replace(found, reason=f"{found.reason} (in {source_label(source)})")
                yield found
    for key in options.assets.keys:
        if origins and key not in keys and options.assets.expected:
            yield Failure("", key, "no record has an asset of this name")


def check_sources(sources: Sequence[Any]) -> None:
    """Refuse to index nothing."""
    if not sources:
        raise RequestError(ErrorCode.BAD_REQUEST, "there is no source to index", field="source", hint=_HINT)


def source_label(source: Any) -> str:
    """Return a name for a source that gives away neither the folders of this machine nor the signature of a URL."""
    if isinstance(source, Query):
        return "the query"
    return label(source) if isinstance(source, str) else "the table"


def _unless_twice(record: RecordSource, source: Any, origins: dict[str, Any]) -> RecordSource | Failure:
    origin = origins.get(record.id)
    if origin is None:
        origins[record.id] = source
        return record
    where = "" if origin is source else f", of {source_label(origin)},"
    return Failure(record.id, "", f"an earlier record{where} has the same id")


def _named_errors(source: Any, records: _Found) -> _Found:
    try:
        yield from records
    except SourceError as error:
        raise SourceError(
            error.code, f"the source {source_label(source)!r}: {error.message}", hint=error.hint
        ) from None


def _records(source: Any, options: SourceOptions, session: requests.Session) -> _Found:
    stores = options.stores or Stores()
    if not isinstance(source, str) or is_table_source(source, stores):
        _refuse(options, "a table", "pattern", "search")
        return read_table(source, options.map, options.assets, stores)
    if "://" not in source and Path(source).is_dir():
        _refuse(options, "a folder", "assets", "search", "map")
        return read_folder(Path(source).resolve(), options.pattern)
    if is_glob(source):
        _refuse(options, "a path with wildcards", "assets", "search", "map")
        return read_glob(source, options.pattern)
    if is_prefix(source):
        _refuse(options, "a prefix", "assets", "search", "map")
        return read_prefix(source, options.pattern, stores)
    if PurePosixPath(source).suffix.lower() in _TEXT_TABLES:
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            f"the source {label(source)!r} is a table as text, which is not read as it is",
            field="source",
            hint="a query reads it: --query \"FROM 'scenes.csv'\" --map id=scene,B04=red_url",
        )
    if "://" in source or Path(source).exists():
        _refuse(options, "STAC", "pattern", "map")
    return _stac_records(source if "://" in source else str(Path(source).resolve()), options, session)


def _stac_records(location: str, options: SourceOptions, session: requests.Session) -> _Found:
    for found in _items(location, options, session):
        if isinstance(found, Failure):
            yield found
        else:
            item, defaults = found
            yield read_item(item.item, item.location, name=item.name, choice=options.assets, defaults=defaults)


def _refuse(options: SourceOptions, kind: str, *names: str) -> None:
    for name in names:
        if getattr(options, name) != getattr(DEFAULTS, name):
            raise RequestError(ErrorCode.BAD_REQUEST, f"the option {name!r} does not go with {kind}", field=name)


def _items(location: str, options: SourceOptions, session: requests.Session) -> _Items:
    with open_document(location, session, options.stores) as file:
        _refuse_others(file.peek(4), location)
        first = file.readline()
        if _is_lines(first, file, location):
            _refuse(options, "items one on each line", "search")
            for found in items_in_lines(chain([first], file), location):
                yield found if isinstance(found, Failure) else (found, {})
            return
        try:
            document = parse_json(first + file.read())
        except NotJsonError as error:
            raise _not_stac(location, str(error)) from None
    yield from _of_document(document, location, options, session)


def _is_lines(first: bytes, rest: io.BufferedReader, location: str) -> bool:
    """Whether a document is an item a line: by its name, or because its first line is an item and more follows."""
    if label(location).lower().endswith(_LINES):
        return True
    if not rest.peek(1).strip():
        return False
    try:
        return mapping(parse_json(first)).get("type") == "Feature"
    except NotJsonError:
        return False


def _of_document(document: Any, location: str, options: SourceOptions, session: requests.Session) -> _Items:
    kind = mapping(document).get("type")
    if kind in ("Catalog", "Collection"):
        links = {mapping(link).get("rel") for link in sequence(document.get("links"))}
        if options.search is not None:
            # The only kind of source that needs this library.
            from rasterflight_server.ingest.stacsearch import search_items

            return search_items(document, location, options.search, session)
        if kind == "Catalog" and "search" in links:
            raise RequestError(
                ErrorCode.BAD_REQUEST,
                "the source is a STAC API: say what of it to index",
                field="search",
                hint="for example --search collections=sentinel-2-l2a bbox=7,46,8,47 datetime=2024-06",
            )
        return walk_catalog(document, location, session, options.jobs)
    _refuse(options, "a document of items", "search")
    if kind == "Feature":
        return iter([(FoundItem(document, location, "the item"), {})])
    if kind == "FeatureCollection" and isinstance(document.get("features"), list):
        pages = items_in_pages(document, location, session)
        return (found if isinstance(found, Failure) else (found, {}) for found in pages)
    raise _not_stac(location, f"its type is {kind!r:.40}" if isinstance(kind, str) else "it has no type")


def _refuse_others(start: bytes, location: str) -> None:
    if not start:
        raise _not_stac(location, "it is empty")
    for magic, what in _OTHERS.items():
        if start.startswith(magic):
            raise _not_stac(location, f"it is {what}")


def _not_stac(location: str, why: str) -> RequestError:
    return RequestError(
        ErrorCode.BAD_REQUEST, f"the source {label(location)!r} is not STAC: {why}", field="source", hint=_HINT
    )
