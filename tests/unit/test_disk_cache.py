"""The cache on disk, with real files: what is kept, what goes, and what survives those who die."""

import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rasterflight_protocol import ErrorCode
from rasterflight_server.cli import main
from rasterflight_server.errors import RequestError, SourceError
from rasterflight_server.store import DiskCache, Stores
from rasterflight_server.store.cached import cache_name, identifies
from rasterflight_server.store.places import Place
from rasterflight_server.telemetry import Telemetry
from rasterflight_server.types import Identity
from support.http_server import FileServer

#: On disk an entry of this many bytes takes three blocks.
ENTRY = 10_000
ON_DISK = 3 * 4096


def key(number: int) -> str:
    return f"{number * 2654435761 % 2**32:08x}"


def content(number: int) -> bytes:
    return random.Random(number).randbytes(ENTRY)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[DiskCache]:
    cache = DiskCache(tmp_path, 20 * ON_DISK, Telemetry())
    yield cache
    cache.close()


def files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("ranges-1/??/*") if path.is_file()]


def on_disk(folder: Path) -> int:
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in files(folder))


class TestKeeping:
    def test_gives_back_what_it_was_given(self, cache: DiskCache) -> None:
        assert cache.get(key(1)) is None
        cache.put(key(1), content(1))
        cache.put(key(2), memoryview(b""))
        assert cache.get(key(1)) == content(1)
        assert cache.get(key(2)) == b""
        counts = cache._telemetry.snapshot()
        assert (counts["disk_cache_hits"], counts["disk_cache_misses"]) == (2, 1)
        assert counts["disk_cache_bytes_read"] == counts["disk_cache_bytes_written"] == ENTRY

    def test_a_second_put_takes_the_place_of_the_first(self, cache: DiskCache) -> None:
        cache.put(key(1), content(1))
        cache.put(key(1), content(2))
        assert cache.get(key(1)) == content(2)
        assert cache.size == ON_DISK

    def test_is_bounded(self, cache: DiskCache, tmp_path: Path) -> None:
        for number in range(100):
            cache.put(key(number), content(number))
            assert on_disk(tmp_path) == cache.size <= 20 * ON_DISK
        assert cache.size > 15 * ON_DISK
        assert cache._telemetry.snapshot()["disk_cache_evictions"] == 100 - len(files(tmp_path))

    def test_what_was_not_used_for_the_longest_time_goes(self, cache: DiskCache) -> None:
        for number in range(20):
            cache.put(key(number), content(number))
            time.sleep(0.005)
        assert cache.get(key(0)) is not None
        cache.put(key(20), content(20))
        kept = [number for number in range(21) if cache.get(key(number)) is not None]
        assert kept == [0, *range(4, 21)]

    def test_what_does_not_fit_is_not_kept(self, cache: DiskCache) -> None:
        cache.put(key(1), content(1))
        cache.put(key(2), bytes(20 * ON_DISK))
        assert cache.get(key(2)) is None
        assert cache.get(key(1)) is not None

    def test_a_large_cache_evicts_part_by_part(self, tmp_path: Path) -> None:
        cache = DiskCache(tmp_path, 20 * ON_DISK, Telemetry())
        cache._parts = 7
        for number in range(300):
            cache.put(key(number), content(number))
            assert cache.size <= 20 * ON_DISK
        assert on_disk(tmp_path) == cache.size > 15 * ON_DISK
        cache.close()

    def test_many_threads(self, cache: DiskCache, tmp_path: Path) -> None:
        def work(seed: int) -> int:
            chosen, hits = random.Random(seed), 0
            for _ in range(60):
                number = chosen.randrange(40)
                kept = cache.get(key(number))
                if kept is None:
                    cache.put(key(number), content(number))
                else:
                    hits += 1
                    assert kept == content(number)
            return hits

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(work, range(8))) > 0
        assert on_disk(tmp_path) == cache.size <= 20 * ON_DISK

    def test_two_caches_of_one_folder_count_together(self, cache: DiskCache, tmp_path: Path) -> None:
        other = DiskCache(tmp_path, 20 * ON_DISK, Telemetry())
        for number in range(0, 60, 2):
            cache.put(key(number), content(number))
            other.put(key(number + 1), content(number + 1))
            assert on_disk(tmp_path) == cache.size == other.size <= 20 * ON_DISK
        assert cache.get(key(59)) == content(59)
        other.close()


class TestAccidents:
    @pytest.mark.parametrize("damage", ["cut", "longer", "flipped", "empty", "header"])
    def test_torn_entries_are_dropped(self, cache: DiskCache, tmp_path: Path, damage: str) -> None:
        cache.put(key(1), content(1))
        [file] = files(tmp_path)
        whole = bytearray(file.read_bytes())
        torn = {
            "cut": whole[:-1],
            "longer": whole + b"x",
            "flipped": whole[:500] + bytes([whole[500] ^ 1]) + whole[501:],
            "empty": b"",
            "header": whole[:7],
        }[damage]
        file.write_bytes(torn)
        assert cache.get(key(1)) is None
        cache.put(key(1), content(1))
        assert cache.get(key(1)) == content(1)

    def test_a_restart_finds_what_is_there(self, cache: DiskCache, tmp_path: Path) -> None:
        for number in range(10):
            cache.put(key(number), content(number))
        again = DiskCache(tmp_path, 20 * ON_DISK, Telemetry())
        assert again.size == 10 * ON_DISK
        assert again.get(key(7)) == content(7)
        again.close()
        smaller = DiskCache(tmp_path, 5 * ON_DISK, Telemetry())
        assert on_disk(tmp_path) == smaller.size <= 5 * ON_DISK
        smaller.close()

    def test_a_restart_reads_no_content(self, cache: DiskCache, tmp_path: Path) -> None:
        cache.put(key(1), content(1))
        [file] = files(tmp_path)
        os.utime(file, ns=(0, file.stat().st_mtime_ns))
        DiskCache(tmp_path, 20 * ON_DISK, Telemetry()).close()
        assert file.stat().st_atime_ns == 0

    def test_killed_writers(self, tmp_path: Path) -> None:
        program = """
import itertools, random, sys
from pathlib import Path
from rasterflight_server.store import DiskCache
from rasterflight_server.telemetry import Telemetry
cache = DiskCache(Path(sys.argv[1]), int(sys.argv[2]), Telemetry())
contents = [random.Random(number).randbytes(10_000) for number in range(30)]
print("ready", flush=True)
for number in itertools.cycle(range(30)):
    cache.put(f"{number * 2654435761 % 2**32:08x}", contents[number])
"""
        command = [sys.executable, "-c", program, str(tmp_path), str(20 * ON_DISK)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        for attempt in range(3):
            writers = [subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) for _ in range(2)]
            for writer in writers:
                assert writer.stdout is not None
                assert writer.stdout.readline() == b"ready\n"
            time.sleep(0.03 * (attempt + 1))
            for writer in writers:
                writer.kill()
                writer.communicate()
        cache = DiskCache(tmp_path, 20 * ON_DISK, Telemetry())
        assert on_disk(tmp_path) == cache.size <= 20 * ON_DISK
        kept = [
            number for number in range(30) if (data := cache.get(key(number))) is not None and data == content(number)
        ]
        assert len(kept) == len(files(tmp_path)) > 0
        cache.close()

    def test_drafts_of_the_dead_are_removed(self, cache: DiskCache, tmp_path: Path) -> None:
        old, new = tmp_path / "ranges-1" / "writing" / "old", tmp_path / "ranges-1" / "writing" / "new"
        for draft in (old, new):
            draft.write_bytes(b"x")
        os.utime(old, (0, 0))
        DiskCache(tmp_path, 20 * ON_DISK, Telemetry()).close()
        assert not old.exists()
        assert new.exists()

    def test_a_full_disk(self, cache: DiskCache, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (ENTRY // 2, limits[1]))
        try:
            for number in range(3):
                cache.put(key(number), content(number))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert cache._telemetry.snapshot()["disk_cache_errors"] == 3
        [record] = caplog.records
        assert record.message.startswith("the disk cache cannot be written to, reads go on without it: ")
        assert cache.get(key(0)) is None
        assert list((tmp_path / "ranges-1" / "writing").iterdir()) == []
        assert cache.size == 0
        cache.put(key(1), content(1))
        assert cache.get(key(1)) == content(1)

    def test_a_count_that_is_too_high_mends_itself(self, cache: DiskCache) -> None:
        cache._note(20 * ON_DISK, 0)
        for number in range(3):
            cache.put(key(number), content(number))
        assert cache.size == 3 * ON_DISK

    def test_folders_that_cannot_be(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(
            RequestError, match="the folder of the disk cache cannot be used: Not a directory"
        ) as caught:
            DiskCache(tmp_path / "file", 10**6, Telemetry())
        assert (caught.value.code, caught.value.field) == (ErrorCode.BAD_REQUEST, "disk_cache")
        with pytest.raises(RequestError, match="a disk cache of 10 bytes holds nothing"):
            DiskCache(tmp_path, 10, Telemetry())


class TestFiles:
    """Through the sources that read remote files."""

    BYTES = bytes(range(256)) * 1024

    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[FileServer]:
        (tmp_path / "www").mkdir()
        (tmp_path / "www" / "a.tif").write_bytes(self.BYTES)
        with FileServer(tmp_path / "www") as server:
            yield server

    @pytest.fixture
    def stores(self, cache: DiskCache) -> Stores:
        return Stores(cache=cache)

    def identity(self, server: FileServer, name: str = "a.tif") -> Identity:
        with Stores().open(f"{server.url}/{name}") as source:
            identity = source.identity()
        server.requests.clear()
        return identity

    def read(self, stores: Stores, href: str, identity: Identity | None) -> bytes:
        with stores.open(href, identity) as source:
            return bytes(source.read_range(1000, 500))

    def test_a_range_is_fetched_once(self, server: FileServer, stores: Stores) -> None:
        identity = self.identity(server)
        for query in ("", "", "?sv=1&se=2026&sig=one", "?sv=2&se=2027&sig=two", "?X-Amz-Signature=x&X-Amz-Expires=7"):
            assert self.read(stores, f"{server.url}/a.tif{query}", identity) == self.BYTES[1000:1500]
        assert [request.range for request in server.requests] == ["bytes=1000-1499"]
        assert self.read(stores, f"{server.url}/a.tif?id=2", identity) == self.BYTES[1000:1500]
        assert len(server.requests) == 2

    def test_another_version_is_another_entry(self, server: FileServer, stores: Stores) -> None:
        first = self.identity(server)
        self.read(stores, f"{server.url}/a.tif", first)
        (server.root / "a.tif").write_bytes(self.BYTES[::-1])
        second = self.identity(server)
        assert self.read(stores, f"{server.url}/a.tif", second) == self.BYTES[::-1][1000:1500]
        # The index that knows the first still gets the first.
        assert self.read(stores, f"{server.url}/a.tif", first) == self.BYTES[1000:1500]
        with pytest.raises(SourceError) as caught, stores.open(f"{server.url}/a.tif", first) as source:
            source.read_range(2000, 10)
        assert caught.value.code is ErrorCode.SOURCE_CHANGED

    @pytest.mark.parametrize("etag", ["", 'W/"weak"'])
    def test_files_that_do_not_say_their_version(self, server: FileServer, stores: Stores, etag: str) -> None:
        server.faults.etag["/a.tif"] = etag
        server.faults.modified["/a.tif"] = ""
        identity = self.identity(server)
        for _ in range(2):
            self.read(stores, f"{server.url}/a.tif", identity)
        assert len(server.requests) == 2

    def test_responses_that_do_not_say_their_version(self, server: FileServer, stores: Stores, tmp_path: Path) -> None:
        identity = self.identity(server)
        server.faults.etag["/a.tif"] = ""
        self.read(stores, f"{server.url}/a.tif", identity)
        assert files(tmp_path) == []

    def test_the_time_of_the_last_change_will_do(self, server: FileServer, stores: Stores) -> None:
        server.faults.etag["/a.tif"] = ""
        identity = self.identity(server)
        for _ in range(2):
            assert self.read(stores, f"{server.url}/a.tif", identity) == self.BYTES[1000:1500]
        assert len(server.requests) == 1

    def test_without_an_index_nothing_is_kept(self, server: FileServer, stores: Stores, tmp_path: Path) -> None:
        self.read(stores, f"{server.url}/a.tif", None)
        assert files(tmp_path) == []

    def test_a_cache_that_cannot_be_written_does_no_harm(
        self, server: FileServer, stores: Stores, tmp_path: Path
    ) -> None:
        identity = self.identity(server)
        (tmp_path / "ranges-1" / "writing").rmdir()
        for _ in range(2):
            assert self.read(stores, f"{server.url}/a.tif", identity) == self.BYTES[1000:1500]
        assert len(server.requests) == 2

    def test_no_secret_on_disk(self, server: FileServer, stores: Stores, tmp_path: Path) -> None:
        self.read(stores, f"{server.url}/a.tif?token=hush&sig=hush", self.identity(server))
        [file] = files(tmp_path)
        assert "hush" not in str(file)
        assert b"hush" not in file.read_bytes()


@pytest.mark.parametrize(
    ("identity", "enough"),
    [
        (Identity(1, etag='"a"'), True),
        (Identity(1, etag='W/"a"'), False),
        (Identity(1, mtime_ns=1), True),
        (Identity(1), False),
    ],
)
def test_identifies(identity: Identity, enough: bool) -> None:
    assert identifies(identity) is enough


def test_names_tell_stores_apart() -> None:
    s3, gs = Place("s3", "buck"), Place("gs", "buck")
    names = [
        cache_name(s3, "a", None),
        cache_name(gs, "a", None),
        cache_name(s3, "a", "http://x"),
        cache_name(s3, "b", None),
    ]
    assert len(set(names)) == 4


@pytest.mark.parametrize("size", ["", "big", "-1", "1XB", "1 2"])
def test_sizes_that_are_none(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--collection", "a=b", f"--disk-cache-size={size}"]) == 1
    assert f"{size!r} is no size such as 20GiB or 500MB" in capsys.readouterr().err
