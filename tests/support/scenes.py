"""Scenes made for tests that need more pixels than are bundled."""

import json
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import Compression


def write_scene(
    path: Path,
    pixels: np.ndarray,
    *,
    tile: int = 512,
    transform: Affine | None = None,
    nodata: float | None = None,
    crs: str = "EPSG:32631",
) -> Path:
    """Write a one-band GeoTIFF, ZSTD; 10 m unless the transform says otherwise."""
    height, width = pixels.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=width,
        height=height,
        count=1,
        dtype=pixels.dtype,
        crs=crs,
        transform=transform or Affine(10, 0, 500_000, 0, -10, 5_700_000),
        tiled=True,
        blockxsize=tile,
        blockysize=tile,
        compress=Compression.zstd.value,
        zstd_level=1,
        nodata=nodata,
        num_threads=2,
    ) as dataset:
        dataset.write(pixels, 1)
    return path


def write_items(path: Path, records: dict[str, dict[str, str]]) -> Path:
    """Write STAC items without footprints: record id -> band -> href; one day apart."""
    features = [
        {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": record,
            "geometry": None,
            "properties": {"datetime": f"2024-01-{day:02d}T00:00:00Z"},
            "assets": {band: {"href": href, "type": "image/tiff"} for band, href in bands.items()},
            "links": [],
        }
        for day, (record, bands) in enumerate(records.items(), start=1)
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Pixels that no two tiles have in common: uint16, cheap to make and to compress."""
    rows = (np.arange(height, dtype=np.uint32) * 2654435761 + seed) >> 7
    cols = (np.arange(width, dtype=np.uint32) * 40503) >> 3
    return ((rows[:, None] ^ cols[None, :]) & 0xFFFF).astype(np.uint16)
