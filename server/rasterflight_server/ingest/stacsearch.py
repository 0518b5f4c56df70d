"""Items from a STAC API, by a search."""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import requests
from pystac_client import ItemSearch
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError, SourceError
from rasterflight_server.ingest.documents import NotJsonError, load_json
from rasterflight_server.ingest.jsonvalues import mapping, sequence, text
from rasterflight_server.ingest.stacassets import resolve
from rasterflight_server.ingest.stacitems import FoundItem
from rasterflight_server.ingest.stacquery import StacQuery
from rasterflight_server.ingest.web import TIMEOUT, refused, unavailable

#: What an API says to conform to if it knows a parameter; one that does not is free to overlook it.
_CONFORMANCE: Final = {
    "query": ("item-search#query",),
    "filter": ("item-search#filter", "ogcapi-features-3/1.0/conf/filter", "ogcapi-features-3/1.0/conf/features-filter"),
    "sortby": ("item-search#sort",),
}
_UNUSABLE: Final = (400, 405, 413, 422)
_SAID: Final = 200


def search_items(
    root: Mapping[str, Any], location: str, query: StacQuery, session: requests.Session
) -> Iterator[tuple[FoundItem, Mapping[str, Any]]]:
    """Search an API, page after page.

    Parameters
    ----------
    root
        The landing page of the API.
    location
        Its URL.
    query
        What to search for.
    session
        Carries all requests, and sends them again where that may help.

    Yields
    ------
    tuple
        An item, and ``item_assets`` of its collection.

    Raises
    ------
    RequestError
        The API has no search, does not know a parameter, or refuses it.
    SourceError
        A page cannot be had.
    """
    url, method = _endpoint(root, location, query)
    _check_conformance(root, query)
    defaults: dict[str, Mapping[str, Any]] = {}
    for number, item in enumerate(_pages(url, method, query, session)):
        found = mapping(item)
        collection = text(found.get("collection"))
        if collection is not None and collection not in defaults:
            defaults[collection] = _item_assets(root, location, collection, session)
        links = map(mapping, sequence(found.get("links")))
        own = next((text(link.get("href")) for link in links if link.get("rel") == "self"), None)
        yield FoundItem(item, resolve(own or url, location), f"item {number}"), defaults.get(collection or "", {})


def _endpoint(root: Mapping[str, Any], location: str, query: StacQuery) -> tuple[str, str]:
    links = [link for link in map(mapping, sequence(root.get("links"))) if link.get("rel") == "search"]
    offered = {str(link.get("method", "GET")).upper(): href for link in links if (href := text(link.get("href")))}
    if not offered:
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            "the source has no link to a search: it is not the landing page of a STAC API",
            field="search",
            hint="a URL such as https://earth-search.aws.element84.com/v1 is; static catalogs are read as a whole, without search",
        )
    method = query.method or ("POST" if "POST" in offered else "GET")
    return resolve(offered.get(method) or next(iter(offered.values())), location), method


def _check_conformance(root: Mapping[str, Any], query: StacQuery) -> None:
    known = [said for each in sequence(root.get("conformsTo")) if (said := text(each)) is not None]
    for name, classes in _CONFORMANCE.items():
        if known and getattr(query, name) and not any(part in said for said in known for part in classes):
            raise RequestError(
                ErrorCode.BAD_REQUEST,
                f"the STAC API does not say that it knows the parameter {name!r}",
                field="search",
                hint="without it all records are indexed, and can be filtered when they are read, by where=",
            )


def _pages(url: str, method: str, query: StacQuery, session: requests.Session) -> Iterator[Any]:
    reader = StacApiIO(timeout=TIMEOUT, max_retries=None)
    reader.session = session
    try:
        search = ItemSearch(
            url,
            method=method,
            stac_io=reader,
            max_items=query.max_items,
            limit=query.limit if query.max_items is None else min(query.limit, query.max_items),
            ids=list(query.ids) or None,
            collections=list(query.collections) or None,
            bbox=query.bbox,
            intersects=dict(query.intersects) if query.intersects else None,
            datetime=query.datetime,
            query=dict(query.query) if query.query else None,
            filter=dict(query.filter) if query.filter else None,
            sortby=list(query.sortby) or None,
        )
        yield from search.items_as_dicts()
    except APIError as error:
        raise _explain(error) from None
    except (ValueError, KeyError, AttributeError):  # how pystac-client meets a page that is not one
        raise SourceError(ErrorCode.SOURCE_CORRUPT, "the answer of the STAC API is not an ItemCollection") from None


def _explain(error: APIError) -> RequestError | SourceError:
    status = getattr(error, "status_code", None)
    if status is None:
        return unavailable()
    if status not in _UNUSABLE:
        return refused(status)
    said = " ".join(str(error).split())[:_SAID]
    return RequestError(
        ErrorCode.BAD_REQUEST, f"the STAC API refuses the search (HTTP {status}): {said}", field="search"
    )


def _item_assets(
    root: Mapping[str, Any], location: str, collection: str, session: requests.Session
) -> Mapping[str, Any]:
    links = map(mapping, sequence(root.get("links")))
    data = next((href for link in links if link.get("rel") == "data" and (href := text(link.get("href")))), None)
    if data is None:
        return {}
    try:
        document = load_json(f"{resolve(data, location).rstrip('/')}/{quote(collection, safe='')}", session)
    except NotJsonError:
        return {}
    except SourceError as error:
        if error.code is ErrorCode.SOURCE_NOT_FOUND:
            return {}
        raise
    return mapping(mapping(document).get("item_assets"))
