"""Which records take part."""

from conformance.cases.case import Call, Case, wkb
from conformance.cases.chips import BOX, FIRST, LAST, TRIANGLE
from conformance.cases.requests import box, boxes, read, shapes
from rasterflight_protocol.v1 import read_pb2 as pb

_TEXT = "\"landsat:wrs_path\" = '014' AND datetime < TIMESTAMP('2018-06-01T00:00:00Z')"
_JSON = '{"op": "=", "args": [{"property": "landsat:wrs_row"}, "031"]}'


def _filtered(*filters: pb.Filter) -> pb.ReadRequest:
    return read("ny", ["red"], geometries=boxes(BOX), filters=filters)


def _call(**keywords: object) -> Call:
    return Call({"geometries": BOX, "bands": ["red"], **keywords})


CASES = [
    Case(
        "filters/dates",
        "both ends belong to the range, a date covers its day",
        _filtered(pb.Filter(date_range={"start": "2018-04-28", "end": "2018-07-10"})),
        _call(date_range=["2018-04-28", "2018-07-10"]),
    ),
    Case(
        "filters/open-range",
        "a range without an end",
        _filtered(pb.Filter(date_range={"start": "2018-09-03T00:00:00Z"})),
        _call(date_range=["2018-09-03T00:00:00Z", None]),
    ),
    Case("filters/ids", "two records by their ids", _filtered(pb.Filter(ids=[LAST, FIRST])), _call(ids=[LAST, FIRST])),
    Case("filters/cql2-text", "CQL2 as text", _filtered(pb.Filter(where=_TEXT)), _call(where=_TEXT)),
    Case("filters/cql2-json", "CQL2 as JSON", _filtered(pb.Filter(where=_JSON)), _call(where=_JSON)),
    Case(
        "filters/bbox",
        "footprints that intersect a box",
        read("ny", ["red"], filters=[pb.Filter(bbox=box((-75.5, 42, -75, 42.3)))]),
        Call({"bands": ["red"], "bbox": (-75.5, 42, -75, 42.3)}),
    ),
    Case(
        "filters/geometries",
        "footprints that intersect a polygon; the subset of the Python client is a filter of its own",
        read(
            "ny",
            ["red"],
            geometries=boxes(BOX),
            filters=[pb.Filter(geometries=shapes(TRIANGLE)), pb.Filter(date_range={"end": "2018-05-01"})],
        ),
        Call(
            {"geometries": BOX, "bands": ["red"], "date_range": [None, "2018-05-01"]},
            subset={"geometries": wkb(TRIANGLE)},
        ),
    ),
    Case(
        "filters/cloud-cover",
        "eo:cloud_cover below a number; it comes in the column cloud_cover",
        read("dateline", ["value"], filters=[pb.Filter(cloud_cover_lt=50)]),
        Call({"bands": ["value"], "cloud_cover_lt": 50}),
    ),
    Case(
        "filters/split",
        "one split of a collection",
        read("dateline", ["value"], filters=[pb.Filter(split=["test"])]),
        Call({"bands": ["value"], "split": "test"}),
    ),
    Case(
        "filters/several",
        "filters are combined with AND",
        _filtered(pb.Filter(where="\"landsat:wrs_path\" = '013'"), pb.Filter(date_range={"start": "2018-07-01"})),
        Call(
            {"geometries": BOX, "bands": ["red"], "date_range": ["2018-07-01", None]},
            subset={"where": "\"landsat:wrs_path\" = '013'"},
        ),
    ),
]
