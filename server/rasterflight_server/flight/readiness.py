"""Whether a server takes calls now, and telling those who want to know."""

import threading
from collections.abc import Callable
from typing import Final

STARTING: Final = "starting"
DRAINING: Final = "draining"


class Readiness:
    """Whether a server takes calls: not while it starts, nor once it drains. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reason: str | None = STARTING
        self._told: list[Callable[[], None]] = []

    @property
    def serving(self) -> bool:
        """Whether calls are taken."""
        return self._reason is None

    @property
    def draining(self) -> bool:
        """Whether calls are refused for good."""
        return self._reason == DRAINING

    @property
    def reason(self) -> str | None:
        """Why calls are not taken; None: they are."""
        return self._reason

    def serve(self) -> None:
        """Take calls from now on; one that drains goes on to drain."""
        self._change(None)

    def drain(self) -> None:
        """Take no calls from now on, for good."""
        self._change(DRAINING)

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call a function after each change, on the thread that makes it; it does not raise and does not wait."""
        with self._lock:
            self._told.append(callback)

    def _change(self, reason: str | None) -> None:
        with self._lock:
            if self._reason in (reason, DRAINING):
                return
            self._reason = reason
            told = list(self._told)
        for callback in told:
            callback()
