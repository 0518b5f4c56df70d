"""Requests that are right, and what becomes of them when anything in them may be anything."""

import json
import random
import struct
from collections.abc import Iterator
from typing import Any

import shapely
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as Any_
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from rasterflight_protocol import pack
from rasterflight_protocol.v1.read_pb2 import ReadRequest

RECORD = "LC08_L1TP_013032_20180405_20180417_01_T1"
NEW_YORK = {"minx": -74.3, "miny": 40.4, "maxx": -73.5, "maxy": 41.0}
TRIANGLE = shapely.Polygon([(-74.2, 40.5), (-73.6, 40.6), (-74.0, 40.9)])
SHAPES = [
    TRIANGLE,
    shapely.box(-74, 40.5, -73.8, 40.8),
    shapely.MultiPolygon([TRIANGLE, shapely.box(-73.55, 40.4, -73.5, 40.45)]),
    TRIANGLE.difference(shapely.Point(-73.9, 40.65).buffer(0.05, 2)),
    shapely.force_3d(TRIANGLE),
    shapely.Point(-74, 40.7),
    shapely.GeometryCollection([TRIANGLE]),
    shapely.Polygon(),
]
WKB = [shapely.to_wkb(shape) for shape in SHAPES]

DOUBLES = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    30.0,
    180.0,
    -180.0,
    181.0,
    90.0,
    5e5,
    4.5e6,
    1e-9,
    1e-300,
    5e-324,
    1e17,
    1e300,
    1.7e308,
]
DOUBLES += [float("nan"), float("inf"), float("-inf")]
INTEGERS = [
    0,
    1,
    -1,
    2,
    3,
    7,
    10,
    16,
    64,
    255,
    4096,
    65536,
    1 << 20,
    (1 << 31) - 1,
    -(1 << 31),
    1 << 31,
    1 << 40,
    (1 << 53) + 1,
]
INTEGERS += [(1 << 63) - 1, -(1 << 63), (1 << 62)]
TEXTS = [
    "",
    " ",
    "x",
    "\0",
    "ü\u202e\U0001f30d",
    "a" * 999,
    "b" * 5000,
    "../../etc/passwd",
    "/etc/passwd",
    "%s%n{0}{x!r}",
    "'; --",
    "\r\n",
    "NaN",
    "null",
    "-1",
]
#: Values that a field of the name takes, and some that it nearly takes.
KNOWN: dict[str, list[str]] = {
    "collection": ["ny", "ny", "ny", "naip", "NY", "nope"],
    "bands": ["red", "green", "blue", "nir08", "qa", "rde", "red "],
    "crs": ["OGC:CRS84", "EPSG:4326", "EPSG:32618", "EPSG:3857", "EPSG:1", "EPSG:32661", "+proj=merc", "+proj=ob_tran +o_proj=longlat +o_lon_p=0", "+proj=pipeline +step +proj=axisswap", "EPSG:4979", "EPSG:5773", '{"type": "GeographicCRS"}', "GEOGCRS[", "urn:ogc:def:crs:EPSG::4326"],
    "ids": [RECORD, "nope", RECORD[:-1]],
    "where": ["crs = 'x'", "datetime > TIMESTAMP('2018-05-01T00:00:00Z')", "landsat:wrs_path = '013'", "S_INTERSECTS(geometry, BBOX(-75, 40, -73, 41))", "id LIKE 'LC08%'", "NOT (id IS NULL)", "((((id = 'x'))))", "1 = 1", "1 / 0 = 1", '{"op":"=","args":[{"property":"id"},"x"]}', '{"op":"s_intersects","args":[{"property":"geometry"},{"type":"Point","coordinates":[1]}]}', "A_CONTAINS(id, ('a'))", "T_AFTER(datetime, DATE('2018-13-01'))", "casei(id) = accenti('ü')", "id IN ()", "eo:cloud_cover BETWEEN 1 AND"],
    "start": ["2018-01-01", "2018-05", "2018-05-01T00:00:00Z", "0000-00-00", "9999-12-31T23:59:60Z", "+12018-01-01", "2018-02-30"],
    "end": ["2019-01-01", "2018-06-01T00:00:00+14:00", "0001-01-01", "99999"],
    "split": ["train", "test"],
    "split_column": ["split", "id", "geometry", "datetime", "nope"],
    "snapshot": ["", "new", "0" * 16],
    "upload": ["nope", "0" * 32, ""],
}  # fmt: skip
KNOWN["target_crs"] = KNOWN["crs"]
KNOWN["key"] = KNOWN["bands"]


def bases() -> list[ReadRequest]:
    """A request of every kind that is answered."""
    geometries = {"crs": "OGC:CRS84", "bboxes": {"values": [NEW_YORK]}}
    polygons = {"crs": "OGC:CRS84", "wkb": {"values": WKB[:4]}}
    points = {"crs": "OGC:CRS84", "x": [-74.0, -73.8, 0.0], "y": [40.7, 40.6, 0.0]}
    dates = {"date_range": {"start": "2018-04-01", "end": "2018-10-31"}}
    grid = {"crs": "EPSG:3857", "transform": [3000, 0, -8270000, 0, -3000, 5010000], "width": 20, "height": 20}
    parts: list[dict[str, Any]] = [
        {},
        {"geometries": geometries},
        {"geometries": polygons, "filters": [dates], "batch_bytes": 65536},
        {"geometries": polygons, "grid": {"all_touched": True, "masked": True}, "shard": {"index": 1, "count": 2}},
        {"windows": {"values": [{"col_off": 3, "row_off": 2, "width": 20, "height": 10}]}},
        {"filters": [{"ids": [RECORD]}, {"where": "landsat:wrs_path = '013'", "bbox": NEW_YORK}], "on_error": 2},
        {"layout": 2, "bands": [], "filters": [dates, {"geometries": polygons}]},
        {"layout": 3, "points": points},
        {"layout": 3, "points": points | {"match": 2, "max_distance_pixels": 2, "neighbourhood": 2}},
        {"layout": 4, "geometries": polygons},
        {"geometries": geometries, "grid": {"target_crs": "EPSG:3857", "resolution": [3000], "common": True}},
        {"geometries": polygons, "grid": {"target_crs": "EPSG:4326", "resolution": [0.03, 0.02], "resampling": 3, "whole_areas": True, "anchor": [0, 0]}},
        {"grid": {"grid": grid, "band_resampling": {"red": 4}, "values": 2}, "compression": 2},
        {"geometries": geometries, "grid": {"resolution": [6000], "bounds": {"minx": 5e5, "miny": 4.4e6, "maxx": 7e5, "maxy": 4.6e6}}},
        {"windows": {"values": [{"width": 5, "height": 5}]}, "grid": {"grid": grid, "part": {"minx": -8270000, "miny": 4970000, "maxx": -8240000, "maxy": 5010000}}},
        {"start": {"snapshot": "new", "batch_bytes": 65536, "records": 1, "rows": 1, "bytes": 100}, "geometries": geometries},
    ]  # fmt: skip
    return [ReadRequest(**{"collection": "ny", "bands": ["red", "nir08"]} | part) for part in parts]


_BASES = bases()


def request(rng: random.Random) -> ReadRequest:
    """A request: made up, or one that is right with some of its fields changed."""
    made = ReadRequest()
    if rng.random() < 0.15:
        _fill(rng, made, 0)
        if rng.random() < 0.8:
            made.collection = "ny"
        return made
    made.CopyFrom(rng.choice(_BASES))
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 6))):
        _change(rng, made)
    return made


def ticket(rng: random.Random) -> bytes:
    """A ticket: a request as protobuf or JSON, perhaps damaged."""
    chance = rng.random()
    made = rng.choice(_BASES) if rng.random() < 0.3 else request(rng)
    if chance < 0.72:
        return pack(made)
    if chance < 0.8:
        # The envelope whole, what is in it not.
        envelope = Any_()
        envelope.Pack(made)
        envelope.value = damaged(rng, envelope.value)
        return envelope.SerializeToString()
    if chance < 0.86:
        return damaged(rng, pack(made) if rng.random() < 0.8 else rng.randbytes(rng.randrange(200)))
    return _json(rng, made)


def damaged(rng: random.Random, data: bytes) -> bytes:
    """The same bytes with some of them changed, left out, doubled or made up."""
    raw = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(raw) + 1)
        match rng.randrange(7):
            case 0 if at < len(raw):
                raw[at] ^= 1 << rng.randrange(8)
            case 1:
                raw[at : at + 1] = bytes([rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))])
            case 2:
                del raw[at : at + rng.choice((1, 2, 8, 64))]
            case 3:
                raw[at:at] = raw[at : at + rng.choice((1, 8, 64))] * rng.choice((1, 2, 20))
            case 4:
                raw[at:at] = rng.randbytes(rng.randrange(9))
            case 5:
                raw[at : at + 8] = struct.pack("<q", rng.choice(INTEGERS))
            case _ if rng.random() < 0.3:
                del raw[at:]
            case _:
                raw[at : at + 4] = struct.pack("<I", rng.choice(INTEGERS) & 0xFFFFFFFF)
    return bytes(raw)


def _json(rng: random.Random, made: ReadRequest) -> bytes:
    text = json_format.MessageToJson(made, indent=None)
    chance = rng.random()
    if chance < 0.25:
        return damaged(rng, text.encode())
    if chance < 0.9:
        root = json.loads(text)
        for _ in range(rng.choice((1, 1, 2, 4))):
            holder, key = rng.choice(list(_places(root)) or [(root, "collection")])
            holder[key] = rng.choice(
                [
                    None,
                    {},
                    [],
                    [[]],
                    {"x": 1},
                    True,
                    rng.choice(DOUBLES),
                    rng.choice(INTEGERS),
                    rng.choice(TEXTS),
                    "AAA",
                    [1, "x", None],
                ]
            )
        return json.dumps(root).encode()
    deep = rng.choice((10, 99, 101, 5000))
    return rng.choice((b'{"geometries":' * deep, b'{"filters":[' * deep, b'{"x":' + b"[" * deep, text.encode() * 2))


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(node) if isinstance(node, dict) else range(len(node)):
        yield node, key
        if isinstance(node[key], dict | list):
            yield from _places(node[key])


def _change(rng: random.Random, message: Message) -> None:
    """Change one field, of the message itself or of one inside."""
    inner = [value for field, value in message.ListFields() if field.message_type and not _is_map(field)]
    inside = [one for value in inner for one in ([value] if isinstance(value, Message) else list(value))]
    if inside and rng.random() < 0.75:
        _change(rng, rng.choice(inside))
        return
    field = rng.choice(message.DESCRIPTOR.fields)
    if rng.random() < 0.15:
        message.ClearField(field.name)
    else:
        _set(rng, message, field, 1)


def _fill(rng: random.Random, message: Message, depth: int) -> None:
    for field in message.DESCRIPTOR.fields:
        if rng.random() < 0.3:
            _set(rng, message, field, depth)


def _set(rng: random.Random, message: Message, field: FieldDescriptor, depth: int) -> None:
    if _is_map(field):
        getattr(message, field.name)[_text(rng, "key")] = rng.choice((0, 1, 2, 5, 9, -1))
    elif field.message_type:
        if not field.is_repeated:
            inner = getattr(message, field.name)
            inner.SetInParent()
            _fill(rng, inner, depth + 1)
            return
        for _ in range(rng.choice((0, 1, 1, 2, 40))):
            _fill(rng, getattr(message, field.name).add(), depth + 1)
    elif field.is_repeated:
        values = getattr(message, field.name)
        if rng.random() < 0.5:
            del values[:]
        values.extend(_scalar(rng, field) for _ in range(rng.choice((0, 1, 2, 2, 3, 6, 300))))
    else:
        setattr(message, field.name, _scalar(rng, field))


def _scalar(rng: random.Random, field: FieldDescriptor) -> Any:  # noqa: PLR0911 - one for each type
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_DOUBLE:
            return rng.choice(DOUBLES) if rng.random() < 0.6 else rng.uniform(-200, 200)
        case FieldDescriptor.CPPTYPE_INT64:
            return rng.choice(INTEGERS)
        case FieldDescriptor.CPPTYPE_INT32:
            return (rng.choice(INTEGERS) + (1 << 31)) % (1 << 32) - (1 << 31)
        case FieldDescriptor.CPPTYPE_ENUM:
            return rng.choice((0, 1, 2, 3, 4, 5, 6, 99, -1))
        case FieldDescriptor.CPPTYPE_BOOL:
            return rng.random() < 0.5
        case _ if field.type == FieldDescriptor.TYPE_BYTES:
            return wkb(rng)
        case _:
            return _text(rng, field.name)


def wkb(rng: random.Random) -> bytes:
    """A geometry as WKB, perhaps damaged."""
    value = rng.choice(WKB)
    return damaged(rng, value) if rng.random() < 0.6 else value


def _text(rng: random.Random, name: str) -> str:
    chance = rng.random()
    if chance < 0.6 and name in KNOWN:
        return rng.choice(KNOWN[name])
    if chance < 0.7:
        return rng.choice(rng.choice(list(KNOWN.values())))
    if chance < 0.8 and name in KNOWN:
        return damaged(rng, rng.choice(KNOWN[name]).encode()).decode(errors="replace")
    return rng.choice(TEXTS)


def _is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)
