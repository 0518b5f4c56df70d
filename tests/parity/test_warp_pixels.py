"""Every warped pixel is the one that rasterio makes."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.types import Grid, Window
from rasterflight_server.warp import Resampling, bounds_of, reproject
from support.warping import UTM, by_rasterio, by_us, classes, default_of, plan, scene, ways

DATA = Path(__file__).parents[1] / "data"
METHODS = [method.value for method in Resampling]
DTYPES = ["uint8", "int16", "uint16", "float32", "float64"]
#: Source transform, its CRS, the target's, its resolution.
WAYS = {
    "utm to utm": (UTM, "EPSG:32632", "EPSG:32633", None),
    "utm to utm, shrunk": (UTM, "EPSG:32632", "EPSG:32633", 37.3),
    "utm to mercator": (UTM, "EPSG:32632", "EPSG:3857", None),
    "utm to degrees": (UTM, "EPSG:32632", "EPSG:4326", None),
    "utm to a zone far away": (UTM, "EPSG:32632", "EPSG:32645", None),
    "utm to equal area, shrunk": (UTM, "EPSG:32632", "EPSG:3035", 60),
    "degrees to utm": (Affine(0.001, 0, 10.2, 0, -0.001, 46.9), "EPSG:4326", "EPSG:32632", None),
    "degrees to equal area": (Affine(0.001, 0, 10.2, 0, -0.001, 46.9), "EPSG:4326", "EPSG:6933", 200),
    "degrees over the antimeridian": (Affine(0.05, 0, 175, 0, -0.05, -10), "EPSG:4326", "EPSG:32701", None),
    "south up": (Affine(10, 0, 600000, 0, 10, 5197000), "EPSG:32632", "EPSG:32633", None),
    "south up, same crs": (Affine(10, 0, 600000, 0, 10, 5197000), "EPSG:32632", "EPSG:32632", None),
    "rotated": (Affine(7, 3, 600000, 2, -9, 5200000), "EPSG:32632", "EPSG:32633", 12),
    "around the north pole": (Affine(100, 0, -15000, 0, -100, 12000), "EPSG:3413", "EPSG:3995", None),
    "arctic to degrees": (Affine(100, 0, -500000, 0, -100, 900000), "EPSG:3413", "EPSG:4326", None),
    "antarctic to degrees": (Affine(250, 0, -1e6, 0, -250, 9e5), "EPSG:3031", "EPSG:4326", None),
    "equal area to utm": (Affine(300, 0, -1e6, 0, -300, 2e6), "EPSG:5070", "EPSG:32615", None),
    "equal area to degrees, shrunk": (Affine(300, 0, -1e6, 0, -300, 2e6), "EPSG:5070", "EPSG:4326", 0.01),
    "same crs, finer": (UTM, "EPSG:32632", "EPSG:32632", 5),
    "same crs, coarser": (UTM, "EPSG:32632", "EPSG:32632", 25),
    "same crs, six times coarser": (UTM, "EPSG:32632", "EPSG:32632", 60),
}


def compare(pixels, source, target, method, src_nodata, dst_nodata):
    """Our pixels and rasterio's; asserts what holds without exception: shape, type, and that the mask is what nodata says."""
    ours, valid = by_us(pixels, source, target, method, src_nodata, dst_nodata)
    theirs = by_rasterio(pixels, source, target, method, src_nodata, dst_nodata)
    assert ours.dtype == theirs.dtype
    assert ours.shape == valid.shape == theirs.shape
    missing = np.isnan(theirs) if np.isnan(dst_nodata) else theirs == dst_nodata
    np.testing.assert_array_equal(valid, ~missing)
    return ours, theirs


def assert_near(ours, theirs):
    """Equal up to rounding: all within 1 DN or the last digit of a float32, 99.9 % of them exactly.

    What lacks is the two versions of PROJ, which differ by 1e-9 m: enough for a last digit, or to round a tie the other way.
    """
    assert np.array_equal(np.isnan(ours), np.isnan(theirs)) if ours.dtype.kind == "f" else True
    there = np.isfinite(theirs)
    difference = np.abs(ours[there].astype(np.float64) - theirs[there].astype(np.float64))
    allowed = 1.0 if ours.dtype.kind != "f" else np.spacing(np.abs(theirs[there]).astype(np.float32)).astype(np.float64)
    assert (difference <= allowed).all()
    if ours.dtype != np.float64:
        assert np.count_nonzero(difference) <= max(10, 1e-3 * difference.size)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_any_way(way, method, dtype):
    transform, crs, target_crs, resolution = WAYS[way]
    nodata = 0 if dtype == "uint8" else np.nan
    pixels = scene(200, 260, dtype, nodata)
    source = Grid(260, 200, transform, crs)
    ours, theirs = compare(pixels, source, default_of(source, target_crs, resolution), method, nodata, nodata)
    if method in {"nearest", "mode"}:
        np.testing.assert_array_equal(ours, theirs)
    assert_near(ours, theirs)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326", "EPSG:32632"])
def test_any_type(dtype, method, crs):
    # GDAL 3.10 counts the values of a float64 band as float32, which makes equals of neighbours; of classes it does not.
    pixels = classes(200, 300, dtype) if method == "mode" else scene(200, 300, dtype)
    source = Grid(300, 200, UTM, "EPSG:32632")
    ours, theirs = compare(pixels, source, default_of(source, crs, 0.0003 if crs == "EPSG:4326" else 17), method, 0, 0)
    assert_near(ours, theirs)
    assert_near(*compare(pixels, source, default_of(source, crs), method, 0, 0))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("dtype", "src_nodata", "dst_nodata"),
    [
        *(("uint8", src_nodata, dst_nodata) for src_nodata in (None, 60) for dst_nodata in (100, 255)),
        # With a src_nodata, rasterio takes a dst_nodata of 0 for none.
        ("uint8", None, 0),
        ("int16", 60, -32768),
        ("int16", None, 100),
        ("int32", 60, 100),
        ("float32", 60, 100),
    ],
)
def test_valid_pixels_that_equal_nodata(method, dtype, src_nodata, dst_nodata):
    # GDAL moves integers away from nodata, but not where it copies up to 16 bits; then rasterio's pixels do not tell what is valid.
    pixels = np.random.default_rng(1).integers(95, 104, (60, 80)).astype(dtype)
    pixels[::7, ::5] = 60
    source = Grid(80, 60, UTM, "EPSG:32632")
    for crs, resolution in (("EPSG:32633", None), ("EPSG:32632", 25), ("EPSG:32632", None)):
        target = default_of(source, crs, resolution)
        ours, _ = by_us(pixels, source, target, method, src_nodata, dst_nodata)
        np.testing.assert_array_equal(ours, by_rasterio(pixels, source, target, method, src_nodata, dst_nodata))


#: Targets that do not just hold the source: transform, shape, CRS.
ELSEWHERE = {
    "much larger, so that it is cut into chunks": (Affine(30, 0, 100000, 0, -30, 5300000), (2000, 1500), "EPSG:32633"),
    "inside": (Affine(10, 0, 147500, 0, -10, 5211000), (150, 200), "EPSG:32633"),
    "beside": (Affine(10, 0, 900000, 0, -10, 1e6), (150, 200), "EPSG:32633"),
    "whole pixels away": (Affine(10, 0, 598000, 0, -10, 5201000), (600, 900), "EPSG:32632"),
    "parts of pixels away": (Affine(10, 0, 598003, 0, -10, 5201007), (600, 900), "EPSG:32632"),
    "half pixels away": (Affine(10, 0, 598005, 0, -10, 5201005), (600, 900), "EPSG:32632"),
    "60 m": (Affine(60, 0, 599940, 0, -60, 5200020), (50, 67), "EPSG:32632"),
    "15 m": (Affine(15, 0, 599940, 0, -15, 5200020), (250, 267), "EPSG:32632"),
    "one pixel": (Affine(9000, 0, 598000, 0, -9000, 5201000), (1, 1), "EPSG:32632"),
}


@pytest.mark.parametrize("where", ELSEWHERE)
@pytest.mark.parametrize("method", METHODS)
def test_any_target(where, method):
    transform, (height, width), crs = ELSEWHERE[where]
    pixels = scene(300, 400)
    target = Grid(width, height, transform, crs)
    ours, theirs = compare(pixels, Grid(400, 300, UTM, "EPSG:32632"), target, method, 0, 0)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("method", METHODS)
def test_20_m_onto_10_m(method):
    source = Grid(150, 100, Affine(20, 0, 600000, 0, -20, 5200000), "EPSG:32632")
    target = Grid(300, 200, UTM, "EPSG:32632")
    np.testing.assert_array_equal(*compare(scene(100, 150), source, target, method, 0, 0))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(1, 300), (300, 1), (1, 1), (2, 2), (3, 2), (4, 5)])
def test_tiny_sources(method, shape):
    height, width = shape
    source = Grid(width, height, UTM, "EPSG:32632")
    pixels = scene(height, width, nodata=None)
    for crs, resolution in (("EPSG:32633", None), ("EPSG:32633", 3), ("EPSG:4326", None)):
        np.testing.assert_array_equal(*compare(pixels, source, default_of(source, crs, resolution), method, 0, 0))


@pytest.mark.parametrize("method", METHODS)
def test_all_of_a_source_is_nodata(method):
    source = Grid(30, 20, UTM, "EPSG:32632")
    ours, theirs = compare(np.zeros((20, 30), np.uint16), source, default_of(source, "EPSG:32633"), method, 0, 0)
    assert not ours.any()
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("factor", [1.0, 2.3])
def test_above_the_memory_limit_gdal_cuts_the_target(method, factor):
    # 64 MiB where nothing is said: rows are approximated, and kernels widened, for each chunk alone.
    pixels = scene(500, 600, "float32", -1.0)
    source = Grid(600, 500, UTM, "EPSG:32632")
    target = default_of(source, "EPSG:4326", 0.00011 * factor)
    warp = plan(source, target, method, "float32", memory_limit=1 << 20)
    assert len(warp.chunks) > 1
    ours, valid = reproject(pixels, warp, valid=pixels != -1, nodata=-1)
    theirs = by_rasterio(pixels, source, target, method, -1.0, -1.0, warp_mem_limit=1)
    np.testing.assert_array_equal(valid, theirs != -1)
    assert_near(ours, theirs)


@pytest.mark.parametrize("method", METHODS)
def test_a_scene_in_a_few_pixels(method):
    # So many source pixels are under one of the target that they are summed up in another order.
    pixels = scene(300, 400, "float32", -1.0)
    source = Grid(400, 300, UTM, "EPSG:32632")
    for target in (
        Grid(3, 2, Affine(1300, 0, 600010, 0, -1400, 5199990), source.crs),
        default_of(source, "EPSG:32633", 1500),
    ):
        ours, theirs = compare(pixels, source, target, method, -1.0, -1.0)
        np.testing.assert_allclose(ours, theirs, rtol=3e-7)


@pytest.mark.parametrize("method", ["bilinear", "cubic", "average"])
def test_integers_become_floats(method):
    pixels = scene(200, 300, "uint16")
    source = Grid(300, 200, UTM, "EPSG:32632")
    target = default_of(source, "EPSG:4326")
    ours, valid = by_us(pixels, source, target, method, 0, np.nan, dtype="float32")
    theirs = by_rasterio(pixels, source, target, method, 0, np.nan, dtype="float32")
    np.testing.assert_array_equal(valid, ~np.isnan(theirs))
    assert_near(ours, theirs)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326", "EPSG:3857"])
def test_warped_vrt(method, crs):
    pixels = scene(300, 400)
    source = Grid(400, 300, UTM, "EPSG:32632")
    target = default_of(source, crs)
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint16", "nodata": 0, "crs": source.crs, "transform": UTM}
    with MemoryFile() as memory:
        with memory.open(width=400, height=300, **profile) as dataset:
            dataset.write(pixels, 1)
        options = {"transform": target.transform, "width": target.width, "height": target.height}
        resampling = rasterio.enums.Resampling[method]
        with memory.open() as dataset, WarpedVRT(dataset, crs=crs, resampling=resampling, **options) as vrt:
            expected = vrt.read(1)
    ours, _ = by_us(pixels, source, target, method, 0, 0)
    np.testing.assert_array_equal(ours, expected)


def bundled_bands():
    """One band of each grid and type of the bundled collections."""
    found = {}
    for path in sorted(path for path in DATA.glob("[!v]*/**/*") if path.suffix.lower() == ".tif"):
        with rasterio.open(path) as dataset:
            if dataset.crs is not None:
                found.setdefault((dataset.transform, dataset.shape, dataset.dtypes[0]), path)
    return list(found.values())


@pytest.mark.parametrize("path", bundled_bands(), ids=lambda path: path.stem[-24:])
@pytest.mark.parametrize("method", METHODS)
def test_bundled_scenes(path, method):
    with rasterio.open(path) as dataset:
        height, width = (min(length, 350) for length in dataset.shape)
        window = rasterio.windows.Window((dataset.width - width) // 2, (dataset.height - height) // 2, width, height)
        pixels = dataset.read(1, window=window)
        nodata = 0 if dataset.nodata is None else dataset.nodata
        source = Grid(width, height, dataset.window_transform(window), dataset.crs.to_string())
    for crs, factor in (("EPSG:4326", 1.0), ("EPSG:3857", 2.7)):
        natural = default_of(source, crs)
        target = default_of(source, crs, natural.transform.a * factor)
        ours, theirs = (
            by_us(pixels, source, target, method, nodata, nodata),
            by_rasterio(pixels, source, target, method, nodata, nodata),
        )
        assert_near(ours[0], theirs)


# The same ways in every run: what rounds to a tie may differ in the last digit.
@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    way=ways(largest=150),
    factor=st.floats(0.4, 5),
    method=st.sampled_from(METHODS),
    dtype=st.sampled_from(["uint8", "float32"]),
)
def test_any_source_and_crs(way, factor, method, dtype):
    source, crs = way
    try:
        natural = default_of(source, crs)
    except RasterioError:
        # The source does not project, or to a target of absurd size.
        assume(False)
    assume(max(map(abs, bounds_of(natural))) < 5e7)
    target = default_of(source, crs, natural.transform.a * factor)
    assume(min(target.width, target.height) > 0)
    assume(max(target.width, target.height) < 1500)
    pixels = (
        classes(source.height, source.width, dtype) if method == "mode" else scene(source.height, source.width, dtype)
    )
    ours, theirs = compare(pixels, source, target, method, 0, 0)
    assert_near(ours, theirs)


def test_the_world_in_polar_view():
    pixels = scene(180, 360, "uint8")
    source = Grid(360, 180, Affine(1, 0, -180, 0, -1, 90), "EPSG:4326")
    for crs in ("EPSG:3413", "EPSG:3031"):
        target = Grid(270, 266, Affine(30000, 0, -4e6, 0, -30000, 4e6), crs)
        for method in ("nearest", "bilinear", "cubic"):
            np.testing.assert_array_equal(*compare(pixels, source, target, method, 0, 0))


def test_pixels_on_both_ends_of_the_world():
    # A pixel on the antimeridian lies on the first and the last columns of the source. GDAL 3.10 takes all columns instead for those whose
    # centre lies before the seam; we never do.
    pixels = np.tile(np.arange(1, 361, dtype=np.float32), (180, 1))
    source = Grid(360, 180, Affine(1, 0, -180, 0, -1, 90), "EPSG:4326")
    target = Grid(60, 100, Affine(20000, 0, 0, 0, -20000, 4e6), "EPSG:32660")
    ours, theirs = compare(pixels, source, target, "average", -1, -1)
    differs = ours != theirs
    assert 0 < differs.sum() <= target.height
    assert np.abs(theirs[differs] - 180).max() < 2
    # Either they lie on both ends, and are a mean of 360 and 1, weighed as they should be.
    assert ((ours[differs] >= 1) & (ours[differs] <= 360)).all()
    columns = np.unique(np.nonzero(differs)[1])
    assert len(columns) <= 3


def test_modes_of_minus_one():
    # GDAL 3.10 takes a mode of -1 for none.
    pixels = np.full((20, 30), -1, np.int16)
    pixels[:, 15:] = 5
    source = Grid(30, 20, UTM, "EPSG:32632")
    target = default_of(source, "EPSG:32633", 30)
    ours, valid = by_us(pixels, source, target, "mode", None, -999)
    theirs = by_rasterio(pixels, source, target, "mode", None, -999)
    assert (ours[valid & (theirs == -999)] == -1).all()
    np.testing.assert_array_equal(ours[theirs != -999], theirs[theirs != -999])


def test_modes_of_values_that_a_float32_cannot_hold():
    # GDAL 3.10 counts all but 8 and 16 bits as float32.
    pixels = np.full((20, 30), 2**24 + 1, np.int32)
    source = Grid(30, 20, UTM, "EPSG:32632")
    ours, valid = by_us(pixels, source, default_of(source, "EPSG:32633", 30), "mode", None, 0)
    assert (ours[valid] == 2**24 + 1).all()


def test_nearest_takes_complex_pixels_and_others_say_that_they_do_not():
    pixels = scene(20, 30, "float32", None) * (1 + 2j)
    source = Grid(30, 20, UTM, "EPSG:32632")
    target = default_of(source, "EPSG:32633")
    ours, _ = by_us(pixels.astype(np.complex64), source, target, "nearest", None, 0)
    np.testing.assert_array_equal(ours, by_rasterio(pixels.astype(np.complex64), source, target, "nearest", None, 0))
    with pytest.raises(RequestError, match="complex pixels cannot be resampled by bilinear") as caught:
        by_us(pixels, source, target, "bilinear", None, 0)
    assert caught.value.code is ErrorCode.BAD_REQUEST
    assert caught.value.field == "resampling"
    assert caught.value.hint == 'ask for "nearest"'


def test_without_nodata_missing_pixels_are_0():
    source = Grid(30, 20, UTM, "EPSG:32632")
    warp = plan(source, default_of(source, "EPSG:32633"), "bilinear")
    pixels, valid = reproject(np.full((20, 30), 7, np.uint8), warp)
    assert set(np.unique(pixels[valid])) == {7}
    assert set(np.unique(pixels[~valid])) == {0}


def test_a_target_where_nothing_projects_is_all_nodata():
    source = Grid(30, 20, UTM, "EPSG:32632")
    # The other side of the world in a view from above Europe.
    target = Grid(40, 40, Affine(1e5, 0, -1.2e7, 0, -1e5, 1.2e7), "+proj=ortho +lat_0=50 +lon_0=10")
    pixels, valid = by_us(np.ones((20, 30), np.uint8), source, target, "nearest", None, 9)
    assert not valid.any()
    assert (pixels == 9).all()
    assert list(plan(source, target, "nearest").blocks(Window(0, 0, 5, 5))) == []
