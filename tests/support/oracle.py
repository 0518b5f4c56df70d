"""What rasterio says: the truth that reads are held against."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.features
import rasterio.warp
import rasterio.windows
import shapely
from affine import Affine
from rasterio.errors import WindowError


@dataclass(frozen=True)
class Layer:
    """One band of one record: a sample of a file."""

    record_id: str
    datetime: str
    band: str
    path: Path
    #: 1-based, as rasterio counts.
    index: int


@dataclass(frozen=True)
class Cut:
    """A window of a layer with everything outside the geometry set to nodata, or 0."""

    pixels: np.ndarray
    transform: Affine
    crs: Any


def layers(folder: Path) -> list[Layer]:
    """All bands of all records of a bundled collection, by (datetime, id)."""
    items = json.loads((folder / "items.json").read_text())["features"]
    found = []
    for item in sorted(items, key=lambda item: (item["properties"]["datetime"], item["id"])):
        for key, asset in item["assets"].items():
            count = len(asset.get("raster:bands", [None]))
            names = [band["name"] for band in asset.get("eo:bands", [])] or [f"{key}_{n + 1}" for n in range(count)]
            names = [key] if len(names) == 1 else names
            found += [
                Layer(item["id"], item["properties"]["datetime"], name, folder / asset["href"], index)
                for index, name in enumerate(names, start=1)
            ]
    return found


def bands(folder: Path) -> list[str]:
    """Band names of a bundled collection, in order of appearance."""
    return list(dict.fromkeys(layer.band for layer in layers(folder)))


def whole(layer: Layer) -> Cut:
    """Every pixel."""
    with rasterio.open(layer.path) as dataset:
        return Cut(dataset.read(layer.index), dataset.transform, dataset.crs)


def cut(layer: Layer, geometry: shapely.Geometry, crs: str, *, all_touched: bool) -> Cut | None:
    """As ``rasterio.mask.mask(crop=True)``, with the rules of this project for what is outside; None: no overlap."""
    with rasterio.open(layer.path) as dataset:
        shape = rasterio.warp.transform_geom(crs, dataset.crs, shapely.geometry.mapping(geometry))
        try:
            window = rasterio.features.geometry_window(dataset, [shape])
        except WindowError:
            return None
        transform = dataset.window_transform(window)
        pixels = dataset.read(layer.index, window=window)
        outside = rasterio.features.geometry_mask([shape], pixels.shape, transform, all_touched=all_touched)
        pixels[outside] = 0 if dataset.nodata is None else dataset.nodata
        return Cut(pixels, transform, dataset.crs)


def expected(
    folder: Path, names: list[str], geometries: list[shapely.Geometry], crs: str, *, all_touched: bool
) -> Iterator[tuple[str, int, str, Cut]]:
    """Rows that get_gdf must give: (record_id, geometry_id, band, cut), in its order."""
    found = layers(folder)
    for record in dict.fromkeys(layer.record_id for layer in found):
        of_record = {layer.band: layer for layer in found if layer.record_id == record}
        for geometry_id, geometry in enumerate(geometries, start=1):
            for name in names:
                result = cut(of_record[name], geometry, crs, all_touched=all_touched)
                if result is not None:
                    yield record, geometry_id, name, result
