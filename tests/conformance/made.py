"""Small collections for what no bundled file has: written, and some of them broken once they are indexed."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

from conftest import COLLECTIONS, DATA

_TILED = {"driver": "GTiff", "tiled": True, "blockxsize": 32, "blockysize": 32}
_CRS = "EPSG:32631"
_PLACE = Affine(10, 0, 500_000, 0, -10, 5_700_000)


def ramp(dtype: str, *, step: int = 1) -> np.ndarray:
    """50 x 40 pixels that are all different, as far as the type has so many."""
    values = np.arange(50 * 40).reshape(50, 40) * step
    if np.dtype(dtype).kind == "c":
        return (values + 1j * values[::-1]).astype(dtype)
    return (values - (values.size // 2 if np.dtype(dtype).kind == "i" else 0)).astype(dtype)


def make_files(root: Path) -> dict[str, Path]:
    """Write the files; gives the folder of each collection."""
    root.mkdir(parents=True)
    return {
        "types": _types(root / "types"),
        "dateline": _dateline(root / "dateline"),
        "broken": _broken(root / "broken"),
        "rotated": _rotated(root / "rotated"),
    }


def break_files(root: Path) -> None:
    """Break what was indexed whole."""
    (root / "broken" / "lost.tif").unlink()
    damaged = root / "broken" / "damaged.tif"
    stat, content = damaged.stat(), bytearray(damaged.read_bytes())
    content[len(content) // 2 :] = b"\xff" * (len(content) - len(content) // 2)
    damaged.write_bytes(content)
    os.utime(damaged, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    changed = root / "broken" / "changed.tif"
    changed.write_bytes(changed.read_bytes() + b"\0")


def _types(folder: Path) -> Path:
    """One band for each type of pixels."""
    names = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64", "complex64", "complex128")
    for name in names:
        nodata = "nan" if name == "float32" else -7 if name == "int16" else None
        pixels = ramp(name)
        if name == "float32":
            pixels[5:9, 3:20] = np.nan
        _write(folder / f"{name}.tif", pixels, nodata=nodata)
    return _items(folder, [_item("all", [2.99, 51.43, 3.02, 51.46], {}, {name: f"{name}.tif" for name in names})])


def _dateline(folder: Path) -> Path:
    """Two scenes on either side of 180 degrees, with cloud cover and splits."""
    west, east = Affine(0.01, 0, 179.6, 0, -0.01, 0.25), Affine(0.01, 0, -180, 0, -0.01, 0.25)
    for name, transform in (("west", west), ("east", east)):
        _write(
            folder / f"{name}.tif",
            ramp("uint16", step=3 if name == "east" else 1),
            transform,
            "EPSG:4326",
            0.25,
            nodata=0,
        )
    west_about = {"datetime": "2024-03-01T00:00:00Z", "eo:cloud_cover": 12.5, "split": "train"}
    east_about = {"datetime": "2024-03-02T12:30:00.250Z", "eo:cloud_cover": 70.0, "split": "test"}
    return _items(
        folder,
        [
            _item("west", [179.6, -0.25, 180, 0.25], west_about, {"value": "west.tif"}),
            _item("east", [-180, -0.25, -179.6, 0.25], east_about, {"value": "east.tif"}),
        ],
    )


def _broken(folder: Path) -> Path:
    """One band of four bundled scenes."""
    folder.mkdir()
    source = DATA / COLLECTIONS["ny"]
    items = json.loads((source / "items.json").read_text())["features"]
    for name, item in zip(("fine", "lost", "damaged", "changed"), items, strict=False):
        shutil.copy(source / item["assets"]["red"]["href"], folder / f"{name}.tif")
        item["id"] = name
        item["assets"] = {"value": item["assets"]["red"] | {"href": f"./{name}.tif"}}
        item["assets"]["value"].pop("eo:bands")
    return _items(folder, items[:4])


def _rotated(folder: Path) -> Path:
    _write(folder / "rotated.tif", ramp("uint16"), Affine(10, 2, 500_000, 3, -10, 5_700_000))
    return _items(folder, [_item("rotated", [2.99, 51.43, 3.02, 51.46], {}, {"value": "rotated.tif"})])


def _write(
    path: Path,
    pixels: np.ndarray,
    transform: Affine = _PLACE,
    crs: str = _CRS,
    scale: float | None = None,
    **profile: object,
) -> None:
    path.parent.mkdir(exist_ok=True)
    height, width = pixels.shape
    shape = {"width": width, "height": height, "count": 1, "dtype": pixels.dtype}
    with rasterio.open(path, "w", **_TILED, **shape, transform=transform, crs=crs, **profile) as dataset:
        dataset.write(pixels, 1)
        if scale is not None:
            dataset.scales, dataset.offsets = [scale], [-1.5]


def _item(name: str, bounds: list[float], properties: dict, files: dict[str, str]) -> dict:
    west, south, east, north = bounds
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "bbox": bounds,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"datetime": "2024-01-01T00:00:00Z"} | properties,
        "assets": {band: {"href": f"./{file}", "type": "image/tiff"} for band, file in files.items()},
        "links": [],
    }


def _items(folder: Path, items: list[dict]) -> Path:
    (folder / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    return folder
