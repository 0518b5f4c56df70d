"""Queries of DuckDB and Polars over a stream, and over the same Arrow in a local file: ``python -m benchmarks.consumers``, in the folder of the tests.

The server is another process on this machine, and the tiles are in its cache. *bytes* is a stream whose batches are sent over the socket instead of being put
into shared memory.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import polars as pl
import psutil
import pyarrow as pa
from pyarrow import dataset

import rasterflight as rf
from rasterflight import _handover
from rasterflight_server.ingest import build_index
from support.scenes import write_items, write_scene

ROUNDS: Final = 7
SIDE: Final = 7168
MIB: Final = 1 << 20
#: Name -> the rows, their columns, and a query in SQL and in Polars.
CASES: Final[dict[str, tuple[dict[str, Any], list[str], str, Callable[[pl.LazyFrame], pl.LazyFrame]]]] = {
    "chips": (
        {"layout": "chips"},
        ["red"],
        "SELECT avg(pixel) FROM (SELECT unnest(red) AS pixel FROM {})",
        lambda frame: frame.select(pl.col("red").explode().mean()),
    ),
    "pixels, one band": (
        {"layout": "pixels"},
        ["red"],
        "SELECT avg(red) FROM {}",
        lambda frame: frame.select(pl.mean("red")),
    ),
    "pixels and places": (
        {"layout": "pixels", "windows": [(0, 0, SIDE, 512)]},
        ["row", "col", "x", "y", "red"],
        "SELECT max(row), max(col), min(x), max(y), avg(red) FROM {}",
        lambda frame: frame.select(pl.max("row"), pl.max("col"), pl.min("x"), pl.max("y"), pl.mean("red")),
    ),
}


def main() -> None:
    """Print the table: milliseconds of a query, and of CPU in both processes together; medians."""
    rng = np.random.default_rng(1)
    scene = (np.cumsum(rng.integers(-3, 4, (SIDE, SIDE)), axis=1) + 3000).astype(np.uint16)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_scene(folder / "a.tif", scene, nodata=0)
        build_index(write_items(folder / "items.json", {"a": {"red": "a.tif"}}), folder / "index", "made")
        print("| rows | MiB | who | handover | bytes | file | ratio | CPU: handover, bytes, file |")
        print("|---|---|---|---|---|---|---|---|")
        with rf.local({"made": folder / "index"}) as client:
            for case in CASES:
                for row in _measured(client.collection("made"), case, folder / "rows.arrow"):
                    print(row, flush=True)


def _measured(made: rf.Collection, case: str, path: Path) -> list[str]:
    options, columns, sql, query = CASES[case]
    size = _save(made.read(bands=["red"], columns=columns, **options), path)
    con = duckdb.connect()
    con.execute("SET threads = 2")
    con.register("stream", made.to_dataset(bands=["red"], **options))
    con.register("file", dataset.dataset(path, format="ipc"))
    frame = made.scan_polars(bands=["red"], **options)
    runs: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "DuckDB": (
            lambda: con.sql(sql.format("stream")).fetchall(),
            lambda: con.sql(sql.format("file")).fetchall(),
        ),
        "Polars": (
            lambda: query(frame).collect(engine="streaming"),
            lambda: query(pl.scan_ipc(path)).collect(engine="streaming"),
        ),
    }
    rows = []
    for who, (stream, file) in runs.items():
        times: list[list[tuple[float, float]]] = [[], [], []]
        for _ in range(ROUNDS + 1):
            times[0].append(_timed(stream))
            times[1].append(_timed(_sent(stream)))
            times[2].append(_timed(file))
        # In the first round, tiles are decoded.
        (handed, sent, local), cpu = (
            [1000 * statistics.median(both[part] for both in one[1:]) for one in times] for part in (0, 1)
        )
        told = ", ".join(f"{one:.0f}" for one in cpu)
        rows.append(
            f"| {case} | {size / MIB:.0f} | {who} | {handed:.0f} | {sent:.0f} | {local:.0f} | {handed / local:.2f} | {told} |"
        )
    con.close()
    path.unlink()
    return rows


def _sent(run: Callable[[], Any]) -> Callable[[], Any]:
    """The same without shared memory."""

    def without() -> Any:
        make = _handover.Memory.make
        _handover.Memory.make = lambda _url: None
        try:
            return run()
        finally:
            _handover.Memory.make = make

    return without


def _timed(run: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of the clock, and of CPU in this process and in its server."""
    processes = [psutil.Process(), *psutil.Process().children()]
    before, start = _cpu(processes), time.perf_counter()
    run()
    return time.perf_counter() - start, _cpu(processes) - before


def _cpu(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def _save(stream: Any, path: Path) -> int:
    """Write a stream to a file; gives its bytes."""
    size = 0
    with pa.ipc.new_file(path, stream.schema) as writer:
        for batch in stream:
            writer.write_batch(batch)
            size += batch.nbytes
    return size


if __name__ == "__main__":
    main()
