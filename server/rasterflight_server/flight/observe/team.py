"""Figures of all processes of a server: each answers on a socket of its own, and the one that started them adds them up."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import ServiceError
from rasterflight_server.flight.observe.figures import Figures
from rasterflight_server.flight.service import Service

#: A process that is too busy to answer for so long is told of as it was before.
_ANSWER_SECONDS: Final = 1.0
_ALL_ANSWER_SECONDS: Final = 5.0
#: What the sockets of the processes are called.
FIGURES: Final = ".figures"
_PIECE: Final = 1 << 16


class _Answering(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def answer(path: Path, figures: Callable[[], Figures]) -> None:
    """Give figures to whoever connects to a socket, in a folder that nobody else can enter."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):  # who asked has gone
                self.request.sendall(figures().pack())

    path.unlink(missing_ok=True)
    server = _Answering(str(path), Handler)
    threading.Thread(target=server.serve_forever, daemon=True, name="figures").start()


def ask(path: Path, seconds: float = _ANSWER_SECONDS) -> Figures:
    """Get figures of whoever answers on a socket.

    Raises
    ------
    OSError, ValueError
        It does not answer, or not to the end.
    """
    parts = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        connection.connect(str(path))
        while part := connection.recv(_PIECE):
            parts.append(part)
    return Figures.unpack(b"".join(parts))


def figures_of_all(service: Service) -> Figures:
    """The figures of all processes of a server, as one of them gets them.

    Raises
    ------
    ServiceError
        BUSY: they do not answer in time.
    """
    path = service.crew.figures
    if path is None:
        return Figures.of(service)
    try:
        return ask(path, _ALL_ANSWER_SECONDS)
    except (OSError, ValueError):
        raise ServiceError(
            ErrorCode.BUSY, "the processes of the server do not answer each other in time", hint="try again"
        ) from None


class TeamFigures:
    """The figures of several processes; what was counted does not go back when one of them ends and another takes its place.

    Parameters
    ----------
    sockets
        Of each process.
    """

    def __init__(self, sockets: Sequence[Path]) -> None:
        self._lock = threading.Lock()
        self._last = dict.fromkeys(sockets, Figures())
        #: Of processes that have ended.
        self._past = Figures()

    def __call__(self) -> Figures:
        """All figures, as of now."""
        with self._lock:
            now = [self._ask(path) for path in self._last]
            return sum(now, self._past)

    def _ask(self, path: Path) -> Figures:
        last = self._last[path]
        try:
            now = ask(path)
        except (ConnectionRefusedError, FileNotFoundError):
            now = Figures()
        except (OSError, ValueError):
            return last
        if now.processes != last.processes:
            self._past += last.past()
        self._last[path] = now
        return now
