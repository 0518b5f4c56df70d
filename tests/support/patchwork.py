"""A collection in which nothing fits: two zones, three pixel sizes, holes, overviews, records of one time and of one day."""

import json
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import Resampling

from support.server import run_server_command

#: Record: time, EPSG code, pixel size, upper left corner. The last two lie on the other side of the border of the zones.
RECORDS = {
    "a": ("2024-01-01T10:00:00Z", 32631, 10, (700_000, 5_701_000)),
    "b": ("2024-01-01T10:00:00Z", 32631, 10, (700_900, 5_700_800)),
    "c": ("2024-01-01T13:00:00Z", 32631, 20, (700_303, 5_701_007)),
    "d": ("2024-01-02T10:00:00Z", 32632, 10, (284_100, 5_701_300)),
    "e": (None, 32631, 10, (700_100, 5_700_900)),
}
#: Band: dtype, nodata, how many times larger its pixels are.
BANDS = {"red": ("uint16", 0, 1), "dem": ("float32", -9999, 1), "scl": ("uint8", None, 2)}
#: Records of one lattice.
ALIKE = ["a", "b", "e"]
SIDE = 160


def build_patchwork(folder: Path) -> Path:
    """Write the files and index them; gives the folder of the index."""
    rng = np.random.default_rng(7)
    features = []
    for record, (time, epsg, size, corner) in RECORDS.items():
        for band, (dtype, nodata, times) in BANDS.items():
            _write(folder / f"{record}_{band}.tif", rng, dtype, nodata, epsg, size * times, corner)
        features.append(
            {
                "type": "Feature",
                "stac_version": "1.0.0",
                "id": record,
                "geometry": None,
                "properties": {"datetime": time},
                "assets": {band: {"href": f"{record}_{band}.tif", "type": "image/tiff"} for band in BANDS},
                "links": [],
            }
        )
    items = folder / "items.json"
    items.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    done = run_server_command("index", items, "--out", folder / "index", "--name", "patchwork")
    assert done.returncode == 0, done.stderr
    return folder / "index"


def _write(path, rng, dtype, nodata, epsg, size, corner):
    side = SIDE * 10 // size
    pixels = rng.integers(1, 200, (side, side)).astype(dtype)
    if nodata is not None:
        pixels[rng.random(pixels.shape) < 0.1] = nodata
        pixels[side // 3 : side // 2, : side // 4] = nodata
    with rasterio.open(
        path, "w", driver="GTiff", width=side, height=side, count=1, dtype=dtype, nodata=nodata, crs=f"EPSG:{epsg}",
        transform=Affine(size, 0, corner[0], 0, -size, corner[1]), tiled=True, blockxsize=64, blockysize=64,
    ) as dataset:  # fmt: skip
        dataset.write(pixels, 1)
        dataset.build_overviews([2, 4], Resampling.nearest)
