"""A server that keeps what it reads from remote files on disk: counted in requests to the store."""

from pathlib import Path

import numpy as np
import pytest
import rasterio

import rasterflight as rf
from rasterflight_server.ingest import build_index
from support.http_server import FileServer
from support.scenes import noise, write_items, write_scene
from support.server import ServerProcess, run_server_command
from support.telemetry import stats


def test_survives_the_server_and_notices_changes(tmp_path: Path) -> None:
    (tmp_path / "www").mkdir()
    scene = tmp_path / "www" / "a.tif"
    write_scene(scene, noise(600, 600))
    options = [f"--disk-cache={tmp_path / 'cache'}", "--disk-cache-size=10MiB"]

    def read(server: ServerProcess) -> np.ndarray:
        with rf.connect(server.url) as client:
            return client.collection("files").get_numpy(bands="red")[0]

    with FileServer(tmp_path / "www") as store, rasterio.open(scene) as dataset:
        items = write_items(tmp_path / "items.json", {"a": {"red": f"{store.url}/a.tif"}})
        build_index(items, tmp_path / "index", "files")
        pixels = dataset.read(1)
        store.requests.clear()
        with ServerProcess({"files": tmp_path / "index"}, options=options, cache_size="0") as server:
            np.testing.assert_array_equal(read(server), pixels)
            fetched = len(store.requests)
            assert fetched > 0
            np.testing.assert_array_equal(read(server), pixels)
            counts = stats(server.url)
        assert counts["disk_cache_hits"] == counts["disk_cache_misses"] == fetched
        assert counts["disk_cache_bytes_read"] == counts["disk_cache_bytes_written"] > 0
        with ServerProcess({"files": tmp_path / "index"}, options=options, cache_size="0") as server:
            np.testing.assert_array_equal(read(server), pixels)
            assert stats(server.url)["disk_cache_hits"] == fetched
        assert len(store.requests) == fetched
        # Another version of the file, indexed anew, is read anew.
        write_scene(scene, noise(600, 600, seed=1))
        build_index(items, tmp_path / "index", "files")
        store.requests.clear()
        with (
            ServerProcess({"files": tmp_path / "index"}, options=options, cache_size="0") as server,
            rasterio.open(scene) as changed,
        ):
            np.testing.assert_array_equal(read(server), changed.read(1))
        assert len(store.requests) == fetched


def test_off_by_default(tmp_path: Path, indexes: dict[str, Path]) -> None:
    with ServerProcess({"ny": indexes["ny"]}) as server:
        counts = stats(server.url)
    assert {counts[name] for name in counts if name.startswith("disk_cache")} == {0}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--disk-cache=/dev/null"], "error: the folder of the disk cache cannot be used: Not a directory"),
        (["--disk-cache=x", "--disk-cache-size=12"], "error: a disk cache of 12 bytes holds nothing"),
        (
            ["--disk-cache=x", "--disk-cache-size=lots"],
            "error: --disk-cache-size: 'lots' is no size such as 20GiB",
        ),
    ],
)
def test_options_that_cannot_be(indexes: dict[str, Path], options: list[str], error: str) -> None:
    done = run_server_command("serve", f"--collection=ny={indexes['ny']}", *options)
    assert done.returncode == 1
    assert done.stderr.startswith(error)
