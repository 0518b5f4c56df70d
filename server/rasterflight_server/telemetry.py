"""What the server counts about itself."""

import threading
from collections import Counter


class Telemetry:
    """Named counters, safe to change from any thread.

    ``streams`` goes up and down, all others only up. ``requests`` and ``bytes_fetched`` count ranges also where the disk cache
    had them: ``disk_cache_hits`` and ``disk_cache_bytes_read`` say how many. ``source_retries`` are requests to stores that had to be
    made again, ``source_errors`` those that failed for good.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter(
            dict.fromkeys(
                (
                    "streams",
                    "streams_started",
                    "batches",
                    "rows",
                    "bytes_sent",
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
                ),
                0,
            )
        )

    def add(self, **amounts: int) -> None:
        """Add to counters."""
        with self._lock:
            for name, amount in amounts.items():
                self._counts[name] += amount

    def snapshot(self) -> dict[str, int]:
        """All counters at one moment."""
        with self._lock:
            return dict(self._counts)
