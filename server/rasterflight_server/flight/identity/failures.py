"""Failed tries, by the address that they come from."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_log = logging.getLogger("rasterflight_server")

_WINDOW_SECONDS: Final = 60.0
_MOST_ADDRESSES: Final = 10_000


class Failures:
    """Counts failed tries of each address, within a minute from the first; safe to use from any thread.

    Parameters
    ----------
    limit
        From so many on they are too many.
    clock
        Seconds that only go forward.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        #: Address -> when its minute is over, and its failed tries; those that failed first come first.
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Seconds until further tries of an address are looked at; 0: now."""
        with self._lock:
            ends, count = self._counts.get(address, (0.0, 0))
            return max(0.0, ends - self._clock()) if count >= self._limit else 0.0

    def add(self, address: str) -> None:
        """Count a failed try."""
        with self._lock:
            now = self._clock()
            ends, count = self._counts.pop(address, (0.0, 0))
            if ends <= now:
                ends, count = now + _WINDOW_SECONDS, 0
            self._counts[address] = ends, count + 1
            while len(self._counts) > _MOST_ADDRESSES:
                self._counts.popitem(last=False)
        if count + 1 == self._limit:
            _log.warning(
                "%d failed tries from %s within a minute: tokens from there that are not known are turned away for a while",
                self._limit,
                address or "this machine",
            )
