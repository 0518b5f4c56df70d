"""Areas that are too many for a ticket go up before it, and are dropped after it."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shapely
from pyarrow import flight

import rasterflight as rf
from rasterflight import _deadline, _uploads
from rasterflight._deadline import Deadline
from rasterflight._uploads import SentRequest
from rasterflight.errors import (
    BadGeometryError,
    LimitExceededError,
    ProtocolError,
    RasterflightError,
    UploadNotFoundError,
)
from rasterflight_protocol import BandField, chips_schema
from rasterflight_protocol.schemas import AREAS_KEY
from rasterflight_protocol.v1.read_pb2 import BBox, BBoxes, Filter, Geometries, ReadRequest
from support.fake_server import Answers, batch, collection, failure, pixels, row

SCHEMA = chips_schema([BandField("red", "uint16", "0")])
ROWS = batch(SCHEMA, row(red=pixels(2, 2)))
DROPPED = ("upload.drop", b"u1")


def areas(count: int = 40) -> list[bytes]:
    return list(shapely.to_wkb(shapely.box(np.arange(count), 0.0, np.arange(count) + 1.0, 1)))


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[rf.Collection, Answers]]:
    monkeypatch.setattr(_uploads, "TICKET_BYTES", 2000)
    with collection(SCHEMA, ROWS) as (toy, answers):
        yield toy, answers


def test_few_areas_ride_in_the_ticket(toy: tuple[rf.Collection, Answers]) -> None:
    collection, answers = toy
    collection.read(areas(3), bands=["red"]).read_all()
    assert len(answers.requests[-1].geometries.wkb.values) == 3
    assert not answers.uploads
    assert not answers.actions


def test_many_go_up_and_are_dropped_when_the_read_is_over(toy: tuple[rf.Collection, Answers]) -> None:
    collection, answers = toy
    stream = collection.read(areas(), bands=["red"])
    assert not answers.actions, "the read is not over"
    assert stream.read_all().num_rows == 1
    stream.close()
    [(path, table)] = answers.uploads
    assert path == [b"areas"]
    assert table["geometry"].to_pylist() == areas()
    assert table.schema.metadata[AREAS_KEY] == b"40"
    [request] = answers.requests
    assert (request.geometries.crs, request.geometries.upload) == ("OGC:CRS84", "u1")
    assert answers.actions == [DROPPED]


def test_they_are_dropped_when_the_reader_has_enough(toy: tuple[rf.Collection, Answers]) -> None:
    collection, answers = toy
    with collection.read(areas(), bands=["red"]):
        assert not answers.actions
    assert answers.actions == [DROPPED]


def test_a_plan_leaves_them_to_its_endpoints(toy: tuple[rf.Collection, Answers]) -> None:
    collection, answers = toy
    collection.plan(areas(), bands=["red"])
    assert answers.requests[-1].geometries.upload == "u1"
    assert not answers.actions


def test_filters_go_up_when_they_are_used(toy: tuple[rf.Collection, Answers]) -> None:
    collection, answers = toy
    part = collection.subset(ids=["a"]).subset(geometries=areas())
    assert not answers.uploads
    for _ in range(2):
        part.read(areas(2), bands=["red"]).read_all()
    assert len(answers.uploads) == 2
    assert answers.actions == [DROPPED, DROPPED]
    assert [len(request.geometries.wkb.values) for request in answers.requests] == [2, 2]
    assert [request.filters[1].geometries.upload for request in answers.requests] == ["u1", "u1"]


def test_what_the_server_says_of_them_names_the_field(toy: tuple[rf.Collection, Answers]) -> None:
    collection, answers = toy
    answers.upload = failure("LIMIT_EXCEEDED", "an upload has more than 9 areas", hint="less", field="")
    with pytest.raises(LimitExceededError, match="more than 9 areas") as caught:
        collection.read(areas(), bands=["red"])
    assert caught.value.field == "geometries"
    with pytest.raises(LimitExceededError) as caught:
        collection.subset(cloud_cover_lt=5).subset(geometries=areas()).plan(bands=["red"])
    assert caught.value.field == "filters[1].geometries"
    assert not answers.requests


def test_one_that_went_up_is_dropped_when_the_next_cannot(
    toy: tuple[rf.Collection, Answers], monkeypatch: pytest.MonkeyPatch
) -> None:
    collection, answers = toy
    put_areas = collection._connection.put_areas

    def once(*arguments: object) -> object:
        if answers.uploads:
            raise BadGeometryError("no more")
        return put_areas(*arguments)

    monkeypatch.setattr(collection._connection, "put_areas", once)
    with pytest.raises(BadGeometryError, match="no more"):
        collection.subset(geometries=areas()).read(areas(), bands=["red"])
    assert answers.actions == [DROPPED]


def test_without_room_they_ride_in_the_ticket(toy: tuple[rf.Collection, Answers]) -> None:
    collection, answers = toy
    answers.upload = failure("BUSY", "no room", flight.FlightUnavailableError, retryable=True)
    assert collection.read(areas(), bands=["red"]).read_all().num_rows == 1
    assert len(answers.requests[-1].geometries.wkb.values) == 40
    assert not answers.actions


def test_a_server_that_does_not_know_them_gets_them_in_the_ticket(toy: tuple[rf.Collection, Answers]) -> None:
    collection, answers = toy
    answers.lost = failure("UPLOAD_NOT_FOUND", "there is no such upload")
    assert collection.read(areas(), bands=["red"]).read_all().num_rows == 1
    collection.plan(areas(), bands=["red"])
    sources = [request.geometries.WhichOneof("source") for request in answers.requests]
    assert sources == ["upload", "wkb"] * 2
    assert answers.actions == [DROPPED, DROPPED]


def test_an_upload_of_ones_own_is_not_looked_for_again(toy: tuple[rf.Collection, Answers]) -> None:
    collection, answers = toy
    answers.lost = failure("UPLOAD_NOT_FOUND", "there is no such upload")
    sent = SentRequest(
        collection._connection, ReadRequest(collection="toy", geometries=Geometries(upload="x")), Deadline(None)
    )
    assert not sent.has_uploads
    with pytest.raises(UploadNotFoundError):
        collection._connection.plan(sent.message, None)


@pytest.mark.parametrize("answer", [None, b"", b"\xff"])
def test_a_server_that_gives_no_id(toy: tuple[rf.Collection, Answers], answer: bytes | None) -> None:
    collection, answers = toy
    answers.upload = answer
    with pytest.raises(ProtocolError, match="it took areas, and gave no id"):
        collection.read(areas(), bands=["red"])


def test_a_server_that_goes_away_during_the_read(toy: tuple[rf.Collection, Answers]) -> None:
    collection, answers = toy
    stream = collection.read(areas(), bands=["red"])
    answers.error = failure("DRAINING", "shutting down", flight.FlightUnavailableError)
    stream.read_all()
    assert not answers.actions


def test_an_upload_counts_towards_the_timeout(
    toy: tuple[rf.Collection, Answers], monkeypatch: pytest.MonkeyPatch
) -> None:
    collection, _ = toy
    connection = collection._connection
    given: list[float | None] = []
    monkeypatch.setattr(_deadline.time, "monotonic", lambda: 100.0 + 3 * len(given))
    put_areas, opened = connection.put_areas, connection.open

    def put(make: Any, deadline: _deadline.Deadline) -> object:
        given.append(deadline.left)
        return put_areas(make, deadline)

    def start(request: ReadRequest, timeout: float | None, *, aligned: bool) -> object:
        given.append(timeout)
        return opened(request, timeout, aligned=aligned)

    monkeypatch.setattr(connection, "put_areas", put)
    monkeypatch.setattr(connection, "open", start)
    collection.read(areas(), bands=["red"], timeout=10).read_all()
    assert given == [10, 7]
    given.clear()
    with suppress(RasterflightError):  # too late it is, but a fast server may still manage
        collection.read(areas(), bands=["red"], timeout=3).read_all()
    # nothing is left once they are up, if there was enough for that
    assert given in ([3], [3, 1e-3])


def message(*boxes: tuple[float, float, float, float]) -> ReadRequest:
    names = ("minx", "miny", "maxx", "maxy")
    values = [BBox(**dict(zip(names, box, strict=True))) for box in boxes]
    return ReadRequest(collection="toy", geometries=Geometries(crs="OGC:CRS84", bboxes=BBoxes(values=values)))


def test_boxes_go_up_as_polygons(toy: tuple[rf.Collection, Answers]) -> None:
    collection, answers = toy
    boxes = [(float(n), -n / 3, n + 0.1, n + 2.0) for n in range(100)]
    request = message(*boxes)
    sent = SentRequest(collection._connection, request, Deadline(None))
    assert sent.message.geometries.upload == "u1"
    assert len(request.geometries.bboxes.values) == 100, "the caller's is not changed"
    [(_, table)] = answers.uploads
    assert table["geometry"].to_pylist() == list(shapely.to_wkb(shapely.box(*np.array(boxes).T), byte_order=1))


def test_boxes_across_the_antimeridian_stay(toy: tuple[rf.Collection, Answers]) -> None:
    collection, answers = toy
    request = message(*[(170.0, 0.0, -170.0, 1.0)] * 100)
    sent = SentRequest(collection._connection, request, Deadline(None))
    assert sent.message is request
    assert not answers.uploads


def test_large_areas_come_in_several_batches() -> None:
    values = pa.array([bytes(1 << 20)] * 10, pa.binary())
    schema, batches = _uploads._stream(values)
    sizes = [len(part) for part in batches]
    assert (sum(sizes), max(sizes)) == (10, 3)
    assert schema.metadata == {AREAS_KEY: b"10"}


def test_only_what_is_large_goes_up(toy: tuple[rf.Collection, Answers]) -> None:
    collection, _ = toy
    request = message((0, 0, 1, 1))
    request.filters.append(Filter(geometries=Geometries(crs="OGC:CRS84", wkb={"values": areas()})))
    sent = SentRequest(collection._connection, request, Deadline(None))
    assert sent.message.geometries == request.geometries
    assert sent.message.filters[0].geometries.upload == "u1"
