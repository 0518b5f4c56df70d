"""Masks that do not decode."""

import os
from pathlib import Path

import numpy as np
import pytest
import rasterio

from support.described import TRANSFORM
from support.direct import direct


def test_damaged_masks_are_named(tmp_path: Path) -> None:
    profile = {"driver": "GTiff", "width": 32, "height": 32, "count": 1, "dtype": "uint8", "tiled": True}
    profile |= {"blockxsize": 16, "blockysize": 16, "transform": TRANSFORM}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(tmp_path / "a.tif", "w", **profile) as dataset:
        dataset.write(np.ones((1, 32, 32), np.uint8))
        dataset.write_mask(np.eye(32, dtype=bool))
    with direct(tmp_path, tmp_path / "index") as reads:
        asset = reads.collection.assets(0, [0])[0]
        assert asset is not None
        ranges = asset.tile_ranges(1)
        raw = bytearray((tmp_path / "a.tif").read_bytes())
        raw[ranges.offsets[2] : ranges.offsets[2] + ranges.counts[2]] = b"\xff" * int(ranges.counts[2])
        stat = (tmp_path / "a.tif").stat()
        (tmp_path / "a.tif").write_bytes(raw)
        os.utime(tmp_path / "a.tif", ns=(stat.st_atime_ns, stat.st_mtime_ns))
        reads.read("a")
        with pytest.raises(Exception, match="tile 2") as caught:
            reads.read("a", masked=True)
        assert caught.value.record == "a"
