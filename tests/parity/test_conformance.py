"""Real files, and every kind of file that GDAL writes, against rasterio: pixels, windows, overviews, place, nodata."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile

from rasterflight_server.ingest.header import Header
from rasterflight_server.types import Window
from support.engine import Engine, engine
from support.matrix import CASES, HEIGHT, WIDTH, Case

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

DATA = Path(__file__).parents[1] / "data"
RASTERS = sorted(path for path in DATA.rglob("*") if path.suffix.lower() in (".tif", ".tiff"))
#: The rasterio wheel brings another libjpeg than imagecodecs (and most builds of GDAL), which makes other colours of
#: YCbCr whose colours are stored at half resolution: for these tifffile is the oracle.
OTHER_LIBJPEG = {"be_cog"}


@pytest.fixture(scope="module")
def reads() -> Iterator[Engine]:
    with engine() as made:
        yield made


def windows(width: int, height: int) -> list[Window]:
    """Some that begin and end anywhere."""
    rng = np.random.default_rng(width * height)
    found = [Window(width - 1, height - 1, 1, 1), Window(0, height // 2, width, 1)]
    for _ in range(4):
        left, right = sorted(rng.integers(0, width + 1, 2).tolist())
        top, bottom = sorted(rng.integers(0, height + 1, 2).tolist())
        if left < right and top < bottom:
            found.append(Window(left, top, right - left, bottom - top))
    return found


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert np.array_equal(found, expected, equal_nan=found.dtype.kind in "fc")


def assert_windows(reads: Engine, path: Path, header: Header, expected: np.ndarray) -> None:
    for window in windows(expected.shape[2], expected.shape[1]):
        col, row, width, height = window
        assert_same(reads.read_known(path, header, window), expected[:, row : row + height, col : col + width])


def test_all_are_looked_at() -> None:
    assert len(RASTERS) == 100
    assert len(CASES) >= 600
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("path", RASTERS, ids=lambda path: path.stem)
def test_real_files(reads: Engine, path: Path) -> None:
    header = reads.header(path)
    if path.stem in OTHER_LIBJPEG:
        assert_same(reads.read_known(path, header), np.moveaxis(tifffile.imread(path), 2, 0))
        return
    with rasterio.open(path) as dataset:
        expected = dataset.read()
        assert_same(reads.read_known(path, header), expected)
        assert_windows(reads, path, header, expected)
        levels = len(dataset.overviews(1))
    assert len(header.profile.levels) == 1 + levels
    for number in range(levels):
        with rasterio.open(path, overview_level=number) as overview:
            assert_same(reads.read_known(path, header, level=number + 1), overview.read())


@pytest.mark.parametrize("path", RASTERS, ids=lambda path: path.stem)
def test_real_places(reads: Engine, path: Path) -> None:
    header = reads.header(path)
    with rasterio.open(path) as dataset:
        assert tuple(header.grid.transform) == tuple(dataset.transform)
        crs = header.grid.crs
        assert (None if crs is None else rasterio.CRS.from_user_input(crs)) == (dataset.crs or None)
        nodata = header.profile.nodata
        assert repr(None if nodata is None else float(nodata)) == repr(dataset.nodata)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_written_by_gdal(tmp_path: Path, reads: Engine, case: Case) -> None:
    path = tmp_path / "x.tif"
    case.write(path)
    header = reads.header(path)
    with rasterio.open(path) as dataset:
        expected = dataset.read()
        nodata = header.profile.nodata
        assert repr(None if nodata is None else float(nodata)) == repr(dataset.nodata)
    assert expected.shape[1:] == (HEIGHT, WIDTH)
    assert_same(reads.read_known(path, header), expected)
    assert_windows(reads, path, header, expected)
    assert_same(reads.read_known(path, header, samples=[expected.shape[0] - 1, 0]), expected[[-1, 0]])


@pytest.mark.parametrize("quality", [75, 100])
@pytest.mark.parametrize("options", [{"tiled": True, "blockxsize": 16, "blockysize": 16}, {"blockysize": 16}, {}])
def test_jpeg_of_halved_colours(tmp_path: Path, reads: Engine, options: dict, quality: int) -> None:
    path = tmp_path / "x.tif"
    Case("ycbcr", "uint8", 3, {"compress": "jpeg", "photometric": "ycbcr", "jpeg_quality": quality, **options}).write(
        path
    )
    found = reads.read(path)
    expected = tifffile.imread(path)
    assert_same(found, np.moveaxis(expected, -1, 0))
    with rasterio.open(path) as dataset:
        # The same colours, up to what two libraries make of the halved ones.
        assert np.abs(dataset.read().astype(int) - found).max() <= 12


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize(
    ("codec", "dtype", "arguments"),
    [
        ("jpeg", "uint8", {}),
        ("jpeg", "uint16", {"bitspersample": 12}),
        ("jpeg2000", "uint8", {"reversible": True}),
        ("jpeg2000", "uint16", {"reversible": True}),
        ("jpegxl", "uint8", {"lossless": True}),
        ("jpegxl", "uint16", {"lossless": True}),
        ("jpegxl", "float32", {"lossless": True}),
    ],
)
@pytest.mark.parametrize("tiled", [True, False])
def test_codecs_that_this_rasterio_lacks(
    tmp_path: Path, reads: Engine, codec: str, dtype: str, arguments: dict, samples: int, tiled: bool
) -> None:
    path = tmp_path / "x.tif"
    waves = 1000 + 900 * np.sin(np.arange(40 * 50).reshape(40, 50, 1) / 30 + np.arange(samples))
    pixels = (waves if dtype != "uint8" else waves / 8).astype(dtype)
    bits = {"bitspersample": 12} if "bitspersample" in arguments else {}
    tifffile.imwrite(
        path,
        pixels if samples > 1 else pixels[..., 0],
        compression=codec,
        compressionargs={name: value for name, value in arguments.items() if name != "bitspersample"},
        tile=(16, 16) if tiled else None,
        rowsperstrip=None if tiled else 16,
        photometric="rgb" if samples == 3 else "minisblack",
        metadata=None,
        **bits,
    )
    expected = tifffile.imread(path).reshape(40, 50, samples)
    assert_same(reads.read(path), np.moveaxis(expected, 2, 0))
