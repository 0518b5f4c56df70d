"""Reads across the antimeridian, through a real server, against rasterio on each side."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pytest
import rasterio
import rasterio.features
import rasterio.warp
import rasterio.windows
import shapely
from affine import Affine
from pyproj import Transformer
from rasterio.errors import WindowError

import rasterflight as rf
from support import oracle
from support.scenes import noise, write_items, write_scene
from support.server import ServerProcess, run_server_command

LONLAT = "OGC:CRS84"
#: record -> CRS, upper left corner, pixel size, pixels a side
SCENES = {
    "east-degrees": ("EPSG:4326", (179, 1), 0.005, 200),
    "west-degrees": ("EPSG:4326", (-180, 1), 0.005, 200),
    "zone-60": ("EPSG:32660", (760_000, 110_000), 500, 200),
    "zone-1": ("EPSG:32601", (150_000, 110_000), 500, 200),
    "elsewhere": ("EPSG:4326", (0, 1), 0.01, 100),
}
NEAR = ["east-degrees", "west-degrees", "zone-60", "zone-1"]
BOX = (179.62, 0.11, -179.43, 0.83)
SIDES = shapely.MultiPolygon([shapely.box(179.62, 0.11, 180, 0.83), shapely.box(-180, 0.11, -179.43, 0.83)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("antimeridian")
    for seed, (name, (crs, (x, y), size, side)) in enumerate(SCENES.items()):
        transform = Affine(size, 0, x, 0, -size, y)
        write_scene(root / f"{name}.tif", noise(side, side, seed), tile=64, transform=transform, crs=crs, nodata=0)
    write_items(root / "items.json", {name: {"b": f"{name}.tif"} for name in SCENES})
    done = run_server_command("index", root / "items.json", "--out", root / "index", "--name", "edge")
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture(scope="module")
def edge(folder: Path) -> Iterator[rf.Collection]:
    with ServerProcess({"edge": folder / "index"}) as process, rf.connect(process.url) as client:
        yield client.collection("edge")


def cut(path: Path, sides: shapely.MultiPolygon, *, all_touched: bool) -> tuple[np.ndarray, Affine]:
    """What rasterio reads of the sides that lie on a raster."""
    with rasterio.open(path) as dataset:
        whole = rasterio.warp.transform_geom(LONLAT, dataset.crs, shapely.geometry.mapping(sides))
        windows = []
        for side in shapely.geometry.shape(whole).geoms:
            with suppress(WindowError):
                windows.append(rasterio.features.geometry_window(dataset, [side]))
        window = rasterio.windows.union(*windows)
        transform = dataset.window_transform(window)
        pixels = dataset.read(1, window=window)
        pixels[rasterio.features.geometry_mask([whole], pixels.shape, transform, all_touched=all_touched)] = 0
        return pixels, transform


def check(found: gpd.GeoDataFrame, folder: Path, sides: shapely.MultiPolygon, *, all_touched: bool) -> None:
    assert list(zip(found.record_id, found.geometry_id, strict=True)) == [(name, 1) for name in NEAR]
    for name, data, transform in zip(found.record_id, found.data, found["transform"], strict=True):
        pixels, where = cut(folder / f"{name}.tif", sides, all_touched=all_touched)
        assert np.array_equal(data, pixels)
        assert tuple(transform) == tuple(where)
        assert (data != 0).any()


@pytest.mark.parametrize("all_touched", [False, True])
@pytest.mark.parametrize("crs", [LONLAT, "EPSG:4326"])
def test_a_bbox(edge: rf.Collection, folder: Path, crs: str, all_touched: bool) -> None:
    found = edge.get_gdf(BOX, bands="b", geometry_crs=crs, all_touched=all_touched)
    check(found, folder, SIDES, all_touched=all_touched)
    assert all(found.geometry == SIDES)


def test_each_side_of_a_bbox_is_what_rasterio_reads_there(edge: rf.Collection, folder: Path) -> None:
    found = edge.get_gdf(BOX, bands="b").set_index("record_id")
    for name, side in zip(NEAR[:2], SIDES.geoms, strict=True):
        [layer] = [layer for layer in oracle.layers(folder) if layer.record_id == name]
        truth = oracle.cut(layer, side, LONLAT, all_touched=False)
        assert truth is not None
        assert np.array_equal(found.data[name], truth.pixels)
        assert tuple(found["transform"][name]) == tuple(truth.transform)


TRIANGLE = shapely.Polygon([(179.3, 0.05), (180.61, 0.31), (179.9, 0.97)], [[(179.8, 0.3), (180.2, 0.3), (179.9, 0.5)]])


@pytest.mark.parametrize("all_touched", [False, True])
@pytest.mark.parametrize("west", [0, -360])
@pytest.mark.parametrize("form", ["shapely", "wkb", "geojson", "arrow", "boxes"])
def test_longitudes_beyond_180(edge: rf.Collection, folder: Path, form: str, west: int, all_touched: bool) -> None:
    shape = shapely.affinity.translate(TRIANGLE, west)
    if form == "boxes":
        shape = shapely.affinity.translate(shapely.box(179.62, 0.11, 180.57, 0.83), west)
    given = {
        "shapely": lambda: shape,
        "wkb": lambda: shape.wkb,
        "geojson": lambda: shapely.geometry.mapping(shape),
        "arrow": lambda: gpd.GeoDataFrame(geometry=[shape], crs=LONLAT).to_arrow(geometry_encoding="geoarrow"),
        "boxes": lambda: shape.bounds,
    }[form]()
    found = edge.get_gdf(given, bands="b", all_touched=all_touched)
    whole = shapely.affinity.translate(shape, -west)
    east = shapely.intersection(whole, shapely.box(179, 0, 180, 1))
    beyond = shapely.affinity.translate(shapely.intersection(whole, shapely.box(180, 0, 181, 1)), -360)
    check(found, folder, shapely.MultiPolygon([east, beyond]), all_touched=all_touched)
    # the caller's own geometry comes back
    assert found.geometry[0].equals(shape)


@pytest.mark.parametrize("crs", ["EPSG:32660", "EPSG:32601", "EPSG:3832"])
def test_areas_in_another_crs(edge: rf.Collection, folder: Path, crs: str) -> None:
    to_crs = Transformer.from_crs(LONLAT, crs, always_xy=True)
    area = shapely.transform(
        TRIANGLE, lambda lonlat: np.column_stack(to_crs.transform(lonlat[:, 0] % 360, lonlat[:, 1]))
    )
    found = edge.get_gdf(area, bands="b", geometry_crs=crs, ids=["zone-60", "zone-1"])
    rows = list(oracle.expected(folder, ["b"], [area], crs, all_touched=False))
    truth = {row[0]: row[3].pixels for row in rows}
    assert list(found.record_id) == ["zone-60", "zone-1"]
    for name, data in zip(found.record_id, found.data, strict=True):
        assert np.array_equal(data, truth[name])


def test_filters(edge: rf.Collection) -> None:
    assert edge.records(bbox=BOX)["id"].to_pylist() == NEAR
    assert edge.records(bbox=(179.62, 0.11, 180.57, 0.83))["id"].to_pylist() == NEAR
    assert edge.records(bbox=(-10, 0, 10, 1))["id"].to_pylist() == ["elsewhere"]
    assert edge.records(geometries=BOX)["id"].to_pylist() == NEAR
    assert edge.records(bbox=(179.99, 20, -179.99, 21)).num_rows == 0
    with pytest.raises(rf.errors.BadRequestError, match=r"bbox .* is inverted"):
        edge.records(bbox=(-170, 0, -175, 1))


def test_a_projected_box_across_is_refused(edge: rf.Collection) -> None:
    with pytest.raises(rf.errors.BadGeometryError, match=r"is inverted: minx 170.0 is greater than maxx -170.0"):
        edge.get_gdf((170, 0, -170, 1), geometry_crs="EPSG:32601", bands="b")


def test_an_invalid_polygon_across_names_the_way_out(edge: rf.Collection) -> None:
    bow = shapely.Polygon([(179, 0), (181, 1), (181, 0), (179, 1)])
    with pytest.raises(rf.errors.BadGeometryError, match=r"geometry 2 goes on beyond 180 .*make_valid"):
        edge.get_gdf([shapely.box(179, 0, 179.5, 1), bow], bands="b")


def test_a_table_of_boxes_across(edge: rf.Collection, folder: Path) -> None:
    storage = pa.StructArray.from_arrays([pa.array([value]) for value in BOX], ["xmin", "ymin", "xmax", "ymax"])
    told = {"ARROW:extension:name": "geoarrow.box", "ARROW:extension:metadata": '{"crs": "OGC:CRS84"}'}
    fields = [pa.field("extent", storage.type, metadata=told), pa.field("name", pa.string())]
    table = pa.Table.from_arrays([storage, pa.array(["line"])], schema=pa.schema(fields))
    found = edge.get_gdf(table, bands="b")
    check(found, folder, SIDES, all_touched=False)
    assert set(found.name) == {"line"}
    assert all(found.geometry == SIDES)
