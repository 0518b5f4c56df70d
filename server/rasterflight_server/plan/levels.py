"""Overviews: which one serves a coarser grid, as GDAL decides it."""

from typing import Final

from affine import Affine

from rasterflight_server.types import Grid, Level, Profile

#: GDAL takes an overview for nearest that has up to a fifth fewer pixels than are wanted, for other methods none,
#: and allows for this much on top.
_NEAREST: Final = 1.2
_SLACK: Final = 0.1


def choose_level(profile: Profile, factor: float, *, nearest: bool) -> int:
    """Choose the level that ``rasterio``'s ``read`` takes for a decimation.

    Parameters
    ----------
    factor
        Pixels of the full resolution for each pixel wanted, along the axis that has fewer.
    nearest
        Pixels are taken, not blended.

    Returns
    -------
    int
        0: full resolution; n: the n-th overview.
    """
    best, chosen = 0.0, 0
    limit = factor * (_NEAREST if nearest else 1.0) + _SLACK
    for number, level in enumerate(profile.levels[1:], start=1):
        reduced = _reduction(profile.levels[0], level)
        if best < reduced < limit and has_mask(profile, number):
            best, chosen = reduced, number
    return chosen if factor > 1.0 else 0


def has_mask(profile: Profile, number: int) -> bool:
    """Whether a level can say which of its pixels are valid, if the full resolution can."""
    return not profile.masks or mask_of(profile, number) is not None


def mask_of(profile: Profile, number: int) -> int | None:
    """The mask that goes with a level, as ``Profile.level`` counts; None: there is none."""
    level = profile.levels[number]
    for position, mask in enumerate(profile.masks):
        if (mask.width, mask.height) == (level.width, level.height):
            return len(profile.levels) + position
    return None


def level_grid(grid: Grid, level: Level) -> Grid:
    """The grid of a level of a raster whose full resolution has ``grid``."""
    a, b, c, d, e, f = grid.transform[:6]
    across, down = grid.width / level.width, grid.height / level.height
    return Grid(level.width, level.height, Affine(a * across, b * down, c, d * across, e * down, f), grid.crs)


def _reduction(full: Level, level: Level) -> float:
    return min(full.width / level.width, full.height / level.height)
