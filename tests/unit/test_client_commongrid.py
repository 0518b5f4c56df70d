"""What the server tells of the grid that it put all pixels on."""

import json
import warnings

import numpy as np
import pytest

from rasterflight_protocol import BandField, chips_schema
from rasterflight_protocol.schemas import CRS_KEY, GRID_KEY
from support.fake_server import CRS_METADATA, UTM18, batch, collection, pixels, row

MADE = BandField("red", "float32", "nan")
KEPT = BandField("scl", "uint8", "0")
LIKE = {"crs": UTM18, "transform": (10, 0, 500_000, 0, -10, 4_500_000), "width": 4, "height": 3}
BOUNDS = (500_000, 4_499_970, 500_040, 4_500_000)


def schema(**facts):
    grid = {
        "crs": UTM18,
        "transform": [10.0, 0.0, 500_000.0, 0.0, -10.0, 4_500_000.0],
        "width": 4,
        "height": 3,
        "resolution": [10.0, 10.0],
        "anchor": [500_000.0, 4_500_000.0],
        "resampling": {},
        "levels": {},
        "source_crs": {UTM18: 1},
        **facts,
    }
    return chips_schema([MADE, KEPT], metadata={CRS_KEY: CRS_METADATA[CRS_KEY], GRID_KEY: json.dumps(grid).encode()})


def chip(name="a", **facts):
    return row(name, red=pixels(1, 2, dtype="float32"), scl=pixels(1, 2, dtype="uint8"), **facts)


def read(told, *rows, method="get_xarray", **keywords):
    with collection(told, batch(told, *rows)) as (toy, _):
        return getattr(toy, method)(bands=["red", "scl"], **keywords)


def at(col, line):
    return [10.0, 0.0, 500_000.0 + 10 * col, 0.0, -10.0, 4_500_000.0 - 10 * line]


def test_variables_say_how_they_were_made():
    told = schema(resampling={"red": "bilinear", "scl": "mode"}, levels={"red": [1], "scl": [0, 2]})
    ds = read(told, chip())
    assert {name: ds.red.attrs[name] for name in ("resampling", "overview_level")} == {
        "resampling": "bilinear",
        "overview_level": 1,
    }
    assert (ds.scl.attrs["resampling"], ds.scl.attrs["overview_level"]) == ("mode", [0, 2])
    assert np.isnan(ds.red.attrs["_FillValue"])
    assert ds.red.attrs["_FillValue"].dtype == np.float32
    assert ds.scl.attrs["_FillValue"] == 0


def test_what_stays_as_it_is_says_nothing():
    ds = read(schema(), chip())
    assert set(ds.red.attrs) == {"_FillValue"}


def test_the_extent_is_that_of_the_chips():
    ds = read(schema(), chip(transform=at(1, 1)))
    assert ds.red.shape == (1, 1, 1, 2)
    assert list(ds.x.values) == [500_015, 500_025]


@pytest.mark.parametrize("keywords", [{"bounds": BOUNDS}, {"like": LIKE}])
def test_the_extent_is_that_asked_for(keywords):
    ds = read(schema(), chip(transform=at(1, 1)), **keywords)
    expected = np.full((3, 4), np.nan)
    expected[1, 1:3] = [1, 2]
    np.testing.assert_array_equal(ds.red[0, 0], expected)
    np.testing.assert_array_equal(ds.scl[0, 0], np.nan_to_num(expected))
    assert list(ds.x.values) == [500_005, 500_015, 500_025, 500_035]
    assert list(ds.y.values) == [4_499_995, 4_499_985, 4_499_975]
    assert ds.spatial_ref.attrs["GeoTransform"] == "500000.0 10.0 0.0 4500000.0 0.0 -10.0"


def test_coordinates_are_those_of_like():
    like = read(schema(), chip(), bounds=BOUNDS)
    nudged = like.assign_coords(x=like.x + 1e-7)
    ds = read(schema(), chip(), like=nudged)
    np.testing.assert_array_equal(ds.x, nudged.x)
    assert ds.x.attrs == {"axis": "X"}


@pytest.mark.parametrize("method", ["get_xarray", "get_numpy", "get_gdf", "read"])
def test_a_crs_that_nobody_chose_is_told(method):
    told = schema(source_crs={UTM18: 3, "EPSG:32617": 2})
    one = chips_schema([MADE], metadata=told.metadata)
    words = (
        r"several CRS: EPSG:32618 \(3\), EPSG:32617 \(2\); their pixels are put in EPSG:32618, that of most of them: "
        "choose another with target_crs= or like="
    )
    with (
        collection(one, batch(one, row("a", red=pixels(1, 2, dtype="float32")))) as (toy, _),
        pytest.warns(UserWarning, match=words) as caught,
    ):
        getattr(toy, method)(bands="red", resolution=10)
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("keywords", [{"target_crs": UTM18}, {"like": LIKE}])
def test_a_crs_that_was_chosen_is_no_surprise(keywords):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(schema(source_crs={UTM18: 3, "EPSG:32617": 2}), chip(), **keywords)
        read(schema(source_crs={UTM18: 3}), chip())
