"""Items out of the documents that hold them: one, a collection in pages, or one on each line."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import requests

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.ingest.documents import NotJsonError, load_json, parse_json
from rasterflight_server.ingest.jsonvalues import mapping, sequence, text
from rasterflight_server.ingest.sources import Failure
from rasterflight_server.ingest.stacassets import resolve
from rasterflight_server.ingest.web import fetch, read_body

_WAY_OUT: Final = 'to index what comes before it, take the link "next" out of the document'


@dataclass(frozen=True, slots=True)
class FoundItem:
    """An item, not looked at yet."""

    #: What stands in its place.
    item: Any
    #: Path or URL that it came from.
    location: str
    #: What to call it if it has no id.
    name: str


def items_in_pages(page: Mapping[str, Any], location: str, session: requests.Session) -> Iterator[FoundItem | Failure]:
    """Items of an ItemCollection, and of the pages that it goes on with.

    Raises
    ------
    SourceError
        A page cannot be read.
    """
    seen, number = set[str](), 0
    while True:
        # An item is dropped when it is done with: what was made of it takes less room.
        waiting = list(sequence(page.get("features")))[::-1]
        page = {"links": page.get("links")}
        while waiting:
            yield FoundItem(waiting.pop(), location, f"item {number}")
            number += 1
        link = next((entry for entry in map(mapping, sequence(page["links"])) if entry.get("rel") == "next"), None)
        if link is None or text(link.get("href")) is None:
            return
        key = json.dumps([link.get("href"), link.get("body")], sort_keys=True)
        if key in seen:
            yield Failure("", "", "the pages go round in a circle: what they repeat is read once")
            return
        seen.add(key)
        location = resolve(link["href"], location)
        page = _page(link, location, session)


def items_in_lines(lines: Iterable[bytes], location: str) -> Iterator[FoundItem | Failure]:
    """Items of a document with one on each line (ndjson); a line that is not JSON is a failure."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield FoundItem(parse_json(line), location, f"line {number}")
            except NotJsonError as error:
                yield Failure(f"line {number}", "", str(error))


def _page(link: Mapping[str, Any], location: str, session: requests.Session) -> dict[str, Any]:
    try:
        if str(link.get("method", "GET")).upper() == "POST":
            headers = {name: str(value) for name, value in mapping(link.get("headers")).items()}
            with fetch(session, location, method="POST", body=mapping(link.get("body")), headers=headers) as response:
                page = parse_json(read_body(response))
        else:
            page = load_json(location, session)
    except SourceError as error:
        raise SourceError(error.code, f"a further page: {error.message}", hint=_WAY_OUT) from None
    except NotJsonError as error:
        raise SourceError(ErrorCode.SOURCE_CORRUPT, f"a further page: {error}", hint=_WAY_OUT) from None
    if not isinstance(page, dict) or not isinstance(page.get("features"), list):
        raise SourceError(ErrorCode.SOURCE_CORRUPT, "a further page: it is not an ItemCollection", hint=_WAY_OUT)
    return page
