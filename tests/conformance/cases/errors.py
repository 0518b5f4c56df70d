"""What a client can do wrong, and files that cannot be read."""

import math

import shapely
from google.protobuf.any_pb2 import Any

from conformance.cases.case import Case
from conformance.cases.chips import BOX
from conformance.cases.requests import boxes, read, shapes, windows
from rasterflight_protocol.v1 import read_pb2 as pb


def _ny(**fields: object) -> pb.ReadRequest:
    return read("ny", ["red"], **{"geometries": boxes(BOX)} | fields)


def _points(**fields: object) -> pb.ReadRequest:
    points = {"crs": "OGC:CRS84", "x": [-74.0], "y": [40.7]} | fields
    return pb.ReadRequest(collection="ny", bands=["red"], layout=pb.LAYOUT_POINTS, points=points)


def _broken(record: str) -> pb.ReadRequest:
    return read("broken", ["value"], ids=[record])


def _wkb(shape: shapely.Geometry | bytes) -> pb.ReadRequest:
    return _ny(geometries=shapes(shape))


_LINE = shapely.LineString([(-74, 40), (-73, 41)])
_NO_REQUEST = "the JSON ticket is not a ReadRequest: "
_OTHER_MESSAGE = Any()
_OTHER_MESSAGE.Pack(pb.BBox(minx=1))

_TICKETS = [
    Case("errors/no-ticket", "bytes that are neither", None, data=b"\x00\x01\x02 junk"),
    Case("errors/empty-ticket", "no bytes", None, data=b""),
    Case("errors/another-message", "an Any that holds something else", None, data=_OTHER_MESSAGE.SerializeToString()),
    Case(
        "errors/unknown-field",
        "a JSON ticket with a field that there is not",
        None,
        data=b'{"collection": "ny", "band": ["red"]}',
        begins=_NO_REQUEST,
    ),
    Case(
        "errors/unknown-enum-name",
        "a JSON ticket with a value that there is not",
        None,
        data=b'{"collection": "ny", "layout": "LAYOUT_CUBES"}',
        begins=_NO_REQUEST,
    ),
    Case("errors/broken-json", "JSON that ends too early", None, data=b'{"collection": "ny"', begins=_NO_REQUEST),
]
_REQUESTS = {
    "no-collection": ("no collection", read("", ["red"])),
    "unknown-collection": ("a name that is nearly right", read("nyy", ["red"])),
    "no-bands": ("no band", read("ny", [], geometries=boxes(BOX))),
    "band-twice": ("a band twice", read("ny", ["red", "red"], geometries=boxes(BOX))),
    "unknown-band": ("a band that there is not", read("ny", ["rde"], geometries=boxes(BOX))),
    "unknown-layout": ("a number that is no layout", _ny(layout=99)),
    "unknown-on-error": ("a number that is no choice", _ny(on_error=99)),
    "unknown-compression": ("a number that is no codec", _ny(compression=99)),
    "unknown-resampling": ("a number that is no resampling", _ny(grid={"target_crs": "EPSG:3857", "resampling": 99})),
    "bad-shard": ("a part that there is not", _ny(shard={"index": 2, "count": 2})),
    "bad-batch-bytes": ("a batch of one byte", _ny(batch_bytes=1)),
    "bands-of-records": (
        "the records layout has no bands",
        pb.ReadRequest(collection="ny", bands=["red"], layout=pb.LAYOUT_RECORDS),
    ),
    "points-as-chips": (
        "points in a request for chips",
        pb.ReadRequest(collection="ny", bands=["red"], points={"crs": "OGC:CRS84", "x": [0], "y": [0]}),
    ),
    "no-points": (
        "a request for points without any",
        pb.ReadRequest(collection="ny", bands=["red"], layout=pb.LAYOUT_POINTS),
    ),
    "x-without-y": ("two x and one y", _points(x=[1, 2])),
    "bad-distance": ("a negative distance", _points(max_distance_pixels=-1)),
    "inverted-dates": (
        "a range that ends before it begins",
        _ny(filters=[pb.Filter(date_range={"start": "2019-01-01", "end": "2018-01-01"})]),
    ),
    "bad-date": ("a date that is none", _ny(filters=[pb.Filter(), pb.Filter(date_range={"start": "yesterday"})])),
    "bad-cloud-cover": ("beyond 100", _ny(filters=[pb.Filter(cloud_cover_lt=200)])),
    "no-split-column": ("a column that there is not", _ny(filters=[pb.Filter(split=["train"])])),
    "bad-cql2": ("no CQL2", _ny(filters=[pb.Filter(where="crs =")])),
    "unknown-column": (
        "CQL2 on a column that there is not",
        _ny(filters=[pb.Filter(where="\"landsat:wrs-path\" = '013'")]),
    ),
    "bad-resolution": ("pixels of no size", _ny(grid={"resolution": [0]})),
    "bounds-and-anchor": ("two fields that say the same", _ny(grid={"bounds": {"maxx": 1, "maxy": 2}, "anchor": [0]})),
    "empty-window": ("a window without pixels", _ny(geometries=None, windows=windows((0, 0, 5, 0)))),
    "bad-start": ("a place of no snapshot", _ny(start={"records": 1})),
    "unknown-column-of-rows": ("a column that the layout does not have", _ny(columns=["record_id", "hight"])),
    "column-twice": ("a column twice", _ny(columns=["record_id", "record_id"])),
    "unknown-geometry-id": ("a number that no area has", _ny(geometry_ids=[2])),
    "pixels-of-several-grids": (
        "the bands of a pixel must be on one grid",
        read("s2-34", ["B01", "red"], geometries=boxes((23.5, 32.0, 23.52, 32.02)), layout=pb.LAYOUT_PIXELS),
    ),
    "no-crs": ("areas without a CRS", _ny(geometries=boxes(BOX, crs=""))),
    "unknown-crs": ("a CRS that PROJ does not know", _ny(geometries=boxes(BOX, crs="EPSG:1"))),
    "unknown-target-crs": ("the same for the target", _ny(grid={"target_crs": "EPSG:1"})),
    "inverted-box": ("minx > maxx", _ny(geometries=boxes((-70.0, 40.6, -73.9, 40.8)))),
    "nan-box": ("a box with NaN", _ny(geometries=boxes((-74.1, math.nan, -73.9, 40.8)))),
    "not-wkb": ("bytes that are no WKB", _wkb(b"\x01\x02")),
    "line": ("a line is no area", _wkb(_LINE)),
    "point": ("a point is none either", _wkb(shapely.Point(-74, 40.7))),
    "empty-polygon": ("an empty polygon", _wkb(shapely.Polygon())),
    "too-many-pixels": ("pixels of a millimetre", _ny(grid={"resolution": [1e-3]})),
    "too-far-around": ("too many pixels around points", _points(max_distance_pixels=800)),
    "unknown-record": ("an id that there is not", _ny(filters=[pb.Filter(ids=["nope"])])),
    "unknown-upload": ("areas that never went up", _ny(geometries=pb.Geometries(crs="OGC:CRS84", upload="nope"))),
    "stale-snapshot": ("a snapshot that is not served", _ny(snapshot="old")),
    "elsewhere": ("areas where no record is", _ny(geometries=boxes((1, 1, 2, 2)))),
    "no-record-then": ("no record in these days", _ny(filters=[pb.Filter(date_range={"start": "2030-01-01"})])),
    "window-outside": ("a window outside of all rasters", _ny(geometries=None, windows=windows((9999, 0, 5, 5)))),
    "rotated": ("areas on a rotated grid", read("rotated", ["value"], geometries=boxes((3.0, 51.4, 3.1, 51.5)))),
    "file-not-found": ("a file that is gone", _broken("lost")),
    "file-corrupt": ("a file that does not decode", _broken("damaged")),
    "file-changed": ("a file that is not the one that was indexed", _broken("changed")),
    "first-of-several": ("the first record that cannot be read ends the read", read("broken", ["value"])),
}

CASES = [
    *_TICKETS,
    *(Case(f"errors/{name}", shows, request) for name, (shows, request) in _REQUESTS.items()),
    Case(
        "errors/exchange-of-chips",
        "an exchange is for points",
        pb.ReadRequest(collection="ny", bands=["red"]),
        exchange=({"x": [-74.0], "y": [40.7]},),
    ),
    Case(
        "errors/exchange-of-nan",
        "a point that is nowhere, in the second set: numbered on",
        pb.ReadRequest(collection="ny", bands=["red"], layout=pb.LAYOUT_POINTS, points={"crs": "OGC:CRS84"}),
        exchange=({"x": [-74.0], "y": [40.7]}, {"x": [math.inf], "y": [40.7]}),
    ),
    Case("errors/deadline", "a call that may take a millisecond", _ny(), timeout=0.001),
]
