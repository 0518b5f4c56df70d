"""Whether a server takes calls, and what of them is still running."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import ServiceError
from rasterflight_server.flight.readiness import Readiness


class Life:
    """A server takes calls; then it drains, which is for calls that run already; then it ends, and they with it.

    Any thread may ask at any time.

    Parameters
    ----------
    readiness
        Knows whether calls are taken, and tells others of it.
    """

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness
        self._condition = threading.Condition()
        self._running = 0
        self._ending = threading.Event()

    @property
    def draining(self) -> bool:
        """New calls are refused."""
        return self._readiness.draining

    @property
    def ending(self) -> bool:
        """What runs is to end."""
        return self._ending.is_set()

    def drain(self) -> None:
        """Refuse calls from now on."""
        self._readiness.drain()

    def end(self) -> None:
        """End what runs: each call at its next step."""
        self._ending.set()

    def check_open(self) -> None:
        """Refuse a new call while the server drains.

        Raises
        ------
        ServiceError
            DRAINING
        """
        if self.draining:
            raise _draining()

    def check(self) -> None:
        """Let a running call end when the server does.

        Raises
        ------
        ServiceError
            DRAINING
        """
        if self._ending.is_set():
            raise _draining()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count a call while it runs."""
        with self._condition:
            self._running += 1
        try:
            yield
        finally:
            with self._condition:
                self._running -= 1
                self._condition.notify_all()

    def wait(self, seconds: float) -> int:
        """Wait until nothing runs, so long at the most; returns how many calls still do."""
        deadline = time.monotonic() + seconds
        with self._condition:
            while self._running and (left := deadline - time.monotonic()) > 0:
                self._condition.wait(left)
            return self._running


def _draining() -> ServiceError:
    return ServiceError(ErrorCode.DRAINING, "the server is shutting down", hint="try again, or try another server")
