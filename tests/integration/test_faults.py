"""Stores that fail, through a real server: the right pixels or the right error, in a bounded time; never a wrong pixel."""

import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio

import rasterflight as rf
from rasterflight import errors
from rasterflight_protocol import ErrorCode
from rasterflight_protocol.v1.read_pb2 import ReadRequest, Window, Windows
from rasterflight_server.errors import SourceError
from rasterflight_server.ingest import build_index
from rasterflight_server.store import StorageOptions, Stores
from support.direct import direct
from support.fault_proxy import Asked, Fault, FaultProxy, Plan, always, at_random, first
from support.http_server import FileServer
from support.s3_server import OPEN_BUCKET, S3Server
from support.scenes import noise, write_items, write_scene
from support.server import ServerProcess
from support.telemetry import stats, wait_for

SIDE = 256
#: So that what never gets better is over soon.
OPTIONS = "retries = 2\ntimeout = 0.3\n"
#: Of a read that fails: three tries, each of them silent, and the pauses between.
BOUND = 3 * 0.3 + 0.3 + 2.0

HTML = Fault(status=200, body=b"<html>Come back later</html>", headers={"Content-Type": "text/html"})
DOWN = "the store of the file does not answer, or answers with an error"
OTHER = "the store answers with other bytes than it was asked for"
NO_RANGES = "the web server of the file does not answer range requests (serve the file from one that does)"
BARE = Fault(headers={"ETag": None})
#: Windows far enough from one another, each on one tile, that there are as many requests.
APART = [(64 * number, 64 * number, 60, 60) for number in range(4)]


class Archive:
    """Two scenes behind web servers that fail, indexed and served: "files", "patient" with the usual patience, "bare" without ETags."""

    def __init__(self, folder: Path, stores: Mapping[str, FaultProxy], server: ServerProcess) -> None:
        self.folder = folder
        self.stores = stores
        self.store = stores["files"]
        self.patient = stores["patient"]
        self.server = server
        self.truth = {}
        for name in ("a", "b"):
            with rasterio.open(folder / f"{name}.tif") as dataset:
                self.truth[name] = dataset.read(1)

    def spoil(self, plan: Plan) -> None:
        """Let things go wrong with the file of record "a", and begin to count."""
        self.store.forget()
        self.store.plan = lambda asked: plan(asked) if asked[:2] == ("GET", "/a.tif") else None
        self.counts = stats(self.server.url)

    def counted(self, name: str) -> int:
        return stats(self.server.url)[name] - self.counts[name]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    folder = tmp_path_factory.mktemp("faults")
    www = folder / "www"
    www.mkdir()
    for seed, name in enumerate("ab"):
        write_scene(www / f"{name}.tif", noise(SIDE, SIDE, seed), tile=64)
    names = {"files": OPTIONS, "patient": "", "bare": OPTIONS}
    with ExitStack() as stack:
        files = stack.enter_context(FileServer(www))
        stores = {name: stack.enter_context(FaultProxy(files.url)) for name in names}
        stores["bare"].plan = always(BARE)
        indexes = {name: make_index(folder / name, stores[name], options) for name, options in names.items()}
        server = stack.enter_context(ServerProcess(indexes, cache_size="0"))
        yield Archive(www, stores, server)


def make_index(folder: Path, store: FaultProxy, options: str, names: Iterable[str] = "ab") -> Path:
    """Index files of a store, each a record, to be read with these storage options."""
    folder.mkdir()
    items = write_items(folder / "items.json", {name: {"red": f"{store.url}/{name}.tif"} for name in names})
    (folder / "config.toml").write_text(f'[storage."{store.url}/"]\n{options}')
    build_index(items, folder / "index", "files", config=folder / "config.toml")
    return folder / "index"


def read(archive: Archive, collection: str = "files") -> np.ndarray:
    with rf.connect(archive.server.url) as client:
        return client.collection(collection).subset(ids=["a"]).get_numpy(bands="red")[0]


def skipping(archive: Archive) -> dict[str, np.ndarray | str]:
    """Pixels of both records, or why there are none."""
    found: dict[str, np.ndarray | str] = {}
    with rf.connect(archive.server.url) as client:
        for batch in client.collection("files").read(bands=["red"], on_error="skip"):
            for row in batch.to_pylist():
                found[row["record_id"]] = row["error"] or np.array(row["red"], np.uint16).reshape(SIDE, SIDE)
    return found


#: What goes wrong once with each request, and is then better.
PASSING = {
    "500": Fault(status=500),
    "502": Fault(status=502),
    "503": Fault(status=503),
    "503, Retry-After": Fault(status=503, headers={"Retry-After": "0"}),
    "504": Fault(status=504),
    "429": Fault(status=429),
    "429, Retry-After": Fault(status=429, headers={"Retry-After": "0"}),
    "408": Fault(status=408),
    "reset before the headers": Fault(reset="before"),
    "reset in the headers": Fault(reset="headers"),
    "reset in the body": Fault(reset="body"),
    "body ends early": Fault(ends_early="length"),
    "chunks without end": Fault(ends_early="chunked"),
    "more bytes": Fault(surplus=100),
    "fewer bytes": Fault(surplus=-100),
    "another offset": Fault(content_range="offset"),
    "no Content-Range": Fault(content_range="missing"),
    "416": Fault(status=416),
    "silence": Fault(silent=True),
    "a byte a second": Fault(bytes_per_second=1),
}
#: What is over before it is noticed.
HARMLESS = {
    "latency": Fault(delay=0.1),
    "slow line": Fault(bytes_per_second=1e6),
    "bytes after the body": Fault(overrun=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
}
#: What does not get better by itself: code, and words.
PERMANENT = {
    "another total": (Fault(content_range="total"), "SOURCE_CHANGED", "the file changed since it was indexed: it had"),
    "whole file": (Fault(whole=True), "SOURCE_UNAVAILABLE", NO_RANGES),
    "error page": (HTML, "SOURCE_UNAVAILABLE", NO_RANGES),
    "gzip": (Fault(gzip=True), "SOURCE_UNAVAILABLE", "compresses what it sends, ranges too (turn compression off"),
    "garbled": (Fault(garbled=True), "SOURCE_CORRUPT", "tile 0: "),
    "another ETag": (Fault(headers={"ETag": '"x"'}), "SOURCE_CHANGED", "its ETag is another"),
    "weak ETag": (Fault(headers={"ETag": 'W/"x"'}), "SOURCE_CHANGED", "its ETag is another"),
    "401": (Fault(status=401), "SOURCE_FORBIDDEN", "the store refuses the file"),
    "403": (Fault(status=403), "SOURCE_FORBIDDEN", "the store refuses the file"),
    "404": (Fault(status=404), "SOURCE_NOT_FOUND", "the file does not exist"),
    "400": (Fault(status=400), "SOURCE_UNAVAILABLE", DOWN),
}
#: Of what passes, if it does not: what is told as no answer, and what as another.
NO_ANSWER = ["500", "503", "429", "408", "silence", "a byte a second", "body ends early"]
NO_ANSWER += ["reset before the headers", "reset in the headers", "reset in the body"]
OTHER_ANSWER = ["chunks without end", "more bytes", "fewer bytes", "another offset", "no Content-Range", "416"]
LASTING = (
    PERMANENT
    | {name: (PASSING[name], "SOURCE_UNAVAILABLE", DOWN) for name in NO_ANSWER}
    | {name: (PASSING[name], "SOURCE_UNAVAILABLE", OTHER) for name in OTHER_ANSWER}
)


@pytest.mark.parametrize("name", PASSING)
def test_a_passing_fault_is_tried_again(archive: Archive, name: str) -> None:
    archive.spoil(first(PASSING[name]))
    np.testing.assert_array_equal(read(archive), archive.truth["a"])
    assert archive.counted("source_retries") > 0
    assert archive.counted("source_errors") == 0


@pytest.mark.parametrize("name", HARMLESS)
def test_what_needs_no_other_try(archive: Archive, name: str) -> None:
    archive.spoil(always(HARMLESS[name]))
    for _ in range(2):
        np.testing.assert_array_equal(read(archive), archive.truth["a"])
    assert archive.counted("source_errors") == 0


@pytest.mark.parametrize("name", LASTING)
def test_a_lasting_fault_is_an_error_that_says_where(archive: Archive, name: str) -> None:
    fault, code, words = LASTING[name]
    archive.spoil(always(fault))
    begun = time.monotonic()
    with pytest.raises(errors.SourceError) as caught:
        read(archive)
    assert time.monotonic() - begun < BOUND
    error = caught.value
    assert (error.code, error.collection, error.record, error.asset) == (code, "files", "a", "red")
    assert words in str(error)
    assert error.retryable == (code == "SOURCE_UNAVAILABLE")
    assert archive.store.url not in str(error)
    assert (archive.counted("source_errors") > 0) == (name != "garbled")
    if name in PERMANENT:
        assert archive.counted("source_retries") == 0
    # A reader who skips gets the other record.
    with pytest.warns(RuntimeWarning, match="records are missing from the result: a: files/a/red: "):
        found = skipping(archive)
    assert words.split(" (")[0] in str(found["a"])
    np.testing.assert_array_equal(found["b"], archive.truth["b"])


def test_connections_that_are_refused(archive: Archive) -> None:
    archive.spoil(lambda _: None)
    archive.store.refuse()
    try:
        with pytest.raises(errors.SourceUnavailableError, match="does not answer"):
            read(archive)
    finally:
        archive.store.accept()
    np.testing.assert_array_equal(read(archive), archive.truth["a"])


@pytest.mark.parametrize("seed", range(2))
def test_many_reads_through_faults_at_random(archive: Archive, seed: int) -> None:
    passing = [fault for name, fault in PASSING.items() if name not in ("silence", "a byte a second")]
    late = [(0.1, Fault(delay=0.02)), (0.02, Fault(delay=0.2))]
    archive.spoil(at_random(seed, [(0.3 / len(passing), fault) for fault in passing] + late))
    chance = random.Random(seed)
    corners = [(chance.randrange(SIDE), chance.randrange(SIDE)) for _ in range(100)]
    windows = [(col, row, chance.randint(1, SIDE - col), chance.randint(1, SIDE - row)) for col, row in corners]
    with rf.connect(archive.server.url) as client:
        view = client.collection("files").subset(ids=["a"])

        def right(window: tuple[int, int, int, int]) -> bool:
            col, row, width, height = window
            try:
                pixels = view.get_numpy(bands="red", windows=[window])[0]
            except errors.SourceUnavailableError:
                return False
            np.testing.assert_array_equal(pixels, archive.truth["a"][row : row + height, col : col + width])
            return True

        with ThreadPoolExecutor(8) as pool:
            read = list(pool.map(right, windows))
    assert archive.counted("source_retries") > 10
    # Three in ten requests fail, and three in a row end a read.
    assert sum(read) > 80


class TestCancelling:
    def test_no_try_after_the_reader_has_gone(self, archive: Archive) -> None:
        archive.patient.forget()
        archive.patient.plan = always(Fault(status=503))
        with rf.connect(archive.server.url) as client:
            stream = client.collection("patient").read(bands=["red"])
            assert wait_for(lambda: len(archive.patient.asked) >= 4, 5)
            stream.close()
        assert wait_for(lambda: stats(archive.server.url)["streams"] == 0, 2)
        asked = len(archive.patient.asked)
        time.sleep(2.5)  # longer than any pause
        assert len(archive.patient.asked) == asked

    def test_who_waits_for_the_same_tiles_gets_them(self, archive: Archive) -> None:
        archive.patient.forget()
        archive.patient.plan = always(Fault(status=503))
        with rf.connect(archive.server.url) as client, ThreadPoolExecutor(1) as pool:
            gone = client.collection("patient").read(bands=["red"])
            assert wait_for(lambda: len(archive.patient.asked) >= 2, 5)
            waiting = pool.submit(read, archive, "patient")
            assert wait_for(lambda: stats(archive.server.url)["streams"] == 2, 5)
            gone.close()
            assert wait_for(lambda: stats(archive.server.url)["streams"] == 1, 5)
            archive.patient.forget()
            np.testing.assert_array_equal(waiting.result(10), archive.truth["a"])


def rewritten(path: Path) -> None:
    """Put another file of the same size in its place."""
    content = bytearray(path.read_bytes())
    content[-1000:] = content[-1000:][::-1]
    replace(path, bytes(content))


def shortened(path: Path) -> None:
    """Put a file in its place that ends earlier."""
    replace(path, path.read_bytes()[:-20_000])


def lengthened(path: Path) -> None:
    """Put a file in its place that goes on."""
    replace(path, path.read_bytes() + bytes(20_000))


def replace(path: Path, content: bytes) -> None:
    draft = path.with_suffix(".new")
    draft.write_bytes(content)
    os.utime(draft, (time.time() + 100,) * 2)
    draft.replace(path)


@pytest.fixture
def scene(archive: Archive) -> Iterator[Path]:
    """The file of record "a", which is what it was afterwards."""
    path = archive.folder / "a.tif"
    content, times = path.read_bytes(), path.stat()
    yield path
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("change", [rewritten, shortened, lengthened])
@pytest.mark.parametrize("collection", ["files", "bare"])
def test_files_that_are_replaced_during_a_read(
    archive: Archive, scene: Path, collection: str, change: Callable[[Path], None]
) -> None:
    asked: list[Asked] = []

    def plan(request: Asked) -> Fault:
        asked.append(request)
        if len(asked) == 3:
            change(scene)
        return BARE if collection == "bare" else Fault()

    archive.stores[collection].plan = plan
    with rf.connect(archive.server.url) as client:
        view = client.collection(collection).subset(ids=["a"])
        with pytest.raises(errors.SourceChangedError, match="the file changed since it was indexed") as caught:
            view.read(windows=APART, bands=["red"]).read_all()
    assert (caught.value.record, caught.value.asset) == ("a", "red")
    assert len(asked) >= len(APART)


def test_objects_that_are_replaced_during_a_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = write_scene(tmp_path / "a.tif", noise(SIDE, SIDE), tile=64)
    (tmp_path / "s3").mkdir()
    items = write_items(tmp_path / "items.json", {"a": {"red": f"s3://{OPEN_BUCKET}/a.tif"}})
    asked: list[Asked] = []

    def plan(request: Asked) -> Fault | None:
        asked.append(request)
        if len(asked) == 3:
            s3.put(OPEN_BUCKET, "a.tif", scene.read_bytes()[:-1000] + bytes(1000))
        return Fault(reset="body") if request.times == 0 else None

    with S3Server(tmp_path / "s3") as s3, FaultProxy(s3.url) as store:
        s3.put(OPEN_BUCKET, "a.tif", scene.read_bytes())
        stores = Stores({"s3://": StorageOptions(endpoint=store.url, anonymous=True)})
        with direct(items, tmp_path / "index", stores) as files, rasterio.open(scene) as dataset:
            store.plan = first(Fault(reset="body"))
            [chip], _ = files.read("a")
            np.testing.assert_array_equal(chip.pixels["red"], dataset.read(1))
            store.plan = plan
            windows = [Window(col_off=col, row_off=row, width=60, height=60) for col, row, _, _ in APART]
            with pytest.raises(SourceError, match="its ETag is another") as caught:
                files.read("a", request=ReadRequest(windows=Windows(values=windows)))
    assert (caught.value.code, caught.value.record) == (ErrorCode.SOURCE_CHANGED, "a")


def test_files_that_cannot_be_indexed_are_named(archive: Archive, tmp_path: Path) -> None:
    faults = {
        "down": Fault(status=503),
        "reset": Fault(reset="body"),
        "page": HTML,
        "packed": Fault(gzip=True),
        "silent": Fault(silent=True),
        "early": Fault(ends_early="length"),
        "elsewhere": Fault(content_range="offset"),
        "secret": Fault(status=403),
        "gone": Fault(status=404),
    }
    for name in (*faults, "shaky"):
        (archive.folder / f"{name}.tif").write_bytes((archive.folder / "a.tif").read_bytes())
    archive.store.forget()
    archive.store.plan = lambda asked: faults.get(asked.path[1:-4]) or (Fault(status=503) if asked.times == 0 else None)
    index = make_index(tmp_path / "made", archive.store, OPTIONS, ["a", "b", "shaky", *faults])
    archive.store.forget()
    table = pq.read_table(index / "failures.parquet")
    reasons = {row["record"]: row["reason"] for row in table.to_pylist() if row["asset"]}
    assert set(reasons) == set(faults)
    for name in ("down", "reset", "silent", "early"):
        assert reasons[name] == DOWN
    assert reasons["page"] == NO_RANGES
    assert reasons["packed"].startswith("the web server of the file compresses what it sends")
    assert reasons["elsewhere"].startswith(OTHER)
    assert reasons["secret"].startswith("the store refuses the file")
    assert reasons["gone"].startswith("the file does not exist")
