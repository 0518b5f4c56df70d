"""rasterio, a file to a thread, with the settings that GDAL's users are advised to take for cloud-optimised files."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.mask import mask
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from benchmarks.readers import Prepared
from benchmarks.scenarios import Grid, Points, Polygons, Windows, Work
from benchmarks.scenes import PIXEL

OPTIONS: dict[str, Any] = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MULTIPLEX": "YES",
    "GDAL_INGESTED_BYTES_AT_OPEN": 32768,
    "GDAL_CACHEMAX": 1_000_000_000,
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".tif",
    "CPL_VSIL_CURL_CACHE_SIZE": 200_000_000,
    "VSI_CACHE": True,
    "VSI_CACHE_SIZE": 5_000_000,
}


def prepare(work: Work, index: Path) -> Prepared:
    pool = ThreadPoolExecutor(work.threads)
    cut, canonical = _how(work)

    def one(href: str) -> Any:
        with rasterio.Env(**OPTIONS), rasterio.open(href) as dataset:
            return cut(dataset)

    return Prepared(lambda: list(pool.map(one, work.hrefs)), canonical)


def _how(work: Work) -> tuple[Callable[[Any], Any], Callable[[list[Any]], Any]]:
    records, bands = len(work.items), len(work.bands)
    match work.area:
        case Windows(windows):
            return (
                lambda dataset: np.array([dataset.read(1, window=Window(*window)) for window in windows]),
                lambda found: np.array(found).reshape(records, bands, *found[0].shape).swapaxes(1, 2),
            )
        case Grid(epsg, x, y, side):
            grid = {
                "crs": f"EPSG:{epsg}",
                "transform": Affine(PIXEL, 0, x, 0, -PIXEL, y),
                "width": side,
                "height": side,
            }

            def warped(dataset: Any) -> np.ndarray:
                with WarpedVRT(dataset, resampling=Resampling.nearest, **grid) as vrt:
                    return vrt.read(1)

            return warped, np.array
        case Points(xy):
            return lambda dataset: np.array([value[0] for value in dataset.sample(xy)]), np.array
        case Polygons(rings):
            shapes = [{"type": "Polygon", "coordinates": [[*ring.tolist(), ring[0].tolist()]]} for ring in rings]
            return (
                lambda dataset: [mask(dataset, [shape], crop=True, nodata=0)[0][0] for shape in shapes],
                lambda found: [
                    found[record * bands + band][number]
                    for record in range(records)
                    for number in range(len(shapes))
                    for band in range(bands)
                ],
            )
