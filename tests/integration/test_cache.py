"""Decoded tiles are kept between reads: counted in a real server, and never of a file that has changed."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
from affine import Affine

import rasterflight as rf
from support.http_server import FileServer
from support.scenes import noise, write_items, write_scene
from support.server import ServerProcess, run_server_command
from support.telemetry import stats

SIDE, TILE = 512, 128
TILE_BYTES = TILE * TILE * 2
COUNTED = ("cache_hits", "cache_misses", "cache_evictions", "tiles_decoded", "requests")


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_scene(tmp_path / "s.tif", noise(SIDE, SIDE), tile=TILE)


def index(folder: Path, href: str) -> Path:
    items = write_items(folder / "items.json", {"r": {"B1": href}})
    done = run_server_command("index", items, "--out", folder / "index", "--name", "made")
    assert done.returncode == 0, done.stderr
    return folder / "index"


class Counter:
    """Counts what reads do."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._before = stats(url)

    def since(self) -> dict[str, int]:
        """Changes since the last call."""
        before, self._before = self._before, stats(self._url)
        return {name: self._before[name] - before[name] for name in COUNTED}


def read(client: rf.Client, *window: int) -> np.ndarray:
    return client.collection("made").get_numpy(windows=[window], bands=["B1"])[0]


def test_a_second_read_decodes_nothing(scene: Path, tmp_path: Path) -> None:
    truth = noise(SIDE, SIDE)
    with ServerProcess({"made": index(tmp_path, "s.tif")}) as server, rf.connect(server.url) as client:
        counter = Counter(server.url)
        assert np.array_equal(read(client, 0, 0, SIDE, SIDE), truth)
        assert counter.since() == dict(zip(COUNTED, (0, 16, 0, 16, 16), strict=True))
        assert np.array_equal(read(client, 0, 0, SIDE, SIDE), truth)
        assert np.array_equal(read(client, 100, 120, 60, 60), truth[120:180, 100:160])
        assert counter.since() == dict(zip(COUNTED, (20, 0, 0, 0, 0), strict=True))
        assert stats(server.url)["cache_bytes"] == SIDE * SIDE * 2


def test_a_small_cache_keeps_what_was_used_last(scene: Path, tmp_path: Path) -> None:
    size = str(5 * TILE_BYTES)
    with ServerProcess({"made": index(tmp_path, "s.tif")}, cache_size=size) as server, rf.connect(server.url) as client:
        counter = Counter(server.url)
        for col in (0, 1, 2, 3, 0, 1):
            read(client, col * TILE, 0, TILE, 2 * TILE)
        counted = counter.since()
        assert counted["tiles_decoded"] == counted["cache_misses"] == 12
        assert counted["cache_evictions"] == 12 - 5
        read(client, TILE, 0, TILE, 2 * TILE)
        assert counter.since()["tiles_decoded"] == 0
        # More than half of the cache passes by.
        read(client, 0, 0, SIDE, SIDE)
        assert counter.since()["cache_evictions"] == 0
        assert stats(server.url)["cache_bytes"] <= 5 * TILE_BYTES
        read(client, TILE, 0, TILE, 2 * TILE)
        assert counter.since()["tiles_decoded"] == 0


def test_without_a_cache_each_read_decodes(scene: Path, tmp_path: Path) -> None:
    with ServerProcess({"made": index(tmp_path, "s.tif")}, cache_size="0") as server, rf.connect(server.url) as client:
        counter = Counter(server.url)
        for _ in range(2):
            read(client, 0, 0, SIDE, SIDE)
            assert counter.since()["tiles_decoded"] == 16
        assert stats(server.url)["cache_bytes"] == 0


def test_a_file_that_changed_is_not_answered_from_the_cache(scene: Path, tmp_path: Path) -> None:
    with ServerProcess({"made": index(tmp_path, "s.tif")}) as server, rf.connect(server.url) as client:
        read(client, 0, 0, 100, 100)
        os.utime(scene, ns=(1, 1))
        with pytest.raises(rf.errors.SourceChangedError, match="its modification time is another"):
            read(client, 0, 0, 100, 100)


def test_remote_tiles_are_fetched_once(scene: Path, tmp_path: Path) -> None:
    truth = noise(SIDE, SIDE)
    with FileServer(tmp_path) as files:
        where = index(tmp_path, f"{files.url}/s.tif")
        with ServerProcess({"made": where}) as server, rf.connect(server.url) as client:
            files.requests.clear()
            assert np.array_equal(read(client, 0, 0, SIDE, SIDE), truth)
            asked = len(files.requests)
            assert asked > 0
            assert np.array_equal(read(client, 7, 7, 400, 400), truth[7:407, 7:407])
            assert len(files.requests) == asked


def test_readers_at_the_same_time_share_the_work(scene: Path, tmp_path: Path) -> None:
    truth = noise(SIDE, SIDE)
    found: list[np.ndarray] = []
    with ServerProcess({"made": index(tmp_path, "s.tif")}) as server:

        def reads() -> None:
            with rf.connect(server.url) as client:
                found.append(read(client, 0, 0, SIDE, SIDE))

        counter = Counter(server.url)
        threads = [threading.Thread(target=reads) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert all(np.array_equal(pixels, truth) for pixels in found)
        counted = counter.since()
        assert (counted["tiles_decoded"], counted["cache_hits"]) == (16, 7 * 16)


def test_sizes_on_the_command_line(tmp_path: Path) -> None:
    done = run_server_command("serve", "--collection", f"a={tmp_path}", "--cache-size", "much")
    assert done.returncode == 1
    assert "--cache-size: 'much' is no size such as 20GiB or 500MB" in done.stderr


@pytest.mark.parametrize("noisy_part", [1.0, 0.25])
def test_of_remote_tiles_only_the_part_is_fetched_that_the_rows_take(tmp_path: Path, noisy_part: float) -> None:
    """Where the first rows take more than their part of the tile, the rest is fetched as well."""
    side = 1024
    pixels = noise(side, side)
    pixels[int(side * noisy_part) :] = 0
    profile = {"driver": "GTiff", "width": side, "height": side, "count": 1, "dtype": "uint16", "tiled": True}
    place = {"crs": "EPSG:32631", "transform": Affine(10, 0, 500_000, 0, -10, 5_700_000)}
    layout = {"blockxsize": side, "blockysize": side, "compress": "deflate", "predictor": 2}
    with rasterio.open(tmp_path / "t.tif", "w", **profile, **place, **layout) as dataset:
        dataset.write(pixels, 1)
    with tifffile.TiffFile(tmp_path / "t.tif") as file:
        [stored] = file.pages[0].databytecounts
    with FileServer(tmp_path) as files:
        where = index(tmp_path, f"{files.url}/t.tif")
        with ServerProcess({"made": where}) as server, rf.connect(server.url) as client:
            files.requests.clear()
            before = stats(server.url)["bytes_fetched"]
            assert np.array_equal(read(client, 30, 100, 200, 156), pixels[100:256, 30:230])
            fetched = stats(server.url)["bytes_fetched"] - before
            assert fetched == (int(stored * 1.1 / 4) if noisy_part == 1 else stored)
            assert len(files.requests) == (1 if noisy_part == 1 else 2)
            assert np.array_equal(read(client, 0, 0, side, side), pixels)
