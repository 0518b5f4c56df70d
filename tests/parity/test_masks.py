"""Every mask is, pixel for pixel, the one that rasterio burns."""

import math
from itertools import pairwise

import numpy as np
import pytest
import shapely
from affine import Affine
from rasterio.errors import ShapeSkipWarning
from rasterio.features import geometry_mask

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.plan import touched
from rasterflight_server.plan.spans import polygon_spans
from rasterflight_server.plan.stack import Stack

GRIDS = [
    Affine(1, 0, 0, 0, -1, 0),
    Affine(10, 0, 644550, 0, -10, 5676350),
    Affine(1, 0, 0, 0, 1, 0),  # south-up
    Affine(0.1, 0, 0.3, 0, 0.1, -50.7),  # south-up, no coordinate is exact
    Affine(0.0003, 0, 8.123, 0, -0.0003, 50.77),  # EPSG:4326
    Affine(1 / 3600, 0, -75 - 1 / 7200, 0, -1 / 3600, 41 + 1 / 7200),
    Affine(3024.0789473684213, 0, -2493045.0, 0, -1999.7, 3310005.0),  # no square pixels
    Affine(0.5971642834779395, 0, -8238310.235647004, 0, -0.5971642834779395, 4970241.327215301),
]
FAMILY_SIZE = 660


def star(rng, x, y, radius, vertices):
    angle = np.sort(rng.uniform(0, 2 * np.pi, vertices))
    reach = radius * rng.uniform(0.3, 1, vertices)
    return np.stack([x + reach * np.cos(angle), y + reach * np.sin(angle)], axis=1)


def within(rng, w, h, margin=0.0):
    return rng.uniform(-margin, w + margin), rng.uniform(-margin, h + margin)


def stars(rng, w, h):
    return shapely.Polygon(star(rng, *within(rng, w, h), 0.6 * max(w, h), int(rng.integers(3, 40))))


def rough_stars(rng, w, h):
    # More sides than are walked one by one.
    return shapely.Polygon(star(rng, *within(rng, w, h), 0.7 * max(w, h), int(rng.integers(60, 200))))


def tiny(rng, w, h):
    return shapely.Polygon(np.array(within(rng, w, h)) + rng.uniform(-0.6, 0.6, (int(rng.integers(3, 7)), 2)))


def slivers(rng, w, h):
    a, b = np.array(within(rng, w, h, 2)), np.array(within(rng, w, h, 2))
    off = rng.uniform(-0.4, 0.4, 2)
    return shapely.Polygon([a, b, b + off, a + off])


def holes(rng, w, h):
    x, y = within(rng, w, h)
    size = 0.8 * max(w, h)
    inner = [star(rng, x + dx * size / 5, y, size / 6, 5) for dx in (-1, 1)]
    return shapely.Polygon(star(rng, x, y, size, 12), inner)


def grid_holes(rng, w, h):
    # Holes that touch the shell and each other, on centres and edges of pixels; invalid ones too.
    rings = [off_right_border(rng.integers(-2, 2 * max(w, h) + 2, (4, 2)) / 2, w) for _ in range(3)]
    return shapely.Polygon(rings[0], rings[1:])


def overlapping_parts(rng, w, h):
    return shapely.MultiPolygon([stars(rng, w, h) for _ in range(int(rng.integers(2, 5)))])


def touching_parts(rng, w, h):
    x, y = rng.integers(0, w) / 2, rng.integers(0, h) / 2
    parts = [shapely.box(x + i, y + j, x + i + 1, y + j + 1) for i in range(3) for j in range(3)]
    return shapely.MultiPolygon([part for part in parts if rng.random() < 0.6] or parts)


def on_half_pixels(rng, w, h):
    return shapely.Polygon(off_right_border(rng.integers(-4, 2 * max(w, h) + 4, (int(rng.integers(3, 8)), 2)) / 2, w))


def on_pixel_corners(rng, w, h):
    return shapely.Polygon(off_right_border(rng.integers(-2, max(w, h) + 2, (int(rng.integers(3, 8)), 2)), w))


def beside_the_grid(rng, w, h):
    # Around the tolerances of the border rule: 1e-4 and 0.01 of a pixel.
    near = rng.choice([0, 0.5, 1e-6, -1e-6, 5e-5, -5e-5, 2e-4, -2e-4, 0.009, -0.009, 0.02], (6, 2))
    return shapely.Polygon(off_right_border(rng.integers(-2, max(w, h) + 2, (6, 2)) + near, w))


def boxes(rng, w, h):
    # Aligned to edges and centres of pixels; some have no area.
    x, y = rng.integers(-4, 2 * w + 4) / 2, rng.integers(-4, 2 * h + 4) / 2
    return shapely.box(x, y, x + rng.integers(0, 2 * w) / 2, y + rng.integers(0, 2 * h) / 2, ccw=rng.random() < 0.5)


def bow_ties(rng, w, h):
    a, b, c, d = shapely.get_coordinates(boxes(rng, w, h))[:4] + rng.choice([0, 0.25])
    return shapely.Polygon([a, c, b, d])


def random_order(rng, w, h):
    return shapely.Polygon([within(rng, w, h, 4) for _ in range(int(rng.integers(4, 9)))])


def repeated_vertices(rng, w, h):
    ring = off_right_border(rng.integers(-2, 2 * max(w, h) + 2, (5, 2)) / 2, w)
    return shapely.Polygon(np.repeat(ring, rng.integers(1, 4, 5), axis=0))


def with_height(rng, w, h):
    flat = stars(rng, w, h)
    return shapely.force_3d(flat, rng.uniform(0, 100))


def far_larger(rng, w, h):
    return shapely.Polygon(star(rng, *within(rng, w, h, 200), rng.choice([300, 1e4, 1e8]), 8))


def outside(rng, w, h):
    return shapely.Polygon(star(rng, w + rng.uniform(1, 9), -rng.uniform(-h, 9), 3, 7))


FAMILIES = [
    stars,
    rough_stars,
    tiny,
    slivers,
    holes,
    grid_holes,
    overlapping_parts,
    touching_parts,
    on_half_pixels,
    on_pixel_corners,
    beside_the_grid,
    boxes,
    bow_ties,
    random_order,
    repeated_vertices,
    with_height,
    far_larger,
    outside,
]


def off_right_border(vertices, width):
    """Vertices that are not on the right border of the raster: test_vertex_on_the_right_border tells what GDAL does there."""
    x, y = np.asarray(vertices, dtype=float).T
    return np.stack([np.where(np.abs(x - width) < 0.1, x + 1, x), y], axis=1)


def placed(geometry, transform):
    def to_crs(xy):
        return xy * (transform.a, transform.e) + (transform.c, transform.f)

    z = geometry.has_z
    return shapely.transform(geometry, lambda xyz: np.column_stack([to_crs(xyz[:, :2]), xyz[:, 2:]]), include_z=z)


def burnt(geometry, transform, width, height, *, all_touched):
    return geometry_mask([geometry], (height, width), transform, all_touched=all_touched, invert=True)


def spans_of(geometries, transforms, sizes, *, all_touched):
    """The spans of geometries, each on a window (width, height) of its own."""
    widths, heights = np.array(sizes, dtype=np.int64).reshape(-1, 2).T
    array = np.empty(len(geometries), dtype=object)
    array[:] = geometries
    return polygon_spans(
        array, np.array([transform[:6] for transform in transforms]), Stack(widths, heights), all_touched=all_touched
    )


def masks(spans):
    """The mask of each window."""
    edges = spans.stack.lines.tolist()
    shapes = zip(spans.stack.heights, spans.stack.widths, strict=True)
    parts = zip(edges[:-1], edges[1:], shapes, strict=True)
    return [spans.inside(first, stop).reshape(shape) for first, stop, shape in parts]


def spans_and_mask(geometry, transform, width, height, *, all_touched):
    spans = spans_of([geometry], [transform], [(width, height)], all_touched=all_touched)
    return spans, spans.inside().reshape(height, width)


@pytest.fixture(autouse=True)
def _rule_of_this_gdal(monkeypatch):
    """Follow the GDAL that rasterio brings: it takes a side within one column of pixels for straight, or it does not."""
    probe = shapely.Polygon([(0.2, 0.5), (0.6, 1.00005), (0.7, 0.5)])
    touches_next_row = burnt(probe, Affine.identity(), 1, 2, all_touched=True)[1, 0]
    monkeypatch.setattr(touched, "STRAIGHT_WITHIN_CELL", not touches_next_row)


@pytest.mark.parametrize("family", FAMILIES)
def test_family(family):
    rng = np.random.default_rng(20240501)
    inside = 0
    geometries, sizes = [], []
    for number in range(FAMILY_SIZE):
        width, height = (int(value) for value in rng.integers(1, 24, 2))
        geometries.append(placed(family(rng, width, height), GRIDS[number % len(GRIDS)]))
        sizes.append((width, height))
    transforms = [GRIDS[number % len(GRIDS)] for number in range(FAMILY_SIZE)]
    for all_touched in (False, True):
        together = masks(spans_of(geometries, transforms, sizes, all_touched=all_touched))
        work = zip(geometries, transforms, sizes, together, strict=True)
        for number, (geometry, transform, (width, height), mask) in enumerate(work):
            expected = burnt(geometry, transform, width, height, all_touched=all_touched)
            assert mask.dtype == expected.dtype
            assert (mask == expected).all(), f"{geometry.wkt} on {width} x {height}, {transform!r}, {all_touched=}"
            inside += int(expected.any())
            if number % 10 == 0:
                spans, alone = spans_and_mask(geometry, transform, width, height, all_touched=all_touched)
                assert (alone == expected).all()
                check(spans, expected)
    assert inside > FAMILY_SIZE / 4 or family is outside, "the family tests nothing"


def check(spans, expected):
    assert spans.count == len(spans) == 0 or spans.count == np.count_nonzero(expected)
    assert {array.dtype for array in (spans.lines, spans.starts, spans.stops)} == {np.dtype(np.int32)}
    same_row = np.diff(spans.lines) == 0
    assert (np.diff(spans.lines) >= 0).all()
    assert (spans.stops > spans.starts).all()
    assert (spans.starts[1:] > spans.stops[:-1])[same_row].all()


@pytest.mark.parametrize("all_touched", [False, True])
@pytest.mark.parametrize("transform", GRIDS)
def test_large_window(transform, all_touched):
    rng = np.random.default_rng(7)
    width, height = 700, 610
    for vertices in (4, 30, 400):
        geometry = placed(shapely.Polygon(star(rng, 330, 300, 400, vertices)), transform)
        spans, mask = spans_and_mask(geometry, transform, width, height, all_touched=all_touched)
        expected = burnt(geometry, transform, width, height, all_touched=all_touched)
        np.testing.assert_array_equal(mask, expected)
        np.testing.assert_array_equal(spans.inside(100, 357).reshape(-1, width), expected[100:357])
        np.testing.assert_array_equal(spans.inside(5, 5).reshape(-1, width), expected[5:5])


def test_lines_of_several_windows():
    rng = np.random.default_rng(9)
    sizes = [(int(width), int(height)) for width, height in rng.integers(1, 40, (30, 2))]
    geometries = [FAMILIES[number % len(FAMILIES)](rng, *size) for number, size in enumerate(sizes)]
    spans = spans_of(geometries, [Affine.identity()] * 30, sizes, all_touched=True)
    lines = [row for mask in masks(spans) for row in mask]
    for first, stop in rng.integers(0, len(lines) + 1, (50, 2)).tolist():
        expected = np.concatenate([np.empty(0, bool), *lines[first:stop]])
        np.testing.assert_array_equal(spans.inside(first, max(first, stop)), expected)


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize(("col_off", "row_off"), [(0, 0), (3, 61), (64, 1000)])
def test_tiles(col_off, row_off, cut):
    rng = np.random.default_rng(8)
    for number in range(60):
        tile_width, tile_height = (int(value) for value in rng.choice([1, 16, 33, 64, 512], 2))
        sizes = [(int(width), int(height)) for width, height in rng.integers(1, 200, (3, 2))]
        geometries = [FAMILIES[(3 * number + part) % len(FAMILIES)](rng, *size) for part, size in enumerate(sizes)]
        spans = spans_of(geometries, [Affine.identity()] * 3, sizes, all_touched=bool(number % 2))
        strips, edges, expected = [], [], []
        for mask, line in zip(masks(spans), spans.stack.lines.tolist(), strict=False):
            height, width = mask.shape
            ends = sorted({0, height, int(rng.integers(0, height + 1))}) if cut else [0, height]
            for first, stop in pairwise(ends):
                strips.append((col_off, row_off + first, width, stop - first))
                edges.append(line + first)
                expected += by_tile(mask[first:stop], *strips[-1][:2], tile_width, tile_height)
        found = spans.tiles(tile_width, tile_height, np.array(strips), np.array(edges))
        np.testing.assert_array_equal(found, expected)


def by_tile(mask, col_off, row_off, tile_width, tile_height):
    height, width = mask.shape
    raster = np.zeros((row_off + height, col_off + width), dtype=bool)
    raster[row_off:, col_off:] = mask
    return [
        bool(raster[y : y + tile_height, x : x + tile_width].any())
        for y in range(row_off // tile_height * tile_height, raster.shape[0], tile_height)
        for x in range(col_off // tile_width * tile_width, raster.shape[1], tile_width)
    ]


def test_vertex_on_the_right_border():
    """GDAL follows a side that rises from the right border out of the raster, and writes into the row below; we do not.

    The pixel that it sets has nothing to do with the polygon. Burnt on a raster that is one column wider, and cut to
    size, GDAL's own mask is ours.
    """
    polygon = shapely.Polygon([(8, 11), (1, 9), (12, 10), (4, -2), (5, 8)])
    _, ours = spans_and_mask(polygon, Affine.identity(), 4, 12, all_touched=True)
    np.testing.assert_array_equal(ours, burnt(polygon, Affine.identity(), 5, 12, all_touched=True)[:, :4])
    assert not ours[1].any()


def test_empty_polygon_has_no_pixels():
    with pytest.warns(ShapeSkipWarning):
        assert not burnt(shapely.Polygon(), Affine.identity(), 3, 3, all_touched=True).any()
    spans, mask = spans_and_mask(shapely.Polygon(), Affine.identity(), 3, 3, all_touched=True)
    assert not len(spans)
    assert not mask.any()
    assert spans.tiles(2, 2, np.array([(0, 0, 3, 3)]), np.array([0])).tolist() == [False] * 4


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e12, 1e300])
def test_vertex_that_is_nowhere(value):
    with np.errstate(invalid="ignore"):
        polygon = shapely.Polygon([(0, 0), (1, value), (1, 1)])
    with pytest.raises(RequestError) as caught:
        spans_and_mask(polygon, Affine.identity(), 3, 3, all_touched=False)
    assert caught.value.code is ErrorCode.BAD_GEOMETRY


def test_rotated_grid_is_refused():
    with pytest.raises(RequestError, match="rotated"):
        spans_and_mask(shapely.box(0, 0, 1, 1), Affine.rotation(30), 3, 3, all_touched=False)
