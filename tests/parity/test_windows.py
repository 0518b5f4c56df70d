"""Every window is the one that rasterio finds."""

import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.errors import WindowError
from rasterio.features import geometry_window as rasterio_window
from rasterio.io import MemoryFile

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.plan.windows import geometry_window, geometry_windows
from rasterflight_server.types import Grid, Window

# rasterio 1.4 multiplies transforms with `*`, which affine 3 is going to leave to others.
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

DATA = Path(__file__).parents[1] / "data"


def real_grids():
    """One file for each pixel grid of the bundled collections."""
    by_grid = {}
    for path in sorted(path for path in DATA.glob("[!v]*/**/*") if path.suffix.lower() == ".tif"):
        with rasterio.open(path) as dataset:
            by_grid.setdefault((dataset.transform, dataset.shape), path)
    return list(by_grid.values())


REAL = real_grids()
MADE = {
    "degrees": Affine(0.0003, 0, 8.123, 0, -0.0003, 50.77),
    "south_up": Affine(0.1, 0, 0.3, 0, 0.1, -50.7),
    "west_up": Affine(-30.1, 0, 500.3, 0, -30.1, 77.7),
    "wide_pixels": Affine(3024.0789473684213, 0, -2493045.0, 0, -1999.7, 3310005.0),
}


def grid_of(dataset):
    return Grid(dataset.width, dataset.height, dataset.transform, str(dataset.crs))


def expected_window(dataset, geometry):
    try:
        window = rasterio_window(dataset, [geometry])
    except WindowError:
        return None
    return Window(window.col_off, window.row_off, window.width, window.height)


def made_dataset(transform, width=40, height=30):
    memory = MemoryFile()
    with memory.open(
        driver="GTiff", width=width, height=height, count=1, dtype="uint8", transform=transform, crs="EPSG:4326"
    ):
        pass
    return memory.open()


def on_pixels(rng, dataset, count):
    """Boxes whose sides lie on pixel edges, as nearly as their coordinates can say it."""
    cols = rng.integers(-3, dataset.width + 4, (count, 2))
    rows = rng.integers(-3, dataset.height + 4, (count, 2))
    x, y = dataset.transform.c + cols * dataset.transform.a, dataset.transform.f + rows * dataset.transform.e
    return shapely.box(x.min(axis=1), y.min(axis=1), x.max(axis=1), y.max(axis=1))


def beside_pixels(rng, dataset, count):
    """Boxes whose sides are one rounding error away from pixel edges."""
    bounds = shapely.bounds(on_pixels(rng, dataset, count))
    return shapely.box(*np.nextafter(bounds, rng.choice([-np.inf, np.inf], bounds.shape)).T)


def polygons(rng, dataset, count):
    """Polygons in any order of vertices, in and around the raster; some with a third coordinate."""
    places = rng.uniform(-0.2, 1.2, (count, 5, 2)) * (dataset.width, dataset.height)
    places *= np.where(rng.random((count, 1, 1)) < 0.1, 50, 1)
    x = dataset.transform.c + places[..., :1] * dataset.transform.a
    y = dataset.transform.f + places[..., 1:] * dataset.transform.e
    flat = shapely.polygons(np.concatenate([x, y], axis=-1))
    return np.where(rng.random(count) < 0.3, shapely.force_3d(flat, 7.0), flat)


def pairs(rng, dataset, count):
    """Multipolygons of two parts that may lie on two sides of the raster."""
    both = np.stack([polygons(rng, dataset, count), on_pixels(rng, dataset, count)], axis=1)
    return shapely.multipolygons(shapely.force_2d(both))


def compare(dataset, geometries):
    grid = grid_of(dataset)
    many = geometry_windows(geometries, grid)
    assert many.dtype == np.int64
    assert many.shape == (len(geometries), 4)
    found = 0
    for geometry, window in zip(geometries, many.tolist(), strict=True):
        expected = expected_window(dataset, geometry)
        assert geometry_window(geometry, grid) == expected, geometry.wkt
        assert window[2:] == [0, 0] if expected is None else Window(*window) == expected
        found += expected is not None
    return found


@pytest.mark.parametrize("make", [on_pixels, beside_pixels, polygons, pairs])
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_real_grids(path, make):
    with rasterio.open(path) as dataset:
        geometries = make(np.random.default_rng(3), dataset, 250)
        assert 0 < compare(dataset, geometries) <= len(geometries)


@pytest.mark.parametrize("make", [on_pixels, beside_pixels, polygons, pairs])
@pytest.mark.parametrize("name", MADE)
def test_made_grids(name, make):
    with made_dataset(MADE[name]) as dataset:
        geometries = make(np.random.default_rng(4), dataset, 500)
        assert 0 < compare(dataset, geometries) < len(geometries)


scale = st.floats(1e-5, 1e4) | st.sampled_from([10.0, 0.1, 1 / 3600, 3024.0789473684213])
signed = st.builds(lambda size, sign: size * sign, scale, st.sampled_from([-1, 1]))
offset = st.floats(-1e7, 1e7)
transforms = st.builds(lambda a, c, e, f: Affine(a, 0, c, 0, e, f), signed, offset, signed, offset)
half_pixels = st.integers(-10, 90).map(lambda value: value / 2) | st.floats(-5, 45)


@settings(deadline=None)
@given(transform=transforms, cols=st.tuples(half_pixels, half_pixels), rows=st.tuples(half_pixels, half_pixels))
def test_any_grid(transform, cols, rows):
    x = [transform.c + transform.a * col for col in cols]
    y = [transform.f + transform.e * row for row in rows]
    box = shapely.box(min(x), min(y), max(x), max(y))
    dataset = Dataset(transform)
    expected = expected_window(dataset, box)
    assert geometry_window(box, Grid(dataset.width, dataset.height, transform, None)) == expected


class Dataset:
    """As much of a dataset as rasterio looks at for a window."""

    width = 40
    height = 37

    def __init__(self, transform):
        self.transform = transform


GRID = Grid(40, 30, Affine(10, 0, 500, 0, -10, 900), "EPSG:32618")


@pytest.mark.parametrize("size", [1e18, 1e300])
def test_far_larger_than_the_raster(size):
    assert geometry_window(shapely.box(-size, -size, size, size), GRID) == GRID.window


@pytest.mark.parametrize(
    "bounds",
    [(400, 700, 500, 800), (900, 700, 950, 800), (600, 900, 700, 950), (550, 700, 550, 800), (550, 705, 560, 705)],
    ids=["left", "right", "above", "no_width", "height_within_pixel"],
)
def test_only_a_border_in_common(bounds):
    box = shapely.box(*bounds)
    with made_dataset(GRID.transform) as dataset:
        assert geometry_window(box, GRID) == expected_window(dataset, box)


@pytest.mark.parametrize(
    "geometry",
    [None, shapely.Polygon(), shapely.box(0, 0, math.inf, 1), shapely.box(0, 0, 1e308, 1)],
    ids=["missing", "empty", "infinite", "beyond_floats"],
)
def test_geometry_that_is_nowhere(geometry):
    geometries = np.array([shapely.box(500, 700, 600, 800), geometry], dtype=object)
    grid = Grid(40, 30, Affine(0.1, 0, 0, 0, -0.1, 0), "EPSG:4326")
    with pytest.raises(RequestError, match="position 1") as caught:
        geometry_windows(geometries, grid)
    assert caught.value.code is ErrorCode.BAD_GEOMETRY


def test_rotated_grid_is_refused():
    with pytest.raises(RequestError, match="rotated"):
        geometry_window(shapely.box(0, 0, 1, 1), Grid(3, 3, Affine.rotation(30), None))


def test_no_geometries():
    assert geometry_windows(np.empty(0, dtype=object), GRID).shape == (0, 4)


def test_many_at_once():
    rng = np.random.default_rng(5)
    x, y = rng.uniform(0, 1000, (2, 100_000))
    geometries = shapely.box(x, y, x + 30, y + 30)
    windows = geometry_windows(geometries, GRID)
    some = rng.integers(0, len(geometries), 100)
    for geometry, window in zip(geometries[some], windows[some].tolist(), strict=True):
        assert geometry_window(geometry, GRID) == (Window(*window) if window[2] else None)
