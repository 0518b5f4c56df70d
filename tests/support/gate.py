"""A gate in front of a store on the loopback: it writes down what comes in, passes it on unchanged, or answers by itself."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    method: str
    #: As sent: encoded, with the query.
    path: str
    #: Names in lower case.
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """What the gate answers with instead of the store."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def refusal(cls, status: int, code: str, message: str = "", **headers: str) -> "Answer":
        """An error in the XML that S3, Azure and Google have in common."""
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        return cls(status, body.encode(), {name.replace("_", "-"): value for name, value in headers.items()})


Rule = Callable[[Asked], Answer | None]


class Gate:
    """Passes requests on; a context manager.

    Parameters
    ----------
    target
        URL of the store; "": there is none, and what the rule does not answer is 404.
    rule
        Gives the answer to a request, or None to pass it on.
    delay
        Seconds that every answer takes.
    own_host
        The store is told its own host instead of the gate's, for which signatures are made.
    """

    def __init__(
        self, target: str = "", rule: Rule = lambda _: None, *, delay: float = 0.0, own_host: bool = False
    ) -> None:
        self.own_host = own_host
        self.target = urlsplit(target).netloc
        self.rule = rule
        self.delay = delay
        self.requests: list[Asked] = []
        self._server = _Server(("127.0.0.1", 0), partial(_Handler, self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def gets(self) -> list[str]:
        """Ranges of all GET requests so far."""
        ranges = (asked.headers.get("range") or asked.headers.get("x-ms-range") for asked in self.requests)
        return sorted(said for said in ranges if said is not None)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    # Of more connections at a time than it lets wait, some would be tried again after a second.
    request_queue_size = 256


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, gate: Gate, *args) -> None:
        self.gate = gate
        self.store: HTTPConnection | None = None
        super().__init__(*args)

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = Asked(self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        self.gate.requests.append(asked)
        answer = self.gate.rule(asked) or (self._forward(asked) if self.gate.target else Answer(404))
        # What is slow is the way back: credentials are looked at when the request comes.
        time.sleep(self.gate.delay)
        self.send_response_only(answer.status)
        # The length is that of the store's own words where it has no body, as after HEAD.
        for name, value in ({"Content-Length": str(len(answer.body))} | dict(answer.headers)).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass  # noqa: N815 - as http.server calls them

    def _forward(self, asked: Asked) -> Answer:
        if self.store is None:
            self.store = HTTPConnection(self.gate.target, timeout=20)
        host = {"host": self.gate.target} if self.gate.own_host else {}
        words = (asked.method, asked.path, asked.body or None, {**asked.headers, **host})
        try:
            self.store.request(*words)
            response = self.store.getresponse()
        except (HTTPException, OSError):
            # The store has closed a connection that was idle.
            self.store.close()
            self.store.request(*words)
            response = self.store.getresponse()
        body = response.read()
        skipped = ("transfer-encoding", "connection", "content-length")
        headers = {name: value for name, value in response.getheaders() if name.lower() not in skipped}
        if asked.method == "HEAD":
            headers["Content-Length"] = response.headers.get("Content-Length", "0")
        return Answer(response.status, body, headers)

    def finish(self) -> None:
        super().finish()
        if self.store is not None:
            self.store.close()

    def log_message(self, *args) -> None:
        pass
