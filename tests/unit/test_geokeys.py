import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import CRS
from rasterio.warp import transform_bounds

from rasterflight_server.ingest.footprint import outline
from rasterflight_server.ingest.geokeys import crs_name, read_crs
from rasterflight_server.ingest.header import Header, read_header
from rasterflight_server.store import open_source
from rasterflight_server.types import Grid
from support.tiff import ASCII, DOUBLE, SHORT, tags, tiff

SCALE, TIE, MATRIX, KEYS, DOUBLES, TEXTS = "t33550", "t33922", "t34264", "t34735", "t34736", "t34737"
UTM18 = (SHORT, [1, 1, 0, 1, 3072, 0, 1, 32618])
UTM18_POINT = (SHORT, [1, 1, 0, 2, 1025, 0, 1, 2, 3072, 0, 1, 32618])


def header(path: Path) -> Header:
    with open_source(str(path)) as source:
        return read_header(source)


def write(path: Path, **changes) -> Path:
    path.write_bytes(tiff(tags(**changes)))
    return path


class TestTransform:
    @pytest.mark.parametrize("keys", [UTM18, UTM18_POINT])
    @pytest.mark.parametrize(
        "place",
        [
            {SCALE: (DOUBLE, [10.0, 20.0, 0.0]), TIE: (DOUBLE, [0.0, 0.0, 0.0, 500_000.0, 4_000_000.0, 0.0])},
            {SCALE: (DOUBLE, [10.3, 20.7, 0.0]), TIE: (DOUBLE, [3.5, 7.25, 0.0, 500_000.1, 4_000_000.7, 0.0])},
            {SCALE: (DOUBLE, [10.0, -20.0, 0.0]), TIE: (DOUBLE, [0.0, 0.0, 0.0, 500_000.0, 4_000_000.0, 0.0])},
            {MATRIX: (DOUBLE, [10.0, 0, 0, 5e5, 0, 20.0, 0, 4e6, 0, 0, 0, 0, 0, 0, 0, 1])},
            {MATRIX: (DOUBLE, [10.0, 3.0, 0, 5e5, 2.0, -20.0, 0, 4e6, 0, 0, 0, 0, 0, 0, 0, 1])},
        ],
    )
    def test_as_gdal(self, tmp_path: Path, keys: tuple, place: dict) -> None:
        path = write(tmp_path / "x.tif", **place, **{KEYS: keys})
        found = header(path)
        with rasterio.open(path) as expected:
            assert tuple(found.grid.transform) == tuple(expected.transform)
        assert found.grid.crs == "EPSG:32618"
        assert found.located

    @pytest.mark.parametrize(
        "place",
        [
            {},
            {TIE: (DOUBLE, [0.0, 0, 0, 5, 4, 0, 9, 9, 0, 7, 8, 0])},
            {SCALE: (DOUBLE, [0.0, 0.0, 0.0]), TIE: (DOUBLE, [0.0] * 6)},
            {SCALE: (DOUBLE, [math.nan, 1.0, 0.0]), TIE: (DOUBLE, [0.0] * 6)},
            {SCALE: (DOUBLE, [1.0, 1.0, 0.0]), TIE: (DOUBLE, [0.0, 0.0, 0.0, math.inf, 0.0, 0.0])},
            {MATRIX: (DOUBLE, [0.0] * 16)},
        ],
    )
    @pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
    def test_nowhere(self, tmp_path: Path, place: dict) -> None:
        path = write(tmp_path / "x.tif", **place, **{KEYS: UTM18})
        found = header(path)
        assert not found.located
        assert not found.grid.located
        assert found.grid.transform == Affine.identity()
        assert outline(found.grid) is None
        # Control points have the CRS for themselves.
        assert found.grid.crs == (None if TIE in place else "EPSG:32618")

    @pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
    def test_scale_without_tie_point(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.tif", **{SCALE: (DOUBLE, [10.0, 20.0, 0.0]), KEYS: UTM18_POINT})
        with rasterio.open(path) as expected:
            assert tuple(header(path).grid.transform) == tuple(expected.transform)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    "crs",
    [
        "EPSG:32618",
        "EPSG:2263",
        "EPSG:4326",
        "EPSG:3031",
        "ESRI:102008",
        "ESRI:54009",
        "+proj=aea +lat_1=30 +lat_2=45 +lat_0=23 +lon_0=-90 +datum=WGS84",
        "+proj=laea +lat_0=52 +lon_0=10 +x_0=4321 +y_0=3210 +ellps=GRS80",
        "+proj=sinu +lon_0=0 +R=6371007.181",
        "+proj=tmerc +lat_0=1 +lon_0=11 +k=0.9997 +x_0=500 +datum=WGS84",
        "+proj=lcc +lat_1=33 +lat_2=45 +lat_0=40 +lon_0=-97 +datum=NAD83",
        "+proj=lcc +lat_1=33 +lat_2=45 +lat_0=40 +lon_0=-97 +x_0=609601.2192024384 +datum=NAD83 +units=us-ft",
        "+proj=lcc +lat_1=40 +lat_0=40 +lon_0=-97 +k_0=0.999 +datum=NAD83",
        "+proj=stere +lat_0=90 +lat_ts=71 +lon_0=-33 +datum=WGS84",
        "+proj=stere +lat_0=-90 +lat_ts=-70 +lon_0=5 +datum=WGS84",
        "+proj=stere +lat_0=50 +lon_0=3 +k=0.99 +datum=WGS84",
        "+proj=merc +lon_0=5 +datum=WGS84",
        "+proj=eqc +lat_ts=30 +lon_0=0 +datum=WGS84",
        "+proj=cea +lat_ts=20 +lon_0=0 +datum=WGS84",
        "+proj=aeqd +lat_0=50 +lon_0=3 +datum=WGS84",
        "+proj=robin +datum=WGS84",
        "+proj=utm +zone=33 +ellps=intl",
    ],
)
def test_crs_as_gdal(tmp_path: Path, crs: str) -> None:
    path = tmp_path / "x.tif"
    options = {"driver": "GTiff", "width": 16, "height": 16, "count": 1, "dtype": "uint8", "tiled": True}
    with rasterio.open(
        path, "w", **options, blockxsize=16, blockysize=16, crs=crs, transform=Affine(10, 0, 500, 0, -10, 700)
    ) as out:
        out.write(np.zeros((1, 16, 16), "uint8"))
    found = header(path).grid.crs
    assert found is not None
    with rasterio.open(path) as expected:
        assert rasterio.CRS.from_user_input(found) == expected.crs


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {3072: 1},
        {3072: "text"},
        {3072: 2.5},
        {1024: 2, 2048: 32767},
        {3072: 32767},
        {3072: 32767, 3075: 999, 2048: 4326},
        {3072: 32767, 3075: 15, 2048: 4326, 3081: "north"},
        {3072: 32767, 3074: 1, 2048: 4326},
        {3072: 32767, 3075: 1, 2048: 32618, 2057: -1.0},
        {3072: 32767, 3075: 1, 3076: 4, 2048: 4326},
        {1026: "ESRI PE String = PROJCS["},
    ],
)
def test_keys_that_say_nothing(keys: dict) -> None:
    assert read_crs(keys) is None


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    "keys",
    [
        [1025, 0, 1, 1],
        [1024, 0, 1, 1],
        [1024, 0, 1, 32767],
        [1026, 34737, 5, 0],
        [3076, 0, 1, 9003],
        [2048, 0, 1, 4326],
    ],
)
def test_keys_without_a_model_are_a_local_crs(tmp_path: Path, keys: list[int]) -> None:
    path = write(tmp_path / "x.tif", **{KEYS: (SHORT, [1, 1, 0, 1, *keys]), TEXTS: (ASCII, b"Plant|\0")})
    with rasterio.open(path) as expected:
        assert rasterio.CRS.from_user_input(header(path).grid.crs) == expected.crs


def test_names_are_short_where_a_code_says_the_same() -> None:
    assert crs_name(CRS.from_epsg(32618)) == "EPSG:32618"
    assert crs_name(CRS.from_wkt(CRS.from_epsg(32618).to_wkt())) == "EPSG:32618"
    assert crs_name(CRS.from_proj4("+proj=tmerc +lon_0=11.5 +datum=WGS84")).startswith("PROJCRS[")


class TestOutline:
    def test_contains_the_corners_and_is_dense(self) -> None:
        shape = outline(Grid(100, 100, Affine(1000.0, 0, 450_000.0, 0, -1000.0, 6_000_000.0), "EPSG:32631"))
        assert shape is not None
        assert len(shape.exterior.coords) > 80
        expected = transform_bounds("EPSG:32631", "OGC:CRS84", 450_000, 5_900_000, 550_000, 6_000_000, densify_pts=19)
        assert shape.bounds == pytest.approx(expected, abs=1e-9)

    def test_without_crs(self) -> None:
        assert outline(Grid(10, 10, Affine.identity(), None)) is None

    def test_across_the_antimeridian(self) -> None:
        shape = outline(Grid(100, 100, Affine(2000.0, 0, 700_000.0, 0, -2000.0, 2_000_000.0), "EPSG:32660"))
        assert shape is not None
        assert shape.geom_type == "MultiPolygon"
        assert (shape.bounds[0], shape.bounds[2]) == (-180.0, 180.0)
        assert shape.area < 5

    @pytest.mark.parametrize(("crs", "south", "north"), [("EPSG:3413", 85, 90), ("EPSG:3031", -90, -85)])
    def test_around_a_pole(self, crs: str, south: float, north: float) -> None:
        shape = outline(Grid(100, 100, Affine(2000.0, 0, -100_000.0, 0, -2000.0, 100_000.0), crs))
        assert shape is not None
        minx, miny, maxx, maxy = shape.bounds
        assert (minx, maxx) == (-180.0, 180.0)
        assert south <= miny < maxy <= north

    def test_outside_of_the_earth(self) -> None:
        geos = "+proj=geos +h=35785831 +lon_0=0 +datum=WGS84"
        assert outline(Grid(10, 10, Affine(1e7, 0, -5e7, 0, -1e7, 5e7), geos)) is None

    def test_absurd_transform(self) -> None:
        assert outline(Grid(10, 10, Affine(1e308, 0, 1e308, 0, -1e308, 0), "EPSG:32618")) is None

    def test_crs_that_is_nowhere(self) -> None:
        local = 'ENGCRS["site",EDATUM["site"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]]'
        assert outline(Grid(10, 10, Affine.identity(), local)) is None
