"""odc-stac, each area on a GeoBox of its own."""

from pathlib import Path
from typing import Any

import numpy as np
import odc.stac
import pystac
from affine import Affine
from odc.geo.geobox import GeoBox

from benchmarks.readers import NotOffered, Prepared
from benchmarks.readers.rasterio_reader import OPTIONS
from benchmarks.scenarios import Grid, Windows, Work
from benchmarks.scenes import PIXEL


def prepare(work: Work, index: Path) -> Prepared:
    boxes = _boxes(work)
    odc.stac.configure_rio(cloud_defaults=True, **OPTIONS)
    items = [pystac.Item.from_dict(item) for item in work.items]

    def read() -> list[Any]:
        return [
            odc.stac.load(
                items, bands=work.bands, geobox=box, groupby="id", dtype="uint16", resampling="nearest",
                pool=work.threads,
            )
            for box in boxes
        ]  # fmt: skip

    def canonical(found: list[Any]) -> np.ndarray:
        pixels = np.array([[dataset[band].values for band in work.bands] for dataset in found])
        return pixels[0, 0] if isinstance(work.area, Grid) else pixels.transpose(2, 0, 1, 3, 4)

    return Prepared(read, canonical)


def _boxes(work: Work) -> list[GeoBox]:
    x, y = work.origin
    match work.area:
        case Windows(windows):
            places = [(x + col * PIXEL, y - row * PIXEL, (height, width)) for col, row, width, height in windows]
        case Grid(_, west, north, side):
            places = [(west, north, (side, side))]
        case _:
            raise NotOffered
    return [GeoBox(shape, Affine(PIXEL, 0, left, 0, -PIXEL, top), work.epsg) for left, top, shape in places]
