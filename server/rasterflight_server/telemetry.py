"""What the server counts about itself: amounts, how long things take, and who they are for."""

import threading
from bisect import bisect_left
from collections import Counter
from typing import Final, Protocol

#: Upper bounds of the classes that durations fall into, in seconds; one more class holds what takes longer.
BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
#: So many callers have counters of their own, the first ones that come; all others share those of ``OTHERS``.
MOST_CALLERS: Final = 100
OTHERS: Final = "other"

_TOTALS: Final = (
    "streams",
    "streams_started",
    "batches",
    "rows",
    "bytes_sent",
    "pixels",
    "requests",
    "bytes_fetched",
    "tiles_decoded",
    "source_retries",
    "source_errors",
    "disk_cache_hits",
    "disk_cache_misses",
    "disk_cache_evictions",
    "disk_cache_errors",
    "disk_cache_bytes_read",
    "disk_cache_bytes_written",
)
#: What is counted for each caller.
CALLER_TOTALS: Final = _TOTALS[:9]


class Meter(Protocol):
    """To whom something is counted."""

    def add(self, **amounts: int) -> None:
        """Add to counters."""


class Counts:
    """Named counters, safe to change from any thread."""

    def __init__(self, *names: str) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter(dict.fromkeys(names, 0))

    def add(self, **amounts: int) -> None:
        """Add to counters."""
        with self._lock:
            for name, amount in amounts.items():
                self._counts[name] += amount

    def snapshot(self) -> dict[str, int]:
        """All counters at one moment."""
        with self._lock:
            return dict(self._counts)


class Duration:
    """How often something took how long."""

    def __init__(self, classes: list[int] | None = None, seconds: float = 0.0) -> None:
        #: How many fell into each class; see ``BOUNDS``.
        self.classes = [0] * (len(BOUNDS) + 1) if classes is None else classes
        #: All together.
        self.seconds = seconds

    def add(self, seconds: float) -> None:
        """Count one more."""
        self.classes[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def __add__(self, other: "Duration") -> "Duration":
        classes = [mine + others for mine, others in zip(self.classes, other.classes, strict=True)]
        return Duration(classes, self.seconds + other.seconds)


#: What took so long, and of which kind it was: for example ("rpc", "DoGet", "OK").
DurationKey = tuple[str, ...]


class Telemetry(Counts):
    """All counters of a process.

    ``streams`` goes up and down, all others only up. ``requests`` and ``bytes_fetched`` count ranges also where the disk cache
    had them: ``disk_cache_hits`` and ``disk_cache_bytes_read`` say how many. ``source_retries`` are requests to stores that had to be
    made again, ``source_errors`` those that failed for good.
    """

    def __init__(self) -> None:
        super().__init__(*_TOTALS)
        self._durations: dict[DurationKey, Duration] = {}
        self._callers: dict[str, Counts] = {}

    def took(self, seconds: float, *key: str) -> None:
        """Count how long something took; there are few keys, and callers do not choose them."""
        with self._lock:
            self._durations.setdefault(key, Duration()).add(seconds)

    def caller(self, name: str) -> Counts:
        """The counters of a caller."""
        with self._lock:
            name = name if name in self._callers or len(self._callers) < MOST_CALLERS else OTHERS
            return self._callers.setdefault(name, Counts(*CALLER_TOTALS))

    def durations(self) -> dict[DurationKey, Duration]:
        """All durations at one moment."""
        with self._lock:
            return {key: duration + Duration() for key, duration in self._durations.items()}

    def callers(self) -> dict[str, dict[str, int]]:
        """The counters of all callers."""
        with self._lock:
            known = dict(self._callers)
        return {name: counts.snapshot() for name, counts in known.items()}
