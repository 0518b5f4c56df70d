"""Scenes like those of Sentinel-2, made from a seed: terrain, fields, clouds, noise of the sensor, edges of the swath.

``DIR/<site>/<record>/<band>.tif``, and ``DIR/<site>/items.json`` with hrefs relative to DIR.
"""

import json
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.warp import transform, transform_bounds

PIXEL = 10
NODATA = 0
#: Mean and spread of the digital numbers of each band.
BANDS = {"B02": (600, 160), "B03": (850, 230), "B04": (1000, 380), "B08": (2500, 720)}
_FIRST = datetime(2024, 1, 3, 5, 21, 9, tzinfo=UTC)
_PATTERN = 2048


@dataclass(frozen=True)
class Scale:
    """How large the scenes are."""

    #: Pixels a side of sites a and b.
    side: int
    #: Pixels a side of the site "big".
    big: int
    #: Pixels a side of a tile.
    tile: int
    dates_a: int
    dates_b: int


SCALES = {
    "full": Scale(side=4096, big=10980, tile=1024, dates_a=30, dates_b=6),
    "quick": Scale(side=2048, big=5490, tile=512, dates_a=12, dates_b=3),
}


@dataclass(frozen=True)
class Site:
    """Scenes of one place, a few days apart."""

    name: str
    epsg: int
    lon: float
    lat: float
    side: int
    tile: int
    #: The bands of each date.
    bands: tuple[tuple[str, ...], ...]

    @property
    def origin(self) -> tuple[float, float]:
        """The upper left corner, (x, y), at multiples of 60 m."""
        [x], [y] = transform("OGC:CRS84", f"EPSG:{self.epsg}", [self.lon], [self.lat])
        half = self.side * PIXEL / 2
        return round((x - half) / 60) * 60.0, round((y + half) / 60) * 60.0


def sites(scale: Scale) -> tuple[Site, ...]:
    """Two sites that overlap in neighbouring UTM zones, and one of large scenes."""
    extra = 5  # dates that have a second band
    bands = (("B04", "B08"),) * min(extra, scale.dates_a) + (("B04",),) * max(0, scale.dates_a - extra)
    return (
        Site("a", 32643, 77.98, 13.05, scale.side, scale.tile, bands),
        Site("b", 32644, 78.02, 13.05, scale.side, scale.tile, (("B04",),) * scale.dates_b),
        Site("big", 32643, 77.98, 13.05, scale.big, scale.tile, (tuple(BANDS),)),
    )


def make_scenes(folder: Path, scale: Scale, jobs: int = 2) -> None:
    """Write the scenes that are not there yet."""
    missing = [site for site in sites(scale) if not _is_there(folder, site)]
    work = [(folder, site, date) for site in missing for date in range(len(site.bands))]
    if not work:
        return
    items = [_make_record(*job) for job in work] if jobs == 1 else _make_side_by_side(work, jobs)
    for site in missing:
        features = [item for item in items if item["collection"] == site.name]
        path = folder / site.name / "items.json"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def _make_side_by_side(work: Sequence[tuple[Path, Site, int]], jobs: int) -> list[dict[str, Any]]:
    spawn = multiprocessing.get_context("spawn")  # GDAL does not survive a fork
    with ProcessPoolExecutor(jobs, spawn) as pool:
        # the largest are last, and take longest
        return list(pool.map(_make_record, *zip(*reversed(work), strict=True)))[::-1]


def _is_there(folder: Path, site: Site) -> bool:
    path = folder / site.name / "items.json"
    if not path.exists():
        return False
    items = sorted(json.loads(path.read_text())["features"], key=lambda item: item["properties"]["datetime"])
    return len(items) >= len(site.bands) and all(
        item["assets"].get(band, {}).get("proj:shape") == [site.side, site.side]
        for item, bands in zip(items, site.bands, strict=False)
        for band in bands
    )


def _make_record(folder: Path, site: Site, date: int) -> dict[str, Any]:
    when = _FIRST + timedelta(days=5 * date)
    record = f"{site.name}_{site.epsg}_{when:%Y%m%d}"
    place = folder / site.name / record
    place.mkdir(parents=True, exist_ok=True)
    sky = _clouds(site, date)
    for number, band in enumerate(site.bands[date]):
        _write(place / f"{band}.tif", site, _pixels(site, date, number, band, sky))
    return _item(site, record, when, site.bands[date], cloud_cover=float((sky > 0).mean() * 100))


def _pixels(site: Site, date: int, number: int, band: str, sky: np.ndarray) -> np.ndarray:
    mean, spread = BANDS[band]
    rng = np.random.default_rng([site.epsg, date, number])
    ground = mean + spread * (0.65 * _terrain(site.epsg) + 0.55 * _fields(site.epsg))
    pixels = np.empty((site.side, site.side), np.uint16)
    for row in range(0, site.side, _PATTERN):  # a strip at a time: large scenes would not fit otherwise
        strip = pixels[row : row + _PATTERN]
        signal = np.tile(ground[: len(strip)], (1, -(-site.side // _PATTERN)))[:, : site.side]
        signal += 5000 * sky[row : row + len(strip)]
        noise = rng.standard_normal(strip.shape, np.float32) * np.float32(9)
        noise *= 0.6 + 0.4 * np.sqrt(np.clip(signal, 1, None) / 1000)
        strip[:] = np.clip(np.rint(signal + noise), 1, 16_000)
    if date % 5 == 4:  # the swath ends inside of the scene
        edge = (0.8 + 0.12 * np.linspace(0, 1, site.side)) * site.side
        pixels[np.arange(site.side) >= edge[:, None]] = NODATA
    return pixels


def _clouds(site: Site, date: int) -> np.ndarray:
    coarse = _field((128, 128), np.random.default_rng([site.epsg, 77, date]), 3.0)
    level = np.quantile(coarse, 1 - 0.5 * (date * 37 % 100 / 100))
    opacity = np.clip((coarse - level) * 1.5, 0, 1).astype(np.float32)
    at = np.arange(site.side) * 128 // site.side
    return opacity[at[:, None], at]


@cache
def _terrain(seed: int) -> np.ndarray:
    return _field((_PATTERN, _PATTERN), np.random.default_rng([seed, 1]), 3.2)


@cache
def _fields(seed: int) -> np.ndarray:
    rng = np.random.default_rng([seed, 2])
    rows, cols = (np.repeat(np.arange(120), rng.integers(18, 74, 120))[:_PATTERN] for _ in range(2))
    return rng.standard_normal((120, 120), np.float32)[rows[:, None], cols]


def _field(shape: tuple[int, int], rng: np.random.Generator, steepness: float) -> np.ndarray:
    """A random field whose power falls with frequency; it repeats without a seam."""
    frequencies = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1]))
    frequencies[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal(shape)) * frequencies ** (-steepness / 2)
    field = np.fft.irfft2(spectrum, shape)
    return (field / field.std()).astype(np.float32)


def _write(path: Path, site: Site, pixels: np.ndarray) -> None:
    x, y = site.origin
    draft = path.with_suffix(".part")
    with rasterio.open(
        draft, "w", driver="COG", width=site.side, height=site.side, count=1, dtype="uint16", nodata=NODATA,
        crs=f"EPSG:{site.epsg}", transform=Affine(PIXEL, 0, x, 0, -PIXEL, y),
        blocksize=site.tile, compress="deflate", predictor=2, level=6, resampling="average",
    ) as dataset:  # fmt: skip
        dataset.write(pixels, 1)
    draft.replace(path)


def _item(site: Site, record: str, when: datetime, bands: tuple[str, ...], cloud_cover: float) -> dict[str, Any]:
    x, y = site.origin
    span = site.side * PIXEL
    west, south, east, north = transform_bounds(f"EPSG:{site.epsg}", "OGC:CRS84", x, y - span, x + span, y)
    corners = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    projection = {
        "proj:epsg": site.epsg,
        "proj:shape": [site.side, site.side],
        "proj:transform": [PIXEL, 0, x, 0, -PIXEL, y],
    }
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
            "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
            "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
        ],
        "id": record,
        "collection": site.name,
        "bbox": [west, south, east, north],
        "geometry": {"type": "Polygon", "coordinates": [corners]},
        "properties": {
            "datetime": f"{when:%Y-%m-%dT%H:%M:%SZ}",
            "proj:epsg": site.epsg,
            "eo:cloud_cover": round(cloud_cover, 2),
        },
        "assets": {
            band: {
                "href": f"{site.name}/{record}/{band}.tif",
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "roles": ["data"],
                "eo:bands": [{"name": band}],
                "raster:bands": [{"nodata": NODATA, "data_type": "uint16", "spatial_resolution": PIXEL}],
                **projection,
            }
            for band in bands
        },
        "links": [],
    }


def read_items(folder: Path, root: str) -> Iterator[dict[str, Any]]:
    """The STAC items of all sites, for a reader that finds the files of the folder at ``root``."""
    for path in sorted(folder.glob("*/items.json")):
        for item in json.loads(path.read_text())["features"]:
            for asset in item["assets"].values():
                asset["href"] = root + asset["href"]
            yield item
