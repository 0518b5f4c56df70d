"""Inflating stops at the last row that is needed: the same pixels, and what comes after is not even looked at."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
from affine import Affine
from rasterio.windows import Window as RasterioWindow

from rasterflight_server.errors import SourceError
from rasterflight_server.read.codecs import can_stop
from rasterflight_server.types import Window
from support.engine import Engine, engine
from support.matrix import CASES, WIDTH, Case

PLACE = Affine(10, 0, 500_000, 0, -10, 5_700_000)
TILED = [case for case in CASES if case.options.get("tiled")]


@pytest.fixture(scope="module")
def reader() -> Iterator[Engine]:
    with engine() as made:
        yield made


@pytest.mark.parametrize("case", TILED[::5] + [case for case in TILED if "deflate" in case.name][::4], ids=str)
def test_windows_at_the_top_of_tiles(case: Case, reader: Engine, tmp_path: Path) -> None:
    path = tmp_path / "file.tif"
    case.write(path)
    with rasterio.open(path) as dataset:
        for window in (Window(0, 0, WIDTH, 1), Window(3, 0, 20, 7), Window(17, 16, 19, 5), Window(0, 15, WIDTH, 2)):
            truth = dataset.read(window=RasterioWindow(*window))
            assert np.array_equal(reader.read(path, window), truth, equal_nan=truth.dtype.kind in "fc")


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    path = tmp_path / "scene.tif"
    rng = np.random.default_rng(5)
    profile = {
        "driver": "GTiff",
        "width": 256,
        "height": 256,
        "count": 1,
        "dtype": "uint16",
        "tiled": True,
        "crs": "EPSG:32631",
        "transform": PLACE,
    }
    with rasterio.open(
        path, "w", **profile, blockxsize=256, blockysize=256, compress="deflate", predictor=2
    ) as dataset:
        dataset.write(rng.integers(0, 2000, (1, 256, 256), dtype=np.uint16))
    return path


def test_damage_behind_the_rows_does_not_matter(scene: Path, reader: Engine) -> None:
    with rasterio.open(scene) as dataset:
        truth = dataset.read()
    with tifffile.TiffFile(scene) as file:
        [offset], [length] = file.pages[0].dataoffsets, file.pages[0].databytecounts
    with scene.open("r+b") as raw:
        raw.seek(offset + length // 2)
        raw.write(b"\xff" * (length - length // 2))
    assert can_stop(reader.header(scene).profile.levels[0])
    assert np.array_equal(reader.read(scene, Window(10, 0, 200, 100)), truth[:, :100, 10:210])
    with pytest.raises(SourceError, match="tile 0: a tile does not decode as deflate"):
        reader.read(scene)


def test_a_whole_tile_is_held_against_its_checksum(scene: Path, reader: Engine) -> None:
    with tifffile.TiffFile(scene) as file:
        [offset], [length] = file.pages[0].dataoffsets, file.pages[0].databytecounts
    with scene.open("r+b") as raw:
        raw.seek(offset + length - 4)
        raw.write(b"\0\1\2\3")
    with pytest.raises(SourceError, match="tile 0: a tile does not decode as deflate"):
        reader.read(scene)


def test_a_stream_that_ends_too_early(scene: Path, reader: Engine) -> None:
    header = reader.header(scene)
    [ranges] = [header.tiles[0]]
    ranges.counts[:] = 3000
    with pytest.raises(SourceError, match=r"tile 0: a tile decodes to \d+ bytes instead of 51200"):
        reader.read_known(scene, header, Window(0, 0, 256, 100))


def test_of_tiles_without_compression_only_the_rows_are_fetched(tmp_path: Path) -> None:
    path = tmp_path / "plain.tif"
    pixels = np.arange(512 * 256, dtype=np.uint16).reshape(512, 256)
    profile = {
        "driver": "GTiff",
        "width": 256,
        "height": 512,
        "count": 1,
        "dtype": "uint16",
        "tiled": True,
        "crs": "EPSG:32631",
        "transform": PLACE,
    }
    with rasterio.open(path, "w", **profile, blockxsize=256, blockysize=256) as dataset:
        dataset.write(pixels, 1)
    with engine() as made:
        assert np.array_equal(made.read(path, Window(5, 250, 90, 20))[0], pixels[250:270, 5:95])
        assert made.telemetry.snapshot()["bytes_fetched"] == 2 * 256 * (256 + 14)
