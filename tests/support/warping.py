"""Warps by rasterio and by the server, side by side."""

from functools import lru_cache

import numpy as np
import rasterio.warp
from affine import Affine
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from rasterflight_server.types import Grid
from rasterflight_server.warp import Resampling, plan_warp, reproject

#: CRS whose inverse PROJ computes to another digit (1e-7 of a pixel) in the version that rasterio bundles than in pyproj's; pixels made
#: of several would differ in the last bits of a float32. Where these are compared, both sides project with rasterio's.
BY_PROJ_VERSION = {"EPSG:3035", "EPSG:6933"}

#: Where rasters lie in a CRS (left, bottom, right, top), and to which CRS they may go. Those around the poles keep off the poles
#: themselves, which have tests of their own.
AREAS = {
    "EPSG:32632": (
        (3e5, 4e6, 8e5, 7e6),
        ["EPSG:32633", "EPSG:32631", "EPSG:4326", "EPSG:3857", "EPSG:3995", "EPSG:32632"],
    ),
    "EPSG:32633": ((2e5, 1e5, 8e5, 8e6), ["EPSG:32632", "EPSG:4326", "EPSG:3857"]),
    "EPSG:32701": ((3e5, 7e6, 8e5, 9.5e6), ["EPSG:32702", "EPSG:4326", "EPSG:3857"]),
    "EPSG:4326": ((-180, -80, 180, 80), ["EPSG:3857", "EPSG:4326", "EPSG:3395"]),
    "EPSG:3857": ((-1.8e7, -1.2e7, 1.8e7, 1.2e7), ["EPSG:4326", "EPSG:3395"]),
    "EPSG:3413": ((5e5, -3e6, 3e6, -5e5), ["EPSG:3995", "EPSG:4326", "EPSG:3413"]),
    "EPSG:3031": ((5e5, 5e5, 3e6, 3e6), ["EPSG:4326", "EPSG:3031"]),
    "EPSG:3995": ((-3e6, 5e5, -5e5, 3e6), ["EPSG:3413", "EPSG:4326"]),
    "EPSG:5070": ((-2e6, 5e5, 2e6, 3e6), ["EPSG:32615", "EPSG:4326", "EPSG:3857"]),
}
LONLAT = "OGC:CRS84"
#: 10 m pixels in the west of UTM zone 32.
UTM = Affine(10, 0, 600000, 0, -10, 5200000)


@lru_cache
def projection(source, target):
    """From one CRS to another, x before y; None: they are the same."""
    if CRS(source).equals(CRS(target)):
        return None
    if {source, target} & BY_PROJ_VERSION:
        return lambda x, y: tuple(map(np.asarray, rasterio.warp.transform(source, target, x, y)))
    return Transformer.from_crs(source, target, always_xy=True).transform


def poles(target, latitude=89.9999):
    """Where the poles lie in a CRS, as far as they project."""
    x, y = Transformer.from_crs(LONLAT, target, always_xy=True).transform(np.zeros(2), np.array([-latitude, latitude]))
    return tuple((float(a), float(b)) for a, b in zip(x, y, strict=True) if np.isfinite(a) and np.isfinite(b))


def plan(source, target, method, dtype="uint16", **options):
    """A plan with everything that the two CRS say."""
    geographic = CRS(source.crs).is_geographic and source.crs != target.crs
    return plan_warp(
        source,
        target,
        Resampling(method),
        to_source=projection(target.crs, source.crs),
        to_target=projection(source.crs, target.crs),
        poles=poles(target.crs),
        source_degrees=geographic,
        itemsize=np.dtype(dtype).itemsize,
        **options,
    )


def valid_of(pixels, nodata):
    if nodata is None:
        return None
    return ~np.isnan(pixels) if np.isnan(nodata) else pixels != nodata


def by_us(pixels, source, target, method, src_nodata, dst_nodata, dtype=None):
    warp = plan(source, target, method, dtype or pixels.dtype)
    return reproject(pixels, warp, valid=valid_of(pixels, src_nodata), nodata=dst_nodata, dtype=dtype)


def by_rasterio(pixels, source, target, method, src_nodata, dst_nodata, dtype=None, **options):
    out = np.zeros((target.height, target.width), dtype or pixels.dtype)
    rasterio.warp.reproject(
        pixels,
        out,
        src_transform=source.transform,
        src_crs=source.crs,
        dst_transform=target.transform,
        dst_crs=target.crs,
        resampling=rasterio.warp.Resampling[method],
        src_nodata=src_nodata,
        dst_nodata=dst_nodata,
        **options,
    )
    return out


def default_of(source, crs, resolution=None):
    """The target that rasterio would choose."""
    bounds = rasterio.transform.array_bounds(source.height, source.width, source.transform)
    transform, width, height = rasterio.warp.calculate_default_transform(
        source.crs, crs, source.width, source.height, *bounds, resolution=resolution
    )
    return Grid(width, height, transform, crs)


def scene(height, width, dtype="uint16", nodata=0, seed=0):
    """Hills and noise, with a hole, a lost corner and single lost pixels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    values = np.sin(x / 17) + np.cos(y / 23) + rng.normal(0, 0.3, (height, width)) + 3
    highest = 250 if np.dtype(dtype).itemsize == 1 else 3000
    pixels = (values / values.max() * highest + 1).astype(dtype)
    if nodata is not None:
        pixels[height // 3 : height // 2, width // 4 : width // 3] = nodata
        pixels[x + y < height // 4] = nodata
        pixels[rng.random(pixels.shape) < 0.02] = nodata
    return pixels


def classes(height, width, dtype="uint8", seed=0):
    """Patches of a few classes; 0 is nodata."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, 9, (height // 5 + 1, width // 7 + 1))
    pixels = np.kron(patches, np.ones((5, 7), int))[:height, :width]
    noisy = rng.random(pixels.shape) < 0.1
    return np.where(noisy, rng.integers(1, 9, pixels.shape), pixels).astype(dtype)


@st.composite
def ways(draw, largest):
    """Rasters of any place, size and orientation, and a CRS to go to."""
    crs = draw(st.sampled_from(sorted(AREAS)))
    (left, bottom, right, top), targets = AREAS[crs]
    width, height = draw(st.integers(5, largest)), draw(st.integers(5, largest))
    pixel = 10 ** draw(st.floats(-3, -0.4)) * min(right - left, top - bottom) / max(width, height)
    x = left + draw(st.floats(0, 1)) * (right - left - pixel * width)
    y = bottom + draw(st.floats(0, 1)) * (top - bottom - pixel * height)
    south_up = draw(st.booleans())
    transform = Affine(pixel, 0, x, 0, pixel, y) if south_up else Affine(pixel, 0, x, 0, -pixel, y + pixel * height)
    return Grid(width, height, transform, crs), draw(st.sampled_from(targets))
