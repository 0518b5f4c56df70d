"""Headers of many files: requests, order, journal, and a Dask cluster."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.ingest import build_index, index_records
from rasterflight_server.ingest.failures import Allowance
from rasterflight_server.ingest.headers import (
    Outcome,
    Task,
    ThreadReader,
    Unreadable,
    read_files,
    read_in_order,
    same_file,
)
from rasterflight_server.ingest.journal import FOLDER, Journal
from rasterflight_server.ingest.sources import AssetSource, RecordSource
from rasterflight_server.store import Prefix, Stores
from rasterflight_server.types import Identity
from support.http_server import FileServer
from support.scenes import noise, write_scene
from support.tiff import ASCII, tags, tiff


def long_header(padding: int) -> bytes:
    """A TIFF whose header ends after so many bytes."""
    return tiff(tags(t270=(ASCII, b"x" * padding + b"\0")), size=2_000_000)


class TestPrefix:
    def test_grows_as_soon_as_it_is_too_small(self) -> None:
        prefix = Prefix()
        assert prefix.size == 64 * 1024
        prefix.learn(300_000)
        assert 300_000 <= prefix.size <= 320_000

    def test_shrinks_when_enough_is_known(self) -> None:
        prefix = Prefix()
        for _ in range(15):
            prefix.learn(1000)
        assert prefix.size == 64 * 1024
        prefix.learn(1000)
        assert prefix.size == 16 * 1024

    def test_few_large_ones_do_not_count(self) -> None:
        prefix = Prefix()
        for _ in range(200):
            prefix.learn(20_000)
        prefix.learn(500_000)
        assert prefix.size == 32 * 1024

    def test_is_bounded(self) -> None:
        prefix = Prefix()
        for _ in range(200):
            prefix.learn(50_000_000)
        assert prefix.size == 1024 * 1024


@pytest.mark.parametrize(("padding", "first"), [(100, 1), (150_000, 2), (700_000, 2)])
def test_one_request_a_file_once_the_first_is_known(tmp_path: Path, padding: int, first: int) -> None:
    for number in range(12):
        (tmp_path / f"{number}.tif").write_bytes(long_header(padding))
    with FileServer(tmp_path) as server:
        prefix = Prefix()
        read_files([Task(f"{server.url}/0.tif")], Stores(), prefix)
        assert len(server.requests) <= first + 1
        server.requests.clear()
        found = read_files([Task(f"{server.url}/{number}.tif") for number in range(1, 12)], Stores(), prefix)
        assert not any(isinstance(each, Unreadable) for each in found)
        assert [(request.method, request.path) for request in server.requests] == [
            ("GET", f"/{number}.tif") for number in range(1, 12)
        ]


def test_side_by_side_and_in_order(tmp_path: Path) -> None:
    write_scene(tmp_path / "a.tif", noise(32, 32), tile=32)
    with FileServer(tmp_path, delay=0.2) as server, ThreadReader(Stores(), 8) as reader:
        href = f"{server.url}/a.tif"
        items = [(number, [Task(href), Task(href)] if number % 5 else []) for number in range(40)]
        found = list(read_in_order(items, reader))
        assert [number for number, _ in found] == list(range(40))
        assert [len(outcomes) for _, outcomes in found] == [len(tasks) for _, tasks in items]
        assert len(server.requests) == 64


def test_a_source_is_not_run_through_ahead_of_its_files(tmp_path: Path) -> None:
    write_scene(tmp_path / "a.tif", noise(32, 32), tile=32)
    taken = 0

    def items():
        nonlocal taken
        for number in range(10_000):
            taken += 1
            yield number, [Task(str(tmp_path / "a.tif"))]

    with ThreadReader(Stores(), 1) as reader:
        next(iter(read_in_order(items(), reader)))
    assert taken < 100


@pytest.mark.parametrize(
    ("known", "now", "same"),
    [
        (Identity(1, 2), Identity(1, 2), True),
        (Identity(1, 2), Identity(2, 2), False),
        (Identity(1, 2), Identity(1, 3), False),
        (Identity(1, None, "a"), Identity(1, None, "a"), True),
        (Identity(1, None, "a"), Identity(1, None, "b"), False),
        (Identity(1, None, "a"), Identity(1, None, None), True),
    ],
)
def test_same_file(known: Identity, now: Identity, same: bool) -> None:
    assert same_file(known, now) is same


class TestJournal:
    def test_there_and_back(self, tmp_path: Path, data: Path) -> None:
        files = [str(path) for path in sorted((data / "variety").iterdir()) if path.suffix in (".tif", ".tiff")]
        headers = dict(zip(files, read_files([Task(path) for path in files], Stores()), strict=True))
        with Journal(tmp_path) as journal:
            for path, header in headers.items():
                journal.add(path, header)
        again = Journal(tmp_path)
        assert again.found == len(files) > 10
        assert again.find("another") is None
        for path, header in headers.items():
            found = again.find(path)
            assert (found.identity, found.profile, found.grid) == (header.identity, header.profile, header.grid)
            assert (found.located, found.tags) == (header.located, header.tags)
            for one, other in zip(found.tiles, header.tiles, strict=True):
                np.testing.assert_array_equal(one.offsets, other.offsets)
                np.testing.assert_array_equal(one.counts, other.counts)
        again.clear()
        assert not (tmp_path / FOLDER).exists()

    def test_old(self, tmp_path: Path, data: Path) -> None:
        path = str(data / "variety" / "cog.tif")
        with Journal(tmp_path) as journal:
            journal.add(path, read_files([Task(path)], Stores())[0])
        assert Journal(tmp_path).find(path) is not None
        for file in (tmp_path / FOLDER).iterdir():
            os.utime(file, (0, 0))
        assert Journal(tmp_path).find(path) is None

    def test_damaged(self, tmp_path: Path) -> None:
        (tmp_path / FOLDER).mkdir()
        (tmp_path / FOLDER / "1.arrow").write_bytes(b"half")
        assert Journal(tmp_path).found == 0


class TestAllowance:
    @pytest.mark.parametrize(
        ("said", "failed", "exceeded"),
        [("1%", 1, False), ("1%", 2, True), ("0", 1, True), (5, 5, False), ("5", 6, True), ("0.5 %", 1, True)],
    )
    def test_limits(self, said: str, failed: int, exceeded: bool) -> None:
        assert Allowance.parse(said).exceeded(failed, 100) is exceeded

    @pytest.mark.parametrize("said", ["", "x", "-1", "101%", "1.5", "nan%"])
    def test_what_is_none(self, said: str) -> None:
        with pytest.raises(RequestError) as caught:
            Allowance.parse(said)
        assert caught.value.code is ErrorCode.BAD_REQUEST
        assert caught.value.message == f"{said!r} does not say how much may fail"


def test_records_of_a_program_are_taken_one_by_one(tmp_path: Path) -> None:
    write_scene(tmp_path / "a.tif", noise(32, 32), tile=32)

    def records() -> Iterator[RecordSource]:
        for number in range(25_000):
            asset = AssetSource("B1", str(tmp_path / "a.tif"), single="B1", header=header)
            yield RecordSource(f"{number:05d}", (asset,), properties={"n": number if number < 20_000 else f"{number}"})

    [header] = read_files([Task(str(tmp_path / "a.tif"))], Stores())
    report = index_records(records(), tmp_path / "index", "x")
    assert (report.records, report.assets, report.bands, report.failures) == (25_000, 25_000, ("B1",), ())


def header_processes() -> list[psutil.Process]:
    """Those that read headers for this process: other tests may have servers running."""
    return [
        process for process in psutil.Process().children() if any("headerprocess" in part for part in process.cmdline())
    ]


class TestProcesses:
    @pytest.fixture
    def tasks(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> list[Task]:
        monkeypatch.setattr("rasterflight_server.ingest.headers._MANY", 40)
        files = [str(path) for path in sorted((data / "variety").iterdir())]
        return [Task(path) for path in [*files, "/nowhere.tif"] * 8]

    def read(self, tasks: list[Task], between: Callable[[], None] = lambda: None) -> list[Outcome]:
        with ThreadReader(Stores(), 2) as reader:
            waiting = [reader.submit([task]) for task in tasks]
            found = [outcome for each in waiting for outcome in each()]
            between()
            again = [outcome for each in [reader.submit([task]) for task in tasks] for outcome in each()]
        assert list(map(repr, found)) == list(map(repr, again))
        return found

    def test_the_same_as_here(self, tasks: list[Task]) -> None:
        found = self.read(tasks)
        assert len({repr(each) for each in found}) > 15
        assert list(map(repr, found)) == list(map(repr, read_files(tasks, Stores())))
        assert not header_processes()

    def test_one_that_ends_is_missed_by_nobody(self, tasks: list[Task]) -> None:
        def kill() -> None:
            processes = header_processes()
            assert len(processes) == 2
            for process in processes:
                process.kill()

        self.read(tasks, kill)

    def test_a_file_that_is_known_is_not_read(self, tasks: list[Task], data: Path) -> None:
        path = data / "variety" / "cog.tif"
        known = Identity(path.stat().st_size, path.stat().st_mtime_ns)
        self.read(tasks, lambda: None)
        with ThreadReader(Stores(), 1) as reader:
            for task in tasks:
                reader.submit([task])
            assert reader.submit([Task(str(path), known)])() == [None]


class TestDask:
    def test_on_processes(self, tmp_path: Path) -> None:
        from distributed import LocalCluster

        (tmp_path / "files").mkdir()
        for number in range(150):
            write_scene(tmp_path / "files" / f"{number:03d}.tif", noise(32, 32), tile=32)
        (tmp_path / "files" / "bad.tif").write_bytes(b"no")
        with LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        ) as cluster:
            report = build_index(tmp_path / "files", tmp_path / "index", "x", dask=cluster.scheduler_address)
        assert (report.records, report.assets) == (150, 150)
        assert str(report.failures[0]) == "bad/image: the file is not a TIFF"
        alone = build_index(tmp_path / "files", tmp_path / "alone", "x")
        [one], [other] = (
            (json.loads((tmp_path / name / "manifest.json").read_text())["bands"]) for name in ("index", "alone")
        )
        assert one == other
        assert alone.records == 150

    def test_no_cluster(self, tmp_path: Path) -> None:
        with pytest.raises(RequestError) as caught:
            build_index(tmp_path, tmp_path / "index", "x", dask="nowhere")
        assert caught.value.code is ErrorCode.BAD_REQUEST
        assert caught.value.message.startswith("there is no Dask cluster at 'nowhere': ")
