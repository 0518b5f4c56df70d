"""Reads on other grids than the files', through a real server, against rasterio: reprojection, overviews, one grid for all."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.features
import rasterio.warp
import rioxarray  # noqa: F401, the accessor .rio
import shapely
from affine import Affine
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

import rasterflight as rf
from conftest import COLLECTIONS
from rasterflight._rows import Chip
from support import oracle
from support.http_server import FileServer
from support.scenes import write_items, write_scene
from support.server import ServerProcess, run_server_command
from support.telemetry import stats

METHODS = ["nearest", "bilinear", "cubic", "average", "mode"]
KEPT = ("nearest", "mode")


def equal(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one == other) | (np.isnan(one) & np.isnan(other)) if one.dtype.kind == "f" else one == other


def assert_equal(ours: np.ndarray, theirs: np.ndarray, method: str) -> None:
    """Nearest and mode: to the last pixel. Others: 99.99 % equal within the last digit of a float32, and the same holes.

    What is left are sums that GDAL adds up in another order.
    """
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    if method in KEPT:
        assert equal(ours, theirs).all()
        return
    assert np.array_equal(np.isnan(ours), np.isnan(theirs))
    there = ~np.isnan(theirs)
    close = np.abs(ours[there] - theirs[there]) <= np.spacing(np.abs(theirs[there]).astype(np.float32))
    assert close.size == 0 or close.mean() >= 0.9999


def reprojected(layer: oracle.Layer, crs: str, transform: Affine, shape: tuple[int, int], method: str) -> np.ndarray:
    with rasterio.open(layer.path) as dataset:
        pixels = dataset.read(layer.index)
        nodata = dataset.nodata if method in KEPT else np.nan
        out = np.zeros(shape, pixels.dtype if method in KEPT else np.float32)
        rasterio.warp.reproject(
            pixels,
            out,
            src_transform=dataset.transform,
            src_crs=dataset.crs,
            dst_transform=transform,
            dst_crs=crs,
            src_nodata=dataset.nodata,
            dst_nodata=nodata,
            resampling=Resampling[method],
        )
        return out


def default_grid(layer: oracle.Layer, crs: str) -> tuple[Affine, tuple[int, int]]:
    with rasterio.open(layer.path) as dataset:
        transform, width, height = rasterio.warp.calculate_default_transform(
            dataset.crs, crs, dataset.width, dataset.height, *dataset.bounds
        )
        return transform, (height, width)


def only_chip(collection: rf.Collection, **keywords: object) -> Chip:
    with collection.read(**keywords) as stream:
        [chip] = stream.chips()
    return chip


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", sorted(COLLECTIONS))
def test_target_crs(one_client: rf.Client, data: Path, name: str, method: str) -> None:
    layer = oracle.layers(data / COLLECTIONS[name])[0]
    crs = "EPSG:4326" if name in ("ny", "alexandria", "s2-34") else "EPSG:3857"
    transform, shape = default_grid(layer, crs)
    chip = only_chip(
        one_client.collection(name), bands=[layer.band], ids=layer.record_id, target_crs=crs, resampling=method
    )
    assert chip.crs == crs
    assert chip.transform == list(transform[:6])
    assert_equal(chip.pixels[layer.band], reprojected(layer, crs, transform, shape, method), method)


@pytest.fixture(scope="module")
def one_client(indexes: dict[str, Path]) -> Iterator[rf.Client]:
    with ServerProcess(indexes) as server, rf.connect(server.url) as client:
        yield client


@pytest.mark.parametrize("method", METHODS)
def test_areas_are_cut_out_of_the_warped_raster(one_client: rf.Client, data: Path, method: str) -> None:
    """The same pixels as a WarpedVRT, masked in its CRS."""
    layer = next(layer for layer in oracle.layers(data / COLLECTIONS["paraguay"]) if layer.band)
    with rasterio.open(layer.path) as dataset:
        west, south, east, north = rasterio.warp.transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
        middle = shapely.Point((west + east) / 2, (south + north) / 2)
        area = middle.buffer((north - south) / 4, quad_segs=5)
        transform, (height, width) = default_grid(layer, "EPSG:3857")
        nodata = dataset.nodata if method in KEPT else np.nan
        dtype = dataset.dtypes[0] if method in KEPT else "float32"
        with WarpedVRT(
            dataset, crs="EPSG:3857", transform=transform, width=width, height=height, resampling=Resampling[method],
            nodata=nodata, src_nodata=dataset.nodata, dtype=dtype,
        ) as vrt:  # fmt: skip
            shape = rasterio.warp.transform_geom("EPSG:4326", vrt.crs, shapely.geometry.mapping(area))
            window = rasterio.features.geometry_window(vrt, [shape])
            # as a whole: what a VRT approximates in a window is a little different from what it does there in the whole
            truth = vrt.read(layer.index)[window.toslices()]
            of_window = vrt.window_transform(window)
            outside = rasterio.features.geometry_mask([shape], truth.shape, of_window)
            truth[outside] = 0 if nodata is None else nodata
    frame = one_client.collection("paraguay").get_gdf(
        geometries=area, bands=[layer.band], ids=layer.record_id, target_crs=3857, resampling=method
    )
    assert tuple(frame["transform"][0]) == tuple(of_window)
    assert frame.crs == "EPSG:3857"
    assert_equal(frame.data[0], truth, method)


def test_one_grid_for_rasters_that_do_not_line_up(one_client: rf.Client, data: Path) -> None:
    """The dates of NAIP differ by a fraction of a pixel: all come on the grid of the first."""
    layers = [layer for layer in oracle.layers(data / COLLECTIONS["naip"]) if layer.band == "red"]
    dataset = one_client.collection("naip").get_xarray(bands=["red"], resampling="nearest")
    transform = dataset.rio.transform()
    with rasterio.open(layers[0].path) as first:
        assert (transform.a, transform.e) == (first.transform.a, first.transform.e)
        assert ((transform.c - first.transform.c) / transform.a) % 1 == pytest.approx(0, abs=1e-6)
    assert dataset.red.dtype == np.uint8
    assert dataset.red.attrs["resampling"] == "nearest"
    for time, layer in enumerate(layers):
        truth = reprojected(layer, "EPSG:26914", transform, dataset.red.shape[2:], "nearest")
        found = dataset.red.values[time, 0]
        with rasterio.open(layer.path) as source:
            there = reprojected_mask(source, transform, found.shape)
        assert np.array_equal(found[there], truth[there])


def reprojected_mask(source: rasterio.DatasetReader, transform: Affine, shape: tuple[int, int]) -> np.ndarray:
    out = np.zeros(shape, np.uint8)
    rasterio.warp.reproject(
        np.ones(source.shape, np.uint8), out, src_transform=source.transform, src_crs=source.crs,
        dst_transform=transform, dst_crs=source.crs, resampling=Resampling.nearest,
    )  # fmt: skip
    return out == 1


SIDE, TILE = 1024, 128
WEST, NORTH = 500_000, 5_700_000


@pytest.fixture(scope="module")
def pyramid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FileServer, ServerProcess]]:
    """A scene behind HTTP; each overview has pixels of its own, which tell that they were read."""
    folder = tmp_path_factory.mktemp("pyramid")
    rng = np.random.default_rng(0)
    path = write_scene(folder / "a.tif", rng.integers(1, 1000, (SIDE, SIDE)).astype(np.uint16), tile=TILE, nodata=0)
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4, 8], Resampling.nearest)
    for level in range(3):
        with rasterio.open(path, "r+", overview_level=level) as dataset:
            pixels = rng.integers(1, 1000, dataset.shape) + 1000 * (level + 1)
            dataset.write(pixels.astype(np.uint16), 1)
    with FileServer(folder) as files:
        items = write_items(folder / "items.json", {"r": {"B": f"{files.url}/a.tif"}})
        done = run_server_command("index", items, "--out", folder / "index", "--name", "made")
        assert done.returncode == 0, done.stderr
        with ServerProcess({"made": folder / "index"}, cache_size="0") as server:
            yield files, server


@pytest.mark.parametrize("method", ["nearest", "average"])
@pytest.mark.parametrize("resolution", [10, 12, 15.8, 15.9, 19, 19.1, 20, 33, 40, 66, 79.5, 200])
def test_the_overview_that_rasterio_takes(
    pyramid: tuple[FileServer, ServerProcess], resolution: float, method: str
) -> None:
    files, server = pyramid
    with rf.connect(server.url) as client:
        made = client.collection("made")
        plan = made.plan(bands="B", resolution=resolution, resampling=method)
        before, files.requests[:] = stats(server.url), []
        chip = only_chip(made, bands="B", resolution=resolution, resampling=method)
        after = stats(server.url)
    with rasterio.open(files.root / "a.tif") as dataset:
        rows = round(SIDE * 10 / resolution)
        level = int(np.median(dataset.read(1, out_shape=(rows, rows), resampling=Resampling[method]))) // 1000
    assert int(np.nanmedian(chip.pixels["B"])) // 1000 == level
    assert plan.levels == ({} if resolution == 10 else {"B": (level,)})
    tiles = max(1, SIDE // 2**level // TILE) ** 2
    assert (plan.tiles, after["tiles_decoded"] - before["tiles_decoded"]) == (tiles, tiles)
    assert after["requests"] - before["requests"] == len(files.requests)
    with rasterio.open(files.root / "a.tif", **({"overview_level": level - 1} if level else {})) as dataset:
        truth = np.zeros(chip.pixels["B"].shape, np.uint16 if method == "nearest" or resolution == 10 else np.float32)
        rasterio.warp.reproject(
            dataset.read(1), truth, src_transform=dataset.transform, src_crs=dataset.crs, src_nodata=0,
            dst_transform=Affine(*chip.transform), dst_crs=dataset.crs, resampling=Resampling[method],
            dst_nodata=0 if truth.dtype == np.uint16 else np.nan,
        )  # fmt: skip
    assert_equal(chip.pixels["B"], truth, "nearest" if resolution == 10 else method)


def test_pixels_do_not_depend_on_how_they_are_asked_for(pyramid: tuple[FileServer, ServerProcess]) -> None:
    """Windows of a grid, small batches and areas give the pixels of the whole."""
    _, server = pyramid
    grid = {"crs": "EPSG:32632", "transform": (23.0, 0, 80_000, 0, -19.0, 5_718_000), "width": 600, "height": 640}
    with rf.connect(server.url) as client:
        made = client.collection("made")
        [whole] = made.get_gdf(bands="B", like=grid, resampling="cubic").data
        full = np.full((640, 600), np.nan, np.float32)
        place(full, only_chip(made, bands="B", like=grid, resampling="cubic"), grid["transform"])
        assert np.count_nonzero(~np.isnan(whole)) == np.count_nonzero(~np.isnan(full)) > 100_000
        windows = [(col, row, 100, 160) for row in range(0, 640, 160) for col in range(0, 600, 100)]
        parts = np.full_like(full, np.nan)
        with made.read(bands="B", like=grid, resampling="cubic", windows=windows, batch_bytes=1 << 16) as stream:
            for chip in stream.chips():
                place(parts, chip, grid["transform"])
        assert np.array_equal(parts, full, equal_nan=True)
        box = shapely.box(86_000, 5_709_000, 89_000, 5_713_000)
        cut = only_chip(made, bands="B", like=grid, resampling="cubic", geometries=box, geometry_crs=32632)
        of_area = np.full_like(full, np.nan)
        place(of_area, cut, grid["transform"])
        there = ~np.isnan(of_area)
        assert there.any()
        assert np.array_equal(of_area[there], full[there])


def place(array: np.ndarray, chip: Chip, transform: tuple[float, ...]) -> None:
    col = round((chip.transform[2] - transform[2]) / transform[0])
    row = round((chip.transform[5] - transform[5]) / transform[4])
    array[row : row + chip.height, col : col + chip.width] = chip.pixels["B"]


def test_areas_of_one_shape(pyramid: tuple[FileServer, ServerProcess]) -> None:
    """With a grid, get_numpy gives areas of one size in one shape, also where they hang over the edge."""
    _, server = pyramid
    areas = [
        (WEST + x, NORTH - y, WEST + x + 600, NORTH - y + 600) for x, y in [(-300, 300), (3000, 3000), (9900, 9000)]
    ]
    with rf.connect(server.url) as client:
        made = client.collection("made")
        with pytest.raises(rf.errors.RaggedShapesError):
            made.get_numpy(geometries=areas, geometry_crs=32631, bands="B")
        array = made.get_numpy(geometries=areas, geometry_crs=32631, bands="B", resolution=10, masked=True)
    assert array.shape == (3, 60, 60)
    with rasterio.open(pyramid[0].root / "a.tif") as dataset:
        for found, (minx, miny, maxx, maxy) in zip(array, areas, strict=True):
            window = dataset.window(minx, miny, maxx, maxy)
            truth = dataset.read(1, window=window, boundless=True, fill_value=0)
            assert np.array_equal(found.data, truth)
            assert np.array_equal(found.mask, truth == 0)


def test_masked_and_scaled(tmp_path: Path) -> None:
    """Invalid pixels do not bleed; scale and offset come after resampling; masks of files count."""
    pixels = np.arange(1, 65, dtype=np.uint8).reshape(8, 8)
    mask = np.full((8, 8), 255, np.uint8)
    mask[2:4, 2:4] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", width=8, height=8, count=1, dtype="uint8", crs="EPSG:32631",
        transform=Affine(10, 0, WEST, 0, -10, NORTH),
    ) as dataset:  # fmt: skip
        dataset.write(pixels, 1)
        dataset.write_mask(mask)
        dataset.scales, dataset.offsets = (0.5,), (100.0,)
    items = write_items(tmp_path / "items.json", {"r": {"B": "a.tif"}})
    assert run_server_command("index", items, "--out", tmp_path / "index", "--name", "m").returncode == 0
    grid = {"crs": "EPSG:32631", "transform": (20, 0, WEST - 20, 0, -20, NORTH), "width": 6, "height": 4}
    truth = np.full((4, 6), np.nan)
    truth[:, 1:5] = np.where(mask, pixels, np.nan).reshape(4, 2, 4, 2).mean(axis=(1, 3))
    assert np.isnan(truth[1, 2])
    with rf.local({"m": tmp_path / "index"}) as client:
        m = client.collection("m")
        dataset = m.get_xarray(bands="B", like=grid, resampling="average", masked=True)
        assert np.array_equal(dataset.B.values[0, 0], truth.astype(np.float32), equal_nan=True)
        assert np.array_equal(dataset.B_mask.values[0, 0], np.isnan(truth))
        scaled = m.get_xarray(bands="B", like=grid, resampling="average", values="scaled")
        assert np.array_equal(scaled.B.values[0, 0], (truth * 0.5 + 100).astype(np.float32), equal_nan=True)
        nearest = m.get_xarray(bands="B", like=grid, resampling="nearest", masked=True)
        assert nearest.B.dtype == np.uint8
        assert nearest.B_mask.values[0, 0, :, 0].all()


def test_two_zones(tmp_path: Path) -> None:
    """Records in several CRS come in that of most of them, of as many the lowest code, and the caller is told."""
    rng = np.random.default_rng(1)
    zones = {"a": 32632, "b": 32631, "c": 32632}
    for record, epsg in zones.items():
        x = 200_000 if epsg == 32632 else 611_000
        with rasterio.open(
            tmp_path / f"{record}.tif", "w", driver="GTiff", width=60, height=50, count=1, dtype="uint16", nodata=0,
            crs=f"EPSG:{epsg}", transform=Affine(10, 0, x, 0, -10, 5_700_000),
        ) as dataset:  # fmt: skip
            dataset.write(rng.integers(1, 1000, (50, 60)).astype(np.uint16), 1)
    items = write_items(tmp_path / "items.json", {record: {"B": f"{record}.tif"} for record in zones})
    assert run_server_command("index", items, "--out", tmp_path / "index", "--name", "m").returncode == 0
    with rf.local({"m": tmp_path / "index"}) as client:
        m = client.collection("m")
        with pytest.warns(UserWarning, match="EPSG:32632"):
            dataset = m.get_xarray(bands="B", resampling="nearest")
        with pytest.warns(UserWarning, match="EPSG:32631"):
            tie = m.get_xarray(bands="B", resampling="nearest", ids=["a", "b"])
        with m.read(bands="B", target_crs=32632, resampling="nearest") as stream:
            chips = list(stream.chips())
    assert dataset.rio.crs == "EPSG:32632"
    assert tie.rio.crs == "EPSG:32631"
    origin = dataset.rio.transform()
    for time, chip in enumerate(chips):
        # each onto the part of the grid that is its surroundings
        truth = np.zeros((chip.height, chip.width), np.uint16)
        with rasterio.open(tmp_path / f"{chip.record_id}.tif") as source:
            rasterio.warp.reproject(
                source.read(1), truth, src_transform=source.transform, src_crs=source.crs, src_nodata=0, dst_nodata=0,
                dst_transform=Affine(*chip.transform), dst_crs="EPSG:32632", resampling=Resampling.nearest,
            )  # fmt: skip
        assert np.array_equal(chip.pixels["B"], truth)
        whole = np.zeros(dataset.B.shape[2:], np.uint16)
        row, col = round((chip.transform[5] - origin.f) / origin.e), round((chip.transform[2] - origin.c) / origin.a)
        whole[row : row + chip.height, col : col + chip.width] = truth
        assert np.array_equal(dataset.B.values[time, 0], whole)
    assert [chip.record_id for chip in chips] == list(zones)


def test_mixed_resolutions(one_client: rf.Client, data: Path) -> None:
    """Bands of 100 m and 320 m come on the finest grid, those that fit as they are."""
    folder = data / COLLECTIONS["s2-34"]
    layers = {layer.band: layer for layer in oracle.layers(folder)}
    dataset = one_client.collection("s2-34").get_xarray(bands=list(layers))
    transform = dataset.rio.transform()
    resampled = []
    for band, layer in layers.items():
        with rasterio.open(layer.path) as source:
            native = source.transform == transform
            pixels = source.read(layer.index)
        found = dataset[band].values[0, 0]
        if native:
            assert np.array_equal(found, pixels)
            assert "resampling" not in dataset[band].attrs
        else:
            resampled.append(band)
            assert dataset[band].attrs["resampling"] == "bilinear"
            truth = reprojected(layer, dataset.rio.crs.to_string(), transform, found.shape, "bilinear")
            assert_equal(found, truth, "bilinear")
    assert resampled
    assert len(resampled) < len(layers)


def test_a_grid_that_goes_far_beyond_the_record(pyramid: tuple[FileServer, ServerProcess]) -> None:
    """Of a huge grid only the part under the record is made; windows still count from its corner."""
    _, server = pyramid
    grid = {
        "crs": "EPSG:3857",
        "transform": (20.0, 0, -20_000_000, 0, -20.0, 20_000_000),
        "width": 2_000_000,
        "height": 1_800_000,
    }
    with rf.connect(server.url) as client:
        made = client.collection("made")
        whole = only_chip(made, bands="B", like=grid, resampling="nearest")
        col, row = (round((whole.transform[2] + 2e7) / 20), round((2e7 - whole.transform[5]) / 20))
        window = (col + 100, row + 50, 300, 200)
        part = only_chip(made, bands="B", like=grid, resampling="nearest", windows=[window])
    assert np.array_equal(part.pixels["B"], whole.pixels["B"][50:250, 100:400])
    with rasterio.open(pyramid[0].root / "a.tif") as dataset:
        truth = np.zeros(whole.pixels["B"].shape, np.uint16)
        rasterio.warp.reproject(
            dataset.read(1), truth, src_transform=dataset.transform, src_crs=dataset.crs, src_nodata=0, dst_nodata=0,
            dst_transform=Affine(*whole.transform), dst_crs="EPSG:3857", resampling=Resampling.nearest,
        )  # fmt: skip
    assert np.array_equal(whole.pixels["B"], truth)


def test_too_fine_a_grid(pyramid: tuple[FileServer, ServerProcess]) -> None:
    with rf.connect(pyramid[1].url) as client, pytest.raises(
        rf.errors.LimitExceededError, match=r"a raster of 1024 x 1024 pixels would become one of \d+ x \d+"
    ):  # fmt: skip
        client.collection("made").plan(bands="B", resolution=0.01)
