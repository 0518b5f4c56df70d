"""A STAC API on the loopback: search by GET and POST, in pages; it keeps what it is asked, and fails when told to."""

import json
import threading
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import pystac

from support.web import WebServer

CORE = (
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/item-search",
)
EXTENSIONS = (
    "https://api.stacspec.org/v1.0.0/item-search#filter",
    "https://api.stacspec.org/v1.0.0/item-search#query",
    "https://api.stacspec.org/v1.0.0/item-search#sort",
)


@dataclass
class Search:
    """One search as it came in."""

    method: str
    parameters: dict[str, Any]


@dataclass
class StacApi:
    """Serves items; a context manager.

    Parameters
    ----------
    items
        All there are, as JSON.
    collections
        Documents of collections by id.
    methods
        How it may be searched.
    conforms_to
        What its landing page says.
    """

    items: list[Any]
    collections: dict[str, Any] = field(default_factory=dict)
    methods: tuple[str, ...] = ("GET", "POST")
    conforms_to: tuple[str, ...] = CORE + EXTENSIONS
    #: Statuses of the next answers to a search, before it works.
    failures: list[int] = field(default_factory=list)
    #: What else is sent with a failure.
    failure_headers: dict[str, str] = field(default_factory=dict)
    failure_body: str = ""
    searches: list[Search] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._server = WebServer(("127.0.0.1", 0), partial(_Handler, self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def landing_page(self) -> dict[str, Any]:
        links = [{"rel": "data", "href": f"{self.url}/collections"}, {"rel": "self", "href": self.url}]
        links += [{"rel": "search", "href": f"{self.url}/search", "method": method} for method in self.methods]
        return {
            "type": "Catalog",
            "stac_version": "1.0.0",
            "id": "api",
            "description": "test",
            "conformsTo": list(self.conforms_to),
            "links": links,
        }

    def search(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """One page, as pystac writes it."""
        self.searches.append(Search(method, parameters))
        found = [item for item in self.items if _matches(item, parameters)]
        start, limit = int(parameters.get("token", 0)), int(parameters.get("limit", 10))
        page = pystac.ItemCollection([], extra_fields={"numberMatched": len(found)}).to_dict()
        page["features"] = found[start : start + limit]
        if start + limit < len(found):
            page["links"] = [self._next(method, parameters | {"token": str(start + limit)})]
        return page

    def _next(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        if method == "POST":
            return {"rel": "next", "href": f"{self.url}/search", "method": "POST", "body": parameters}
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return {"rel": "next", "href": f"{self.url}/search?{query}"}


def _matches(item: Any, parameters: dict[str, Any]) -> bool:
    if not isinstance(item, dict):
        return True
    west, south, east, north = map(float, _list(parameters.get("bbox")) or (-180, -90, 180, 90))
    minx, miny, maxx, maxy = item.get("bbox") or (0, 0, 0, 0)
    start, _, stop = parameters.get("datetime", "../..").partition("/")
    when = item["properties"]["datetime"]
    return (
        item["id"] in (_list(parameters.get("ids")) or [item["id"]])
        and item.get("collection") in (_list(parameters.get("collections")) or [item.get("collection")])
        and minx <= east
        and maxx >= west
        and miny <= north
        and maxy >= south
        and (start == ".." or start <= when)
        and ((stop or start) == ".." or when <= (stop or start))
    )


def _list(value: Any) -> list[Any]:
    return value.split(",") if isinstance(value, str) else value or []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, api: StacApi, *args) -> None:
        self.api = api
        super().__init__(*args)

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self._answer(parts.path.removeprefix("/v1"), dict(parse_qsl(parts.query)))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(self.path.removeprefix("/v1"), json.loads(body))

    def _answer(self, path: str, parameters: dict[str, Any]) -> None:
        api = self.api
        if path in ("", "/"):
            self._send(200, api.landing_page())
        elif path == "/search" and api.failures:
            self._send(api.failures.pop(0), api.failure_body, **api.failure_headers)
        elif path == "/search" and self.command in api.methods:
            self._send(200, api.search(self.command, parameters))
        else:
            collection = api.collections.get(path.removeprefix("/collections/"))
            self._send(404 if collection is None else 200, collection)

    def _send(self, status: int, document: Any, **headers: str) -> None:
        body = document.encode() if isinstance(document, str) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args) -> None:
        pass
