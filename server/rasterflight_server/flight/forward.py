"""Connections handed on to the processes that answer them.

Arrow's Flight server does not let its port be shared (it turns SO_REUSEPORT off), so one process listens for all. What it passes on, it never
sees: bytes go from socket to socket inside the kernel (splice).
"""

import contextlib
import fcntl
import os
import select
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from rasterflight_server.flight.identity.peers import forwarded_name

#: Bytes that are moved at once: what a pipe holds by default. Where they come in such pieces, it is made to hold all that waits in a socket, which
#: takes a quarter of the calls; not before, since there is a limit to what all pipes may hold.
_PIECE: Final = 1 << 16
_LARGE_PIECE: Final = 1 << 18
_BACKLOG: Final = 1024
#: Seconds until a connection is taken again when one could not be.
_PAUSE: Final = 0.1
#: A caller whose host has gone without a word is noticed when nothing came from it for a minute, and six questions, ten seconds
#: from one to the next, are not answered. Where bytes are on their way to it, the kernel gives up on them in its own time.
_KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 6))

#: For what is on its way to a caller when the process has hung up.
_LAST_SECONDS: Final = 30.0


class Forwarder:
    """Gives each connection to the process that has the fewest, where it stays.

    Parameters
    ----------
    listener
        Bound to where callers come.
    targets
        The socket of each process.
    """

    def __init__(self, listener: socket.socket, targets: Sequence[Path]) -> None:
        self._listener = listener
        self._lock = threading.Lock()
        self._open = dict.fromkeys(targets, 0)
        self._spared: set[Path] = set()

    def start(self) -> None:
        """Take connections from now on, on a thread of its own."""
        self._listener.listen(_BACKLOG)
        threading.Thread(target=self._accept, daemon=True, name="accept").start()

    @contextlib.contextmanager
    def spare(self, target: Path) -> Iterator[None]:
        """Give a process no connection inside, as long as there are others."""
        self._spared.add(target)
        try:
            yield
        finally:
            self._spared.discard(target)

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                if self._listener.fileno() < 0:
                    return
                time.sleep(_PAUSE)  # no files are left, as a rule; some will be given back
                continue
            try:
                threading.Thread(target=self._serve, args=(caller,), daemon=True, name="forward").start()
            except RuntimeError:  # no threads are left
                caller.close()
                time.sleep(_PAUSE)

    def _serve(self, caller: socket.socket) -> None:
        with caller:
            if caller.family != socket.AF_UNIX:
                caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                caller.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                for option, value in _KEEPALIVE:
                    caller.setsockopt(socket.IPPROTO_TCP, option, value)
            for target in sorted(self._open, key=lambda target: (target in self._spared, self._open[target])):
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as process:
                    _introduce(process, caller)
                    try:
                        process.connect(str(target))
                    except OSError:
                        continue  # it is being started again
                    self._count(target, 1)
                    try:
                        _join(caller, process)
                    finally:
                        self._count(target, -1)
                    return

    def _count(self, target: Path, change: int) -> None:
        with self._lock:
            self._open[target] += change


def _introduce(process: socket.socket, caller: socket.socket) -> None:
    """Let the process see whom it is for."""
    with contextlib.suppress(OSError):  # he has gone already
        process.bind(forwarded_name(caller.getpeername()))


def _join(caller: socket.socket, process: socket.socket) -> None:
    """Pass on in both directions until both have ended."""
    back = threading.Thread(target=_pass, args=(process, caller), daemon=True, name="back")
    try:
        back.start()
    except RuntimeError:  # no threads are left
        return
    _pass(caller, process)
    gone = select.poll()
    gone.register(process, 0)
    gone.poll()
    # It may have hung up because he takes nothing: what it sent last is not offered to him for ever.
    back.join(_LAST_SECONDS)
    with contextlib.suppress(OSError):
        caller.shutdown(socket.SHUT_RDWR)
    back.join()


def _pass(source: socket.socket, target: socket.socket) -> None:
    try:
        with contextlib.suppress(OSError):
            _splice(source, target)
    finally:
        # The end goes on too, whichever side it came from.
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            source.shutdown(socket.SHUT_RD)


def _splice(source: socket.socket, target: socket.socket) -> None:
    taken, given = os.pipe()
    waiting = select.poll()
    waiting.register(source, select.POLLIN)
    waiting.register(target, 0)
    piece = _PIECE
    try:
        # Where nothing comes, it is the end of the other side that ends this.
        while any(number == source.fileno() for number, _ in waiting.poll()):
            left = os.splice(source.fileno(), given, piece)
            if not left:
                return
            if piece == _PIECE and left > _PIECE // 2:
                piece = _enlarge(given)
            while left:
                left -= os.splice(taken, target.fileno(), left)
    finally:
        os.close(taken)
        os.close(given)


def _enlarge(pipe: int) -> int:
    """Make room in a pipe if that may be; the bytes that it holds then."""
    with contextlib.suppress(OSError):
        return fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _LARGE_PIECE)
    return _PIECE
