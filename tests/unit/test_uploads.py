"""The store of uploads: who finds what, for how long, and how much there may be."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import shapely

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import ServiceError
from rasterflight_server.plan.sharedareas import SharedAreas
from rasterflight_server.plan.upload import Upload
from rasterflight_server.plan.uploads import Limits, Uploads

BOX = shapely.to_wkb(shapely.box(0, 0, 1, 1))
EMPTY_BYTES = 16 << 10


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def areas(count: int, wkb: bytes = BOX) -> pa.Array:
    return pa.array([wkb] * count, pa.binary())


def upload(store: Uploads, caller: str = "", count: int = 2) -> Upload:
    with store.receive(caller) as arrival:
        arrival.add(areas(count))
        return arrival.keep()


def fails(code: ErrorCode, words: str, call, *arguments) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        call(*arguments)
    assert caught.value.code is code
    assert words in str(caught.value)
    return caught.value


def test_an_upload_is_found_by_its_id() -> None:
    store = Uploads()
    one, other = upload(store), upload(store, count=3)
    assert one.id != other.id
    assert len(one.id) >= 32
    assert store.find(one.id, "", "f") is one
    assert store.find(other.id, "", "f").areas == 3
    assert store.counts()["uploads"] == 2
    assert store.counts()["upload_bytes"] > 2 * EMPTY_BYTES + 5 * 512


def test_nobody_else_finds_it_and_the_words_are_always_the_same() -> None:
    clock = Clock()
    store = Uploads(clock=clock)
    mine = upload(store, "me")
    gone = upload(store, "me")
    store.drop(gone.id, "me")
    found = [
        fails(ErrorCode.UPLOAD_NOT_FOUND, "there is no such upload", store.find, upload_id, caller, "geometries.upload")
        for upload_id, caller in ((mine.id, "you"), (mine.id, ""), (gone.id, "me"), ("nonsense", "me"))
    ]
    assert store.find(mine.id, "me", "f") is mine
    clock.now += store.limits.seconds
    found.append(fails(ErrorCode.UPLOAD_NOT_FOUND, "there is no such", store.find, mine.id, "me", "geometries.upload"))
    assert len({(str(error), error.field) for error in found}) == 1
    assert found[0].field == "geometries.upload"
    fails(ErrorCode.UPLOAD_NOT_FOUND, "send the areas again", store.drop, upload(store, "me").id, "you")


def test_it_is_kept_from_its_last_use_on() -> None:
    clock = Clock()
    store = Uploads(clock=clock)
    used, unused = upload(store), upload(store)
    clock.now += store.limits.seconds - 1
    store.find(used.id, "", "f")
    clock.now += 2
    assert store.find(used.id, "", "f") is used
    fails(ErrorCode.UPLOAD_NOT_FOUND, "", store.find, unused.id, "", "f")
    assert store.counts()["uploads"] == 1
    clock.now += store.limits.seconds
    store.forget_expired()
    assert store.counts() == {"uploads": 0, "upload_bytes": 0}


def test_what_is_not_kept_leaves_nothing() -> None:
    store = Uploads()

    def break_off() -> None:
        with store.receive("") as arrival:
            arrival.add(areas(5))
            assert store.counts()["upload_bytes"] > 0
            raise KeyError

    with pytest.raises(KeyError):
        break_off()
    assert store.counts() == {"uploads": 0, "upload_bytes": 0}
    with store.receive("") as arrival:
        fails(ErrorCode.BAD_REQUEST, "no geometry in the upload (send at least one)", arrival.keep)
    assert store.counts() == {"uploads": 0, "upload_bytes": 0}


def test_an_endless_stream_costs_no_more_than_the_limit() -> None:
    limits = Limits(areas=100)
    store = Uploads(limits)
    with store.receive("") as arrival:
        for _ in range(10):
            arrival.add(areas(10))
        error = fails(ErrorCode.LIMIT_EXCEEDED, "an upload has more than 100 areas", arrival.add, areas(1))
    assert "send them in several uploads" in error.hint
    store = Uploads(Limits(upload_bytes=200_000))

    def send_forever() -> None:
        with store.receive("") as arrival:
            while True:
                arrival.add(areas(1))
                assert store.counts()["upload_bytes"] <= 200_000

    fails(ErrorCode.LIMIT_EXCEEDED, "an upload takes more than 200000 bytes", send_forever)
    assert store.counts()["upload_bytes"] == 0


def test_a_caller_may_not_take_all() -> None:
    store = Uploads(Limits(caller_bytes=100_000, total_bytes=300_000))
    first = upload(store, "a", 50)
    upload(store, "a", 50)
    error = fails(ErrorCode.LIMIT_EXCEEDED, "this caller together take more than 100000", upload, store, "a", 50)
    assert "action upload.drop" in error.hint
    assert "900 seconds" in error.hint
    upload(store, "b", 50)
    store.drop(first.id, "a")
    upload(store, "a", 50)


def test_when_all_is_taken_others_may_come_back() -> None:
    store = Uploads(Limits(total_bytes=150_000))
    for _ in range(3):
        upload(store, "", 50)
    error = fails(ErrorCode.BUSY, "together take 150000 bytes", upload, store, "", 50)
    assert error.code.retryable
    assert store.counts()["uploads"] == 3


def test_one_that_stands_still_is_given_up() -> None:
    clock = Clock()
    store = Uploads(clock=clock)
    with store.receive("") as arrival:
        arrival.add(areas(5))
        clock.now += store.limits.seconds
        assert store.counts() == {"uploads": 0, "upload_bytes": 0}
        fails(ErrorCode.DEADLINE, "stood still for more than 900 seconds (send it again)", arrival.add, areas(5))


def test_a_missing_geometry_is_named() -> None:
    store = Uploads()
    with store.receive("") as arrival:
        arrival.add(areas(4))
        arrival.add(areas(0))
        missing = pa.array([BOX, None, BOX], pa.binary())
        error = fails(ErrorCode.BAD_GEOMETRY, "geometry 6 is missing", arrival.add, missing)
    assert error.field == "geometry"


def test_areas_are_parsed_once() -> None:
    store = Uploads()
    with store.receive("") as arrival:
        arrival.add(areas(2))
        arrival.add(
            pa.array(
                [shapely.to_wkb(shapely.set_srid(shapely.box(5, 5, 6, 6), 4326), include_srid=True)], pa.large_binary()
            )
        )
        kept = arrival.keep()
    polygons = kept.polygons("geometries")
    assert polygons is kept.polygons("filters[0].geometries")
    assert [geometry.bounds for geometry in polygons.geometries] == [(0, 0, 1, 1)] * 2 + [(5, 5, 6, 6)]
    assert list(polygons.wkb_sizes) == [93] * 3


def test_errors_name_the_field_of_the_request_each_time() -> None:
    store = Uploads()
    with store.receive("") as arrival:
        arrival.add(areas(1))
        arrival.add(areas(1, shapely.to_wkb(shapely.Point(1, 2))))
        kept = arrival.keep()
    for field in ("geometries", "filters[0].geometries"):
        error = fails(ErrorCode.BAD_GEOMETRY, "geometry 2 is a POINT, not a polygon", kept.polygons, field)
        assert error.field == f"{field}.wkb[1]"


def test_many_threads_at_once() -> None:
    store = Uploads(Limits(total_bytes=10 << 20))
    rng = np.random.default_rng(0)

    def work(number: int) -> None:
        for _ in range(50):
            one = upload(store, f"caller {number % 3}", int(rng.integers(1, 20)))
            assert store.find(one.id, one.caller, "f").polygons("f") is one.polygons("f")
            store.drop(one.id, one.caller)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(16)))
    assert store.counts() == {"uploads": 0, "upload_bytes": 0}


def test_processes_share_them(tmp_path: Path) -> None:
    limits = Limits()
    one, other = (Uploads(limits, shared=SharedAreas(tmp_path, limits.seconds)) for _ in range(2))
    mine = upload(one, "me", count=3)
    found = other.find(mine.id, "me", "f")
    assert (found.areas, found.nbytes) == (3, mine.nbytes)
    assert other.find(mine.id, "me", "f") is found
    assert shapely.equals(found.polygons("f").geometries, mine.polygons("f").geometries).tolist() == [True] * 3
    for store in (one, other):
        fails(ErrorCode.UPLOAD_NOT_FOUND, "there is no such upload", store.find, mine.id, "you", "f")
    [file] = tmp_path.iterdir()
    assert mine.id not in file.name
    other.drop(mine.id, "me")
    fails(ErrorCode.UPLOAD_NOT_FOUND, "there is no such upload", one.find, mine.id, "me", "f")
    assert list(tmp_path.iterdir()) == []


def test_what_no_process_uses_is_forgotten_by_all(tmp_path: Path) -> None:
    limits, clock = Limits(), Clock()
    one, other = (Uploads(limits, clock, SharedAreas(tmp_path, limits.seconds)) for _ in range(2))
    kept, gone = upload(one), upload(one)
    for file in tmp_path.iterdir():
        os.utime(file, (0, time.time() - limits.seconds + 5))
    clock.now += limits.seconds - 5
    assert other.find(kept.id, "", "f").areas == kept.areas  # used by one, kept for all
    for file in tmp_path.iterdir():
        if time.time() - file.stat().st_mtime > 60:
            os.utime(file, (0, time.time() - limits.seconds - 1))
    clock.now += 10
    fails(ErrorCode.UPLOAD_NOT_FOUND, "there is no such upload", other.find, gone.id, "", "f")
    assert one.find(kept.id, "", "f").areas == kept.areas
    assert one.counts()["uploads"] == 1
    assert len(list(tmp_path.iterdir())) == 1
