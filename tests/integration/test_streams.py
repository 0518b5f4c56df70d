"""How much is fetched, decoded and held: counted at the source and in the server, not timed."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.flight as fl
import pytest
import shapely

import rasterflight as rf
from rasterflight_server.read.ranges import MAX_GAP
from support.http_server import FileServer
from support.scenes import noise, write_items, write_scene
from support.server import ServerProcess, run_server_command
from support.telemetry import stats, wait_for

MIB = 1 << 20
SIDE = 11_600  # four bands of it are more than 1 GiB


def index(folder: Path, records: dict[str, dict[str, str]]) -> Path:
    items = write_items(folder / "items.json", records)
    done = run_server_command("index", items, "--out", folder / "index", "--name", "made")
    assert done.returncode == 0, done.stderr
    return folder / "index"


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of one scene of four bands, more than 1 GiB of pixels in all."""
    folder = tmp_path_factory.mktemp("big")
    write_scene(folder / "B1.tif", noise(SIDE, SIDE))
    bands = {"B1": "B1.tif"}
    for band in ("B2", "B3", "B4"):
        os.link(folder / "B1.tif", folder / f"{band}.tif")
        bands[band] = f"{band}.tif"
    with ServerProcess({"made": index(folder, {"scene": bands})}) as server:
        yield server


def test_memory_does_not_grow_with_the_answer(big: ServerProcess) -> None:
    with rf.connect(big.url) as client:
        made = client.collection("made")
        truth = noise(SIDE, SIDE)
        made.read(windows=[(0, 0, 100, 100)], bands=["B1"]).read_all()
        idle = big.rss()
        peak, received, row = idle, 0, 0
        for batch in made.read(bands=["B1", "B2", "B3", "B4"]):
            assert batch.nbytes <= 9 * MIB
            for part in batch.to_struct_array():
                assert part["row_off"].as_py() == row
                height = part["height"].as_py()
                for band in ("B1", "B2", "B3", "B4"):
                    pixels = part[band].values.to_numpy().reshape(height, SIDE)
                    assert np.array_equal(pixels, truth[row : row + height])
                    received += pixels.nbytes
                row += height
            peak = max(peak, big.rss())
        assert row == SIDE
        assert received == 8 * SIDE * SIDE > 1 << 30
        assert peak - idle < 400 * MIB


def test_a_stalled_reader_holds_little(big: ServerProcess) -> None:
    with rf.connect(big.url) as client:
        made = client.collection("made")
        before = big.rss()
        streams = [made.read(bands=["B1", "B2", "B3", "B4"]) for _ in range(8)]
        for stream in streams:
            next(iter(stream))
        time.sleep(1)
        assert big.rss() - before < 8 * 150 * MIB
        assert made.get_numpy(windows=[(0, 0, 10, 10)], bands=["B1"]).shape == (1, 10, 10)
        for stream in streams:
            stream.close()
        assert wait_for(lambda: stats(big.url)["streams"] == 0, 2)


READS_FOREVER = """
import sys
import rasterflight as rf
for batch in rf.connect(sys.argv[1]).collection("made").read(bands=["B1", "B2", "B3", "B4"]):
    print("batch", flush=True)
    if sys.argv[2] == "stall":
        input()
"""


@pytest.mark.parametrize("habit", ["read", "stall"])
def test_a_killed_client_frees_everything(big: ServerProcess, habit: str) -> None:
    before = big.threads()
    victim = subprocess.Popen(
        [sys.executable, "-c", READS_FOREVER, big.url, habit], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    )
    assert victim.stdout is not None
    assert victim.stdout.readline() == b"batch\n"
    assert stats(big.url)["streams"] == 1
    with rf.connect(big.url) as client:
        assert client.collection("made").get_numpy(windows=[(5, 5, 9, 9)], bands=["B3"]).shape == (1, 9, 9)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    assert wait_for(lambda: stats(big.url)["streams"] == 0, 2)
    assert wait_for(lambda: big.threads() <= before + 2, 2)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    for number in range(2):
        write_scene(folder / f"{number}.tif", noise(640, 640, number), tile=128, nodata=7)
    return folder


@pytest.fixture(scope="module")
def remote(scenes: Path) -> Iterator[tuple[FileServer, ServerProcess]]:
    """The scenes behind HTTP, indexed from there."""
    with FileServer(scenes) as files:
        where = index(scenes, {f"r{number}": {"B1": f"{files.url}/{number}.tif"} for number in range(2)})
        with ServerProcess({"made": where}, cache_size="0") as server:
            yield files, server


def overlapping() -> list[shapely.Polygon]:
    """Areas in EPSG:32631 that share tiles: 5 x 5 tiles of 1280 m lie under the scenes."""
    west, north = 500_000, 5_700_000
    return [
        shapely.box(west + 100, north - 2500, west + 2500, north - 100),
        shapely.box(west + 1300, north - 2500, west + 3800, north - 1300),
        shapely.box(west + 200, north - 2400, west + 2400, north - 200),
    ]


def test_each_tile_is_fetched_and_decoded_once(remote: tuple[FileServer, ServerProcess], scenes: Path) -> None:
    files, server = remote
    with rf.connect(server.url) as client:
        made = client.collection("made")
        plan = made.plan(geometries=overlapping(), geometry_crs="EPSG:32631", bands=["B1"])
        before, files.requests[:] = stats(server.url), []
        found = made.get_gdf(geometries=overlapping(), geometry_crs="EPSG:32631", bands=["B1"])
        after = stats(server.url)
    assert (plan.records, plan.chips, plan.rows, plan.tiles) == (2, 6, 6, 2 * 5)
    assert after["tiles_decoded"] - before["tiles_decoded"] == plan.tiles
    assert after["requests"] - before["requests"] == len(files.requests)
    ranges = [(request.path, byte) for request in files.requests for byte in covered(request.range)]
    assert max(Counter(ranges).values()) == 1
    assert len(ranges) - plan.bytes_to_fetch <= MAX_GAP * len(files.requests)
    assert len(files.requests) <= 2 * 2
    truth = noise(640, 640, 0)
    assert np.array_equal(found.data[0], truth[10:250, 10:250])
    assert found["transform"][0].c == 500_100


@pytest.mark.parametrize("order", ["any", "by place"])
def test_thousands_of_areas_fetch_each_tile_once(
    remote: tuple[FileServer, ServerProcess], scenes: Path, order: str
) -> None:
    files, server = remote
    rng = np.random.default_rng(3)
    col, row = rng.integers(0, 600, (2, 4000))
    if order == "by place":
        col, row = np.array(sorted(zip(col, row, strict=True), key=lambda place: (place[1] // 128, place[0]))).T
    west, north = 500_000 + 10 * col, 5_700_000 - 10 * row
    areas = list(shapely.box(west, north - 200, west + 200, north))
    with rf.connect(server.url) as client:
        made = client.collection("made")
        plan = made.plan(geometries=areas, geometry_crs="EPSG:32631", bands=["B1"])
        before, files.requests[:] = stats(server.url), []
        stream = made.read(geometries=areas, geometry_crs="EPSG:32631", bands=["B1"], batch_bytes=1 << 16)
        chips = [(chip.record_id, chip.geometry_id, chip.pixels["B1"]) for chip in stream.chips()]
        after = stats(server.url)
    assert (plan.chips, plan.tiles) == (8000, 2 * 25)
    assert after["tiles_decoded"] - before["tiles_decoded"] == plan.tiles
    ranges = Counter((request.path, byte) for request in files.requests for byte in covered(request.range))
    assert max(ranges.values()) == 1
    truth = {f"r{number}": noise(640, 640, number) for number in range(2)}
    assert [chip[:2] for chip in chips] == [(f"r{number}", area + 1) for number in range(2) for area in range(4000)]
    for record, area, pixels in chips:
        left, top = col[area - 1], row[area - 1]
        assert np.array_equal(pixels, truth[record][top : top + 20, left : left + 20])


def covered(header: str) -> range:
    first, last = header.removeprefix("bytes=").split("-")
    return range(int(first), int(last) + 1)


def test_a_polygon_reads_only_the_tiles_that_it_touches(remote: tuple[FileServer, ServerProcess]) -> None:
    _, server = remote
    west, north = 500_000, 5_700_000
    diagonal = shapely.Polygon(
        [(west, north), (west + 200, north), (west + 6400, north - 6300), (west + 6400, north - 6400)]
    )
    with rf.connect(server.url) as client:
        made = client.collection("made").subset(ids=["r0"])
        plan = made.plan(geometries=diagonal, geometry_crs="EPSG:32631", bands=["B1"])
        before = stats(server.url)["tiles_decoded"]
        [pixels] = made.get_gdf(geometries=diagonal, geometry_crs="EPSG:32631", bands=["B1"]).data
        decoded = stats(server.url)["tiles_decoded"] - before
    assert plan.tiles == 25
    assert 5 <= decoded <= 13
    import rasterio.features
    from affine import Affine

    outside = rasterio.features.geometry_mask([diagonal], (640, 640), Affine(10, 0, west, 0, -10, north))
    assert np.array_equal(pixels, np.where(outside, 7, noise(640, 640, 0)))


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ({"status": {"/1.tif": 404}}, rf.errors.SourceNotFoundError, "the file does not exist"),
        ({"status": {"/1.tif": 403}}, rf.errors.SourceForbiddenError, "the store refuses the file"),
        ({"etag": {"/1.tif": '"other"'}}, rf.errors.SourceChangedError, "its ETag is another"),
        ({"ignore_range": {"/1.tif"}}, rf.errors.SourceUnavailableError, "range"),
    ],
)
def test_faults_of_the_store(remote: tuple[FileServer, ServerProcess], fault: dict, error: type, words: str) -> None:
    files, server = remote
    usual = files.faults
    files.faults = type(usual)(**fault)
    try:
        with rf.connect(server.url) as client, pytest.raises(error, match=words) as caught:
            client.collection("made").get_numpy(windows=[(0, 0, 50, 50)], bands=["B1"])
        assert (caught.value.record, caught.value.asset) == ("r1", "B1")
    finally:
        files.faults = usual


def test_a_store_that_recovers(remote: tuple[FileServer, ServerProcess]) -> None:
    files, server = remote
    files.faults.unavailable["/0.tif"] = 2
    with rf.connect(server.url) as client:
        stack = client.collection("made").get_numpy(windows=[(0, 0, 50, 50)], bands=["B1"])
    assert np.array_equal(stack, [noise(640, 640, number)[:50, :50] for number in range(2)])
    assert files.faults.unavailable["/0.tif"] == 0


def test_shards_in_order_are_the_whole(indexes: dict[str, Path], server: ServerProcess) -> None:
    ticket = b'{"collection": "ny", "bands": ["red", "qa"], "shard": {"index": %d, "count": %d}}'
    with fl.connect(server.url) as client:
        [whole] = [client.do_get(fl.Ticket(ticket % (0, 1))).read_all()]
        for count in (2, 3, 6, 9):
            parts = [client.do_get(fl.Ticket(ticket % (number, count))).read_all() for number in range(count)]
            assert [row for part in parts for row in part["record_id"].to_pylist()] == whole["record_id"].to_pylist()
            assert [row for part in parts for row in part["red"].to_pylist()] == whole["red"].to_pylist()


def test_endpoints_of_a_plan(big: ServerProcess, indexes: dict[str, Path], server: ServerProcess) -> None:
    command = b'{"collection": "ny", "bands": ["red"]}'
    with fl.connect(server.url) as client:
        info = client.get_flight_info(fl.FlightDescriptor.for_command(command))
        assert info.ordered
        assert [endpoint.expiration_time is not None for endpoint in info.endpoints] == [True]
        table = client.do_get(info.endpoints[0].ticket).read_all()
        assert (table.num_rows, table.schema) == (info.total_records, info.schema)
        pixels = sum(len(row) for row in table["red"].to_pylist()) * 2
        assert pixels == info.total_bytes
