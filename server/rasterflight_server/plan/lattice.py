"""The endless grid that the pixels of a read are put on, and the part of it that a raster covers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from affine import Affine

from rasterflight_server.plan.crs import LONLAT, epsg_code, in_degrees, same_crs, transform_points
from rasterflight_server.plan.gridoptions import Pair, Target
from rasterflight_server.types import Grid
from rasterflight_server.types.going import GoOn, for_ever
from rasterflight_server.warp import Projection, Resampling, Warp, aligned_target, bounds_of, default_target, plan_warp

#: Pixels count as lined up when their corners are this close, in pixels.
_TOLERANCE: Final = 1e-6
_POLES: Final = np.array([(0.0, -90.0), (0.0, 90.0)])
#: Where GDAL looks whether a pole lies in a target.
_NEAR_POLES: Final = np.array([(0.0, -89.9999), (0.0, 89.9999)])

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Lattice:
    """Pixels of one size that go on in all directions."""

    crs: str
    resolution: Pair
    #: A corner of pixels.
    anchor: Pair
    #: The part of it that was asked for; None: as far as the rasters go.
    extent: Grid | None = None

    def holds(self, grid: Grid) -> bool:
        """Whether the pixels of a raster are pixels of this."""
        if grid.crs is None or not grid.axis_aligned or not same_crs(grid.crs, self.crs):
            return False
        a, _, c, _, e, f = grid.transform[:6]
        if self.extent is not None and (a > 0, e > 0) != (self.extent.transform.a > 0, self.extent.transform.e > 0):
            return False
        # Both ends: a difference in size that is lost at one pixel shows at the other end.
        ends = ((c, c + a * grid.width, grid.width, 0), (f, f + e * grid.height, grid.height, 1))
        return all(
            _whole((near - self.anchor[axis]) / self.resolution[axis])
            and _whole((far - self.anchor[axis]) / self.resolution[axis])
            and round(abs(far - near) / self.resolution[axis]) == size
            for near, far, size, axis in ends
        )

    def under(self, grid: Grid) -> Grid:
        """What is made of a raster: all that was asked for, or its own surroundings."""
        if self.extent is not None:
            return self.extent
        around = bounds_of(projected(grid, self.crs, self.resolution))
        return aligned_target(around, self.resolution, self.crs, anchor=self.anchor)


def span(lattice: Lattice, parts: Sequence[Grid]) -> Grid:
    """The smallest part of a lattice that covers some of its parts, at least one; all of it where its extent was asked for."""
    if lattice.extent is not None:
        return lattice.extent
    west, south, east, north = zip(*map(bounds_of, parts), strict=True)
    whole = aligned_target(
        (min(west), min(south), max(east), max(north)), lattice.resolution, lattice.crs, anchor=lattice.anchor
    )
    first = parts[0].transform
    if first.e < 0 or any(part.transform.e < 0 for part in parts):
        return whole
    # All rasters have the south on top, and stay as they are.
    return Grid(whole.width, whole.height, Affine(first.a, 0.0, min(west), 0.0, first.e, min(south)), whole.crs)


def choose_lattice(target: Target, records: Sequence[Sequence[Grid]]) -> Lattice | None:
    """Choose the lattice of a read.

    Parameters
    ----------
    target
        What was asked for.
    records
        The grids of each record, in the order of the result; all of them say where they lie, at least one.

    Returns
    -------
    Lattice or None
        None: each raster has one of its own.
    """
    if target.grid is not None:
        a, _, c, _, e, f = target.grid.transform[:6]
        return Lattice(target.grid.crs or "", (abs(a), abs(e)), (c, f), target.grid)
    if not target.one_crs:
        return None
    crs = target.crs or most_frequent_crs(records)
    grids = [grid for record in records for grid in record]
    return _lattice(target, crs, [grid for grid in grids if same_crs(grid.crs or "", crs)] or grids)


def own_lattice(target: Target, grid: Grid) -> Lattice:
    """The lattice of one raster in its own CRS."""
    return _lattice(target, grid.crs or "", [grid])


def most_frequent_crs(records: Sequence[Sequence[Grid]]) -> str:
    """The CRS that most records have; of several the one with the lowest EPSG code."""
    counts = crs_counts(records)
    return min(counts, key=lambda crs: (-counts[crs], epsg_code(crs) or np.inf, crs))


def crs_counts(records: Sequence[Sequence[Grid]]) -> Counter[str]:
    """How many records there are in each CRS."""
    return Counter(crs for record in records for crs in dict.fromkeys(grid.crs or "" for grid in record))


def _lattice(target: Target, crs: str, grids: Sequence[Grid]) -> Lattice:
    finest = min(grids, key=lambda grid: abs(grid.transform.a * grid.transform.e))
    if target.resolution is None and same_crs(finest.crs or "", crs) and finest.axis_aligned:
        resolution = abs(finest.transform.a), abs(finest.transform.e)
        reference = projected(finest, crs, None)
    else:
        reference = projected(finest, crs, target.resolution)
        resolution = reference.transform.a, -reference.transform.e
    if target.bounds is not None:
        anchor = target.bounds[0], target.bounds[3]
        return Lattice(crs, resolution, anchor, aligned_target(target.bounds, resolution, crs, anchor=anchor))
    return Lattice(crs, resolution, target.anchor or (reference.transform.c, reference.transform.f))


def projected(grid: Grid, crs: str, resolution: Pair | None) -> Grid:
    """The grid that GDAL would choose for a raster in another CRS, or in its own."""
    source = grid.crs or ""
    if same_crs(source, crs):
        return default_target(grid, crs, resolution=resolution)
    degrees = in_degrees(crs) and not in_degrees(source)
    return default_target(
        grid,
        crs,
        to_target=projection(source, crs),
        to_source=projection(crs, source),
        resolution=resolution,
        degrees=degrees,
        poles=_poles(crs, source) if degrees else (),
    )


def warp_between(grid: Grid, target: Grid, resampling: Resampling, itemsize: int, *, go_on: GoOn = for_ever) -> Warp:
    """Plan how the pixels of a target are made of those of a raster; ``go_on`` as for ``projection``."""
    source, crs = grid.crs or "", target.crs or ""
    if same_crs(source, crs):
        return plan_warp(grid, target, resampling, itemsize=itemsize)
    poles = transform_points(_NEAR_POLES, LONLAT, crs)
    return plan_warp(
        grid,
        target,
        resampling,
        to_source=projection(crs, source, go_on),
        to_target=projection(source, crs, go_on),
        poles=tuple((float(x), float(y)) for x, y in poles[np.isfinite(poles).all(axis=1)]),
        source_degrees=in_degrees(source),
        itemsize=itemsize,
    )


def projection(source: str, target: str, go_on: GoOn = for_ever) -> Projection:
    """The way from one CRS to another, for arrays of any shape.

    ``go_on`` is called before anything is projected, and raises when whoever projects is to end.
    """

    def project(x: Floats, y: Floats) -> tuple[Floats, Floats]:
        points = transform_points(np.column_stack([np.ravel(x), np.ravel(y)]), source, target, go_on)
        return points[:, 0].reshape(np.shape(x)), points[:, 1].reshape(np.shape(x))

    return project


def _poles(source: str, target: str) -> tuple[Pair, ...]:
    """Where the poles of a CRS in degrees lie in another one, as far as they project there and back."""
    there = transform_points(_POLES, source, target)
    back = transform_points(there, target, source)
    known = np.isfinite(there).all(axis=1) & (np.abs(back[:, 1] - _POLES[:, 1]) < _TOLERANCE)
    return tuple((float(x), float(y)) for x, y in there[known])


def _whole(number: float) -> bool:
    return abs(number - round(number)) <= _TOLERANCE
