import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import shapely
from affine import Affine

from rasterflight import errors
from rasterflight_protocol import BandField, chips_schema
from support.fake_server import batch, blocks, collection, pixels, row

BOTH = chips_schema([BandField("nir", "uint16", "0"), BandField("cloud", "uint8")])
NAMES = ["nir", "cloud"]
COLUMNS = ["record_id", "datetime", "cloud_cover", "collection", "geometry_id", "geometry", "band", "data", "transform"]
AOI = gpd.GeoDataFrame(
    {"name": ["a", "b"], "ha": [1.5, 2.5]}, geometry=[shapely.box(0, 0, 1, 1), shapely.box(1, 1, 2, 2)], crs=2263
)


def both(record, shape=(2, 2), **facts):
    return row(record, nir=pixels(*shape), cloud=pixels(*shape, dtype="uint8"), **facts)


def test_a_row_is_a_record_an_area_and_a_band():
    rows = [both("a"), both("a", (3, 4), geometry_id=2), *blocks(both("b", (5, 1), geometry_id=2), 3, 2)]
    with collection(BOTH, batch(BOTH, *rows)) as (toy, _):
        frame = toy.get_gdf(AOI, bands=NAMES)
    assert list(frame.columns) == [*COLUMNS, "name", "ha"]
    assert list(zip(frame.record_id, frame.geometry_id, frame.band, strict=True)) == [
        ("a", 1, "nir"),
        ("a", 1, "cloud"),
        ("a", 2, "nir"),
        ("a", 2, "cloud"),
        ("b", 2, "nir"),
        ("b", 2, "cloud"),
    ]
    assert frame.crs == AOI.crs
    assert list(frame.geometry) == [AOI.geometry[position] for position in (0, 0, 1, 1, 1, 1)]
    assert list(frame.name) == list("aabbbb")
    assert frame.geometry_id.dtype == np.int64
    assert str(frame.datetime.dtype).endswith("UTC]")
    assert frame.datetime[0] == pd.Timestamp("2024-01-01T10:30Z")
    assert frame["transform"][0] == Affine(10, 0, 500000, 0, -10, 4500000)
    assert list(frame.index) == list(range(6))
    for data, band in zip(frame.data, frame.band, strict=True):
        assert data.dtype == ("uint16" if band == "nir" else "uint8")
        assert data.flags.c_contiguous
        assert data.flags.writeable
    np.testing.assert_array_equal(frame.data[4], pixels(5, 1))


def test_equal_shapes_stay_apart():
    with collection(BOTH, batch(BOTH, both("a"), both("b"))) as (toy, _):
        frame = toy.get_gdf((0, 0, 1, 1), bands=NAMES)
    assert [data.shape for data in frame.data] == [(2, 2)] * 4
    frame.data[0][:] = 7
    np.testing.assert_array_equal(frame.data[2], pixels(2, 2))


def test_a_bbox_is_a_polygon_in_lon_lat():
    with collection(BOTH, batch(BOTH, both("a"))) as (toy, _):
        frame = toy.get_gdf((0, 1, 2, 3), bands=NAMES)
        assert frame.crs == "OGC:CRS84"
        assert frame.geometry[0].equals(shapely.box(0, 1, 2, 3))
        assert toy.get_gdf((0, 1, 2, 3), bands=NAMES, geometry_crs=2263).crs == "EPSG:2263"
        assert toy.get_gdf(AOI, bands=NAMES, target_crs=3857).crs == "EPSG:3857"


def test_bands_that_come_apart_are_put_in_the_order_asked_for():
    nir, cloud = row("a", nir=pixels(4, 4)), row("a", cloud=pixels(2, 2, dtype="uint8"))
    with collection(BOTH, batch(BOTH, cloud, nir, both("b"))) as (toy, _):
        frame = toy.get_gdf((0, 0, 1, 1), bands=NAMES)
    assert list(zip(frame.record_id, frame.band, strict=True)) == [
        ("a", "nir"),
        ("a", "cloud"),
        ("b", "nir"),
        ("b", "cloud"),
    ]


def test_without_areas_the_geometry_is_the_outline_of_the_pixels():
    with collection(BOTH, batch(BOTH, both("a", (3, 2), geometry_id=None, geometry=None))) as (toy, _):
        frame = toy.get_gdf(bands=NAMES)
    assert frame.crs == "EPSG:32618"
    assert frame.geometry[0].equals(shapely.box(500000, 4500000 - 30, 500000 + 20, 4500000))
    assert frame.geometry_id.isna().all()


def test_outlines_in_several_crs_do_not_fit_one_frame():
    with (
        collection(BOTH, batch(BOTH, both("a"), both("b", crs="EPSG:32619"))) as (toy, _),
        pytest.raises(errors.GridMismatchError, match=r"several CRS: EPSG:32618, EPSG:32619.*get_numpy or read"),
    ):
        toy.get_gdf(bands=NAMES, windows=(0, 0, 2, 2))


def test_rasters_in_several_crs_are_fine_for_areas():
    with collection(BOTH, batch(BOTH, both("a"), both("b", crs="EPSG:32619"))) as (toy, _):
        assert len(toy.get_gdf((0, 0, 1, 1), bands=NAMES)) == 4


def test_a_raster_without_crs_has_a_frame_without_crs():
    with collection(BOTH, batch(BOTH, both("a", crs=None, transform=None))) as (toy, _):
        frame = toy.get_gdf(bands=NAMES, windows=(0, 0, 2, 2))
    assert (frame.crs, frame.geometry[0], frame["transform"][0]) == (None, None, None)


def test_what_is_not_known_is_missing():
    with collection(BOTH, batch(BOTH, both("a", datetime=None, cloud_cover=None))) as (toy, _):
        frame = toy.get_gdf((0, 0, 1, 1), bands=NAMES)
    assert frame.datetime.isna().all()
    assert frame.cloud_cover.isna().all()


OWN = pa.table(
    {
        "whole": pa.array([2**60 + 1, None]),
        "flag": pa.array([None, True]),
        "kind": pa.array(["x", "y"]).dictionary_encode(),
        "when": pa.array([0, 1], pa.timestamp("us", "Europe/Paris")),
        "text": pa.array(["a", None], pa.string_view()),
        "parts": pa.array([["u"], []], pa.list_(pa.string_view())),
    }
)


def test_columns_of_any_table_come_back():
    with_home = AOI.assign(home=AOI.geometry.centroid)
    arrow = pa.table(with_home.to_arrow()).replace_schema_metadata(None)
    for name in OWN.column_names:
        arrow = arrow.append_column(name, OWN[name])
    rows = [both("a", geometry_id=2), both("b"), both("b", geometry_id=2)]
    with collection(BOTH, batch(BOTH, *rows)) as (toy, _):
        frame = toy.get_gdf(arrow, bands=NAMES, geometry_column="geometry")[::2].reset_index(drop=True)
    assert list(frame.columns) == [*COLUMNS, "name", "ha", "home", *OWN.column_names]
    assert frame.crs == AOI.crs
    assert list(frame.geometry) == [AOI.geometry[position] for position in (1, 0, 1)]
    assert list(frame.name) == list("bab")
    assert list(frame.home) == [with_home.home[position] for position in (1, 0, 1)]
    assert frame.home.crs == AOI.crs
    assert frame.whole.dtype == "Int64"
    assert frame.whole[1] == 2**60 + 1
    assert frame.whole.isna().tolist() == [True, False, True]
    assert frame.flag.dtype == "boolean"
    assert isinstance(frame.kind.dtype, pd.CategoricalDtype)
    assert str(frame["when"].dtype) == "datetime64[us, Europe/Paris]"
    assert frame.text.isna().tolist() == [True, False, True]
    assert [list(parts) for parts in frame.parts] == [[], ["u"], []]


def test_types_of_a_frame_stay():
    own = pd.DataFrame(
        {
            "kind": pd.Categorical(["x", "y"]),
            "when": pd.to_datetime(["2024-01-01", "2024-06-01"]).tz_localize("Europe/Paris"),
            "count": np.array([1, 2], np.uint8),
            "thing": [{"a": 1}, print],
        }
    )
    aoi = gpd.GeoDataFrame(own, geometry=list(AOI.geometry), crs=2263)
    with collection(BOTH, batch(BOTH, both("a", geometry_id=2), both("b"))) as (toy, _):
        frame = toy.get_gdf(aoi, bands=NAMES)[::2]
    assert frame[list(own)].dtypes.to_dict() == own.dtypes.to_dict()
    assert list(frame["thing"]) == [print, {"a": 1}]


def test_columns_of_a_table_that_collide_are_listed():
    taken = pa.table(AOI.rename(columns={"name": "band", "ha": "data"}).to_arrow())
    with collection(BOTH) as (toy, answers):
        with pytest.raises(errors.ColumnCollisionError, match=r"columns of its own named band, data .*rename"):
            toy.get_gdf(taken, bands=NAMES)
        assert answers.requests == []


def test_columns_that_collide_are_listed_before_anything_is_read():
    taken = AOI.rename(columns={"name": "band", "ha": "data"})
    with collection(BOTH) as (toy, answers):
        with pytest.raises(errors.ColumnCollisionError, match=r"columns of its own named band, data .*rename"):
            toy.get_gdf(taken, bands=NAMES)
        assert answers.requests == []


def test_what_is_missing_is_told_and_kept():
    schema = chips_schema([BandField("nir", "uint16", "0")], with_error=True)
    rows = [row("a", nir=pixels(1, 1)), row("b", error="cut off")]
    with collection(schema, batch(schema, *rows)) as (toy, _), pytest.warns(RuntimeWarning, match="b: cut off"):
        frame = toy.get_gdf((0, 0, 1, 1), bands="nir", on_error="skip")
    assert frame.attrs["rasterflight_errors"] == ["b: cut off"]
    assert list(frame.record_id) == ["a"]


def test_an_empty_stream_is_no_data():
    with collection(BOTH) as (toy, _), pytest.raises(errors.NoDataFound, match="the result is empty"):
        toy.get_gdf((0, 0, 1, 1), bands=NAMES)
