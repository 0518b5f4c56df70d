"""Each batch says where in the read it ends; a stream that starts there gives what comes after it, for every layout and place."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shapely

from rasterflight_protocol import ErrorCode, pack
from rasterflight_protocol.v1.plan_pb2 import Progress
from rasterflight_protocol.v1.read_pb2 import (
    LAYOUT_OUTLINES,
    LAYOUT_PIXELS,
    LAYOUT_POINTS,
    LAYOUT_RECORDS,
    MATCH_LATEST,
    ON_ERROR_SKIP,
    Geometries,
    Points,
    Position,
    ReadRequest,
    Shard,
    WkbList,
)
from rasterflight_server.catalog import Collection
from rasterflight_server.encode import points as points_layout
from rasterflight_server.encode import records as records_layout
from rasterflight_server.encode.records import RecordsStream
from rasterflight_server.errors import RequestError, SourceError
from rasterflight_server.flight.service import Service, is_records
from rasterflight_server.plan import blocks
from support.scenes import noise, write_items, write_scene
from support.server import run_server_command
from support.tables import assert_same

SIDE, SCENES = 300, 4
WEST, NORTH, UTM = 500_000, 5_700_000, "EPSG:32631"
SMALL = 1 << 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("positions")
    for number in range(SCENES):
        write_scene(folder / f"{number}.tif", noise(SIDE, SIDE, number), tile=64, nodata=7)
    items = write_items(folder / "items.json", {f"r{number}": {"B1": f"{number}.tif"} for number in range(SCENES)})
    assert run_server_command("index", items, "--out", folder / "index", "--name", "made").returncode == 0
    return folder


@pytest.fixture
def service(folder: Path) -> Iterator[Service]:
    collection = Collection.open(str(folder / "index"), name="made")
    service = Service({"made": collection})
    yield service
    service.workers.close()
    collection.close()


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records_layout, "BATCH_ROWS", 1)
    monkeypatch.setattr(points_layout, "_ROW_BYTES", 3000)
    monkeypatch.setattr(blocks, "MAX_BATCH_ROWS", 25)


def areas(count: int = 60) -> Geometries:
    rng = np.random.default_rng(5)
    x, y = rng.uniform(WEST, WEST + 2000, count), rng.uniform(NORTH - 2500, NORTH, count)
    return Geometries(crs=UTM, wkb=WkbList(values=shapely.to_wkb(shapely.box(x, y - 700, x + 700, y)).tolist()))


def spots(**fields: Any) -> Points:
    rng = np.random.default_rng(6)
    x, y = rng.uniform(WEST - 500, WEST + 3000, 120), rng.uniform(NORTH - 3000, NORTH + 500, 120)
    return Points(crs=UTM, x=x, y=y, **fields)


REQUESTS = {
    "whole records": {},
    "areas": {"geometries": areas()},
    "a shard": {"geometries": areas(), "shard": Shard(index=1, count=2)},
    "another grid": {"grid": {"target_crs": "EPSG:3857", "resolution": [20]}},
    "outlines": {"geometries": areas(), "layout": LAYOUT_OUTLINES},
    "records": {"layout": LAYOUT_RECORDS, "bands": []},
    "points": {"points": spots(), "layout": LAYOUT_POINTS},
    "newest points": {"points": spots(match=MATCH_LATEST), "layout": LAYOUT_POINTS},
    "pixels": {"geometries": areas(5), "layout": LAYOUT_PIXELS},
    "columns of pixels": {"layout": LAYOUT_PIXELS, "columns": ["x", "B1"]},
}


def read(service: Service, message: ReadRequest) -> tuple[pa.Schema, list[tuple[pa.RecordBatch, Progress]]]:
    request, collection = service.request(pack(message))
    stream = (RecordsStream if is_records(request) else service.pixels)(collection, request)
    told = []
    for batch, progress in stream.batches(lambda: None):
        copy = Progress()
        copy.CopyFrom(progress)
        told.append((batch, copy))
    return stream.schema, told


def message_of(fields: dict[str, Any], **others: Any) -> ReadRequest:
    return ReadRequest(collection="made", **{"bands": ["B1"], "batch_bytes": SMALL, **fields, **others})


def table(schema: pa.Schema, told: list[tuple[pa.RecordBatch, Progress]]) -> pa.Table:
    return pa.Table.from_batches([batch for batch, _ in told], schema)


@pytest.mark.parametrize("name", REQUESTS)
def test_the_rest_comes_from_every_place(service: Service, name: str) -> None:
    schema, whole = read(service, message_of(REQUESTS[name]))
    assert len(whole) > 2
    # of pixels there are many small batches
    step = max(1, len(whole) // 25)
    for number, (_, progress) in list(enumerate(whole))[::step]:
        # what the position pins need not be in the request
        rest_schema, rest = read(service, message_of(REQUESTS[name], batch_bytes=0, start=progress.next))
        assert rest_schema.equals(schema, check_metadata=True)
        assert_same(table(schema, rest), table(schema, whole[number + 1 :]))
        if rest:
            if "pixels" not in name:  # whose places stand before the block that they count on from
                assert rest[-1][1].next.records == whole[-1][1].next.records
                assert rest[-1][1].next.rows == whole[-1][1].next.rows
            # of points it depends on the batches
            assert rest[-1][1].bytes_done == pytest.approx(whole[-1][1].bytes_done, rel=0.01)
            assert rest[0][1].bytes_total == whole[0][1].bytes_total


@pytest.mark.parametrize("name", REQUESTS)
def test_places_that_the_read_does_not_have(service: Service, name: str) -> None:
    snapshot = service.collection("made").snapshot
    places = [{"records": 10**6}, {"records": SCENES + 1}]
    if name not in ("records", "newest points"):
        places += [{"records": SCENES, "rows": 1}, {"rows": 10**6}]
    if "pixels" in name:
        places += [{"pixels": 10**9}]
    for beyond in places:
        start = Position(snapshot=snapshot, **beyond)
        with pytest.raises(RequestError, match=r"start: .* are said to be through \(send back the position") as caught:
            read(service, message_of(REQUESTS[name], start=start))
        assert (caught.value.code, caught.value.field) == (ErrorCode.BAD_REQUEST, "start")


def test_tiles_before_the_place_are_not_read(service: Service) -> None:
    _, whole = read(service, message_of({}))
    before = service.telemetry.snapshot()["tiles_decoded"]
    middle = next(progress.next for _, progress in whole if progress.next.records == SCENES // 2)
    read(service, message_of({}, start=middle))
    decoded = service.telemetry.snapshot()["tiles_decoded"] - before
    tiles = -(-SIDE // 64)
    assert decoded <= SCENES // 2 * tiles**2


@pytest.fixture
def damaged(folder: Path) -> Iterator[None]:
    (folder / "2.tif").rename(folder / "2.away")
    yield
    if (folder / "2.away").exists():
        (folder / "2.away").rename(folder / "2.tif")


SKIPPING = {"points": spots(), "layout": LAYOUT_POINTS, "on_error": ON_ERROR_SKIP}


@pytest.mark.usefixtures("damaged")
def test_records_that_fail_are_one_place(service: Service, folder: Path) -> None:
    schema, whole = read(service, message_of(SKIPPING))
    [failed] = [number for number, (batch, _) in enumerate(whole) if batch["error"].null_count == 0]
    assert whole[failed][1].next.records == 3
    (folder / "2.away").rename(folder / "2.tif")
    # it would not fail any more, and is through all the same
    _, rest = read(service, message_of(SKIPPING, start=whole[failed][1].next))
    assert_same(table(schema, rest), table(schema, whole[failed + 1 :]))
    _, rest = read(service, message_of(SKIPPING, start=whole[failed - 1][1].next))
    assert set(rest[0][0]["record_id"].to_pylist()) == {"r2"}


def test_a_record_that_fails_in_its_middle_is_no_row(service: Service, folder: Path) -> None:
    _, whole = read(service, message_of(SKIPPING))
    inside = next(
        progress.next
        for (_, progress), (following, _) in pairwise(whole)
        if progress.next.rows and progress.next.records == 2 and following["record_id"][0].as_py() == "r2"
    )
    (folder / "2.tif").rename(folder / "2.away")
    try:
        with pytest.raises(SourceError, match="made/r2/B1: the file does not exist"):
            read(service, message_of(SKIPPING, start=inside))
    finally:
        (folder / "2.away").rename(folder / "2.tif")


def test_pixels_have_a_place_in_their_layout_alone(service: Service) -> None:
    start = Position(snapshot=service.collection("made").snapshot, pixels=1)
    with pytest.raises(RequestError, match="start: pixels is 1, and no pixels layout is asked for"):
        read(service, message_of({}, start=start))


def test_pixels_past_failures_have_no_place(service: Service) -> None:
    _, told = read(service, message_of({"layout": LAYOUT_PIXELS, "on_error": ON_ERROR_SKIP}))
    assert told
    assert not any(progress.HasField("next") for _, progress in told)


def test_newest_points_past_failures_have_no_place(service: Service) -> None:
    _, told = read(
        service, message_of({"points": spots(match=MATCH_LATEST), "layout": LAYOUT_POINTS, "on_error": ON_ERROR_SKIP})
    )
    assert told
    assert not any(progress.HasField("next") for _, progress in told)
