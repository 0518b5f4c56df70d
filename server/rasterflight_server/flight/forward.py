"""Connections handed on to the processes that answer them.

Arrow's Flight server does not let its port be shared (it turns SO_REUSEPORT off), so one process listens for all. What it passes on, it never
sees: bytes go from socket to socket inside the kernel (splice).
"""

import contextlib
import os
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rasterflight_server.flight.identity.peers import forwarded_name

#: Bytes that are moved at once: what a pipe holds by default. Larger pipes were not faster, and there is a limit to what all may hold.
_PIECE: Final = 1 << 16
_BACKLOG: Final = 1024


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

    def start(self) -> None:
        """Take connections from now on, on a thread of its own."""
        self._listener.listen(_BACKLOG)
        threading.Thread(target=self._accept, daemon=True, name="accept").start()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                if self._listener.fileno() < 0:
                    return
                continue
            threading.Thread(target=self._serve, args=(caller,), daemon=True, name="forward").start()

    def _serve(self, caller: socket.socket) -> None:
        with caller:
            if caller.family != socket.AF_UNIX:
                caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for target in sorted(self._open, key=self._open.__getitem__):
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
        name = forwarded_name(caller.getpeername())
        if name is not None:
            process.bind(name)


def _join(one: socket.socket, other: socket.socket) -> None:
    """Pass on in both directions until both have ended."""
    back = threading.Thread(target=_pass, args=(other, one), daemon=True, name="back")
    back.start()
    _pass(one, other)
    back.join()


def _pass(source: socket.socket, target: socket.socket) -> None:
    taken, given = os.pipe()
    try:
        with contextlib.suppress(OSError):
            while left := os.splice(source.fileno(), given, _PIECE):
                while left:
                    left -= os.splice(taken, target.fileno(), left)
    finally:
        os.close(taken)
        os.close(given)
        # The end goes on too, whichever side it came from.
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            source.shutdown(socket.SHUT_RD)
