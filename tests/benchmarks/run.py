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
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import rasterio
import rasterio.mask
import rasterio.warp
import shapely
from affine import Affine
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

import rasterflight as rf

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "out" / "bench"
SIDE, TILE = 4096, 1024
DATES = 12
CRS, WEST, NORTH = "EPSG:32631", 500_000, 5_700_000
BANDS = ("B1", "B2", "B3", "B4")


class Scenario(Protocol):
    """The same work for both readers; results are arrays that must be equal."""

    name: str

    def rasterflight(self, collection: rf.Collection) -> np.ndarray: ...

    def rasterio(self, pool: ThreadPoolExecutor) -> np.ndarray: ...


@dataclass(frozen=True)
class Windows:
    """Pixel windows of some bands."""

    name: str
    bands: tuple[str, ...]
    records: int
    windows: tuple[tuple[int, int, int, int], ...]

    def rasterflight(self, collection: rf.Collection) -> np.ndarray:
        pixels = collection.get_numpy(windows=list(self.windows), bands=list(self.bands), ids=ids(self.records))
        return pixels.reshape(self.records, len(self.windows), len(self.bands), *pixels.shape[-2:])

    def rasterio(self, pool: ThreadPoolExecutor) -> np.ndarray:
        def read(job: tuple[int, str]) -> list[np.ndarray]:
            with rasterio.open(scene(*job)) as dataset:
                return [dataset.read(1, window=Window(*window)) for window in self.windows]

        jobs = [(record, band) for record in range(self.records) for band in self.bands]
        found = np.array(list(pool.map(read, jobs)))
        return found.reshape(self.records, len(self.bands), *found.shape[1:]).swapaxes(1, 2)


@dataclass(frozen=True)
class Plots:
    """Polygons, masked."""

    name: str
    records: int
    count: int

    @cached_property
    def shapes(self) -> list[shapely.Polygon]:
        rng = np.random.default_rng(1)
        places = rng.uniform(500, SIDE * 10 - 500, (self.count, 2)) * (1, -1) + (WEST, NORTH)
        return [shapely.Point(place).buffer(250, quad_segs=3) for place in places]

    def rasterflight(self, collection: rf.Collection) -> np.ndarray:
        frame = collection.get_gdf(self.shapes, geometry_crs=CRS, bands="B1", ids=ids(self.records))
        return np.concatenate([pixels.reshape(-1) for pixels in frame.data])

    def rasterio(self, pool: ThreadPoolExecutor) -> np.ndarray:
        def read(record: int) -> np.ndarray:
            with rasterio.open(scene(record, "B1")) as dataset:
                cut = [rasterio.mask.mask(dataset, [shape], crop=True)[0].reshape(-1) for shape in self.shapes]
                return np.concatenate(cut)

        return np.concatenate(list(pool.map(read, range(self.records))))


@dataclass(frozen=True)
class Points:
    """Single pixels."""

    name: str
    records: int
    count: int

    @cached_property
    def places(self) -> np.ndarray:
        return np.random.default_rng(2).uniform(0.5, SIDE * 10 - 0.5, (self.count, 2)) * (1, -1) + (WEST, NORTH)

    def rasterflight(self, collection: rf.Collection) -> np.ndarray:
        return collection.sample_points(self.places, "B1", geometry_crs=CRS, ids=ids(self.records))["value"].to_numpy()

    def rasterio(self, pool: ThreadPoolExecutor) -> np.ndarray:
        def read(record: int) -> list[float]:
            with rasterio.open(scene(record, "B1")) as dataset:
                return [float(value[0]) for value in dataset.sample(self.places)]

        return np.concatenate(list(pool.map(read, range(self.records))))


@dataclass(frozen=True)
class Warped:
    """Part of a scene in another CRS."""

    name: str
    records: int
    side: int

    @cached_property
    def grid(self) -> dict[str, Any]:
        [x], [y] = rasterio.warp.transform(CRS, "EPSG:3857", [WEST + 12_000], [NORTH - 12_000])
        return {"crs": "EPSG:3857", "transform": (16, 0, x, 0, -16, y), "width": self.side, "height": self.side}

    def rasterflight(self, collection: rf.Collection) -> np.ndarray:
        dataset = collection.get_xarray(
            bands="B1", like=self.grid, resampling="nearest", ids=ids(self.records), groupby=None
        )
        return dataset.B1.values[:, 0]

    def rasterio(self, pool: ThreadPoolExecutor) -> np.ndarray:
        def read(record: int) -> np.ndarray:
            options = {**self.grid, "transform": Affine(*self.grid["transform"]), "resampling": Resampling.nearest}
            with rasterio.open(scene(record, "B1")) as dataset, WarpedVRT(dataset, **options) as warped:
                return warped.read(1)

        return np.array(list(pool.map(read, range(self.records))))


SCENARIOS: tuple[Scenario, ...] = (
    Windows("one area, 12 dates", ("B1",), DATES, ((1500, 900, 256, 256),)),
    Windows("4 areas, 12 dates", ("B1",), DATES, tuple((600 + 900 * n, 300 + 900 * n, 256, 256) for n in range(4))),
    Windows("a whole scene, 4 bands", BANDS, 1, ((0, 0, SIDE, SIDE),)),
    Windows("200 small areas", ("B1", "B2"), 1, tuple((37 * n % 4000, 91 * n % 4000, 40, 40) for n in range(200))),
    Plots("200 polygons, 5 dates", 5, 200),
    Points("2,000 points, 10 dates", 10, 2000),
    Warped("512 x 512 to EPSG:3857", 6, 512),
)


def ids(records: int) -> list[str]:
    return [f"d{number:02d}" for number in range(records)]


def scene(record: int, band: str) -> Path:
    return OUT / f"d{record:02d}_{band}.tif"


def make_scenes() -> Path:
    """Smooth uint16 fields with noise, deflate with predictor 2, as satellite scenes compress."""
    OUT.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    slope = np.add.outer(np.sin(np.arange(SIDE) / 300), np.cos(np.arange(SIDE) / 200)) * 1000 + 3000
    profile = {
        "driver": "GTiff", "width": SIDE, "height": SIDE, "count": 1, "dtype": "uint16", "crs": CRS,
        "transform": Affine(10, 0, WEST, 0, -10, NORTH), "tiled": True, "blockxsize": TILE, "blockysize": TILE,
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
