"""Bands that a configuration describes otherwise than their files, against rasterio told the same."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.warp
import shapely
from affine import Affine
from rasterio.features import geometry_mask, geometry_window
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from rasterflight._rows import Chip
from rasterflight_protocol import pack
from rasterflight_protocol.v1.read_pb2 import (
    LAYOUT_POINTS,
    RESAMPLING_BILINEAR,
    VALUES_SCALED,
    Geometries,
    GridOptions,
    Points,
    ReadRequest,
)
from support.configured import Configured
from support.described import TRANSFORM, write

VARIETY = Path(__file__).parents[1] / "data" / "variety"


@pytest.fixture(scope="module", params=["uint8", "int16", "float32", "float64"])
def described(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Configured:
    """A file of two bands with nodata 7; the first has scale 0.5 and offset -2."""
    folder = tmp_path_factory.mktemp("described")
    write(folder / "a.tif", request.param, scale=0.5, offset=-2.0, nodata=7)
    return Configured(folder, tmp_path_factory.mktemp("index") / "i")


@pytest.fixture(scope="module")
def variety(tmp_path_factory: pytest.TempPathFactory) -> Configured:
    """Files with masks, alpha, colour tables and tiles that are not stored."""
    folder = tmp_path_factory.mktemp("variety")
    for name in ("cog_rgb_mask", "cog_uint8_rgba"):
        shutil.copy(VARIETY / f"{name}.tif", folder)
    write(folder / "palette.tif", "uint8")
    with rasterio.open(folder / "palette.tif", "r+") as dataset:
        dataset.write_colormap(1, {value: (value, 0, 0, 255) for value in range(256)})
    return Configured(folder, tmp_path_factory.mktemp("index") / "i")


def every(bands: list[str], said: str) -> str:
    return "".join(f"[bands.{band}]\n{said}\n" for band in bands)


@pytest.mark.parametrize("nodata", [3, 50, 99])
def test_nodata(described: Configured, nodata: int) -> None:
    chip, fields = described.read(every(described.bands, f"nodata = {nodata}"), "a", masked=True)
    path = described.folder / "a.tif"
    with rasterio.open(path) as dataset, WarpedVRT(dataset, src_nodata=nodata, nodata=nodata) as truth:
        for index, field in enumerate(fields, 1):
            assert field.nodata_value() == nodata
            np.testing.assert_array_equal(chip.pixels[field.name], truth.read(index))
            np.testing.assert_array_equal(chip.masks[field.name], truth.read_masks(index) == 0)
            assert chip.masks[field.name].any()


def test_bands_of_one_file_may_differ_in_nodata(described: Configured) -> None:
    one, two = described.bands
    chip, fields = described.read(f"[bands.{one}]\nnodata = 3", "a", masked=True)
    assert [field.nodata_value() for field in fields] == [3, 7]
    with rasterio.open(described.folder / "a.tif") as dataset:
        np.testing.assert_array_equal(chip.masks[one], dataset.read(1) == 3)
        np.testing.assert_array_equal(chip.masks[two], dataset.read(2) == 7)


def test_nodata_fills_what_is_outside(described: Configured) -> None:
    triangle = shapely.Polygon([(500_055, 5_699_600), (500_355, 5_699_600), (500_355, 5_699_905)])
    request = ReadRequest(geometries=Geometries(crs="EPSG:32631", wkb={"values": [triangle.wkb]}))
    chip, _ = described.read(every(described.bands, "nodata = 101"), "a", request)
    with rasterio.open(described.folder / "a.tif") as dataset:
        window = geometry_window(dataset, [triangle])
        for index, band in enumerate(described.bands, 1):
            pixels = dataset.read(index, window=window)
            outside = geometry_mask([triangle], pixels.shape, dataset.window_transform(window))
            assert outside.any()
            pixels[outside] = 101
            np.testing.assert_array_equal(chip.pixels[band], pixels)


def test_no_nodata(described: Configured) -> None:
    chip, fields = described.read(every(described.bands, 'nodata = "none"'), "a", masked=True)
    assert all(field.nodata is None for field in fields)
    assert not any(mask.any() for mask in chip.masks.values())


@pytest.mark.parametrize(("scale", "offset"), [(0.1, -17.3), (None, 5.0), (3.0, None)])
def test_scale_and_offset(described: Configured, scale: float | None, offset: float | None) -> None:
    said = "".join(f"{key} = {value}\n" for key, value in (("scale", scale), ("offset", offset)) if value is not None)
    configuration = every(described.bands, f"{said}nodata = 50")
    raw, fields = described.read(configuration, "a")
    chip, _ = described.read(configuration, "a", values=VALUES_SCALED)
    with rasterio.open(described.folder / "a.tif") as dataset:
        for index, field in enumerate(fields):
            a = dataset.scales[index] if scale is None else scale
            b = dataset.offsets[index] if offset is None else offset
            # What the file's second band does not say, it need not say.
            assert field.scale in (a, None if (a, scale) == (1, None) else a)
            assert field.offset in (b, None if (b, offset) == (0, None) else b)
            kind = chip.pixels[field.name].dtype.type
            pixels = dataset.read(index + 1)
            np.testing.assert_array_equal(raw.pixels[field.name], pixels)
            truth = pixels.astype(kind) * kind(a) + kind(b)
            truth[pixels == 50] = np.nan
            np.testing.assert_array_equal(chip.pixels[field.name], truth)


@pytest.mark.parametrize("name", ["cog_rgb_mask", "cog_uint8_rgba"])
def test_nodata_has_the_last_word_over_masks_and_alpha(variety: Configured, name: str) -> None:
    with rasterio.open(variety.folder / f"{name}.tif") as dataset:
        pixels, invalid = dataset.read(1), dataset.read_masks(1) == 0
    value = np.bincount(pixels.ravel()).argmax()
    red = ReadRequest(bands=["band_1"])
    chip, _ = variety.read("", name, red, masked=True)
    np.testing.assert_array_equal(chip.masks["band_1"], invalid)
    chip, _ = variety.read(f"[bands.band_1]\nnodata = {value}", name, red, masked=True)
    np.testing.assert_array_equal(chip.masks["band_1"], pixels == value)
    chip, _ = variety.read('[bands.band_1]\nnodata = "none"', name, red, masked=True)
    np.testing.assert_array_equal(chip.masks["band_1"], invalid)


def test_tiles_that_are_not_stored_stay_as_they_are(tmp_path: Path) -> None:
    profile = {
        "driver": "GTiff",
        "width": 32,
        "height": 32,
        "count": 1,
        "dtype": "uint8",
        "nodata": 5,
        "sparse_ok": True,
    }
    profile |= {"crs": "EPSG:32631", "transform": TRANSFORM, "tiled": True, "blockxsize": 16, "blockysize": 16}
    with rasterio.open(tmp_path / "a.tif", "w", **profile) as dataset:
        dataset.write(np.arange(256, dtype="uint8").reshape(1, 16, 16), window=Window(0, 0, 16, 16))
    collection = Configured(tmp_path, tmp_path / "index")
    chip, [field] = collection.read(every(collection.bands, "nodata = 9"), "a", masked=True)
    with rasterio.open(tmp_path / "a.tif") as dataset, WarpedVRT(dataset, src_nodata=9, nodata=9) as truth:
        assert (dataset.read(1)[16:] == 5).all()
        np.testing.assert_array_equal(chip.pixels[field.name], truth.read(1))
        np.testing.assert_array_equal(chip.masks[field.name], truth.read_masks(1) == 0)


def resampled(path: Path, chip: Chip, method: str, dtype: str, **nodata: float) -> np.ndarray:
    """What rasterio makes of the first band on the grid of a chip."""
    with rasterio.open(path) as dataset:
        out = np.zeros((chip.height, chip.width), dtype)
        rasterio.warp.reproject(
            dataset.read(1),
            out,
            src_transform=dataset.transform,
            src_crs=dataset.crs,
            dst_transform=Affine(*chip.transform),
            dst_crs=dataset.crs,
            resampling=rasterio.enums.Resampling[method],
            **nodata,
        )
    return out


@pytest.mark.parametrize("said", ["classes = true", 'categories = {4 = "vegetation"}'])
def test_classes_are_resampled_by_nearest(described: Configured, said: str) -> None:
    band = described.bands[0]
    request = ReadRequest(bands=[band])
    chip, [field] = described.read(f"[bands.{band}]\n{said}", "a", request, resolution=[15])
    path = described.folder / "a.tif"
    with rasterio.open(path) as dataset:
        truth = resampled(path, chip, "nearest", dataset.dtypes[0], src_nodata=7, dst_nodata=7)
    np.testing.assert_array_equal(chip.pixels[band], truth)
    assert field.dtype == truth.dtype
    assert field.categories == (((4, "vegetation"),) if "categories" in said else None)
    # A method that was asked for is taken.
    chip, [field] = described.read(
        f"[bands.{band}]\n{said}", "a", request, resolution=[15], resampling=RESAMPLING_BILINEAR
    )
    assert field.categories is None
    assert np.isnan(field.nodata_value())


def test_amounts_are_resampled_by_bilinear_whatever_the_file_says(variety: Configured) -> None:
    request = ReadRequest(bands=["band_1"])
    path = variety.folder / "palette.tif"
    chip, _ = variety.read("", "palette", request, resolution=[15])
    np.testing.assert_array_equal(chip.pixels["band_1"], resampled(path, chip, "nearest", "uint8"))
    chip, _ = variety.read("[bands.band_1]\nclasses = false", "palette", request, resolution=[15])
    np.testing.assert_allclose(chip.pixels["band_1"], resampled(path, chip, "bilinear", "float32"), rtol=1e-6)


def test_nodata_is_left_out_of_resampled_pixels(described: Configured) -> None:
    band = described.bands[0]
    request = ReadRequest(bands=[band])
    chip, [field] = described.read(f"[bands.{band}]\nnodata = 50", "a", request, resolution=[15], masked=True)
    path = described.folder / "a.tif"
    truth = resampled(path, chip, "bilinear", field.dtype, src_nodata=50, dst_nodata=np.nan)
    np.testing.assert_allclose(chip.pixels[band], truth, rtol=1e-6)
    np.testing.assert_array_equal(chip.masks[band], np.isnan(truth))
    plain, _ = described.read("", "a", request, resolution=[15])
    assert not np.array_equal(plain.pixels[band], chip.pixels[band], equal_nan=True)


def test_points_know_the_nodata_too(described: Configured) -> None:
    band = described.bands[0]
    with rasterio.open(described.folder / "a.tif") as dataset:
        pixels = dataset.read(1)
        rows, cols = np.nonzero(pixels == 50)
        x, y = dataset.xy(rows, cols)
    assert len(x)
    message = ReadRequest(
        collection="files",
        bands=[band],
        layout=LAYOUT_POINTS,
        points=Points(crs="EPSG:32631", x=x, y=y),
        grid=GridOptions(masked=True),
    )
    for configuration, nulls in (("", 0), (f"[bands.{band}]\nnodata = 50", len(x))):
        with described.serve(configuration) as service:
            request, collection = service.request(pack(message))
            batches = [batch for batch, _ in service.points(collection, request).batches(lambda: None)]
        assert sum(batch["value"].null_count for batch in batches) == nulls
        assert sum(batch.num_rows for batch in batches) == len(x)


def test_names_descriptions_and_units(described: Configured) -> None:
    one, two = described.bands
    configuration = f"""
    [bands.{one}]
    aliases = ["red", "rouge"]
    unit = "K"
    description = "warmth"
    [bands.{two}]
    aliases = ["nir"]
    """
    chip, [nir, red] = described.read(configuration, "a", ReadRequest(bands=["nir", "rouge"]))
    assert (red.name, red.unit, red.description) == ("rouge", "K", "warmth")
    with rasterio.open(described.folder / "a.tif") as dataset:
        np.testing.assert_array_equal(chip.pixels["rouge"], dataset.read(1))
        np.testing.assert_array_equal(chip.pixels[nir.name], dataset.read(2))
