"""Tiles of every codec, predictor, dtype, byte order and planar layout that is read, against rasterio."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile

from rasterflight_server.errors import SourceError
from rasterflight_server.ingest.header import read_header
from rasterflight_server.read.reader import Piece, Reader
from rasterflight_server.read.workers import Workers
from rasterflight_server.store import open_source
from rasterflight_server.telemetry import Telemetry
from rasterflight_server.types import Asset, Window

pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform")

WIDTH, HEIGHT, TILE = 75, 53, 32
CODECS = {"none": 1, "deflate": 8, "old deflate": 32946, "lzw": 5, "zstd": 50000}
INTS = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
FLOATS = ["float32", "float64"]


def write(path: Path, dtype: str, codec: int, predictor: int, order: str, planar: str, samples: int) -> np.ndarray:
    rng = np.random.default_rng(7)
    shape = (HEIGHT, WIDTH, samples)
    if np.dtype(dtype).kind == "f":
        pixels = rng.normal(size=shape).cumsum(axis=1).astype(dtype)
    else:
        bounds = np.iinfo(dtype)
        pixels = rng.integers(bounds.min, bounds.max, shape, dtype=dtype, endpoint=True)
    data = pixels if planar == "contig" else np.moveaxis(pixels, 2, 0)
    tifffile.imwrite(
        path,
        data if samples > 1 else pixels[:, :, 0],
        byteorder=order,
        tile=(TILE, TILE),
        compression=codec,
        predictor=predictor,
        planarconfig=planar if samples > 1 else None,
        photometric="minisblack",
        metadata=None,
    )
    return pixels


def read(path: Path, window: Window, samples: list[int], workers: Workers) -> np.ndarray:
    """Read through the engine; bands first."""
    with open_source(str(path)) as source:
        header = read_header(source)
        identity = source.identity()
    asset = Asset("image", str(path), identity, header.profile, header.grid, lambda level: header.tiles[level])
    dtype = header.profile.levels[0].dtype
    out = np.full((len(samples), window.height, window.width), 77, dtype=dtype)
    outs = [(sample, out[position].reshape(-1)) for position, sample in enumerate(samples)]
    piece = Piece("record", asset, 0, np.array([window]), outs, np.dtype(dtype).type(0))
    reader = Reader(workers)
    [pending] = reader.start([[piece]])
    failed = reader.wait(pending, lambda: None)
    if failed:
        raise failed[0].error
    return out


@pytest.fixture(scope="module")
def workers() -> Workers:
    return Workers(Telemetry(), decoders=2)


CASES = [
    (dtype, codec, predictor, order, planar, samples)
    for codec in CODECS
    for dtype in [*INTS, *FLOATS]
    for predictor in (1, 2, 3)
    if not (predictor == 2 and dtype in FLOATS) and not (predictor == 3 and dtype in INTS)
    if not (codec == "none" and predictor != 1)
    for order in "<>"
    for planar, samples in (("contig", 1), ("contig", 3), ("separate", 3))
]


@pytest.mark.parametrize(("dtype", "codec", "predictor", "order", "planar", "samples"), CASES)
def test_pixels_equal_rasterio(
    tmp_path: Path, workers: Workers, dtype: str, codec: str, predictor: int, order: str, planar: str, samples: int
) -> None:
    path = tmp_path / "a.tif"
    written = write(path, dtype, CODECS[codec], predictor, order, planar, samples)
    with rasterio.open(path) as dataset:
        truth = dataset.read()
    assert np.array_equal(truth, np.moveaxis(written, 2, 0))
    for window in (Window(0, 0, WIDTH, HEIGHT), Window(31, 1, 2, 50), Window(5, 40, 60, 13), Window(64, 32, 11, 21)):
        col, row, width, height = window
        found = read(path, window, list(range(samples)), workers)
        assert np.array_equal(found, truth[:, row : row + height, col : col + width])
    if samples > 1:
        assert np.array_equal(read(path, Window(0, 0, WIDTH, HEIGHT), [2, 0], workers), truth[[2, 0]])


def test_float_predictor_2(tmp_path: Path, workers: Workers) -> None:
    """GDAL writes it, tifffile does not."""
    path = tmp_path / "a.tif"
    pixels = np.random.default_rng(3).normal(size=(HEIGHT, WIDTH)).astype("float32")
    profile = {"driver": "GTiff", "width": WIDTH, "height": HEIGHT, "count": 1, "dtype": "float32", "tiled": True}
    with rasterio.open(path, "w", **profile, blockxsize=32, blockysize=32, compress="deflate", predictor=2) as dataset:
        dataset.write(pixels, 1)
    assert np.array_equal(read(path, Window(0, 0, WIDTH, HEIGHT), [0], workers)[0], pixels)


@pytest.mark.parametrize("codec", ["deflate", "lzw", "zstd"])
def test_damaged_tile_names_record_asset_and_tile(tmp_path: Path, workers: Workers, codec: str) -> None:
    path = tmp_path / "a.tif"
    write(path, "uint16", CODECS[codec], 1, "<", "contig", 1)
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[0].dataoffsets[3]
    content = bytearray(path.read_bytes())
    content[offset : offset + 40] = b"\xee" * 40
    path.write_bytes(content)
    with pytest.raises(SourceError, match="tile 3: a tile does not decode as") as caught:
        read(path, Window(0, 0, WIDTH, HEIGHT), [0], workers)
    assert (caught.value.code.name, caught.value.record, caught.value.asset) == ("SOURCE_CORRUPT", "record", "image")
