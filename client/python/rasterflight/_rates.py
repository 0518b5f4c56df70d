"""What a server did between two looks at its counters."""

from collections.abc import Mapping
from typing import Any, Final

#: Counters that only go up.
_COUNTERS: Final = (
    "streams_started",
    "batches",
    "rows",
    "bytes_sent",
    "pixels",
    "requests",
    "bytes_fetched",
    "tiles_decoded",
    "cache_hits",
    "cache_misses",
    "cache_evictions",
    "disk_cache_hits",
    "disk_cache_misses",
    "disk_cache_bytes_read",
)
_OK: Final = "OK"

Stats = Mapping[str, Any]


def rates(before: Stats, after: Stats, seconds: float) -> dict[str, Any]:
    """How much of everything there was.

    Parameters
    ----------
    before, after
        Answers to the action ``stats``.
    seconds
        Between both.

    Returns
    -------
    dict
        For each counter what was added per second; ``calls`` and ``errors`` per second; ``cache_hit_ratio`` (0 to 1) and the
        means ``plan_ms``, ``queue_ms`` and ``query_ms``, None where there was nothing; ``callers``: the counters of each.
    """
    started = _per_second(before, after, seconds)
    hits, misses = started["cache_hits"], started["cache_misses"]
    calls = _calls(after) - _calls(before)
    right = _calls(after, _OK) - _calls(before, _OK)
    earlier = before.get("callers", {})
    return {
        **started,
        "calls": calls / seconds,
        "errors": (calls - right) / seconds,
        "cache_hit_ratio": hits / (hits + misses) if hits + misses else None,
        **{f"{what}_ms": _mean(before, after, what) for what in ("plan", "queue", "query")},
        "callers": {
            name: _per_second(earlier.get(name, {}), counts, seconds)
            for name, counts in after.get("callers", {}).items()
        },
    }


def _per_second(before: Stats, after: Stats, seconds: float) -> dict[str, float]:
    # Counters go back when a server is started anew.
    return {name: max(0, after[name] - before.get(name, 0)) / seconds for name in _COUNTERS if name in after}


def _calls(stats: Stats, only: str | None = None) -> int:
    return sum(
        count
        for codes in stats.get("calls", {}).values()
        for code, count in codes.items()
        if only is None or code == only
    )


def _mean(before: Stats, after: Stats, what: str) -> float | None:
    nothing = {"count": 0, "seconds": 0.0}
    one, other = (stats.get("durations", {}).get(what, nothing) for stats in (before, after))
    count = other["count"] - one["count"]
    return 1000 * (other["seconds"] - one["seconds"]) / count if count > 0 else None
