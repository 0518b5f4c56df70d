"""Static catalogs of STAC: from link to link, to the items."""

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import requests

from rasterflight_server.errors import SourceError
from rasterflight_server.ingest.documents import NotJsonError, label, load_json
from rasterflight_server.ingest.jsonvalues import mapping, sequence, text
from rasterflight_server.ingest.sources import Failure
from rasterflight_server.ingest.stacassets import resolve
from rasterflight_server.ingest.stacitems import FoundItem, items_in_pages

_FOLLOWED: Final = ("child", "item", "items")
_AHEAD_PER_JOB: Final = 2


@dataclass(slots=True)
class _Link:
    """A document that is linked to."""

    location: str
    #: ``item_assets`` of the nearest collection above.
    defaults: Mapping[str, Any]
    document: "Future[Any] | None" = field(default=None)


def walk_catalog(
    root: Mapping[str, Any], location: str, session: requests.Session, jobs: int
) -> Iterator[tuple[FoundItem, Mapping[str, Any]] | Failure]:
    """Find the items below a catalog or collection, in the order of its links.

    A link that is broken, or leads to what was read before (in a circle, as it may be), is a failure; the rest is read.

    Parameters
    ----------
    root
        The document.
    location
        Path or URL that it came from; relative links start there.
    session
        For documents on the web.
    jobs
        Documents that are fetched at a time.

    Yields
    ------
    tuple or Failure
        An item, and ``item_assets`` of its collection.
    """
    seen = {_key(location)}
    pending = deque(_links(root, location, {}))
    with ThreadPoolExecutor(jobs, "catalog") as pool:
        try:
            while pending:
                for link in list(_first(pending, jobs * _AHEAD_PER_JOB)):
                    if link.document is None and _key(link.location) not in seen:
                        link.document = pool.submit(load_json, link.location, session)
                link = pending.popleft()
                if _key(link.location) in seen:
                    yield Failure(label(link.location), "", "the catalog links to it more than once: it is read once")
                    continue
                seen.add(_key(link.location))
                assert link.document is not None
                try:
                    document = link.document.result()
                except (SourceError, NotJsonError) as error:
                    yield Failure(
                        label(link.location), "", f"a link of the catalog is broken: {_words(error)}", partial=True
                    )
                    continue
                match mapping(document).get("type"):
                    case "Feature":
                        yield FoundItem(document, link.location, label(link.location)), link.defaults
                    case "Catalog" | "Collection":
                        pending.extendleft(reversed(_links(document, link.location, link.defaults)))
                    case "FeatureCollection":
                        for found in items_in_pages(document, link.location, session):
                            yield found if isinstance(found, Failure) else (found, link.defaults)
                    case _:
                        yield Failure(label(link.location), "", "the catalog links to it, and it is not STAC")
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _links(document: Mapping[str, Any], location: str, defaults: Mapping[str, Any]) -> list[_Link]:
    own = mapping(document.get("item_assets")) or defaults
    links = map(mapping, sequence(document.get("links")))
    hrefs = (text(link.get("href")) for link in links if link.get("rel") in _FOLLOWED)
    return [_Link(resolve(href, location), own) for href in hrefs if href is not None]


def _first(pending: deque[_Link], count: int) -> Iterator[_Link]:
    return (pending[i] for i in range(min(count, len(pending))))


def _key(location: str) -> str:
    return location.partition("#")[0]


def _words(error: SourceError | NotJsonError) -> str:
    return error.message if isinstance(error, SourceError) else str(error)
