"""Reads through a real server, over tcp and a unix socket, against rasterio: every bundled scene, to the last pixel."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import rioxarray
import shapely
from rasterio.windows import Window

import rasterflight as rf
from conftest import COLLECTIONS
from support import oracle

LONLAT = "OGC:CRS84"


@pytest.fixture(params=sorted(COLLECTIONS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(data: Path, name: str) -> Path:
    return data / COLLECTIONS[name]


def inside(folder: Path) -> list[shapely.Geometry]:
    """Awkward areas around the first record: a star, one with a hole, one that hangs over the edge, a multipolygon."""
    layer = oracle.layers(folder)[0]
    with rasterio.open(layer.path) as dataset:
        west, south, east, north = rasterio.warp.transform_bounds(dataset.crs, LONLAT, *dataset.bounds)
    width, height = east - west, north - south
    angles = np.linspace(0, 2 * np.pi, 14)[:-1]
    radii = np.where(np.arange(13) % 2, 0.1, 0.35)
    star = shapely.Polygon(
        np.column_stack(
            [west + width * (0.5 + radii * np.cos(angles)), south + height * (0.5 + radii * np.sin(angles))]
        )
    )
    ring = shapely.box(west + 0.1 * width, south + 0.2 * height, west + 0.6 * width, south + 0.7 * height)
    hole = shapely.box(west + 0.3 * width, south + 0.3 * height, west + 0.4 * width, south + 0.6 * height)
    over_edge = shapely.box(west - 0.2 * width, south - 0.1 * height, west + 0.25 * width, south + 0.3 * height)
    far = shapely.affinity.translate(star, 0.3 * width, 0.3 * height)
    return [star, ring - hole, over_edge, shapely.MultiPolygon([over_edge, far])]


def check_rows(found: gpd.GeoDataFrame, rows: list[tuple[str, int, str, oracle.Cut]]) -> None:
    keys = list(zip(found.record_id, found.geometry_id, found.band, strict=True))
    assert keys == [row[:3] for row in rows]
    for data, transform, (*_, cut) in zip(found.data, found["transform"], rows, strict=True):
        assert data.dtype == cut.pixels.dtype
        assert np.array_equal(data, cut.pixels)
        assert tuple(transform) == tuple(cut.transform)


@pytest.mark.parametrize("all_touched", [False, True])
def test_polygons(client: rf.Client, name: str, folder: Path, all_touched: bool) -> None:
    areas = inside(folder)
    bands = oracle.bands(folder)
    rows = list(oracle.expected(folder, bands, areas, LONLAT, all_touched=all_touched))
    found = client.collection(name).get_gdf(geometries=areas, bands=bands, all_touched=all_touched)
    assert len(rows) >= len(bands) * len(areas)
    check_rows(found, rows)
    assert found.crs.equals(LONLAT, ignore_axis_order=True)
    for geometry_id, geometry in zip(found.geometry_id, found.geometry, strict=True):
        assert geometry.equals(areas[geometry_id - 1])


@pytest.mark.parametrize("all_touched", [False, True])
def test_boroughs_in_feet(client: rf.Client, data: Path, all_touched: bool) -> None:
    boroughs = gpd.read_parquet(data / "aoi" / "nyc-boroughs-epsg2263.parquet")
    folder = data / COLLECTIONS["ny"]
    rows = list(
        oracle.expected(folder, ["red", "nir08"], list(boroughs.geometry), "EPSG:2263", all_touched=all_touched)
    )
    found = client.collection("ny").get_gdf(geometries=boroughs, bands=["red", "nir08"], all_touched=all_touched)
    check_rows(found, rows)
    assert found.crs == boroughs.crs
    names = dict(enumerate(boroughs.BoroName, start=1))
    assert list(found.BoroName) == [names[number] for number in found.geometry_id]


def test_bbox_in_another_crs_is_masked_as_a_quadrilateral(client: rf.Client, data: Path) -> None:
    folder = data / COLLECTIONS["ny"]
    box = (-74.3, 40.4, -73.5, 41.0)
    rows = list(oracle.expected(folder, ["red"], [shapely.box(*box)], LONLAT, all_touched=False))
    check_rows(client.collection("ny").get_gdf(geometries=box, bands=["red"]), rows)
    assert any((cut.pixels[[0, -1]] == 0).any() for *_, cut in rows)


def test_whole_records(client: rf.Client, name: str, folder: Path) -> None:
    found = client.collection(name)
    for layer in oracle.layers(folder):
        truth = oracle.whole(layer)
        [chip] = found.read(bands=[layer.band], ids=[layer.record_id]).chips()
        assert np.array_equal(chip.pixels[layer.band], truth.pixels)
        assert chip.transform == list(truth.transform)[:6]
        assert truth.crs == rasterio.CRS.from_user_input(chip.crs)


def test_windows(client: rf.Client, name: str, folder: Path) -> None:
    layer = oracle.layers(folder)[-1]
    with rasterio.open(layer.path) as dataset:
        windows = [(3, 5, 20, 17), (0, 0, 1, 1), (dataset.width - 4, dataset.height - 9, 50, 50), (31, 31, 2, 2)]
        truth = [dataset.read(layer.index, window=Window(*window)) for window in windows]
        transforms = [list(dataset.window_transform(Window(*window)))[:6] for window in windows]
    chips = list(client.collection(name).read(windows=windows, bands=[layer.band], ids=[layer.record_id]).chips())
    assert [chip.geometry_id for chip in chips] == [1, 2, 3, 4]
    for chip, pixels, transform in zip(chips, truth, transforms, strict=True):
        assert np.array_equal(chip.pixels[layer.band], pixels)
        assert chip.transform == transform


def test_numpy_stack(client: rf.Client, data: Path) -> None:
    folder = data / COLLECTIONS["mol"]
    stack = client.collection("mol").get_numpy(windows=[(0, 0, 73, 58)], bands=["B04", "B02"])
    truth = [
        [
            oracle.whole(layer).pixels
            for layer in oracle.layers(folder)
            if layer.record_id == record and layer.band == band
        ]
        for record in dict.fromkeys(layer.record_id for layer in oracle.layers(folder))
        for band in ("B04", "B02")
    ]
    assert stack.shape == (3, 2, 58, 73)
    assert np.array_equal(stack, np.array(truth).reshape(3, 2, 58, 73))
    single = client.collection("mol").get_numpy(windows=[(0, 0, 73, 58)], bands=["B02"])
    assert np.array_equal(single, stack[:, 1])


def test_xarray_equals_rioxarray(client: rf.Client, data: Path) -> None:
    folder = data / COLLECTIONS["mol"]
    with rasterio.open(oracle.layers(folder)[0].path) as dataset:
        west, south, east, north = dataset.bounds
        crs = dataset.crs
    ds = client.collection("mol").get_xarray(
        geometries=(west, south, east, north), geometry_crs="EPSG:32631", bands=["B04", "B03"], squeeze_geometry=True
    )
    assert dict(ds.sizes) == {"time": 3, "y": 58, "x": 73}
    assert ds.rio.crs == crs
    for position, layer in enumerate(layer for layer in oracle.layers(folder) if layer.band == "B04"):
        with rioxarray.open_rasterio(layer.path) as truth:
            assert np.array_equal(ds.B04[position], truth[layer.index - 1])
            assert np.array_equal(ds.x, truth.x)
            assert np.array_equal(ds.y, truth.y)
            assert ds.rio.transform() == truth.rio.transform()
            assert ds.B04.rio.nodata == truth.rio.nodata
        assert str(ds.time.values[position])[:10] == layer.datetime[:10]
    assert ds.B04.dtype == np.int16


def test_gdf_plots_in_the_right_place(client: rf.Client, data: Path) -> None:
    boroughs = gpd.read_file(data / "aoi" / "nyc-boroughs.geojson")
    found = client.collection("ny").get_gdf(
        geometries=boroughs, bands=["red"], ids=client.collection("ny").records()["id"].to_pylist()[:1]
    )
    west, south, east, north = found.total_bounds
    assert (west, south) > (-75, 40)
    assert (east, north) < (-73, 42)
