"""Reads that break off go on at the next row: the rows are those of an undisturbed read, and nothing is read twice."""

import json
import math
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pytest
import shapely

import rasterflight as rf
from rasterflight import _exchange, _retries, _uploads
from rasterflight._opening import open_stream
from rasterflight_protocol.v1.plan_pb2 import Progress
from rasterflight_protocol.v1.read_pb2 import LAYOUT_OUTLINES, ReadRequest
from support.proxy import CuttingProxy
from support.scenes import noise, write_items, write_scene
from support.server import ServerProcess, run_server_command
from support.tables import assert_same
from support.telemetry import stats, wait_for

SIDE, TILE, SCENES = 900, 128, 5
WEST, NORTH, UTM = 500_000, 5_700_000, "EPSG:32631"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_retries, "_FIRST_PAUSE", 0.02)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resuming")
    for number in range(SCENES):
        write_scene(folder / f"{number}.tif", noise(SIDE, SIDE, number), tile=TILE, nodata=7)
    records = {f"r{number}": {"B1": f"{number}.tif"} for number in range(SCENES)}
    # Nothing is there of this one, which is found out when its turn comes.
    write_scene(folder / "gone.tif", noise(SIDE, SIDE))
    items = write_items(folder / "items.json", {**records, "r2-gone": {"B1": "gone.tif"}})
    done = run_server_command("index", items, "--out", folder / "index", "--name", "made")
    assert done.returncode == 0, done.stderr
    (folder / "gone.tif").unlink()
    return folder / "index"


@pytest.fixture(scope="module")
def server(index: Path) -> Iterator[ServerProcess]:
    with ServerProcess({"made": index}, cache_size="0") as process:
        yield process


def boxes(count: int, size: float) -> np.ndarray:
    rng = np.random.default_rng(count)
    x, y = rng.uniform(WEST, WEST + 10 * SIDE - size, count), rng.uniform(NORTH - 10 * SIDE + size, NORTH, count)
    return shapely.box(x, y - size, x + size, y)


def spots(count: int) -> np.ndarray:
    rng = np.random.default_rng(count)
    return np.column_stack([rng.uniform(WEST, WEST + 10 * SIDE, count), rng.uniform(NORTH - 10 * SIDE, NORTH, count)])


Read = Callable[[rf.Collection], pa.Table]
GOOD = [f"r{number}" for number in range(SCENES)]


def whole(made: rf.Collection) -> pa.Table:
    return made.read(bands=["B1"], ids=GOOD, batch_bytes=1 << 18).read_all()


def many_areas(made: rf.Collection) -> pa.Table:
    areas = boxes(150, 900)
    return made.read(areas, geometry_crs=UTM, bands=["B1"], ids=GOOD, batch_bytes=1 << 17, masked=True).read_all()


def sent_up(made: rf.Collection) -> pa.Table:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_uploads, "TICKET_BYTES", 0)
        return many_areas(made)


def warped(made: rf.Collection) -> pa.Table:
    return made.read(bands=["B1"], ids=GOOD, target_crs=3857, resolution=25, batch_bytes=1 << 18).read_all()


def skipping(made: rf.Collection) -> pa.Table:
    with pytest.warns(RuntimeWarning, match="r2-gone"):
        return made.read(bands=["B1"], on_error="skip", batch_bytes=1 << 18).read_all()


def outlines(made: rf.Collection) -> pa.Table:
    request = ReadRequest(collection="made", bands=["B1"], layout=LAYOUT_OUTLINES, batch_bytes=1 << 16)
    request.geometries.crs = UTM
    request.geometries.wkb.values.extend(shapely.to_wkb(boxes(3000, 900)))
    return open_stream(made._connection, request, None, None, None).read_all()


def points(made: rf.Collection, **keywords: object) -> pa.Table:
    reading = {"bands": ["B1"], "geometry_crs": UTM, "batch_bytes": 1 << 16, "ids": GOOD, **keywords}
    return made.read_points(spots(9000), **reading).read_all()


def latest(made: rf.Collection) -> pa.Table:
    return points(made, match="latest", max_distance_pixels=1, return_neighbourhood="always")


def skipping_points(made: rf.Collection) -> pa.Table:
    with pytest.warns(RuntimeWarning, match="r2-gone"):
        return points(made, ids=[*GOOD, "r2-gone"], on_error="skip")


def sets_of_points(made: rf.Collection) -> pa.Table:
    where = np.concatenate([spots(2000), spots(200) + 10**6, spots(1500)])
    table = pa.table({"x": where[:, 0], "y": where[:, 1], "name": np.arange(len(where))})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rasterflight._pointreads.points_at_once", lambda *_: 200)
        return points_of_table(made, table)


def points_of_table(made: rf.Collection, table: pa.Table) -> pa.Table:
    return made.read_points(
        table, ["B1"], x_column="x", y_column="y", geometry_crs=UTM, batch_bytes=1 << 16, ids=GOOD
    ).read_all()


READS = [whole, many_areas, sent_up, warped, skipping, outlines, points, latest, skipping_points, sets_of_points]


@pytest.mark.parametrize("read", READS)
def test_rows_are_those_of_an_undisturbed_read(server: ServerProcess, read: Read) -> None:
    with rf.connect(server.url) as client:
        expected = read(client.collection("made"))
    rng = random.Random(read.__name__)
    most = int(0.7 * expected.nbytes)
    cuts = 0
    for _ in range(6):
        # the first connection lives long enough to open the collection; then each is cut somewhere, for a while
        lengths = [rng.randrange(20_000, most) for _ in range(4)]
        with CuttingProxy(server.url, lengths) as proxy, rf.connect(proxy.url, retries=6) as client:
            found = read(client.collection("made"))
            cuts += proxy.connections - 1
        assert_same(found, expected)
    assert cuts >= 6
    assert wait_for(lambda: stats(server.url)["streams"] == 0, 2)
    assert wait_for(lambda: stats(server.url)["uploads"] == 0, 2)


def test_what_was_sent_is_not_read_again(server: ServerProcess) -> None:
    tiles = SCENES * math.ceil(SIDE / TILE) ** 2
    with rf.connect(server.url) as client:
        nbytes = whole(client.collection("made")).nbytes
    before = stats(server.url)
    with CuttingProxy(server.url, [nbytes * 9 // 10]) as proxy, rf.connect(proxy.url) as client:
        assert whole(client.collection("made")).nbytes == nbytes
        assert proxy.connections == 2
    after = stats(server.url)
    assert after["streams_started"] - before["streams_started"] == 2
    # what was sent ahead of the cut, and tiles that lie across the borders of batches
    assert tiles <= after["tiles_decoded"] - before["tiles_decoded"] < 1.25 * tiles


def test_progress_goes_on(server: ServerProcess) -> None:
    with CuttingProxy(server.url, [1_000_000, 2_000_000]) as proxy, rf.connect(proxy.url) as client:
        made = client.collection("made")
        stream = made.read(bands=["B1"], ids=GOOD, batch_bytes=1 << 18)
        done = [stream._ahead.next() for _ in range(SCENES * 4)]
        stream.close()
    told = [Progress.FromString(chunk.app_metadata.to_pybytes()) for chunk in done]
    assert {one.bytes_total for one in told} == {2 * SCENES * SIDE**2}
    sizes = np.cumsum([2 * sum(map(len, chunk.data["B1"].to_pylist())) for chunk in done])
    assert [one.bytes_done for one in told] == sizes.tolist()
    assert proxy.connections == 3


def test_a_worker_that_is_killed(index: Path) -> None:
    # the other one may be about to listen only
    with ServerProcess({"made": index}, workers=2) as pair, rf.connect(pair.url, retries=9) as client:
        made = client.collection("made")
        parent = psutil.Process(pair.process.pid)
        for read in (whole, sent_up, sets_of_points):
            expected = read(made)
            victim = psutil.Process(stats_by(client)["process"])
            assert victim in parent.children()
            killer = threading.Timer(0.15, victim.kill)
            killer.start()
            assert_same(read(made), expected)
            killer.join()
            victim.wait(5)
            assert wait_for(lambda: len(parent.children()) == 2, 15)


def stats_by(client: rf.Client) -> dict[str, int]:
    """The counters of the process that the client is connected to."""
    return json.loads(b"".join(client._connection.action("stats")))


def test_a_read_in_the_middle_of_which_a_worker_is_killed(index: Path) -> None:
    with ServerProcess({"made": index}, workers=2) as pair, rf.connect(pair.url) as client:
        made = client.collection("made")
        expected = whole(made)
        stream = made.read(bands=["B1"], ids=GOOD, batch_bytes=1 << 18)
        first = next(stream)
        psutil.Process(stats_by(client)["process"]).kill()
        assert_same(pa.Table.from_batches([first, *stream], stream.schema), expected)


@pytest.mark.parametrize("listen", ["unix", "tcp"])
def test_a_rolling_restart(index: Path, tmp_path: Path, listen: str) -> None:
    where = f"grpc+unix://{tmp_path}/s" if listen == "unix" else "grpc://127.0.0.1:0"
    with ServerProcess({"made": index}, listen=where, grace=0.2) as first, rf.connect(first.url, retries=9) as client:
        made = client.collection("made")
        expected = whole(made)
        stream = made.read(bands=["B1"], ids=GOOD, batch_bytes=1 << 18)
        rows = [next(stream)]
        areas_up = begin_sent_up(made)
        first.process.send_signal(signal.SIGTERM)
        assert first.process.wait(10) == 0
        with ServerProcess({"made": index}, listen=first.url):
            rows.extend(stream)
            assert_same(pa.Table.from_batches(rows, stream.schema), expected)
            # these are not known to the new server, and go to it with the ticket
            assert_same(areas_up(), many_areas(made))
            assert made.plan(bands=["B1"], ids=GOOD).records == SCENES


def begin_sent_up(made: rf.Collection) -> Callable[[], pa.Table]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_uploads, "TICKET_BYTES", 0)
        areas = boxes(150, 900)
        stream = made.read(areas, geometry_crs=UTM, bands=["B1"], ids=GOOD, batch_bytes=1 << 17, masked=True)
    first = next(stream)
    return lambda: pa.Table.from_batches([first, *stream], stream.schema)


def test_a_slow_reader_is_told_that_the_server_ends(index: Path) -> None:
    with ServerProcess({"made": index}, grace=0.3) as server, rf.connect(server.url, retries=0) as client:
        stream = client.collection("made").read(bands=["B1"], ids=GOOD, batch_bytes=1 << 16)
        next(stream)
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(rf.errors.DrainingError, match="the server is shutting down") as caught:
            list(slowly(stream))
        assert caught.value.retryable
        assert caught.value.request_id
        assert server.process.wait(10) == 0


def slowly(stream: rf.Stream) -> Iterator[pa.RecordBatch]:
    for batch in stream:
        yield batch
        time.sleep(0.02)


def test_a_collection_that_changes_meanwhile(index: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(index.parent, tmp_path / "made") / "index"
    with (
        ServerProcess({"made": copy}) as server,
        CuttingProxy(server.url) as proxy,
        rf.connect(proxy.url) as client,
    ):
        stream = client.collection("made").read(bands=["B1"], ids=GOOD, batch_bytes=1 << 16)
        next(stream)
        snapshot = client.collection("made").snapshot
        update(copy, index.parent, tmp_path)
        list(client._connection.action("collection.refresh"))
        proxy.cut()
        with pytest.raises(rf.errors.StaleSnapshotError, match="changed in the middle of the read") as caught:
            list(stream)
        assert snapshot in str(caught.value)
        assert caught.value.collection == "made"


def update(index: Path, scenes: Path, folder: Path) -> None:
    records = {f"r{number}": {"B1": str(scenes / f"{number}.tif")} for number in range(SCENES - 1)}
    items = write_items(folder / "items.json", records)
    done = run_server_command("index", items, "--out", index, "--name", "made")
    assert done.returncode == 0, done.stderr


def test_no_tries_after_the_end(server: ServerProcess) -> None:
    with CuttingProxy(server.url) as proxy, rf.connect(proxy.url, retries=50) as client:
        stream = client.collection("made").read(bands=["B1"], ids=GOOD, batch_bytes=1 << 16)
        next(stream)
        proxy.target = "grpc://127.0.0.1:1"
        proxy.cut()
        time.sleep(0.3)
        began = time.monotonic()
        stream.close()
        assert time.monotonic() - began < 2
        assert list(stream) == []
        before = proxy.connections
        time.sleep(0.3)
        assert not [thread for thread in threading.enumerate() if thread.name == "rasterflight-read"]
        assert proxy.connections <= before + 1


def test_no_tries_beyond_the_timeout(server: ServerProcess) -> None:
    with CuttingProxy(server.url) as proxy, rf.connect(proxy.url, retries=500) as client:
        made = client.collection("made")
        began = time.monotonic()
        stream = made.read(bands=["B1"], ids=GOOD, batch_bytes=1 << 16, timeout=1.5)
        next(stream)
        proxy.target = "grpc://127.0.0.1:1"
        proxy.cut()
        with pytest.raises((rf.errors.ServerUnavailableError, rf.errors.DeadlineError)):
            list(stream)
        assert time.monotonic() - began < 4


def test_without_tries_the_loss_is_told(server: ServerProcess) -> None:
    with CuttingProxy(server.url, [500_000]) as proxy, rf.connect(proxy.url, retries=0) as client:
        with pytest.raises(rf.errors.ServerUnavailableError, match=r"the connection to .* was lost") as caught:
            whole(client.collection("made"))
        assert caught.value.retryable


def test_plans_and_lists_are_asked_for_again(server: ServerProcess) -> None:
    with CuttingProxy(server.url) as proxy, rf.connect(proxy.url) as client:
        made = client.collection("made")
        for ask in (client.collections, lambda: client.collection("made"), lambda: made.plan(bands=["B1"], ids=GOOD)):
            proxy.cut()
            assert ask()


def test_chunks_of_dask(server: ServerProcess) -> None:
    with CuttingProxy(server.url, [150_000] * 4) as proxy, rf.connect(proxy.url, retries=6) as client:
        lazy = client.collection("made").get_xarray(bands=["B1"], ids=GOOD, chunks={"y": 256})
        assert np.array_equal(lazy.B1[:, 0].sortby("time").values, [noise(SIDE, SIDE, n) for n in range(SCENES)])
        assert proxy.connections > 2


def test_points_that_wait_in_vain_are_let_go(server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_exchange, "_MOST_WAITING", 1000)
    monkeypatch.setattr("rasterflight._pointreads.points_at_once", lambda *_: 200)
    nowhere = spots(20_000) + 10**6
    with CuttingProxy(server.url) as proxy, rf.connect(proxy.url) as client:
        proxy.flowing.clear()
        threading.Timer(0.5, proxy.flowing.set).start()
        threading.Timer(1.0, proxy.cut).start()

        def slow() -> Iterator[pa.RecordBatch]:
            for start in range(0, len(nowhere), 200):
                part = nowhere[start : start + 200]
                yield pa.record_batch([part[:, 0], part[:, 1]], ["x", "y"])
                time.sleep(0.03)

        schema = pa.schema([("x", pa.float64()), ("y", pa.float64())])
        stream = pa.RecordBatchReader.from_batches(schema, slow())
        proxy.flowing.set()
        made = client.collection("made")
        reading = made.read_points(stream, ["B1"], x_column="x", y_column="y", geometry_crs=UTM)
        with pytest.raises(rf.RasterflightError, match="more than 1000 points were waiting for an answer") as caught:
            list(reading)
        assert caught.value.retryable


def test_points_that_depend_on_the_rows_before_them(server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rasterflight._pointreads.points_at_once", lambda *_: 100)
    where = spots(600)
    answered = threading.Semaphore(1)

    def one_by_one() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(where), 100):
            assert answered.acquire(timeout=10), "the rows of the set before never came"
            yield pa.record_batch([where[start : start + 100, 0], where[start : start + 100, 1]], ["x", "y"])

    schema = pa.schema([("x", pa.float64()), ("y", pa.float64())])
    with CuttingProxy(server.url) as proxy, rf.connect(proxy.url) as client:
        stream = client.collection("made").read_points(
            pa.RecordBatchReader.from_batches(schema, one_by_one()),
            ["B1"],
            x_column="x",
            y_column="y",
            geometry_crs=UTM,
            ids="r0",
        )
        rows = 0
        for batch in stream:
            rows += len(batch)
            if rows == 300:
                proxy.cut()
            answered.release()
    assert rows == 600
    assert proxy.connections == 2


@pytest.mark.parametrize("error", [OSError("the disk is full"), ZeroDivisionError("no")])
def test_points_that_fail_are_no_end(server: ServerProcess, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr("rasterflight._pointreads.points_at_once", lambda *_: 100)
    where = spots(300)

    def failing() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch([where[:, 0], where[:, 1]], ["x", "y"])
        time.sleep(0.3)
        raise error

    schema = pa.schema([("x", pa.float64()), ("y", pa.float64())])
    with rf.connect(server.url) as client:
        stream = client.collection("made").read_points(
            pa.RecordBatchReader.from_batches(schema, failing()), ["B1"], x_column="x", y_column="y", geometry_crs=UTM
        )
        with pytest.raises(Exception, match=str(error)):
            list(stream)
