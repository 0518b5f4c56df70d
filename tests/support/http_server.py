"""A web server on the loopback that counts what it is asked, and misbehaves when told to."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

from support.web import WebServer


@dataclass(frozen=True)
class Request:
    """One request as it came in."""

    method: str
    #: As sent: encoded, with the query.
    path: str
    #: Value of the header; "" without.
    range: str
    #: All headers, names in lower case.
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Faults:
    """How the server misbehaves; keys are decoded paths such as "/a.tif"."""

    #: Answer with this status instead.
    status: dict[str, int] = field(default_factory=dict)
    #: Send readers to this URL.
    redirect: dict[str, str] = field(default_factory=dict)
    #: The first n requests get status 503.
    unavailable: dict[str, int] = field(default_factory=dict)
    #: ETag to send instead of the right one; "" sends none.
    etag: dict[str, str] = field(default_factory=dict)
    #: Last-Modified to send instead of the right one; "" sends none.
    modified: dict[str, str] = field(default_factory=dict)
    #: Close the connection one byte before the body is complete.
    cut_body: set[str] = field(default_factory=set)
    #: Answer as if there were no Range header.
    ignore_range: set[str] = field(default_factory=set)


class FileServer:
    """Serves the files of a folder with ranges and ETags; a context manager.

    Parameters
    ----------
    root
        The folder.
    delay
        Seconds that every answer takes.
    """

    def __init__(self, root: Path, *, delay: float = 0.0) -> None:
        self.root = root
        self.delay = delay
        self.requests: list[Request] = []
        self.faults = Faults()
        self._server = WebServer(("127.0.0.1", 0), partial(_Handler, self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, files: FileServer, *args) -> None:
        self.files = files
        super().__init__(*args)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        asked = self.headers.get("Range", "")
        self.files.requests.append(Request(self.command, self.path, asked, _lower(self.headers)))
        time.sleep(self.files.delay)
        path, faults = unquote(urlsplit(self.path).path), self.files.faults
        if self._misbehaves(path):
            return None
        file = self.files.root / path.lstrip("/")
        if not file.is_file():
            return self._status(404)
        body = file.read_bytes()
        size, start, stop = len(body), 0, len(body)
        ranged = bool(asked) and path not in faults.ignore_range
        if ranged:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, stop = int(first), min(int(last) + 1, size)
            if start >= size:
                return self._status(416)
        self.send_response(206 if ranged else 200)
        if ranged:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.send_header("Content-Length", str(stop - start))
        if etag := faults.etag.get(path, f'"{file.stat().st_mtime_ns:x}"'):
            self.send_header("ETag", etag)
        if modified := faults.modified.get(path, formatdate(file.stat().st_mtime, usegmt=True)):
            self.send_header("Last-Modified", modified)
        self.end_headers()
        if with_body:
            cut = path in faults.cut_body
            self.wfile.write(body[start : stop - cut])
            self.close_connection = cut
        return None

    def _misbehaves(self, path: str) -> bool:
        faults = self.files.faults
        if faults.unavailable.get(path, 0) > 0:
            faults.unavailable[path] -= 1
            self._status(503)
        elif path in faults.redirect:
            self._status(302, {"Location": faults.redirect[path]})
        elif path in faults.status:
            self._status(faults.status[path])
        else:
            return False
        return True

    def _status(self, status: int, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args) -> None:
        pass


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
