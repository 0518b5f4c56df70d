"""What pixels stand for, against rasterio: scaled values, and what a file says about its bands."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.flight as fl
import pytest
import rasterio
import rioxarray
import shapely

import rasterflight as rf
from rasterflight_protocol import BandField
from support.described import TRANSFORM, describe
from support.direct import Direct, direct
from support.scenes import write_items
from support.server import ServerProcess, run_server_command

pytestmark = [
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
    pytest.mark.filterwarnings("ignore:(Scales|Offsets|Units) differ across bands"),
]


def said(field: BandField) -> tuple:
    # what is 1 and 0 GDAL does not write
    return field.scale or 1.0, field.offset or 0.0, field.unit, field.description, field.colorinterp, field.nodata


def test_everything_that_a_file_says(tmp_path: Path) -> None:
    describe(tmp_path / "a.tif")
    with direct(tmp_path, tmp_path / "index") as reads, rasterio.open(tmp_path / "a.tif") as dataset:
        _, fields = reads.read("a")
        facts = zip(
            dataset.scales, dataset.offsets, dataset.units, dataset.descriptions, dataset.colorinterp, strict=True
        )
        for index, (field, (*truth, color)) in enumerate(zip(fields, facts, strict=True), 1):
            assert said(field) == (*truth, color.name, "-9")
            tags = {name: value for name, value in dataset.tags(index).items() if not name.startswith("STATISTICS_")}
            assert field.tags == tags
            assert {"AREA_OR_POINT": "Area", **field.file_tags} == dataset.tags()
        assert "wavelength" in fields[1].tags


def test_facts_in_which_records_differ_are_left_out(tmp_path: Path) -> None:
    describe(tmp_path / "a.tif")
    describe(tmp_path / "b.tif")
    with rasterio.open(tmp_path / "b.tif", "r+") as dataset:
        dataset.update_tags(1, wavelength="660 nm", sensor="B")
        dataset.update_tags(AREA="east")
        dataset.offsets = (3.0, 0.0)
    with direct(tmp_path, tmp_path / "index") as reads:
        request = rf_request(reads, ["a", "b"])
        schema = reads.service.chips(reads.collection, reads.service.request(request)[0]).schema
        field = BandField.from_arrow(schema.field(reads.bands("a")[0]))
    assert (field.scale, field.offset, field.unit) == (0.5, None, "m")
    assert field.tags == {}
    assert field.file_tags == {"TIFFTAG_SOFTWARE": "tests", "source": "x < y"}


def rf_request(reads: Direct, ids: list[str]) -> bytes:
    document = {"collection": "files", "bands": reads.bands("a")[:1], "filters": [{"ids": ids}]}
    return json.dumps(document).encode()


def test_files_that_differ_in_words_only_share_a_profile(tmp_path: Path) -> None:
    for number in range(5):
        describe(tmp_path / f"{number}.tif")
        with rasterio.open(tmp_path / f"{number}.tif", "r+") as dataset:
            dataset.update_tags(1, STATISTICS_MEAN=str(number), id=str(number))
            dataset.update_tags(TIFFTAG_DATETIME=f"2024:01:0{number} 00:00:00")
    with direct(tmp_path, tmp_path / "index") as reads:
        [profiles] = (tmp_path / "index").glob("*/profiles.json")
        assert len(json.loads(profiles.read_text())) == 1
        _, fields = reads.read("3")
        assert fields[0].tags == {"wavelength": "665 nm", "id": "3"}


@pytest.mark.parametrize(("dtype", "photometric"), [("uint8", "palette"), ("uint8", "miniswhite")])
def test_colour_tables(tmp_path: Path, dtype: str, photometric: str) -> None:
    profile = {"driver": "GTiff", "width": 32, "height": 32, "count": 1, "dtype": dtype, "tiled": True}
    profile |= {"blockxsize": 16, "blockysize": 16, "photometric": photometric, "nodata": 3}
    with rasterio.open(tmp_path / "a.tif", "w", **profile) as dataset:
        dataset.write(np.arange(1024, dtype=dtype).reshape(1, 32, 32) % 7)
        if photometric == "palette":
            dataset.write_colormap(1, {value: (value * 30, 255 - value, value % 2, 255) for value in range(7)})
    with direct(tmp_path, tmp_path / "index") as reads, rasterio.open(tmp_path / "a.tif") as dataset:
        [chip], [field] = reads.read("a")
        assert dict(enumerate(field.colormap or ())) == dataset.colormap(1)
        assert [field.colorinterp] == [color.name for color in dataset.colorinterp]
        np.testing.assert_array_equal(next(iter(chip.pixels.values())), dataset.read(1))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, rf.Client]]:
    """A real server with a file of each kind: nodata and scale, a mask of bits, alpha, classes."""
    folder = tmp_path_factory.mktemp("served")
    describe(folder / "height.tif")
    profile = {"driver": "GTiff", "width": 80, "height": 64, "count": 3, "dtype": "uint8", "crs": "EPSG:32631"}
    profile |= {"transform": TRANSFORM, "tiled": True, "blockxsize": 32, "blockysize": 32, "compress": "deflate"}
    pixels = np.random.default_rng(1).integers(0, 6, (4, 64, 80)).astype(np.uint8)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(folder / "rgb.tif", "w", **profile) as dataset:
        dataset.write(pixels[:3])
        dataset.write_mask(pixels[3] > 1)
    alpha = profile | {"count": 4, "photometric": "rgb", "alpha": "yes"}
    with rasterio.open(folder / "rgba.tif", "w", **alpha) as dataset:
        dataset.write(pixels)
    with rasterio.open(folder / "classes.tif", "w", **(profile | {"count": 1, "photometric": "palette"})) as dataset:
        dataset.write(pixels[:1])
        dataset.write_colormap(1, {value: (value, 0, 0, 255) for value in range(6)})
    items = write_items(
        folder / "items.json", {name: {name: f"{name}.tif"} for name in ("height", "rgb", "rgba", "classes")}
    )
    document = json.loads(items.read_text())
    classes = [{"value": 1, "name": "open water"}, {"value": 2, "name": "forest"}, {"value": "x"}, 5]
    document["features"][3]["assets"]["classes"]["classification:classes"] = classes
    items.write_text(json.dumps(document))
    done = run_server_command("index", items, "--out", folder / "index", "--name", "made")
    assert done.returncode == 0, done.stderr
    with ServerProcess({"made": folder / "index"}) as server, rf.connect(server.url) as client:
        yield folder, client


@pytest.mark.parametrize("name", ["height", "rgb", "rgba", "classes"])
def test_masked_through_a_server(served: tuple[Path, rf.Client], name: str) -> None:
    folder, client = served
    made = client.collection("made")
    bands = [band for band in made.bands if band.startswith(name if name in ("rgba", "height", "classes") else "rgb_")]
    windows = [(3, 2, 20, 30), (0, 0, 20, 30), (10, 11, 20, 30)]
    array = made.get_numpy(windows=windows, bands=bands, ids=[name], masked=True)
    frame = made.get_gdf(windows=windows, bands=bands, ids=[name], masked=True)
    plain = made.get_numpy(windows=windows, bands=bands, ids=[name])
    assert not isinstance(plain, np.ma.MaskedArray)
    with rasterio.open(folder / f"{name}.tif") as dataset:
        assert dataset.count == len(bands)
        for number, window in enumerate(windows):
            truth = dataset.read(window=rasterio.windows.Window(*window), masked=True)
            got = array[number] if array.ndim == 4 else array[number][np.newaxis]
            np.testing.assert_array_equal(np.ma.getmaskarray(got), np.ma.getmaskarray(truth))
            np.testing.assert_array_equal(got.data, truth.data)
            rows = frame[frame.geometry_id == number + 1].data
            for row, band in zip(rows, truth, strict=True):
                np.testing.assert_array_equal(np.ma.getmaskarray(row), np.ma.getmaskarray(band))
            assert np.array_equal(plain[number].reshape(truth.shape), truth.data)


def test_outside_the_area_is_masked_too(served: tuple[Path, rf.Client]) -> None:
    folder, client = served
    triangle = shapely.Polygon([(500_010, 5_699_990), (500_300, 5_699_900), (500_100, 5_699_600)])
    with rasterio.open(folder / "height.tif") as dataset:
        truth, _ = rasterio.mask.mask(dataset, [triangle], crop=True, filled=False, indexes=1)
    options = {"geometries": triangle, "geometry_crs": "EPSG:32631", "ids": ["height"], "bands": ["height_1"]}
    got = client.collection("made").get_numpy(**options, masked=True)[0]
    np.testing.assert_array_equal(np.ma.getmaskarray(got), np.ma.getmaskarray(truth))
    assert got.fill_value == -9
    scaled = client.collection("made").get_numpy(**options, values="scaled")[0]
    np.testing.assert_array_equal(np.isnan(scaled), got.mask)
    np.testing.assert_array_equal(scaled[~got.mask], got.data[~got.mask].astype(np.float32) * np.float32(0.5) - 2)


def test_xarray_as_rioxarray_opens_it(served: tuple[Path, rf.Client], tmp_path: Path) -> None:
    folder, client = served
    made = client.collection("made")
    ds = made.get_xarray(bands=["height_1"], ids=["height"], masked=True)
    physical = made.get_xarray(bands=["height_1"], ids=["height"], values="scaled")
    with rioxarray.open_rasterio(folder / "height.tif", masked=True) as truth:
        assert ds.height_1.dtype == np.int16
        assert ds.height_1_mask.dtype == np.bool_
        np.testing.assert_array_equal(ds.height_1_mask[0, 0], np.isnan(truth[0]))
        np.testing.assert_array_equal(physical.height_1[0, 0], truth[0].astype(np.float32) * np.float32(0.5) - 2)
    attrs = {"scale_factor": 0.5, "add_offset": -2.0, "units": "m", "long_name": "elevation", "_FillValue": -9}
    attrs |= {"AREA": "north & south", "wavelength": "665 nm", "colorinterp": "red"}
    assert ds.height_1.attrs.items() >= attrs.items()
    assert not {"scale_factor", "add_offset"} & physical.height_1.attrs.keys()
    assert np.isnan(physical.height_1.attrs["_FillValue"])
    assert ds.height_1_mask.rio.crs == ds.height_1.rio.crs
    ds.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    physical.to_netcdf(tmp_path / "b.nc", engine="h5netcdf")


def test_classes(served: tuple[Path, rf.Client]) -> None:
    _, client = served
    ds = client.collection("made").get_xarray(bands=["classes"], ids=["classes"])
    assert ds.classes.attrs["flag_meanings"] == "open_water forest"
    assert ds.classes.attrs["flag_values"].tolist() == [1, 2]
    assert ds.classes.attrs["flag_values"].dtype == np.uint8
    assert json.loads(ds.classes.attrs["colormap"])[5] == [5, 0, 0, 255]


def test_sql_sees_nulls(served: tuple[Path, rf.Client]) -> None:
    duckdb = pytest.importorskip("duckdb")
    folder, client = served
    table = client.collection("made").read(bands=["rgb_1"], ids=["rgb"], masked=True).read_all()
    [(nulls, total)] = duckdb.sql(
        'SELECT count(*) - count(pixel), sum(pixel) FROM (SELECT unnest(rgb_1) AS pixel FROM "table")'
    ).fetchall()
    with rasterio.open(folder / "rgb.tif") as dataset:
        truth = dataset.read(1, masked=True)
    assert (nulls, total) == (truth.mask.sum(), truth.sum())
    assert table.schema.field("rgb_1").type.value_field.nullable


def test_the_plan_counts_the_tiles_of_the_mask(served: tuple[Path, rf.Client]) -> None:
    made = served[1].collection("made")
    options = {"bands": ["rgb_1", "rgb_2"], "ids": ["rgb"], "windows": [(0, 0, 32, 32), (8, 8, 4, 4)]}
    plain, masked = made.plan(**options), made.plan(**options, masked=True)
    assert (plain.tiles, masked.tiles) == (1, 2)
    assert masked.bytes_to_fetch > plain.bytes_to_fetch
    assert made.plan(**options, values="scaled").bytes_to_receive == 4 * plain.bytes_to_receive


@pytest.mark.parametrize(
    ("grid", "words"),
    [({"values": 7}, "grid.values: 7 is not known"), ({"values": "VALUES_PHYSICAL"}, "not a ReadRequest")],
)
def test_values_that_are_not_known(served: tuple[Path, rf.Client], grid: dict, words: str) -> None:
    ticket = json.dumps({"collection": "made", "bands": ["rgb_1"], "grid": grid}).encode()
    with fl.connect(served[1].url) as raw, pytest.raises(fl.FlightServerError, match=words):
        raw.do_get(fl.Ticket(ticket)).read_all()
