"""What a store that fails costs a reader: ``python -m benchmarks.faults``, in the folder of the tests.

The same 200 windows are read, one after the other, through a proxy that spoils a part of the answers; every pixel is compared.
"""

import random
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

import rasterflight as rf
from benchmarks.fileserver import FileServer
from rasterflight_server.ingest import build_index
from support.fault_proxy import Fault, FaultProxy, Plan, at_random
from support.scenes import noise, write_items, write_scene
from support.server import ServerProcess
from support.telemetry import stats

READS: Final = 200
SIDE, TILE, WINDOW = 4096, 256, 384
LATENCY: Final = 0.03

_UNAVAILABLE, _CUT, _SILENT = Fault(status=503), Fault(reset="body"), Fault(silent=True)
CASES: Final[dict[str, list[tuple[float, Fault]]]] = {
    "undisturbed": [],
    "5 % 503, 2 % resets": [(0.05, _UNAVAILABLE), (0.02, _CUT)],
    "20 % 503, 10 % resets": [(0.20, _UNAVAILABLE), (0.10, _CUT)],
    "0.5 % never answered": [(0.005, _SILENT)],
}


def main() -> None:
    """Print the table."""
    truth = noise(SIDE, SIDE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "www").mkdir()
        write_scene(folder / "www" / "a.tif", truth, tile=TILE)
        with FileServer(folder / "www", wait=0.0) as files, FaultProxy(files.url) as store:
            items = write_items(folder / "items.json", {"a": {"red": f"{store.url}/a.tif"}})
            build_index(items, folder / "index", "files")
            with ServerProcess({"files": folder / "index"}, cache_size="0") as server:
                print("| of the requests | seconds | median ms | slowest ms | GETs | retries | failed | wrong |")
                print("|---|---|---|---|---|---|---|---|")
                for case, faults in CASES.items():
                    store.forget()
                    store.plan = _late(at_random(0, faults))
                    print(f"| {case} | {_run(server, store, truth)} |", flush=True)


def _late(plan: Plan) -> Plan:
    return lambda asked: replace(plan(asked) or Fault(), delay=LATENCY)


def _run(server: ServerProcess, store: FaultProxy, truth: np.ndarray) -> str:
    chance, before = random.Random(0), stats(server.url)
    times, failed, wrong = [], 0, 0
    with rf.connect(server.url) as client:
        view = client.collection("files")
        for _ in range(READS):
            col, row = chance.randrange(SIDE - WINDOW), chance.randrange(SIDE - WINDOW)
            begun = time.monotonic()
            try:
                [pixels] = view.get_numpy(bands="red", windows=[(col, row, WINDOW, WINDOW)])
                wrong += not np.array_equal(pixels, truth[row : row + WINDOW, col : col + WINDOW])
            except rf.errors.SourceUnavailableError:
                failed += 1
            times.append(time.monotonic() - begun)
    retries = stats(server.url)["source_retries"] - before["source_retries"]
    middle, slowest = 1000 * float(np.median(times)), 1000 * max(times)
    return f"{sum(times):.1f} | {middle:.0f} | {slowest:.0f} | {len(store.asked)} | {retries} | {failed} | {wrong}"


if __name__ == "__main__":
    main()
