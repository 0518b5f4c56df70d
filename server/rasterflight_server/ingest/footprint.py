"""Outlines of rasters in lon/lat."""

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from rasterflight_server.types import Grid

_POINTS_PER_SIDE: Final = 21
_HALF_TURN: Final = 180.0

Floats = npt.NDArray[np.float64]


def outline(grid: Grid) -> BaseGeometry | None:
    """Outline of a raster in OGC:CRS84, with 21 points on each side.

    One that crosses the antimeridian is cut there; one around a pole is the band of latitudes that it reaches. None: the raster has
    no CRS, or lies where its CRS has no lon/lat.
    """
    if grid.crs is None or not grid.located:
        return None
    try:
        lon, lat = _project(grid.crs, grid.transform, grid.width, grid.height)
    except ProjError:  # no way from here to lon/lat, as for local engineering CRS
        return None
    seen = np.isfinite(lon) & np.isfinite(lat)
    if seen.sum() < 3:  # noqa: PLR2004, no area
        return None
    lon, lat = lon[seen], lat[seen]
    if np.ptp(lon) <= _HALF_TURN:
        return _valid(lon, lat)
    east = np.where(lon < 0, lon + 2 * _HALF_TURN, lon)
    if np.ptp(east) > _HALF_TURN:
        north = lat.mean() > 0
        return shapely.box(-_HALF_TURN, lat.min() if north else -90.0, _HALF_TURN, 90.0 if north else lat.max())
    whole = _valid(east, lat)
    before = shapely.intersection(whole, shapely.box(0.0, -90.0, _HALF_TURN, 90.0))
    after = shapely.intersection(whole, shapely.box(_HALF_TURN, -90.0, 3 * _HALF_TURN, 90.0))
    return shapely.union_all([before, translate(after, xoff=-2 * _HALF_TURN)])


def _valid(lon: Floats, lat: Floats) -> BaseGeometry:
    return shapely.make_valid(shapely.Polygon(np.column_stack([lon, lat])))


def _project(crs: str, transform: Affine, width: int, height: int) -> tuple[Floats, Floats]:
    cols, rows = np.linspace(0, width, _POINTS_PER_SIDE), np.linspace(0, height, _POINTS_PER_SIDE)
    col = np.concatenate([cols, np.full_like(rows, width), cols[::-1], np.zeros_like(rows)])
    row = np.concatenate([np.zeros_like(cols), rows, np.full_like(cols, height), rows[::-1]])
    a, b, c, d, e, f = transform[:6]
    with np.errstate(over="ignore", invalid="ignore"):  # an absurd transform leads to infinity
        x, y = a * col + b * row + c, d * col + e * row + f
    lon, lat = to_lonlat(crs).transform(x, y)
    return np.asarray(lon), np.asarray(lat)


@lru_cache(maxsize=256)
def to_lonlat(crs: str) -> Transformer:
    """Transformer from a CRS, by name, to OGC:CRS84; x before y on both sides."""
    return Transformer.from_crs(CRS.from_user_input(crs), CRS.from_user_input("OGC:CRS84"), always_xy=True)
