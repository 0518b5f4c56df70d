"""What only a service has: how soon the first batch comes, how many clients it bears, how fast it plans.

A process of its own (``python -m benchmarks.service CHECK ...``); prints one line of JSON.
"""

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import rasterflight as rf
from benchmarks.manyrecords import BANDS, write_index
from benchmarks.readers import index_folder
from benchmarks.readers.rasterflight_reader import NAME
from benchmarks.runner import CHECKS
from benchmarks.scenarios import Windows, Work, make_work

_READS = 200
_SECONDS = 4.0


def first_batch(index: Path, work: Work) -> dict[str, Any]:
    """Milliseconds from asking for a window that was read before to its first batch, at the client."""
    assert isinstance(work.area, Windows)
    with rf.local({NAME: index}) as client:
        collection = client.collection(NAME).subset(ids=work.ids[:1])
        window = work.area.windows[0]

        def read() -> None:
            with collection.read(windows=window, bands=list(work.bands)) as stream:
                next(stream)

        return _milliseconds(read)


def two_clients(index: Path, work: Work) -> dict[str, Any]:
    """Megabytes of pixels a second that a server brings to one client process, and to two at once."""
    with rf.local({NAME: index}) as client:
        rates = {count: _throughput(client.url, work, count) for count in (1, 2)}
    return {"one_mb_s": rates[1], "two_mb_s": rates[2], "ratio": rates[2] / rates[1], "cpus": os.cpu_count()}


def plan_latency(folder: Path, records: int) -> dict[str, Any]:
    """Milliseconds of a plan of about 30 records by bbox, dates and cloud cover; the way to the client and back counts."""
    started = time.perf_counter()
    places = write_index(folder, records)
    written = time.perf_counter() - started
    started = time.perf_counter()
    with rf.local({"many": folder}) as client:
        start = time.perf_counter() - started
        # fewer years where there are more records, so that the number of hits stays
        last = 2021 if records <= 1_000_000 else 2020
        figures = plan_figures(client, places, BANDS, ("2020-01-01", f"{last}-12-31"))
    return figures | {"records": records, "start_s": start, "index_written_s": written}


def plan_figures(client: rf.Client, places: np.ndarray, bands: Sequence[str], dates: tuple[str, str]) -> dict[str, Any]:
    """Milliseconds of a plan at some places; the way to the client and back counts, and is given for itself."""
    clear = client.collection("many").subset(cloud_cover_lt=30, date_range=dates)
    hits: list[int] = []
    asked = iter(np.tile(places, (2, 1)).tolist())

    def plan() -> None:
        lon, lat = next(asked)
        found = clear.plan((lon - 0.01, lat - 0.01, lon + 0.01, lat + 0.01), bands=list(bands))
        hits.append(found.records)

    figures = _milliseconds(plan)
    figures["round_trip_ms"] = _milliseconds(client.healthcheck)["p50_ms"]
    return figures | {"hits": float(np.median(hits))}


def _milliseconds(call: Callable[[], Any]) -> dict[str, Any]:
    taken = []
    for _ in range(_READS + 20):
        before = time.perf_counter()
        call()
        taken.append((time.perf_counter() - before) * 1000)
    return {
        "p50_ms": float(np.median(taken[20:])),
        "p99_ms": float(np.percentile(taken[20:], 99)),
        "first_ms": taken[0],
    }


def _throughput(url: str, work: Work, clients: int) -> float:
    context = multiprocessing.get_context("spawn")
    ready, rates = context.Barrier(clients), context.SimpleQueue()
    processes = [context.Process(target=_reads, args=(url, work, ready, rates)) for _ in range(clients)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise RuntimeError("a client failed")
    return sum(rates.get() for _ in processes) / 1e6


def _reads(url: str, work: Work, ready: Any, rates: Any) -> None:
    """Read the work again and again; puts bytes of pixels a second."""
    assert isinstance(work.area, Windows)
    received = 0
    with rf.connect(url) as client:
        collection = client.collection(NAME).subset(ids=work.ids)

        def read() -> int:
            return collection.get_numpy(windows=list(work.area.windows), bands=list(work.bands)).nbytes

        read()
        ready.wait(60)
        started = time.perf_counter()
        while time.perf_counter() - started < _SECONDS:
            received += read()
        rates.put(received / (time.perf_counter() - started))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("check", choices=CHECKS)
    parser.add_argument("--data", type=Path, required=True, help="folder of the scenes")
    parser.add_argument("--out", type=Path, required=True, help="folder of the indexes")
    parser.add_argument("--records", type=int, default=1_000_000, help="of the index that is planned on (%(default)s)")
    options = parser.parse_args()
    root = f"{options.data}/"
    index = index_folder(options.out, "rasterflight", root)
    if options.check == "plan":
        figures = plan_latency(options.out / "many", options.records)
    else:
        check = {"first-batch": first_batch, "two-clients": two_clients}[options.check]
        figures = check(index, make_work("b", options.data, root))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
