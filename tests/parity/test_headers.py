"""Headers as we read them against headers as GDAL reads them, for every bundled raster."""

from pathlib import Path

import pytest
import rasterio

from rasterflight_server.ingest.header import Header, read_header
from rasterflight_server.store import open_source

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

DATA = Path(__file__).parents[1] / "data"
RASTERS = sorted(path for path in DATA.rglob("*") if path.suffix.lower() in (".tif", ".tiff"))


def header(path: Path) -> Header:
    with open_source(str(path)) as source:
        return read_header(source)


def test_all_are_looked_at() -> None:
    assert len(RASTERS) == 100


@pytest.mark.parametrize("path", RASTERS, ids=lambda path: path.stem)
def test_as_rasterio(path: Path) -> None:
    found = header(path)
    full = found.profile.levels[0]
    with rasterio.open(path) as expected:
        assert (full.height, full.width) == expected.shape == (found.grid.height, found.grid.width)
        assert full.samples == len(found.profile.bands) == expected.count
        assert {full.dtype} == set(expected.dtypes)
        assert (found.profile.nodata is None) is (expected.nodata is None)
        if found.profile.nodata is not None:
            assert float(found.profile.nodata) == expected.nodata
        assert tuple(found.grid.transform) == tuple(expected.transform)
        crs = found.grid.crs
        assert (None if crs is None else rasterio.CRS.from_user_input(crs)) == (expected.crs or None)
        # Strips without compression are cut anew.
        if not (full.striped and full.compression == 1):
            assert expected.block_shapes == [(full.tile_height, full.tile_width)] * expected.count
        assert [band.scale or 1.0 for band in found.profile.bands] == list(expected.scales)
        assert [band.description for band in found.profile.bands] == list(expected.descriptions)


@pytest.mark.parametrize("path", RASTERS, ids=lambda path: path.stem)
def test_overviews_as_rasterio(path: Path) -> None:
    with rasterio.open(path) as full:
        count = len(full.overviews(1))
    sizes = []
    for number in range(count):
        with rasterio.open(path, overview_level=number) as overview:
            sizes.append((overview.width, overview.height, overview.block_shapes[0]))
    assert sizes == [
        (level.width, level.height, (level.tile_height, level.tile_width)) for level in header(path).profile.levels[1:]
    ]


@pytest.mark.parametrize("path", RASTERS, ids=lambda path: path.stem)
def test_byte_ranges_as_gdal(path: Path) -> None:
    found = header(path)
    level, ranges = found.profile.levels[0], found.tiles[0]
    if level.striped and level.compression == 1:
        assert (ranges.offsets + ranges.counts <= path.stat().st_size).all()
        return
    with rasterio.open(path) as expected:
        for band in range(1, level.samples + 1):
            plane = (band - 1) * level.tiles_across * level.tiles_down if level.planar_separate else 0
            for (row, col), _ in expected.block_windows(band):
                tile = plane + row * level.tiles_across + col
                for tag, values in (("BLOCK_OFFSET", ranges.offsets), ("BLOCK_SIZE", ranges.counts)):
                    # None: the tile is not stored.
                    told = expected.get_tag_item(f"{tag}_{col}_{row}", "TIFF", bidx=band)
                    assert int(told or 0) == values[tile]
