"""The HTTP port: whether the server lives and takes calls, and its metrics."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from rasterflight_server.flight.observe.address import Address
from rasterflight_server.flight.readiness import Readiness

_THREADS: Final = 4
#: Connections that are being answered or wait for it; those beyond are closed.
_MOST_CONNECTIONS: Final = 64
#: Who asks has so long to say what.
_SECONDS: Final = 5.0
_PLAIN: Final = "text/plain; charset=utf-8"


class Web:
    """Answers ``/healthz``, ``/readyz`` and ``/metrics``.

    Parameters
    ----------
    address
        Where to listen.
    readiness
        Of the server.
    registry
        The metrics.

    Raises
    ------
    ConfigError
        The address cannot be listened on.
    """

    def __init__(self, address: Address, readiness: Readiness, registry: CollectorRegistry) -> None:
        class Handler(_Handler):
            answers = _Answers(readiness, registry)

        try:
            self._server = _Server((address.host, address.port), Handler)
        except OSError:
            raise address.in_use() from None
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True, name="http").start()


class _Answers:
    """What is said at which path."""

    def __init__(self, readiness: Readiness, registry: CollectorRegistry) -> None:
        self._readiness = readiness
        self._registry = registry

    def get(self, path: str, accept: str) -> tuple[HTTPStatus, str, bytes]:
        """Status, type and body."""
        if path == "/healthz":
            return HTTPStatus.OK, _PLAIN, b"ok\n"
        if path == "/readyz":
            reason = self._readiness.reason
            status = HTTPStatus.OK if reason is None else HTTPStatus.SERVICE_UNAVAILABLE
            return status, _PLAIN, f"{reason or 'ready'}\n".encode()
        if path == "/metrics":
            encode, kind = choose_encoder(accept)
            return HTTPStatus.OK, kind, encode(self._registry)
        return HTTPStatus.NOT_FOUND, _PLAIN, b"there are /healthz, /readyz and /metrics\n"


class _Handler(BaseHTTPRequestHandler):
    timeout = _SECONDS
    server_version = "rasterflight"
    sys_version = ""
    error_message_format = "%(code)d %(message)s\n"
    error_content_type = _PLAIN
    answers: _Answers

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        status, kind, body = self.answers.get(self.path.partition("?")[0], self.headers.get("Accept", ""))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Say nothing: probes come every few seconds."""


class _Server(TCPServer):
    """A few threads answer; each connection is closed after its answer."""

    allow_reuse_address = True
    request_queue_size = _MOST_CONNECTIONS

    def __init__(self, address: tuple[str, int], handler: type[_Handler]) -> None:
        self.address_family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
        self._pool = ThreadPoolExecutor(_THREADS, "http")
        self._room = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hand a connection to a thread."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._pool.submit(self._process, request, client_address)

    def _process(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except OSError:
            pass  # who asked has gone, or said nothing
        finally:
            self.shutdown_request(request)
            self._room.release()
