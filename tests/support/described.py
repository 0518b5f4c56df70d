"""Files that say what their pixels stand for."""

from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import ColorInterp

TRANSFORM = rasterio.Affine(10, 0, 500_000, 0, -10, 5_700_000)


def write(path: Path, dtype: str, *, scale: float | None = None, offset: float | None = None, **options) -> None:
    rng = np.random.default_rng(len(dtype))
    pixels = rng.integers(0, 100, (2, 48, 40)).astype(dtype)
    profile = {"driver": "GTiff", "width": 40, "height": 48, "count": 2, "dtype": dtype, "crs": "EPSG:32631"}
    profile |= {"transform": TRANSFORM, "tiled": True, "blockxsize": 16, "blockysize": 16}
    with rasterio.open(path, "w", **profile, **options) as dataset:
        dataset.write(pixels)
        if scale is not None:
            dataset.scales = (scale, 1.0)
        if offset is not None:
            dataset.offsets = (offset, 0.0)


def describe(path: Path, dtype: str = "int16") -> None:
    write(path, dtype, scale=0.5, offset=-2.0, nodata=-9)
    with rasterio.open(path, "r+") as dataset:
        dataset.units = ("m", "K")
        dataset.descriptions = ("elevation", "heat & <more>")
        dataset.colorinterp = (ColorInterp.red, ColorInterp.undefined)
        dataset.update_tags(AREA="north & south", TIFFTAG_SOFTWARE="tests", source="x < y")
        dataset.update_tags(1, wavelength="665 nm", STATISTICS_MEAN="5")
        dataset.update_tags(2, wavelength="842 nm")
