"""Stores that fail, through a real server: the right pixels or the right error, in a bounded time; never a wrong pixel."""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio

import rasterflight as rf
from rasterflight import errors
from support.fault_proxy import Fault, FaultProxy, Plan, always, at_random, first
from support.http_server import FileServer
from support.scenes import noise, write_items, write_scene
from support.server import ServerProcess, run_server_command
from support.telemetry import stats

SIDE = 256
#: So that what never gets better is over soon.
OPTIONS = "retries = 2\ntimeout = 0.3\n"
#: Of a read that fails: three tries, each of them silent, and the pauses between.
BOUND = 3 * 0.3 + 0.3 + 2.0

HTML = Fault(status=200, body=b"<html>Come back later</html>", headers={"Content-Type": "text/html"})
DOWN = "the store of the file does not answer, or answers with an error"
OTHER = "the store answers with other bytes than it was asked for"
NO_RANGES = "the web server of the file does not answer range requests (serve the file from one that does)"
LATER = "Tue, 02 Jan 2035 00:00:00 GMT"


class Archive:
    """Two scenes behind a web server that fails, indexed and served."""

    def __init__(self, folder: Path, store: FaultProxy, server: ServerProcess) -> None:
        self.folder = folder
        self.store = store
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
    with FileServer(www) as files, FaultProxy(files.url) as store:
        index = make_index(folder, {name: {"red": f"{store.url}/{name}.tif"} for name in "ab"})
        configure(index, store)
        with ServerProcess({"files": index}, cache_size="0") as server:
            yield Archive(www, store, server)


def make_index(folder: Path, records: dict[str, dict[str, str]]) -> Path:
    items = write_items(folder / "items.json", records)
    done = run_server_command("index", items, "--out", folder / "index", "--name", "files")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "index"


def configure(index: Path, store: FaultProxy, options: str = OPTIONS) -> None:
    (index / "collection.toml").write_text(f'[storage."{store.url}/"]\n{options}')


def read(archive: Archive, *window: int, record: str = "a") -> np.ndarray:
    with rf.connect(archive.server.url) as client:
        view = client.collection("files").subset(ids=[record])
        return view.get_numpy(bands="red", windows=[window or (0, 0, SIDE, SIDE)])[0]


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
LASTING = {
    "another total": (Fault(content_range="total"), "SOURCE_CHANGED", "the file changed since it was indexed: it had"),
    "whole file": (Fault(whole=True), "SOURCE_UNAVAILABLE", NO_RANGES),
    "error page": (HTML, "SOURCE_UNAVAILABLE", NO_RANGES),
    "gzip": (Fault(gzip=True), "SOURCE_UNAVAILABLE", "compresses what it sends, ranges too (turn compression off"),
    "another ETag": (Fault(headers={"ETag": '"x"'}), "SOURCE_CHANGED", "its ETag is another"),
    "weak ETag": (Fault(headers={"ETag": 'W/"x"'}), "SOURCE_CHANGED", "its ETag is another"),
    "401": (Fault(status=401), "SOURCE_FORBIDDEN", "the store refuses the file"),
    "403": (Fault(status=403), "SOURCE_FORBIDDEN", "the store refuses the file"),
    "404": (Fault(status=404), "SOURCE_NOT_FOUND", "the file does not exist"),
    "400": (Fault(status=400), "SOURCE_UNAVAILABLE", DOWN),
}
NEVER_BETTER = {
    name: (fault, "SOURCE_UNAVAILABLE", OTHER if name in OTHER_WORDS else DOWN)
    for OTHER_WORDS in [
        {"chunks without end", "more bytes", "fewer bytes", "another offset", "no Content-Range", "416"}
    ]
    for name, fault in PASSING.items()
}


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


@pytest.mark.parametrize("name", [*LASTING, *NEVER_BETTER])
def test_a_lasting_fault_is_an_error_that_says_where(archive: Archive, name: str) -> None:
    fault, code, words = (LASTING | NEVER_BETTER)[name]
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
    assert archive.counted("source_errors") > 0
    if name in LASTING:
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
    archive.spoil(at_random(seed, [(0.3 / len(passing), fault) for fault in passing]))
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
