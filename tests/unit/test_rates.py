"""What a server did between two looks, in numbers and in lines."""

from typing import Any

import pytest

from rasterflight._figures import lines
from rasterflight._rates import rates


def stats(**changes: Any) -> dict[str, Any]:
    counters = dict.fromkeys(
        (
            *("streams", "streams_started", "batches", "rows", "bytes_sent", "pixels", "requests", "bytes_fetched"),
            *("tiles_decoded", "cache_hits", "cache_misses", "cache_evictions", "cache_bytes", "cache_limit"),
            *("uploads", "upload_bytes"),
        ),
        0,
    )
    about = {"processes": 1, "calls": {}, "durations": {}, "callers": {}, "collections": {}}
    return {**counters, **about, **changes}


BUSY = stats(
    streams=2,
    streams_started=10,
    rows=3000,
    bytes_sent=5 << 20,
    pixels=4_000_000,
    cache_hits=30,
    cache_misses=10,
    cache_bytes=1 << 20,
    cache_limit=1 << 30,
    calls={"DoGet": {"OK": 8, "BUSY": 2}, "DoAction": {"OK": 2}},
    durations={"plan": {"count": 4, "seconds": 0.02}},
    callers={
        "me": {"streams": 2, "rows": 2000, "bytes_sent": 4 << 20, "pixels": 1, "requests": 2, "bytes_fetched": 3, "tiles_decoded": 4},
        "you": {"streams": 0, "rows": 1000, "bytes_sent": 1 << 20, "pixels": 0, "requests": 0, "bytes_fetched": 0, "tiles_decoded": 0},
    },
    collections={"ny": "s1"},
)  # fmt: skip


def test_rates() -> None:
    found = rates(stats(), BUSY, 2.0)
    assert (found["rows"], found["bytes_sent"], found["streams_started"]) == (1500, 5 << 19, 5)
    assert (found["calls"], found["errors"]) == (6, 1)
    assert found["cache_hit_ratio"] == 0.75
    assert found["plan_ms"] == pytest.approx(5)
    assert (found["query_ms"], found["queue_ms"]) == (None, None)
    assert found["callers"]["me"]["rows"] == 1000
    assert "streams" not in found


def test_nothing_happened() -> None:
    found = rates(BUSY, BUSY, 1.0)
    assert found["rows"] == found["calls"] == found["callers"]["me"]["rows"] == 0
    assert (found["cache_hit_ratio"], found["plan_ms"]) == (None, None)


def test_a_server_that_was_started_anew() -> None:
    found = rates(BUSY, stats(rows=3100), 1.0)
    assert (found["rows"], found["bytes_sent"]) == (100, 0)
    assert found["plan_ms"] is None


def test_lines() -> None:
    shown = lines("grpc://host:1", BUSY, rates(stats(), BUSY, 2.0))
    assert shown[0].startswith("grpc://host:1  1 process  ")
    assert shown[1:] == [
        "",
        "calls    6.0/s, 1.0 errors/s; on average plan 5.0 ms, queue -, query -",
        "streams  2 run, 5.0/s begin",
        "sent     2.5 MiB/s, 1.5k rows/s, 2.0M pixels/s",
        "fetched  0 B/s, 0.0 GETs/s, 0.0 tiles/s",
        "cache    75% hits, 1.0 MiB of 1.0 GiB, 0.0 evictions/s",
        "uploads  0, 0 B",
        "",
        "CALLER  STREAMS  SENT/S     ROWS/S  PIXELS/S  FETCHED/S  GETS/S  TILES/S  SENT IN ALL",
        "me      2        2.0 MiB    1.0k    0.5       2 B        1.0     2.0      4.0 MiB",
        "you     0        512.0 KiB  500.0   0.0       0 B        0.0     0.0      1.0 MiB",
        "",
        "COLLECTION  SNAPSHOT",
        "ny          s1",
    ]
