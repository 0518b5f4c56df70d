"""Keywords about the grid: what the server is asked, and what is refused before it is asked anything."""

from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401 - the accessor .rio
import xarray as xr
from affine import Affine
from rasterio.enums import Resampling

import rasterflight as rf
from rasterflight import errors
from rasterflight._grids import grid_message
from rasterflight._like import coordinates_of, target_grid
from rasterflight_protocol import BandField, chips_schema
from rasterflight_protocol.v1 import read_pb2 as pb
from support.fake_server import Answers, batch, collection, pixels, row, serving

ONE = chips_schema([BandField("red", "uint16", "0")])
TRANSFORM = Affine(10, 0, 500_000, 0, -10, 4_500_000)
GRID = pb.TargetGrid(crs="EPSG:32618", transform=list(TRANSFORM)[:6], width=3, height=2)


def message(**keywords):
    bands = keywords.pop("bands", ["red", "scl"])
    return grid_message(keywords, bands=bands)


def test_nothing_said_is_no_grid():
    assert message() == pb.GridOptions(values=pb.VALUES_RAW)
    assert message(target_crs=None, resolution=None, like=None) == pb.GridOptions(values=pb.VALUES_RAW)


@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        ({"target_crs": 3857}, {"target_crs": "EPSG:3857"}),
        ({"resolution": 10}, {"resolution": [10]}),
        ({"resolution": (10, 20)}, {"resolution": [10, 20]}),
        ({"resolution": np.array([10, 20])}, {"resolution": [10, 20]}),
        ({"resolution": np.float32(0.5)}, {"resolution": [0.5]}),
        ({"bounds": (0, 1, 2, 3)}, {"bounds": pb.BBox(minx=0, miny=1, maxx=2, maxy=3)}),
        ({"align": 0}, {"anchor": [0]}),
        ({"align": (5, -5)}, {"anchor": [5, -5]}),
        ({"like": {"crs": 32618, "transform": TRANSFORM, "width": 3, "height": 2}}, {"grid": GRID}),
    ],
)
def test_what_is_said_makes_one_grid_for_all(keywords, expected):
    assert message(**keywords) == pb.GridOptions(values=pb.VALUES_RAW, common=True, **expected)


@pytest.mark.parametrize(
    ("resampling", "expected"),
    [
        ("cubic", {"resampling": pb.RESAMPLING_CUBIC}),
        (Resampling.average, {"resampling": pb.RESAMPLING_AVERAGE}),
        (
            {"red": "bilinear", "scl": Resampling.mode},
            {"band_resampling": {"red": pb.RESAMPLING_BILINEAR, "scl": pb.RESAMPLING_MODE}},
        ),
    ],
)
def test_resampling_alone_asks_for_no_grid(resampling, expected):
    assert message(resampling=resampling) == pb.GridOptions(values=pb.VALUES_RAW, **expected)


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"resolution": 0}, "resolution is 0, expected a number above 0, or \\(x, y\\)"),
        ({"resolution": -1}, "resolution is -1"),
        ({"resolution": (1, 2, 3)}, "resolution is \\(1, 2, 3\\)"),
        ({"resolution": float("nan")}, "resolution is nan"),
        ({"resolution": "10"}, "resolution is '10'"),
        ({"resolution": ()}, "resolution is \\(\\)"),
        ({"align": float("inf")}, "align is inf, expected a number, or \\(x, y\\)"),
        ({"align": "edge"}, "align is 'edge'"),
        ({"bounds": (0, 0, 0, 1)}, "bounds is \\(0, 0, 0, 1\\), expected .* with a size above 0"),
        ({"bounds": (0, 2, 1, 1)}, "with a size above 0"),
        ({"bounds": (0, 0, 1)}, "bounds is \\(0, 0, 1\\), expected \\(minx, miny, maxx, maxy\\)"),
        ({"bounds": (0, 0, 1, None)}, "expected \\(minx, miny, maxx, maxy\\)"),
        ({"bounds": 5}, "bounds is 5"),
        ({"resampling": "lanczos"}, "resampling is 'lanczos', expected one of nearest, bilinear, cubic, average, mode"),
        ({"resampling": Resampling.lanczos}, "resampling is 'lanczos'"),
        ({"resampling": 1}, "resampling is 1"),
        ({"resampling": ["mode"]}, "resampling is \\['mode'\\]"),
        ({"resampling": {"nir": "mode"}}, "resampling names 'nir', but the read is of red, scl"),
        ({"resampling": {"red": "max"}}, "resampling is 'max'"),
        ({"bounds": (0, 0, 1, 1), "align": 0}, "bounds and align both say where pixels begin"),
        ({"like": GRID, "resolution": 10, "align": 0}, "like says the whole grid, but so do resolution, align"),
        ({"like": GRID, "target_crs": 4326}, "like says the whole grid, but so do target_crs"),
    ],
)
def test_values_that_cannot_be_used_are_named(keywords, words):
    with pytest.raises(errors.BadRequestError, match=words) as caught:
        message(**keywords)
    assert caught.value.field in keywords


# ---- like: anything that has a grid


def dataset(width=3, height=2, transform=TRANSFORM, crs=32618, **names):
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    array = xr.DataArray(
        np.zeros((height, width)),
        dims=("y", "x"),
        coords={"y": y * transform.e + transform.f, "x": x * transform.a + transform.c},
    )
    array = array.rio.write_crs(crs).rio.write_transform(transform)
    return array.rename(names).to_dataset(name="red")


@pytest.fixture
def opened(tmp_path):
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=3, height=2, count=1, dtype="uint8", crs="EPSG:32618", transform=TRANSFORM
    ) as written:
        written.write(np.zeros((1, 2, 3), np.uint8))
    with rasterio.open(path) as found:
        yield found


def without_crs(grid):
    return list(grid.transform), grid.width, grid.height


def test_a_rasterio_dataset(opened):
    grid = target_grid(opened)
    assert without_crs(grid) == without_crs(GRID)
    assert rasterio.crs.CRS.from_string(grid.crs) == opened.crs


@pytest.mark.parametrize("name", ["affine", "transform"])
def test_a_geobox(name):
    geobox = SimpleNamespace(crs="EPSG:32618", shape=(2, 3), **{name: TRANSFORM})
    assert target_grid(geobox) == GRID


@pytest.mark.parametrize("transform", [TRANSFORM, tuple(TRANSFORM)[:6], np.array(TRANSFORM)[:6]])
def test_a_dict(transform):
    assert target_grid({"crs": "EPSG:32618", "transform": transform, "width": 3, "height": 2}) == GRID


def test_a_dataset_and_its_arrays():
    ds = dataset()
    for like in (ds, ds.red, ds.red.drop_attrs(deep=False)):
        assert without_crs(target_grid(like)) == without_crs(GRID)
    assert rasterio.crs.CRS.from_string(target_grid(ds).crs).to_epsg() == 32618


def test_a_dataset_of_ours(tmp_path):
    with collection(ONE, batch(ONE, row("a", red=pixels(2, 3)))) as (toy, _):
        ds = toy.get_xarray(bands="red")
    assert target_grid(ds) == GRID


@pytest.mark.parametrize(("x", "y"), [("lon", "lat"), ("longitude", "latitude")])
def test_axes_by_other_names(x, y):
    transform = Affine(0.1, 0, -74, 0, -0.1, 41)
    grid = target_grid(dataset(transform=transform, crs=4326, x=x, y=y))
    np.testing.assert_allclose(grid.transform, list(transform)[:6], rtol=1e-12)


def test_a_part_of_a_dataset_has_the_grid_of_that_part():
    ds = dataset(width=30, height=20).isel(x=slice(7, 10), y=slice(4, 6))  # and GeoTransform is still that of the whole
    assert list(target_grid(ds).transform) == [10, 0, 500_070, 0, -10, 4_499_960]
    assert list(target_grid(ds.isel(x=[0])).transform) == [10, 0, 500_070, 0, -10, 4_499_960]


def test_a_dataset_that_is_thinned_out_or_turned_has_other_pixels():
    ds = dataset(width=30, height=20)
    assert list(target_grid(ds.isel(x=slice(0, None, 2))).transform)[:3] == [20, 0, 499_995]
    assert list(target_grid(ds.isel(y=slice(None, None, -1))).transform)[4:] == [10, 4_499_800]


def test_coordinates_are_kept_as_they_are():
    transform = Affine(0.1, 0, -74.03, 0, -0.1, 41.07)
    ds = dataset(width=30, height=20, transform=transform, crs=4326, x="lon", y="lat")
    kept = coordinates_of(ds)
    np.testing.assert_array_equal(kept["x"], ds.lon)
    np.testing.assert_array_equal(kept["y"], ds.lat)
    assert coordinates_of(GRID) == {}


@pytest.mark.parametrize(
    ("like", "words"),
    [
        ({"crs": 4326}, "like is a dict of crs, expected crs, transform, width, height"),
        ({"crs": None, "transform": TRANSFORM, "width": 1, "height": 1}, "like has no CRS"),
        ({"crs": 4326, "transform": TRANSFORM, "width": 0, "height": 1}, "like has a width of 0"),
        ({"crs": 4326, "transform": TRANSFORM, "width": 1, "height": 1.5}, "like has a height of 1.5"),
        (
            {"crs": 4326, "transform": (1, 2), "width": 1, "height": 1},
            "like has the transform \\(1, 2\\), expected a, b",
        ),
        ({"crs": 4326, "transform": Affine.rotation(30), "width": 1, "height": 1}, "do not run along the axes"),
        ({"crs": 4326, "transform": Affine.scale(0), "width": 1, "height": 1}, "like has pixels without a size"),
        (dataset().drop_vars("spatial_ref"), "like has no CRS .*rio.write_crs"),
        (dataset().drop_vars("x"), "like has no coordinates x and y, or longitude and latitude, or lon and lat"),
        (dataset().assign_coords(x=[0.0, 1.0, 5.0]), "like has a coordinate x that is not even"),
        (dataset().assign_coords(x=[1.0, 1.0, 1.0]), "like has a coordinate x that is not even"),
        (dataset().assign_coords(x=["a", "b", "c"]), "like has a coordinate x that is no list of numbers"),
        (
            dataset(width=1).assign_coords(
                spatial_ref=dataset().spatial_ref.drop_attrs().assign_attrs(crs_wkt="EPSG:4326")
            ),
            "like has one pixel along x, and does not tell its size",
        ),
        (
            dataset().assign_coords(spatial_ref=dataset().spatial_ref.assign_attrs(GeoTransform="0 1 1 0 1 -1")),
            "do not run along the axes",
        ),
    ],
)
def test_grids_that_cannot_be_used_are_refused(like, words):
    with pytest.raises(errors.BadRequestError, match=words) as caught:
        target_grid(like)
    assert caught.value.field == "like"


@pytest.mark.parametrize("like", [7, "EPSG:4326", np.zeros((2, 2))])
def test_what_has_no_grid_is_no_grid(like):
    with pytest.raises(TypeError, match="expected an xarray object, a GeoBox, a rasterio dataset, or a dict"):
        target_grid(like)


# ---- what each method asks


@pytest.fixture(scope="module")
def answers():
    return Answers(schema=ONE, stream=[batch(ONE, row("a", red=pixels(2, 3)))])


@pytest.fixture(scope="module")
def toy(answers):
    with serving(answers) as url, rf.connect(url) as client:
        yield client.collection("toy")


@pytest.mark.parametrize(
    ("method", "plain", "placed"),
    [
        ("read", (False, False), (True, False)),
        ("plan", (False, False), (True, False)),
        ("get_gdf", (False, False), (True, False)),
        ("get_numpy", (False, False), (True, True)),
        ("get_xarray", (True, False), (True, False)),
    ],
)
def test_who_asks_for_one_grid_and_whole_areas(toy, answers, method, plain, placed):
    for keywords, expected in (({}, plain), ({"resampling": "mode"}, plain), ({"align": 0}, placed)):
        answers.requests.clear()
        getattr(toy, method)(bands="red", **keywords)
        (request,) = answers.requests
        assert (request.grid.common, request.grid.whole_areas) == expected


def test_outlines_are_chips_without_pixels(toy, answers):
    answers.requests.clear()
    toy.read((0, 0, 1, 1), bands="red", layout="outlines", resolution=10).close()
    toy.read((0, 0, 1, 1), bands="red", resolution=10).close()
    outlines, chips = answers.requests
    assert outlines.layout == pb.LAYOUT_OUTLINES
    outlines.layout = pb.LAYOUT_CHIPS
    assert outlines == chips


def test_records_have_no_grid(toy):
    for keywords in ({"resolution": 10}, {"like": GRID}, {"resampling": "mode"}):
        with pytest.raises(
            errors.BadRequestError, match=r"reads no pixels: leave .* all else that is about their grid"
        ):
            toy.read(layout="records", **keywords)


def test_an_unknown_keyword_gets_both_lists(toy):
    words = "unexpected keyword resolutoin; filters are: cloud_cover_lt, .*; for the grid: target_crs, resolution"
    with pytest.raises(TypeError, match=words):
        toy.get_numpy(bands="red", resolutoin=3)
    with pytest.raises(TypeError, match=r"unexpected keyword resolution; filters are: [^;]*$"):
        toy.subset(resolution=3)


def test_a_frame_is_in_the_crs_of_like(toy):
    like = {"crs": 3857, "transform": TRANSFORM, "width": 3, "height": 2}
    assert toy.get_gdf((0, 0, 1, 1), bands="red", like=like).crs == "EPSG:3857"


def test_a_plan_tells_levels(toy, answers):
    from rasterflight_protocol.v1.plan_pb2 import BandLevels, Plan

    answers.plan = Plan(snapshot="s", levels=[BandLevels(band="red", levels=[0, 2])])
    plan = toy.plan(bands="red", resolution=40)
    assert plan.levels == {"red": (0, 2)}
    assert "\nresample red from level 0, 2\nsnapshot s" in str(plan)
