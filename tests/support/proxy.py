"""A TCP proxy between client and server that breaks connections after so many bytes."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_RESET = struct.pack("ii", 1, 0)


class CuttingProxy:
    """Passes connections on to a server, and cuts them; a context manager.

    Parameters
    ----------
    url
        Of the server, ``grpc://host:port`` or ``grpc+unix:///path``; may be changed while the proxy runs.
    cuts
        For each connection in turn, the bytes of answers after which it is cut, every other one by a reset; None, and those
        after the last: never.
    """

    def __init__(self, url: str, cuts: Iterable[int | None] = ()) -> None:
        self.target = url
        #: Connections so far.
        self.connections = 0
        #: Answers are held back while it is not set.
        self.flowing = threading.Event()
        self.flowing.set()
        self._cuts = iter(cuts)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))

    @property
    def url(self) -> str:
        return f"grpc://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.flowing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Cut all connections now."""
        with self._lock:
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                limit, reset = next(self._cuts, None), self.connections % 2 == 0
            threading.Thread(target=self._serve, args=(caller, limit, reset), daemon=True).start()

    def _serve(self, caller: socket.socket, limit: int | None, reset: bool) -> None:
        with caller:
            try:
                server = _connect(self.target)
            except OSError:
                return
            with server, self._tracked(caller, server):
                threading.Thread(target=_pass, args=(caller, server), daemon=True).start()
                for data in _pieces(server):
                    self.flowing.wait()
                    with contextlib.suppress(OSError):
                        caller.sendall(data[:limit])
                    if limit is None:
                        continue
                    limit -= len(data)
                    if limit <= 0:
                        break
                else:
                    return
                if reset:
                    caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    # Wakes the thread that reads from it, and with it lets go of the socket.
                    with contextlib.suppress(OSError):
                        caller.shutdown(socket.SHUT_RD)
                    caller.close()

    @contextlib.contextmanager
    def _tracked(self, *sockets: socket.socket) -> Iterator[None]:
        with self._lock:
            self._open.update(sockets)
        try:
            yield
        finally:
            with self._lock:
                self._open.difference_update(sockets)
            for one in sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)


def _connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    if parts.scheme == "grpc+unix":
        found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        found.connect(parts.path)
        return found
    return socket.create_connection((parts.hostname or "", parts.port or 0))


def _pass(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        for data in _pieces(source):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _pieces(source: socket.socket) -> Iterator[bytes]:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            yield data
