"""Outlines of rasters in lon/lat."""

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from rasterflight_server.types import Grid
from rasterflight_server.types.lonlat import HALF_TURN, TURN, Box

_POINTS_PER_SIDE: Final = 21
#: Archives have many scenes on few grids; what is known of so many is kept.
_GRIDS: Final = 4096

Floats = npt.NDArray[np.float64]


@lru_cache(maxsize=_GRIDS)
def outline(grid: Grid) -> BaseGeometry | None:
    """Outline of a raster in OGC:CRS84, with 21 points on each side.

    One that crosses the antimeridian is cut there; one around a pole is the band of latitudes that it reaches. None: the raster has
    no CRS, or lies where its CRS has no lon/lat.
    """
    if grid.crs is None or not grid.located:
        return None
    try:
        lon, lat = _project(grid, _POINTS_PER_SIDE)
    except ProjError:  # no way from here to lon/lat, as for local engineering CRS
        return None
    seen = np.isfinite(lon) & np.isfinite(lat)
    if seen.sum() < 3:  # noqa: PLR2004, no area
        return None
    lon, lat = lon[seen], lat[seen]
    if np.ptp(lon) <= HALF_TURN:
        return _valid(lon, lat)
    east = np.where(lon < 0, lon + TURN, lon)
    if np.ptp(east) > HALF_TURN:
        north = lat.mean() > 0
        return shapely.box(-HALF_TURN, lat.min() if north else -90.0, HALF_TURN, 90.0 if north else lat.max())
    whole = _valid(east, lat)
    before = shapely.intersection(whole, shapely.box(0.0, -90.0, HALF_TURN, 90.0))
    after = shapely.intersection(whole, shapely.box(HALF_TURN, -90.0, HALF_TURN + TURN, 90.0))
    return shapely.union_all([before, translate(after, xoff=-TURN)])


@lru_cache(maxsize=_GRIDS)
def corner_bounds(grid: Grid) -> Box | None:
    """Bounds of the corners of a raster; None: as for ``outline``."""
    if not grid.located:
        return None
    try:
        lon, lat = _project(grid, 2)
    except ProjError:
        return None
    return float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())


def _valid(lon: Floats, lat: Floats) -> BaseGeometry:
    return shapely.make_valid(shapely.Polygon(np.column_stack([lon, lat])))


def _project(grid: Grid, points: int) -> tuple[Floats, Floats]:
    """Longitudes and latitudes of points around a raster, so many on each side."""
    assert grid.crs is not None
    cols, rows = np.linspace(0, grid.width, points), np.linspace(0, grid.height, points)
    col = np.concatenate([cols, np.full_like(rows, grid.width), cols[::-1], np.zeros_like(rows)])
    row = np.concatenate([np.zeros_like(cols), rows, np.full_like(cols, grid.height), rows[::-1]])
    a, b, c, d, e, f = grid.coefficients
    with np.errstate(over="ignore", invalid="ignore"):  # an absurd transform leads to infinity
        x, y = a * col + b * row + c, d * col + e * row + f
    lon, lat = to_lonlat(grid.crs).transform(x, y)
    return np.asarray(lon), np.asarray(lat)


@lru_cache(maxsize=256)
def to_lonlat(crs: str) -> Transformer:
    """Transformer from a CRS, by name, to OGC:CRS84; x before y on both sides."""
    return Transformer.from_crs(CRS.from_user_input(crs), CRS.from_user_input("OGC:CRS84"), always_xy=True)
