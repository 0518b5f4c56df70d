"""Every target grid is the one that rasterio chooses."""

import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.warp
from affine import Affine
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pyproj import CRS
from rasterio.errors import RasterioError

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.types import Grid
from rasterflight_server.warp import aligned_target, bounds_of, default_target
from support.warping import default_of, poles, projection, ways

DATA = Path(__file__).parents[1] / "data"


def ours(source, crs, resolution=None):
    degrees = CRS(crs).is_geographic and not CRS(source.crs).is_geographic
    at_poles = []
    if degrees:
        x, y = projection(crs, source.crs)(np.zeros(2), np.array([-90.0, 90.0]))
        at_poles = [place for place in zip(map(float, x), map(float, y), strict=True) if np.isfinite(place).all()]
    return default_target(
        source,
        crs,
        to_target=projection(source.crs, crs),
        to_source=projection(crs, source.crs),
        resolution=None if resolution is None else (resolution, resolution),
        degrees=degrees,
        poles=tuple(at_poles),
    )


def assert_same(found, expected):
    assert (found.width, found.height) == (expected.width, expected.height)
    np.testing.assert_allclose(found.transform[:6], expected.transform[:6], rtol=1e-9, atol=1e-6 * expected.transform.a)
    assert found.crs == expected.crs


def bundled_grids():
    found = {}
    for path in sorted(path for path in DATA.glob("[!v]*/**/*") if path.suffix.lower() == ".tif"):
        with rasterio.open(path) as dataset:
            if dataset.crs is not None:
                grid = Grid(dataset.width, dataset.height, dataset.transform, dataset.crs.to_string())
                found.setdefault(grid, path.parent.name)
    return found


@pytest.mark.parametrize(
    "crs", ["EPSG:4326", "EPSG:3857", "EPSG:32633", "EPSG:32618", "EPSG:3413", "EPSG:6933", "EPSG:5070"]
)
def test_bundled_scenes(crs):
    for grid in bundled_grids():
        for resolution in (None, 60.0):
            assert_same(ours(grid, crs, resolution), default_of(grid, crs, resolution))


def test_bundled_scenes_in_their_own_crs():
    for grid in bundled_grids():
        assert_same(ours(grid, grid.crs), default_of(grid, grid.crs))
        assert_same(ours(grid, grid.crs, 25.0), default_of(grid, grid.crs, 25.0))


# The same ways in every run: what rounds to a tie may differ in the last digit.
@settings(max_examples=150, deadline=None, derandomize=True)
@given(ways(largest=2500), st.sampled_from([None, 0.7131, 3.0417]))
def test_any_source_and_crs(way, factor):
    source, crs = way
    try:
        expected = default_of(source, crs)
    except RasterioError:
        # The source does not project, or to a target of absurd size.
        assume(False)
    assume(min(expected.width, expected.height) > 0)
    assume(max(expected.width, expected.height) < 100_000)
    # A polar CRS shows lands far beyond its own pole at distances without end, where the two PROJ versions part ways.
    assume(max(map(abs, bounds_of(expected))) < 5e7)
    resolution = None if factor is None else factor * expected.transform.a
    assert_same(ours(source, crs, resolution), default_of(source, crs, resolution))


@pytest.mark.parametrize("crs", ["EPSG:3413", "EPSG:3031", "EPSG:3995"])
def test_a_pole_in_the_source(crs):
    # All longitudes, and latitudes up to the pole.
    source = Grid(300, 200, Affine(5000, 0, -700000, 0, -5000, 600000), crs)
    found = ours(source, "EPSG:4326")
    assert_same(found, default_of(source, "EPSG:4326"))
    left, bottom, right, top = bounds_of(found)
    assert (left, right) == (-180, 180)
    assert max(abs(bottom), abs(top)) == pytest.approx(90, abs=found.transform.a)


def test_a_source_over_the_antimeridian():
    source = Grid(400, 300, Affine(100, 0, 800000, 0, -100, 8000000), "EPSG:32660")
    assert_same(ours(source, "EPSG:4326"), default_of(source, "EPSG:4326"))
    assert_same(ours(source, "EPSG:3832"), default_of(source, "EPSG:3832"))


def test_rotated_source_holds_all_of_it():
    source = Grid(400, 300, Affine(7, 3, 600000, 2, -9, 5200000), "EPSG:32632")
    same = ours(source, "EPSG:32632")
    np.testing.assert_allclose(bounds_of(same), bounds_of(source), atol=same.transform.a)
    other = ours(source, "EPSG:32633")
    col, row = np.meshgrid(np.linspace(0, 400, 50), np.linspace(0, 300, 50))
    x, y = projection("EPSG:32632", "EPSG:32633")(*(source.transform * (col.ravel(), row.ravel())))
    left, bottom, right, top = bounds_of(other)
    pixel = other.transform.a
    assert x.min() >= left - pixel
    assert x.max() <= right + pixel
    assert y.min() >= bottom - pixel
    assert y.max() <= top + pixel


def test_a_source_that_does_not_project():
    source = Grid(50, 50, Affine(1, 0, -25, 0, -1, 25), "EPSG:4326")

    def nowhere(x, y):
        return np.full_like(x, np.inf), np.full_like(y, np.inf)

    with pytest.raises(RequestError, match="cannot express the area of the pixels") as caught:
        default_target(source, "EPSG:2154", to_target=nowhere, to_source=nowhere)
    assert caught.value.code is ErrorCode.BAD_REQUEST
    assert caught.value.field == "target_crs"
    assert "made for this part of the world" in caught.value.hint


BOUNDS = st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(0.1, 1e5), st.floats(0.1, 1e5)).map(
    lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3])
)


@given(BOUNDS, st.sampled_from([(10.0, 10.0), (30.0, 20.0), (0.25, 0.5)]))
def test_aligned_as_rasterio_does(bounds, resolution):
    left, bottom, right, top = bounds
    lines = [left / resolution[0], right / resolution[0], bottom / resolution[1], top / resolution[1]]
    # rasterio takes another row of pixels for a rounding error.
    assume(all(abs(line - round(line)) > 1e-5 for line in lines))
    found = aligned_target(bounds, resolution, "EPSG:32632")
    grid = Affine(right - left, 0, left, 0, bottom - top, top)
    transform, width, height = rasterio.warp.aligned_target(grid, 1, 1, resolution)
    assert (found.width, found.height) == (width, height)
    np.testing.assert_allclose(found.transform[:6], transform[:6])


@given(BOUNDS, st.floats(0.01, 1e3), st.floats(-1e3, 1e3))
def test_aligned_holds_the_bounds_on_the_lattice(bounds, resolution, anchor):
    found = aligned_target(bounds, (resolution, resolution), None, anchor=(anchor, anchor))
    slack = 2e-6 * resolution + 1e-8
    left, bottom, right, top = bounds_of(found)
    assert max(left - bounds[0], bottom - bounds[1], bounds[2] - right, bounds[3] - top) <= slack
    assert max(bounds[0] - left, bounds[1] - bottom, right - bounds[2], top - bounds[3]) < resolution + slack
    lines = (left - anchor) / resolution
    assert math.isclose(lines, round(lines), abs_tol=1e-4)


def test_bounds_that_lie_on_the_lattice_stay():
    found = aligned_target((600000.0000001, 5100000, 600100, 5100049.9999999), (10, 10), "EPSG:32632")
    assert found == Grid(10, 5, Affine(10, 0, 600000, 0, -10, 5100050), "EPSG:32632")


def test_poles_are_places_in_the_source():
    assert poles("EPSG:4326") == ((0.0, -89.9999), (0.0, 89.9999))


@pytest.mark.parametrize("resolution", [(0.0, 10.0), (10.0, -10.0), (math.nan, 1.0), (math.inf, 1.0)])
def test_pixels_without_size(resolution):
    source = Grid(50, 50, Affine(1, 0, -25, 0, -1, 25), "EPSG:4326")
    for choose in (
        lambda: default_target(source, "EPSG:4326", resolution=resolution),
        lambda: aligned_target((0, 0, 1, 1), resolution, "EPSG:4326"),
    ):
        with pytest.raises(RequestError, match="have no size") as caught:
            choose()
        assert caught.value.code is ErrorCode.BAD_REQUEST
        assert caught.value.field == "resolution"
        assert "above 0" in caught.value.hint


@pytest.mark.parametrize("bounds", [(1, 0, 1, 5), (0, 5, 1, 4), (0, 0, math.inf, 1), (math.nan, 0, 1, 1)])
def test_bounds_that_hold_nothing(bounds):
    with pytest.raises(RequestError, match="hold nothing") as caught:
        aligned_target(bounds, (1, 1), "EPSG:4326")
    assert caught.value.code is ErrorCode.BAD_REQUEST
    assert caught.value.field == "bounds"
    assert "left below right" in caught.value.hint
