"""WKB that is made to hurt is refused before it is parsed, and all other is parsed as it is."""

import struct

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.plan.limits import Allowance
from rasterflight_server.plan.polygons import Polygons
from rasterflight_server.plan.wkb import tamed
from rasterflight_server.settings import RequestLimits

BOX = shapely.box(0, 0, 1, 1)
HOLED = shapely.Polygon(BOX.exterior, [shapely.box(0.2, 0.2, 0.4, 0.4).exterior])
Z = shapely.force_3d(HOLED, 7.0)
SHAPES = [
    BOX,
    HOLED,
    Z,
    shapely.MultiPolygon([BOX, shapely.box(2, 2, 3, 3)]),
    shapely.MultiPolygon([Z]),
    shapely.MultiPolygon([BOX]),
]
COUNTS = [5, 10, 10, 10, 10, 5]


def objects(*values: bytes) -> np.ndarray:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


@pytest.mark.parametrize("byte_order", [0, 1])
@pytest.mark.parametrize("flavor", ["iso", "extended"])
@pytest.mark.parametrize("srid", [False, True])
def test_polygons_stay_as_they_are(byte_order: int, flavor: str, srid: bool) -> None:
    if srid and flavor == "iso":
        return
    shapes = [shapely.set_srid(shape, 4326) if srid else shape for shape in SHAPES]
    for shape, count in zip(shapes, COUNTS, strict=True):
        value = shapely.to_wkb(shape, byte_order=byte_order, flavor=flavor, include_srid=srid)
        values, vertices = tamed(objects(value))
        assert (values[0], vertices) == (value, count)
    parsed = Polygons.from_wkb(objects(*map(shapely.to_wkb, SHAPES)), "geometries").geometries
    assert all(one.equals(shape) for one, shape in zip(parsed, SHAPES, strict=True))


def nested(kind: int, order: str = "<", depth: int = 100_000) -> bytes:
    return struct.pack(f"{order}BII", order == "<", kind, 1) * depth


HOSTILE = {
    "collections": (nested(7), "is a GEOMETRYCOLLECTION, not a polygon"),
    "collections with Z": (nested(1007), "is a GEOMETRYCOLLECTION, not a polygon"),
    "collections of EWKB": (nested(7 | 1 << 31), "is a GEOMETRYCOLLECTION, not a polygon"),
    "collections of high bits": (nested(7 | 1 << 16), "is a GEOMETRYCOLLECTION, not a polygon"),
    "big-endian": (nested(7, ">"), "is a GEOMETRYCOLLECTION, not a polygon"),
    "in hexadecimal": (nested(7).hex().encode(), "is not valid WKB"),
    "of no byte order": (b"\2" + nested(7)[1:], "is not valid WKB"),
    "multipolygons": (nested(6), "is not valid WKB"),
    "a collection in a multipolygon": (struct.pack("<BII", 1, 6, 1) + nested(7), "is not valid WKB"),
    "multipoints": (nested(4), "is a MULTIPOINT, not a polygon"),
    "lines": (nested(5), "is a MULTILINESTRING, not a polygon"),
    "surfaces": (nested(12), "is not valid WKB"),
    "curves": (nested(10), "is not valid WKB"),
    "more points than there are": (struct.pack("<BIII", 1, 3, 1, 2**32 - 1), "is not valid WKB"),
    "more rings than there are": (struct.pack("<BII", 1, 3, 2**32 - 1), "is not valid WKB"),
    "more parts than there are": (struct.pack("<BII", 1, 6, 2**32 - 1), "is not valid WKB"),
    "empty rings": (struct.pack("<BII", 1, 3, 10**6) + bytes(4 * 10**6), "is not valid WKB"),
    "empty parts": (
        struct.pack("<BII", 1, 6, 4 * 10**5) + struct.pack("<BII", 1, 3, 0) * 4 * 10**5,
        "is not valid WKB",
    ),
    "nothing": (b"", "is not valid WKB"),
    "a byte": (b"\1", "is not valid WKB"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_would_hurt_the_parser(case: str) -> None:
    value, words = HOSTILE[case]
    with pytest.raises(RequestError, match="geometry 2") as caught:
        Polygons.from_wkb(objects(shapely.to_wkb(BOX), value), "geometries")
    assert words in caught.value.message
    assert caught.value.code is ErrorCode.BAD_GEOMETRY
    assert caught.value.field == "geometries.wkb[1]"


def test_sizes_and_vertices_are_known_before_anything_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(shapely, "from_wkb")
    with pytest.raises(RequestError, match="geometry 1 takes 9000000 bytes as WKB, the limit is 4194304") as caught:
        Polygons.from_wkb(objects(bytes(9_000_000)), "geometries")
    assert (caught.value.code, caught.value.field) == (ErrorCode.LIMIT_EXCEEDED, "geometries")
    few = Allowance(RequestLimits(vertices=11))
    with pytest.raises(RequestError, match=r"15 vertices of areas, the server gives 11 at a time") as caught:
        Polygons.from_wkb(objects(shapely.to_wkb(BOX), shapely.to_wkb(HOLED)), "geometries", few)
    assert (caught.value.code, caught.value.field) == (ErrorCode.LIMIT_EXCEEDED, "limits.request.vertices")
    assert "simplify the areas" in caught.value.hint


@settings(max_examples=300, deadline=None)
@given(
    shape=st.sampled_from(SHAPES),
    at=st.integers(0, 400),
    byte=st.integers(0, 255),
    cut=st.integers(0, 400),
)
def test_whatever_is_wrong_with_it(shape: shapely.Geometry, at: int, byte: int, cut: int) -> None:
    """It is left, or set aside; what is counted fits into it, and what is left can be given to the parser."""
    value = bytearray(shapely.to_wkb(shape))
    value[at % len(value)] = byte
    damaged = bytes(value[: len(value) - cut % 20])
    [safe], vertices = tamed(objects(damaged))
    assert safe in (damaged, b"") or len(safe) == 9
    assert 16 * vertices <= len(damaged)
    parsed = shapely.from_wkb(safe, on_invalid="ignore")
    if parsed is not None and parsed.geom_type in ("Polygon", "MultiPolygon"):
        assert shapely.get_num_coordinates(parsed) <= vertices
