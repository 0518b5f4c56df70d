import datetime as dt
import json

import numpy as np
import pyproj
import pytest
import rasterio
import rioxarray
import xarray as xr

from rasterflight import errors
from rasterflight_protocol import BandField, chips_schema
from rasterflight_protocol.schemas import CRS_KEY
from support.fake_server import UTM18, batch, blocks, collection, pixels, row

# rioxarray multiplies affine transforms in a way that affine 3.1 finds old
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

CRS = pyproj.CRS(UTM18)
METADATA = {CRS_KEY: json.dumps({UTM18: {"wkt": CRS.to_wkt(), "projjson": CRS.to_json_dict()}}).encode()}
RED = BandField("red", "uint16", "0", scale=0.0001, offset=-0.1, unit="1", description="Red band")
NIR = BandField("nir", "uint16")
TEMP = BandField("temp", "float32", "nan")
ONE = chips_schema([RED], metadata=METADATA)


def at(col=0, line=0, a=10.0, e=-10.0):
    """A transform whose origin is some pixels right of and below that of all rows."""
    return [a, 0.0, 500000.0 + 10 * col, 0.0, e, 4500000.0 - 10 * line]


def day(number):
    return dt.datetime(2024, 1, number, 10, 30, tzinfo=dt.UTC)


def read(schema, *rows, total=None, **keywords):
    with collection(schema, *[batch(schema, one) for one in rows], total=total) as (toy, _):
        return toy.get_xarray(bands=[name for name in schema.names if name in ("red", "nir", "temp")], **keywords)


@pytest.mark.parametrize("total", [None, 3 * 24])
def test_a_series_on_one_grid_is_a_cube(total):
    layers = [pixels(4, 3, start) for start in (1, 20, 40)]
    rows = [row(f"r{n}", datetime=day(n), red=one) for n, one in enumerate(layers, 1)]
    ds = read(ONE, rows[0], *blocks(rows[1], 2, 2), rows[2], total=total)
    assert ds.red.dims == ("time", "geometry", "y", "x")
    assert ds.red.dtype == np.uint16
    np.testing.assert_array_equal(ds.red[:, 0], layers)
    assert ds.time.dtype == "datetime64[ns]"
    assert list(ds.time.values) == [np.datetime64(f"2024-01-0{n}T10:30") for n in (1, 2, 3)]
    assert list(ds.record_id.values) == ["r1", "r2", "r3"]
    assert list(ds.geometry.values) == [1]
    assert ds.geometry.dtype == np.int64
    assert list(ds.x.values) == [500005.0, 500015.0, 500025.0]
    assert list(ds.y.values) == [4499995.0, 4499985.0, 4499975.0, 4499965.0]


def test_a_known_total_means_no_second_copy():
    rows = [row(f"r{n}", datetime=day(n), red=pixels(400, 3)) for n in (1, 2)]
    cut = [one for whole in rows for one in blocks(whole, *[100] * 4)]
    ds = read(ONE, *cut, total=2 * 400 * 3 * 2)
    np.testing.assert_array_equal(ds.red[1, 0], pixels(400, 3))


def test_rioxarray_finds_everything():
    ds = read(ONE, row("a", red=pixels(4, 3)))
    assert ds.rio.crs == rasterio.crs.CRS.from_string(UTM18)
    assert ds.red.rio.crs.to_epsg() == 32618
    assert ds.rio.transform() == rasterio.Affine(10, 0, 500000, 0, -10, 4500000)
    assert ds.red.rio.nodata == 0
    assert ds.red.encoding["grid_mapping"] == "spatial_ref"
    assert pyproj.CRS.from_json(ds.spatial_ref.attrs["projjson"]) == CRS
    assert ds.spatial_ref.attrs["crs_wkt"] == ds.spatial_ref.attrs["spatial_ref"] == CRS.to_wkt()
    assert ds.spatial_ref.attrs["GeoTransform"] == "500000.0 10.0 0.0 4500000.0 0.0 -10.0"


def test_band_facts_are_attributes_and_not_applied():
    schema = chips_schema([RED, NIR], metadata=METADATA)
    ds = read(schema, row("a", red=pixels(1, 2), nir=pixels(1, 2)))
    attributes = {"_FillValue": 0, "scale_factor": 0.0001, "add_offset": -0.1, "units": "1", "long_name": "Red band"}
    assert ds.red.attrs == attributes
    assert ds.red.attrs["_FillValue"].dtype == np.uint16
    assert ds.nir.attrs == {}
    np.testing.assert_array_equal(ds.red[0, 0], pixels(1, 2))


@pytest.mark.parametrize(
    "name",
    [
        "landsat8-ny-cog/LC08_L1TP_013032_20180405_20180417_01_T1/LC08_L1TP_013032_20180405_B2.tif",
        "naip-nd-4709963/m_4709963_se_14_1_20140720.tif",
        "s2-mol-31UFS/openEO_2023-06-01Z.tif",
        "landsat8-017037-20160503/red.tif",
    ],
)
def test_coordinates_are_those_of_rioxarray_to_the_last_bit(data, name):
    with rioxarray.open_rasterio(data / name) as oracle:
        transform, (height, width) = oracle.rio.transform(), oracle.shape[1:]
        left = pixels(height, width // 2)
        right = {**row("a", red=pixels(height, width - width // 2)), "transform": None}
        right["transform"] = list(transform @ rasterio.Affine.translation(width // 2, 0))[:6]
        ds = read(ONE, row("a", red=left, transform=list(transform)[:6]), {**right, "geometry_id": 2})
        np.testing.assert_array_equal(ds.x, oracle.x)
        np.testing.assert_array_equal(ds.y, oracle.y)
        assert ds.rio.transform() == transform


def test_areas_lie_in_the_extent_of_all():
    rows = [row("a", red=pixels(2, 2)), row("a", geometry_id=3, red=pixels(1, 2, 9), transform=at(3, 3))]
    ds = read(ONE, *rows)
    assert ds.red.shape == (1, 2, 4, 5)
    assert list(ds.geometry.values) == [1, 3]
    expected = np.zeros((2, 4, 5), "uint16")
    expected[0, :2, :2] = pixels(2, 2)
    expected[1, 3, 3:] = pixels(1, 2, 9)
    np.testing.assert_array_equal(ds.red[0], expected)


def test_a_chip_left_of_and_above_the_first_moves_the_origin():
    ds = read(ONE, row("a", red=pixels(1, 1)), row("b", red=pixels(1, 1, 5), transform=at(-2, -1)))
    assert ds.red.shape == (1, 1, 2, 3)
    assert (ds.red[0, 0, 1, 2], ds.red[0, 0, 0, 0]) == (1, 5)
    assert list(ds.x.values) == [499985.0, 499995.0, 500005.0]
    assert ds.rio.transform().f == 4500010.0


def test_what_no_record_covers_is_nodata_or_zero():
    schema = chips_schema([TEMP, NIR], metadata=METADATA)
    ones = {"temp": np.ones((1, 1), "float32"), "nir": np.ones((1, 1), "uint16")}
    ds = read(schema, row("a", **ones), row("b", datetime=day(2), transform=at(1), **ones))
    assert np.isnan(ds.temp[0, 0, 0, 1])
    assert ds.nir[0, 0, 0, 1] == 0
    assert np.isnan(ds.temp.rio.nodata)


def test_geometry_is_squeezed_on_request_only():
    assert read(ONE, row("a", red=pixels(2, 2)), squeeze_geometry=True).red.dims == ("time", "y", "x")
    two = [row("a", red=pixels(2, 2)), row("a", geometry_id=2, red=pixels(2, 2))]
    assert read(ONE, *two, squeeze_geometry=True).red.dims == ("time", "geometry", "y", "x")


def test_whole_records_are_area_one():
    rows = [
        row(name, geometry_id=None, geometry=None, datetime=day(n), red=pixels(2, 2))
        for n, name in ((1, "a"), (2, "b"))
    ]
    assert list(read(ONE, *rows).geometry.values) == [1]


def test_records_without_time_are_one_layer_at_the_end():
    rows = [row("x", datetime=None, red=pixels(1, 1)), row("y", datetime=None, red=pixels(1, 1), transform=at(1))]
    ds = read(ONE, *rows, row("a", datetime=day(1), red=pixels(1, 1)))
    assert np.isnat(ds.time.values[-1])
    assert list(ds.record_id.values) == ["a", "x,y"]


def test_south_up_rasters_keep_their_orientation():
    ds = read(
        ONE,
        row("a", red=pixels(2, 1), transform=at(e=10.0)),
        row("b", datetime=day(2), red=pixels(2, 1), transform=at(0, -1, e=10.0)),
    )
    assert list(ds.y.values) == [4500005.0, 4500015.0, 4500025.0]
    np.testing.assert_array_equal(ds.red[1, 0, :, 0], [0, 1, 2])


# records at the same time: 0 is nodata
FIRST = np.array([[1, 0, 3]], "uint16")
SECOND = np.array([[7, 8, 9]], "uint16")


@pytest.mark.parametrize(
    ("combine", "expected"),
    [("combine_first", [1, 7, 3, 9]), ("merge_override", [1, 0, 3, 9])],
)
@pytest.mark.parametrize("cut", [1, 3])
def test_records_of_the_same_time(combine, expected, cut):
    second = row("b", red=np.array([[7, 8, 9]] * cut, "uint16"), transform=at(1))
    first = row("a", red=np.repeat(FIRST, cut, axis=0))
    ds = read(ONE, first, *blocks(second, *[1] * cut), xr_combine=combine)
    np.testing.assert_array_equal(ds.red[0, 0], [expected] * cut)
    assert list(ds.record_id.values) == ["a,b"]


def test_without_nodata_every_pixel_in_the_window_is_valid():
    schema = chips_schema([NIR], metadata=METADATA)
    rows = [row("a", nir=FIRST), row("b", nir=SECOND, transform=at(1))]
    np.testing.assert_array_equal(read(schema, *rows).nir[0, 0, 0], [1, 0, 3, 9])


def test_nan_is_never_valid():
    schema = chips_schema([BandField("temp", "float32", "-9")], metadata=METADATA)
    first = np.array([[1, np.nan, -9, np.nan]], "float32")
    second = np.array([[5, 6, 7, -9]], "float32")
    ds = read(schema, row("a", temp=first), row("b", temp=second))
    np.testing.assert_array_equal(ds.temp[0, 0, 0], [1, 6, 7, np.nan])


def test_three_records_fill_each_others_gaps():
    layers = [np.array([values], "uint16") for values in ([0, 0, 1], [0, 2, 2], [3, 3, 3])]
    ds = read(ONE, *[row(name, red=one) for name, one in zip("abc", layers, strict=True)])
    np.testing.assert_array_equal(ds.red[0, 0, 0], [3, 2, 1])


def test_merge_agrees_or_raises():
    same = [row("a", red=FIRST), row("b", red=np.array([[1, 5, 3]], "uint16"))]
    np.testing.assert_array_equal(read(ONE, *same, xr_combine="merge").red[0, 0, 0], [1, 5, 3])
    with pytest.raises(errors.MergeConflictError) as caught:
        read(ONE, *same, row("c", red=np.array([[6]], "uint16"), transform=at(1)), xr_combine="merge")
    assert str(caught.value) == (
        "records b and c differ in red at row 0, column 1 of the result: 5 and 6 "
        "(xr_combine='combine_first' takes the first)"
    )


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (
            {"crs": "EPSG:32619"},
            r"different CRS: EPSG:32618 \(record a\) and EPSG:32619 \(record b\) \(narrow .*get_gdf",
        ),
        ({"transform": at(a=20.0, e=-20.0)}, r"different size: 10 x -10 \(record a\) and 20 x -20 \(record b\)"),
        ({"transform": at(e=10.0)}, "different size"),
        ({"transform": at(0.25)}, r"do not line up: record b lies 0.25 of a pixel \(10 x -10\) off record a"),
        ({"transform": at(a=10.001)}, "do not line up"),
        ({"transform": None}, "^b: the raster has no transform"),
    ],
)
def test_grids_that_do_not_line_up_are_named(facts, words):
    with pytest.raises(errors.GridMismatchError, match=words):
        read(ONE, row("a", red=pixels(2, 2)), row("b", red=pixels(2, 2), **facts))


def test_grids_may_differ_by_rounding():
    shifted = at(1)
    shifted[2] += 1e-7
    assert read(ONE, row("a", red=pixels(2, 2)), row("b", red=pixels(2, 2), transform=shifted)).red.shape[3] == 3


def test_rotated_grids_have_no_axes():
    rotated = [10.0, 1.0, 500000.0, 1.0, -10.0, 4500000.0]
    with pytest.raises(errors.GridMismatchError, match=r"^a: rows and columns do not run along .*get_numpy"):
        read(ONE, row("a", red=pixels(2, 2), transform=rotated))


def test_bands_of_different_resolution_are_named():
    schema = chips_schema([RED, NIR], metadata=METADATA)
    fine, coarse = row("a", red=pixels(4, 4)), row("a", nir=pixels(2, 2), transform=at(a=20.0, e=-20.0))
    with pytest.raises(errors.GridMismatchError, match=r"10 x -10 \(record a, red\) and 20 x -20 \(record a, nir\)"):
        read(schema, fine, coarse)


def test_bands_on_other_extents_of_one_lattice_fit():
    schema = chips_schema([RED, NIR], metadata=METADATA)
    ds = read(schema, row("a", red=pixels(2, 2)), row("a", nir=pixels(1, 1), transform=at(2, 0)))
    np.testing.assert_array_equal(ds.nir[0, 0], [[0, 0, 1], [0, 0, 0]])


def test_bands_keep_their_own_dtype():
    schema = chips_schema([RED, TEMP], metadata=METADATA)
    ds = read(schema, row("a", red=pixels(2, 2), temp=np.ones((2, 2), "float32")))
    assert (ds.red.dtype, ds.temp.dtype) == (np.uint16, np.float32)


def test_nodata_that_varies_is_an_error():
    schema = chips_schema([BandField("red", "uint16", nodata_varies=True)], metadata=METADATA)
    with pytest.raises(errors.NodataVariesError, match=r"differ in nodata of red .*get_gdf"):
        read(schema, row("a", red=pixels(2, 2)))


def test_a_large_and_almost_empty_cube_is_refused():
    rows = [row("a", red=pixels(2, 2)), row("a", geometry_id=2, red=pixels(2, 2), transform=at(50_000, 50_000))]
    with pytest.raises(errors.TooSparseError, match=r"\(1, 2, 50002, 50002\) take 9.3 GiB for 0.0 MiB .*get_gdf"):
        read(ONE, *rows)


def test_an_unknown_way_to_combine_is_refused_before_reading():
    with pytest.raises(ValueError, match="xr_combine is 'last', expected one of combine_first, merge, merge_override"):
        read(ONE, xr_combine="last")


def test_what_is_missing_is_told_and_kept():
    schema = chips_schema([RED], with_error=True, metadata=METADATA)
    rows = [
        row("a", red=pixels(1, 1)),
        row("b", datetime=day(2), red=pixels(1, 1)),
        row("b", datetime=day(2), geometry_id=2, error="cut off"),
    ]
    with pytest.warns(RuntimeWarning, match="b: cut off"):
        ds = read(schema, *rows, row("c", datetime=day(3), red=pixels(1, 1, 7)), on_error="skip")
    assert ds.attrs["rasterflight_errors"] == ["b: cut off"]
    assert list(ds.red.values.ravel()) == [1, 7]


def test_a_crs_of_which_the_server_tells_nothing_more():
    schema = chips_schema([RED])
    assert read(schema, row("a", red=pixels(1, 1))).rio.crs.to_epsg() == 32618
    assert read(schema, row("a", red=pixels(1, 1), crs=None)).rio.crs is None


def test_a_round_trip_through_netcdf(tmp_path):
    ds = read(ONE, row("a", red=np.array([[0, 20000]], "uint16")))
    ds.attrs["rasterflight_errors"] = ["b: cut off"]
    ds.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "a.nc", decode_coords="all") as back:
        assert back.rio.crs.to_epsg() == 32618
        assert list(back.record_id.values) == ["a"]
        # a reader that decodes gets physical values, with nodata as NaN
        np.testing.assert_allclose(back.red[0, 0, 0], [np.nan, 1.9])
