"""Time that several calls have together."""

import time


class Deadline:
    """What is left of the seconds that some calls may take together; None: no limit."""

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    @property
    def left(self) -> float | None:
        """Seconds; never nothing at all, so that the next call says itself that it is too late."""
        return None if self._end is None else max(self._end - time.monotonic(), 1e-3)
