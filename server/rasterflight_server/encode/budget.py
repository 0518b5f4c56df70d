"""How far all streams together may work ahead of their readers."""

import threading


class LookaheadBudget:
    """Bytes that streams may hold beyond the one batch that each needs; never waits.

    A stream that gets nothing goes on one batch at a time, so stalled readers cannot pile up memory.
    """

    def __init__(self, limit: int) -> None:
        self._lock = threading.Lock()
        self._left = limit

    def try_take(self, nbytes: int) -> bool:
        """Take bytes if there are as many."""
        with self._lock:
            if nbytes > self._left:
                return False
            self._left -= nbytes
            return True

    def give_back(self, nbytes: int) -> None:
        """Return what was taken."""
        with self._lock:
            self._left += nbytes
