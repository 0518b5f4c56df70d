"""Tickets: Any and JSON in, clear words for everything else."""

import pytest
from google.protobuf.any_pb2 import Any
from hypothesis import given
from hypothesis import strategies as st

from rasterflight_protocol import TicketError, pack, unpack
from rasterflight_protocol.v1.plan_pb2 import Plan
from rasterflight_protocol.v1.read_pb2 import LAYOUT_RECORDS, BBox, BBoxes, Filter, Geometries, ReadRequest


def example() -> ReadRequest:
    return ReadRequest(
        collection="s2",
        bands=["B04"],
        geometries=Geometries(crs="OGC:CRS84", bboxes=BBoxes(values=[BBox(minx=1, miny=2, maxx=3, maxy=4)])),
        filters=[Filter(cloud_cover_lt=20)],
    )


def test_round_trip() -> None:
    assert unpack(pack(example())) == example()


def test_equal_requests_are_equal_tickets() -> None:
    assert pack(example()) == pack(unpack(pack(example())))


def test_json_typed_by_hand() -> None:
    text = b"""
    {"collection": "s2", "bands": ["B04"],
     "geometries": {"crs": "OGC:CRS84", "bboxes": {"values": [{"minx": 1, "miny": 2, "maxx": 3, "maxy": 4}]}},
     "filters": [{"cloudCoverLt": 20}]}
    """
    assert unpack(text) == example()
    assert unpack(b'{"collection": "s2", "layout": "LAYOUT_RECORDS"}').layout == LAYOUT_RECORDS


@pytest.mark.parametrize(
    ("ticket", "words"),
    [
        (b"", "the ticket holds 'nothing', expected 'rasterflight.v1.ReadRequest'"),
        (b"junk\xff\xff", "the ticket is neither a google.protobuf.Any nor the JSON form"),
        (b'{"colection": "s2"}', 'no field named "colection"'),
        (b'{"layout": "LAYOUT_TENSOR"}', "Invalid enum value LAYOUT_TENSOR"),
        (b'{"collection": 5}', "collection"),
        (b'{"collection": "s2"', "the JSON ticket is not a ReadRequest"),
        (b"{\xff}", "the JSON ticket is not a ReadRequest"),
    ],
)
def test_bad_tickets(ticket: bytes, words: str) -> None:
    with pytest.raises(TicketError) as caught:
        unpack(ticket)
    assert words in str(caught.value)


def test_other_messages_are_named() -> None:
    other = Any()
    other.Pack(Plan())
    with pytest.raises(TicketError, match=r"holds 'rasterflight\.v1\.Plan'"):
        unpack(other.SerializeToString())


def test_damaged_request_inside() -> None:
    envelope = Any(type_url="type.googleapis.com/rasterflight.v1.ReadRequest", value=b"\x0a\xff\xff")
    with pytest.raises(TicketError, match="damaged"):
        unpack(envelope.SerializeToString())


@given(st.binary(max_size=200))
def test_any_bytes_are_a_ticket_or_a_ticket_error(ticket: bytes) -> None:
    try:
        request = unpack(ticket)
    except TicketError:
        return
    assert isinstance(request, ReadRequest)
