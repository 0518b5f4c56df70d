"""Records and areas are matched as if every pair was tested."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from rasterflight_protocol import ErrorCode
from rasterflight_protocol.v1.read_pb2 import Geometries
from rasterflight_server.errors import RequestError
from rasterflight_server.plan import selection
from rasterflight_server.plan.areas import Areas
from rasterflight_server.plan.limits import USUAL, Allowance
from rasterflight_server.plan.selection import select
from rasterflight_server.settings import RequestLimits

#: Few values, so that polygons touch, share borders, and cross themselves.
COORDINATE = st.integers(-6, 6).map(float)
RING = st.lists(st.tuples(COORDINATE, COORDINATE), min_size=3, max_size=6)


def polygon(ring: list[tuple[float, float]]) -> shapely.Polygon:
    return shapely.Polygon(ring)


def as_matched(geometry: shapely.Geometry) -> shapely.Geometry:
    """An invalid geometry counts as its envelope."""
    return geometry if geometry.is_valid else geometry.envelope


def areas_of(shapes: list[shapely.Geometry]) -> Areas:
    return Areas(Geometries(crs="OGC:CRS84", wkb={"values": [shapely.to_wkb(shape) for shape in shapes]}), "geometries")


def table(footprints: list[shapely.Geometry | None]) -> pa.Table:
    """What ``Collection.select`` gives."""
    bounds = shapely.bounds(np.array([*footprints, None], dtype=object))[:-1]
    sides = {side: pa.array(bounds[:, index]) for index, side in enumerate(("xmin", "ymin", "xmax", "ymax"))}
    wkb = [None if shape is None else shapely.to_wkb(shape) for shape in footprints]
    return pa.table({"row": np.arange(len(footprints)), "geometry": pa.array(wkb, pa.binary()), **sides})


def selected(
    footprints: list[shapely.Geometry | None], areas: Areas | None, *filters: Areas, allowance: Allowance = USUAL
) -> Any:
    collection: Any = SimpleNamespace(select=lambda *_: table(footprints))
    request: Any = SimpleNamespace(areas=areas, filter_areas=filters, filters=[], numbers=None, allowance=allowance)
    return select(collection, request)


@settings(max_examples=150, deadline=None)
@given(
    footprints=st.lists(st.none() | RING.map(polygon), max_size=8),
    shapes=st.lists(RING.map(polygon), min_size=1, max_size=8),
    filtering=st.none() | st.lists(RING.map(polygon), min_size=1, max_size=3),
    together=st.sampled_from([1, 5, 8_000_000]),
)
def test_the_join_is_that_of_all_pairs(
    footprints: list[shapely.Polygon | None],
    shapes: list[shapely.Polygon],
    filtering: list[shapely.Polygon] | None,
    together: int,
) -> None:
    def meets(footprint: shapely.Geometry | None, others: list[shapely.Polygon]) -> list[int]:
        if footprint is None:
            return []
        return [
            number
            for number, shape in enumerate(others)
            if shapely.intersects(as_matched(footprint), as_matched(shape))
        ]

    expected = {
        row: meets(footprint, shapes)
        for row, footprint in enumerate(footprints)
        if meets(footprint, shapes) and (filtering is None or meets(footprint, filtering))
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "_PAIRS_TOGETHER", together)
        found = selected(footprints, areas_of(shapes), *([areas_of(filtering)] if filtering else []))
    assert found.hits["row"].to_pylist() == list(expected)
    assert [numbers.tolist() for numbers in found.areas] == list(expected.values())


def test_many_records_and_many_areas() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.uniform(-170, 170, 20_000), rng.uniform(-80, 80, 20_000)
    areas = areas_of(list(shapely.box(x, y, x + 0.05, y + 0.05)))
    west, south = rng.uniform(-170, 168, 3000), rng.uniform(-80, 78, 3000)
    found = selected(list(shapely.box(west, south, west + 1, south + 1)), areas)
    assert list(found.hits["row"].to_pylist()) == sorted(found.hits["row"].to_pylist())
    for row, numbers in list(zip(found.hits["row"].to_pylist(), found.areas, strict=True))[::100]:
        inside = (x <= west[row] + 1) & (x + 0.05 >= west[row]) & (y <= south[row] + 1) & (y + 0.05 >= south[row])
        assert numbers.tolist() == np.flatnonzero(inside).tolist()


def test_too_many_pairs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "_PAIRS_TOGETHER", 4)
    boxes = [shapely.box(0, 0, 1, 1)] * 4
    few = Allowance(RequestLimits(chips=11))
    assert len(selected(boxes[:2], areas_of(boxes), allowance=few).hits) == 2
    with pytest.raises(
        RequestError, match="asks for 12 or more pairs of record and area, the server gives 11"
    ) as caught:
        selected(boxes, areas_of(boxes), allowance=few)
    assert caught.value.code is ErrorCode.LIMIT_EXCEEDED
    assert caught.value.field == "limits.request.chips"
    assert "narrow the records by filters" in caught.value.hint
    assert len(selected(boxes, None, areas_of(boxes)).hits) == 4
