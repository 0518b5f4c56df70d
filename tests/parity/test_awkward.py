"""Awkward areas from the client's input to the pixels: the same as rasterio, or a clear error."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pytest
import rasterio
import shapely

import rasterflight as rf
from conftest import COLLECTIONS
from support import oracle
from support.geoarrow import nowhere

#: The first band of this collection; its grid is in metres.
NAME, CRS = "mol", "EPSG:32631"


@pytest.fixture(scope="module")
def folder(data: Path) -> Path:
    return data / COLLECTIONS[NAME]


@pytest.fixture(scope="module")
def grid(folder: Path) -> rasterio.Affine:
    with rasterio.open(oracle.layers(folder)[0].path) as dataset:
        return dataset.transform


def awkward() -> dict[str, shapely.Geometry]:
    """In pixels: column, row."""
    square = shapely.box(5, 5, 25, 25)
    hole = [(10, 10), (20, 10), (15, 20)]
    return {
        "holes": shapely.Polygon(square.exterior, [hole, [(6, 6), (8, 6), (7, 8)]]),
        "hole to the last pixel": square - shapely.box(5.4, 5.4, 24.6, 24.6),
        "hole that touches its ring": shapely.Polygon(square.exterior, [[(5, 15), (15, 10), (15, 20)]]),
        "holes that touch": shapely.Polygon(
            square.exterior, [[(8, 8), (12, 8), (12, 12)], [(12, 12), (16, 12), (16, 16)]]
        ),
        "hole outside": shapely.Polygon(square.exterior, [[(30, 30), (35, 30), (30, 35)]]),
        "hole that is all": shapely.Polygon(square.exterior, [square.exterior.coords]),
        "parts that touch": shapely.MultiPolygon([square, shapely.box(25, 5, 35, 25)]),
        "parts that overlap": shapely.MultiPolygon([square, shapely.box(15, 15, 35, 35)]),
        "parts far apart": shapely.MultiPolygon([shapely.box(1, 1, 3, 3), shapely.box(50, 40, 55, 45)]),
        "part outside": shapely.MultiPolygon([square, shapely.box(500, 400, 550, 450)]),
        "z": shapely.force_3d(square, 100),
        "duplicate points": shapely.Polygon([(5, 5), (5, 5), (25, 5), (25, 25), (25, 25), (25, 25), (5, 25)]),
        "spike": shapely.Polygon([(5, 5), (25, 5), (40, 5), (25, 5), (25, 25), (5, 25)]),
        "bow": shapely.Polygon([(5, 5), (25, 25), (25, 5), (5, 25)]),
        "star": shapely.Polygon([(15, 2), (21, 28), (3, 10), (27, 10), (9, 28)]),
        "ring that touches itself": shapely.Polygon([(5, 5), (15, 15), (25, 5), (25, 25), (15, 15), (5, 25)]),
        "ring of no area": shapely.Polygon([(5, 5), (25, 25), (5, 5)]),
        "sliver": shapely.Polygon([(5.2, 5.1), (40.7, 31.3), (40.7, 31.35)]),
        "sliver between centres": shapely.box(5.6, 5, 5.9, 25),
        "sliver over centres": shapely.box(5.4, 5, 5.6, 25),
        "speck": shapely.box(7.1, 7.1, 7.2, 7.2),
        "speck on a centre": shapely.box(7.4, 7.4, 7.6, 7.6),
        "half pixels": shapely.box(5.5, 5.5, 20.5, 20.5),
        "whole pixels": shapely.box(5, 5, 20, 20),
        "over the edge": shapely.box(-10, -10, 8, 8),
        "all and more": shapely.box(-1000, -1000, 1000, 1000),
        "clockwise": shapely.Polygon(square.exterior.coords[::-1]),
        "no width": shapely.box(7.3, 5, 7.3, 25),
        "no height": shapely.box(5, 7.3, 25, 7.3),
        "no width on an edge": shapely.box(7, 5, 7, 25),
        "a point": shapely.box(7.3, 7.3, 7.3, 7.3),
        "a point on a corner": shapely.box(7, 7, 7, 7),
    }


SHAPES = awkward()


@pytest.mark.parametrize("all_touched", [False, True])
@pytest.mark.parametrize("form", ["shapely", "arrow"])
def test_awkward_areas(client: rf.Client, folder: Path, grid: rasterio.Affine, form: str, all_touched: bool) -> None:
    matrix = [grid.a, grid.b, grid.d, grid.e, grid.c, grid.f]
    shapes = [shapely.affinity.affine_transform(shape, matrix) for shape in SHAPES.values()]
    layers = oracle.layers(folder)
    band, record = layers[0].band, layers[0].record_id
    given = gpd.GeoDataFrame({"shape": list(SHAPES)}, geometry=shapes, crs=CRS)
    areas = given if form == "shapely" else given.to_arrow()
    found = client.collection(NAME).get_gdf(areas, bands=[band], ids=record, all_touched=all_touched)
    found = found.set_index("shape")
    for name, shape in zip(SHAPES, shapes, strict=True):
        truth = oracle.cut(layers[0], shape, CRS, all_touched=all_touched)
        if truth is None:
            # no pixel of the raster lies under the bounds: the pair is not in the result
            assert name not in found.index, name
            continue
        assert np.array_equal(found.data[name], truth.pixels), name
        assert tuple(found["transform"][name]) == tuple(truth.transform), name


def test_boxes_of_no_area(client: rf.Client, folder: Path, grid: rasterio.Affine) -> None:
    """As numbers they go another way than as polygons, to the same pixels."""
    layer = oracle.layers(folder)[0]
    boxes, expected = [], []
    for number, (col, row, width, height) in enumerate(
        [(7.3, 5, 0, 20), (5, 7.3, 20, 0), (7.3, 7.3, 0, 0), (7, 7, 0, 0), (3, 3, 2, 2)], 1
    ):
        west, north = grid * (col, row)
        east, south = grid * (col + width, row + height)
        boxes.append((west, south, east, north))
        truth = oracle.cut(layer, shapely.box(*boxes[-1]), CRS, all_touched=True)
        expected += [] if truth is None else [(number, truth)]
    found = client.collection(NAME).get_gdf(
        boxes, geometry_crs=CRS, bands=[layer.band], ids=layer.record_id, all_touched=True
    )
    assert found.geometry_id.tolist() == [number for number, _ in expected]
    assert len(expected) in (4, 5)
    for data, (_, truth) in zip(found.data, expected, strict=True):
        assert np.array_equal(data, truth.pixels)


WRONG = {
    "empty": (shapely.Polygon(), "geometry 2 is empty"),
    "nan": (nowhere(np.nan), "geometry 2 has a coordinate that is NaN or infinite"),
    "point": (shapely.Point(1, 2), r"geometry 2 is a P(oint|OINT).*sample_points"),
    "line": (shapely.LineString([(0, 0), (1, 1)]), r"geometry 2 is a L(ineString|INESTRING).*sample_points"),
    "collection": (shapely.GeometryCollection([shapely.box(0, 0, 1, 1)]), r"geometry 2 is a G(eometryCollection|EOMETRYCOLLECTION)"),
}  # fmt: skip


@pytest.mark.parametrize("form", ["shapely", "wkb", "arrow"])
@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_area_is_said(client: rf.Client, case: str, form: str) -> None:
    shape, words = WRONG[case]
    both = [shapely.box(0, 0, 1, 1), shape]
    given = {"shapely": both, "wkb": [one.wkb for one in both], "arrow": pa.array([one.wkb for one in both])}[form]
    with pytest.raises(rf.errors.BadGeometryError, match=words):
        client.collection(NAME).get_numpy(given, bands=["B04"])
