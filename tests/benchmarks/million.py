"""A million records: ``python -m benchmarks.million``, in the folder of the tests; prints what indexing, updating and planning take.

``archive`` says what the records are. The files are in the cache of the operating system, as after any look at them.
"""

import argparse
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

import rasterflight as rf
from benchmarks.archive import make_archive, record_folder, record_id
from benchmarks.fileserver import FileServer, counts
from benchmarks.service import plan_figures
from rasterflight_server.ingest import build_index
from rasterflight_server.ingest.headers import REMOTE_JOBS, Task, read_files
from rasterflight_server.store import Stores

#: Records of a source that joins.
_TODAY = 1_000
#: Records of the source itself that are changed; and that are dropped, and added.
_CHANGED, _MOVED = 400, 300
_HEADERS = 5_000
#: Files behind HTTP, and seconds before each answer.
_WEB, _WAIT = 10_000, 0.03


def main() -> None:
    """Print the figures."""
    options = _parser().parse_args()
    archive, index = options.out / "archive", options.out / "index"
    items = archive / "items.parquet"
    if not items.exists():
        begun = time.monotonic()
        make_archive(archive, options.records)
        print(f"archive made in {time.monotonic() - begun:.0f} s", flush=True)
    print(_headers(archive), flush=True)
    _over_the_web(archive, options.out / "web")
    shutil.rmtree(index, ignore_errors=True)
    choice = f"--assets={options.assets}"
    _run("index", "index", items, f"--out={index}", "--name=many", choice)
    size = sum(path.stat().st_size for path in index.rglob("*") if path.is_file())
    print(f"size of the index: {size / 1e6:.0f} MB", flush=True)
    _serve(index, items, options.assets.split(","))
    today = archive / "today.parquet"
    _write_today(items, today)
    _run("update by 1,000 records of today", "update", index, today, choice)
    before = items.read_bytes()
    try:
        _edit(archive, items)
        _run("update, source run again, --no-verify", "update", index, items, choice, "--no-verify")
        _run("update, source run again, each file looked at", "update", index, items, choice)
    finally:
        items.write_bytes(before)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path("out/million"), help="where archive and index lie (%(default)s)"
    )
    parser.add_argument("--records", type=int, default=1_000_000, help="of the archive, where it is made (%(default)s)")
    parser.add_argument("--assets", default="red,nir", help="bands to index, of four (%(default)s)")
    return parser


def _headers(archive: Path) -> str:
    tasks = [Task(str(path)) for path in sorted((archive / "places").glob("*/red.tif"))[:_HEADERS]]
    read_files(tasks, Stores())
    begun = time.process_time()
    read_files(tasks, Stores())
    return f"headers: {len(tasks) / (time.process_time() - begun):.0f} a second of a core"


def _over_the_web(archive: Path, index: Path) -> None:
    """Index files behind a server that waits before each answer."""
    with FileServer(archive, wait=_WAIT) as files:
        rows = pa.table(
            {
                "id": [record_id(number) for number in range(_WEB)],
                "red": [f"{files.url}/{record_folder(number)}/red.tif" for number in range(_WEB)],
            }
        )
        begun, cpu = time.monotonic(), time.process_time()
        report = build_index(rows, index, "web", map={"id": "id", "red": "red"})
        taken, cpu = time.monotonic() - begun, time.process_time() - cpu
        asked = counts(files.url).requests
    bound = _WEB * _WAIT / REMOTE_JOBS
    print(
        f"{report.assets} files over HTTP, {1000 * _WAIT:.0f} ms: {taken:.1f} s, {cpu:.0f} CPU s, {asked} requests;"
        f" {taken / bound:.2f} of the bound by round trips",
        flush=True,
    )


def _run(what: str, *arguments: Any) -> None:
    """Run ``rasterflight-server``; print its seconds, those of all cores, and the most memory of all its processes together."""
    begun = time.monotonic()
    process = psutil.Popen([sys.executable, "-m", "rasterflight_server", *map(str, arguments)], stdout=subprocess.PIPE)
    peak, done = [0], threading.Event()
    watch = threading.Thread(target=_watch, args=(process, peak, done))
    watch.start()
    told = process.stdout.read().decode().strip().splitlines()
    _, status, usage = os.wait4(process.pid, 0)
    taken = time.monotonic() - begun
    done.set()
    watch.join()
    if status:
        raise RuntimeError(f"{what} failed: {told}")
    cpu = usage.ru_utime + usage.ru_stime
    print(f"{what}: {taken:.1f} s, {cpu:.0f} CPU s, {peak[0] / 2**20:.0f} MiB; {told[-1]}", flush=True)


def _watch(process: psutil.Process, peak: list[int], done: threading.Event) -> None:
    while not done.wait(0.5):
        try:
            tree = [process, *process.children(recursive=True)]
            peak[0] = max(peak[0], sum(each.memory_info().rss for each in tree))
        except psutil.Error:  # one of them has just ended
            continue


def _serve(index: Path, items: Path, bands: list[str]) -> None:
    begun = time.monotonic()
    with rf.local({"many": index}) as client:
        print(f"start-up with the client: {time.monotonic() - begun:.1f} s", flush=True)
        outlines = next(pq.ParquetFile(items).iter_batches(500, columns=["geometry"])).column("geometry")
        places = shapely.get_coordinates(shapely.centroid(shapely.from_wkb(outlines)))
        print(plan_figures(client, places, bands, ("2020-01-01", "2021-12-31")), flush=True)


def _write_today(items: Path, path: Path) -> None:
    """Write the first thousand records once more, as if their clouds had been counted anew."""
    table = next(pq.ParquetFile(items).iter_batches(_TODAY))
    pq.write_table(_cleared(pa.Table.from_batches([table])), path)


def _cleared(table: pa.Table) -> pa.Table:
    place = table.schema.get_field_index("eo:cloud_cover")
    return table.set_column(place, "eo:cloud_cover", pa.array(np.zeros(len(table))))


def _edit(archive: Path, items: Path) -> None:
    """Change some of the records, drop some, add some."""
    table = pq.read_table(items)
    first, rest = table.slice(0, _TODAY), table.slice(_TODAY)
    changed, kept = rest.slice(0, _CHANGED), rest.slice(_CHANGED + _MOVED)
    last = table.slice(len(table) - _MOVED)
    new = pa.array([f"{record_id(number)}-new" for number in range(_MOVED)])
    added = last.set_column(table.schema.get_field_index("id"), "id", new)
    pq.write_table(pa.concat_tables([first, _cleared(changed), kept, added]), items, compression="zstd")


if __name__ == "__main__":
    main()
