"""Reads with rasterflight, from another process over a unix socket, against rasterio with threads in this one.

``make bench`` makes the scenes (about 400 MB in ``out/bench``, once), runs both in turn, checks that the results are equal, and prints
medians and their ratio. Ratios are what to quote: they hold when the machine is slow or busy.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.windows import Window

import rasterflight as rf

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "out" / "bench"
SIDE, TILE = 4096, 1024
DATES = 12
BANDS = ("B1", "B2", "B3", "B4")


@dataclass(frozen=True)
class Scenario:
    """The same work for both readers."""

    name: str
    bands: tuple[str, ...]
    records: int
    windows: tuple[tuple[int, int, int, int], ...]

    def rasterflight(self, collection: rf.Collection) -> np.ndarray:
        ids = [f"d{number:02d}" for number in range(self.records)]
        pixels = collection.get_numpy(windows=list(self.windows), bands=list(self.bands), ids=ids)
        return pixels.reshape(len(ids), len(self.windows), len(self.bands), *pixels.shape[-2:])

    def rasterio(self, pool: ThreadPoolExecutor) -> np.ndarray:
        def read(job: tuple[int, str]) -> list[np.ndarray]:
            with rasterio.open(scene(*job)) as dataset:
                return [dataset.read(1, window=Window(*window)) for window in self.windows]

        jobs = [(record, band) for record in range(self.records) for band in self.bands]
        found = np.array(list(pool.map(read, jobs)))
        return found.reshape(self.records, len(self.bands), *found.shape[1:]).swapaxes(1, 2)


SCENARIOS = (
    Scenario("one area, 12 dates", ("B1",), DATES, ((1500, 900, 256, 256),)),
    Scenario("4 areas, 12 dates", ("B1",), DATES, tuple((600 + 900 * n, 300 + 900 * n, 256, 256) for n in range(4))),
    Scenario("a whole scene, 4 bands", BANDS, 1, ((0, 0, SIDE, SIDE),)),
    Scenario("200 small areas", ("B1", "B2"), 1, tuple((37 * n % 4000, 91 * n % 4000, 40, 40) for n in range(200))),
)


def scene(record: int, band: str) -> Path:
    return OUT / f"d{record:02d}_{band}.tif"


def make_scenes() -> Path:
    """Smooth uint16 fields with noise, deflate with predictor 2, as satellite scenes compress."""
    OUT.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    slope = np.add.outer(np.sin(np.arange(SIDE) / 300), np.cos(np.arange(SIDE) / 200)) * 1000 + 3000
    profile = {
        "driver": "GTiff", "width": SIDE, "height": SIDE, "count": 1, "dtype": "uint16", "crs": "EPSG:32631",
        "transform": Affine(10, 0, 500_000, 0, -10, 5_700_000), "tiled": True, "blockxsize": TILE, "blockysize": TILE,
        "compress": "deflate", "predictor": 2, "zlevel": 6, "num_threads": "all_cpus",
    }  # fmt: skip
    for record in range(DATES):
        for band in BANDS if record == 0 else BANDS[:1]:
            if not scene(record, band).exists():
                pixels = (slope + rng.normal(0, 30, slope.shape)).astype("uint16")
                with rasterio.open(scene(record, band), "w", **profile) as dataset:
                    dataset.write(pixels, 1)
    index = OUT / "index"
    command = [sys.executable, "-m", "rasterflight_server", "index", OUT, "--pattern", "{id}_{band}.tif"]
    subprocess.run([*command, "--out", index, "--name", "bench", "--quiet"], check=True)
    return index


def timed(work: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="counted runs of each reader")
    options = parser.parse_args()
    index = make_scenes()
    rows = []
    with rf.local({"bench": index}) as client, ThreadPoolExecutor(os.cpu_count()) as pool:
        collection = client.collection("bench")
        for scenario in SCENARIOS:
            ours: list[float] = []
            theirs: list[float] = []
            for run in range(options.runs + 1):
                seconds, found = timed(lambda scenario=scenario: scenario.rasterflight(collection))
                other, truth = timed(lambda scenario=scenario: scenario.rasterio(pool))
                assert np.array_equal(found, truth), f"{scenario.name}: results differ"
                if run:  # the first warms up
                    ours.append(seconds)
                    theirs.append(other)
            ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
            rows.append(
                {
                    "scenario": scenario.name,
                    "rasterflight_ms": round(statistics.median(ours) * 1000, 1),
                    "rasterio_ms": round(statistics.median(theirs) * 1000, 1),
                    "ratio": round(ratio, 2),
                }
            )
    print(f"{'scenario':26}{'rasterflight':>14}{'rasterio':>12}{'ratio':>8}")
    for row in rows:
        print(f"{row['scenario']:26}{row['rasterflight_ms']:>11} ms{row['rasterio_ms']:>9} ms{row['ratio']:>8}")
    (OUT / "results.json").write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
