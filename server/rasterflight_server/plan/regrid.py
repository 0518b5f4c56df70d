"""Putting the records of a read on the grid that was asked for: which bands are resampled, how, and from which level."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.plan.cutouts import BandSource, GridCut
from rasterflight_server.plan.gridoptions import Target
from rasterflight_server.plan.lattice import (
    Lattice,
    choose_lattice,
    crs_counts,
    own_lattice,
    projected,
    span,
    warp_between,
)
from rasterflight_server.plan.levels import choose_level, level_grid
from rasterflight_server.plan.physical import physical_dtype
from rasterflight_server.plan.validity import witnesses
from rasterflight_server.plan.warpedcut import WarpedCut, Ways
from rasterflight_server.types import Grid, Window
from rasterflight_server.types.going import GoOn
from rasterflight_server.warp import Resampling, bounds_of

#: The bands of a record, by the grid that they are on.
BandGrids = Mapping[Grid, Sequence[BandSource]]
#: Grids of so many pixels are warped to as a whole, as GDAL does; of larger ones the part that the raster covers.
_WHOLE_PIXELS: Final = 1 << 28
#: What one raster may become.
_MAX_PIXELS: Final = 1 << 32
#: Of a pixel: where two grids have the same edge, rounding must not add a row.
_SLACK: Final = 1e-6
#: Methods that take pixels as they are.
_KEPT: Final = (Resampling.NEAREST, Resampling.MODE)


class Regrid:
    """The grid of a read, and what has to be done to bring records onto it.

    Parameters
    ----------
    target
        What was asked for.
    bands
        Names of the bands asked for.
    records
        Of all records that take part; all grids say where they lie.
    go_on
        Called now and then, also while the warps that are planned here are made; raises when they are to end.
    """

    def __init__(self, target: Target, bands: Sequence[str], records: Sequence[BandGrids], go_on: GoOn) -> None:
        self._target = target
        self._go_on = go_on
        self._bands = bands
        self._records = [list(grids) for grids in records]
        self._lattice = choose_lattice(target, self._records)
        # Records of a time series share their grids.
        self._own = lru_cache(maxsize=1024)(lambda grid: own_lattice(target, grid))
        self._under = lru_cache(maxsize=1024)(self._part)
        self._warp = lru_cache(maxsize=1024)(partial(warp_between, go_on=go_on))
        self._factor = lru_cache(maxsize=1024)(self._decimation)
        self._around = lru_cache(maxsize=1024)(_covered)
        self._ways = Ways(go_on)
        self._methods = self._choose_methods(records)
        self._levels: dict[str, set[int]] = defaultdict(set)
        #: All parts of the grid that records were put on.
        self._parts: dict[Grid, None] = {}

    def cuts(self, grids: BandGrids, *, alike: bool = False) -> list[GridCut]:
        """How the bands of a record come onto the grid; their windows are still those of the whole record.

        Parameters
        ----------
        alike
            No band stays as it is unless all of them do, on the same grid.
        """
        found: list[GridCut] = []
        keeps = [band.column for bands in grids.values() for band in bands if self._keeps(band)]
        may_stay = not alike or (len(grids) == 1 and len(keeps) == len(self._bands))
        for grid, bands in grids.items():
            kept = may_stay and self._stays(grid)
            as_they_are = [band for band in bands if kept and band.column in keeps]
            if as_they_are:
                # All chips of one grid name its CRS in the same way.
                named = replace(grid, crs=self._lattice_of(grid).crs)
                self._parts[named] = None
                found.append(_whole(named, as_they_are))
            others = [band for band in bands if band not in as_they_are]
            found.extend(self._warped(grid, others) if others else ())
        return found

    def facts(self) -> bytes | None:
        """What the schema tells of the grid, as JSON; None: there is no one grid."""
        if self._lattice is None or not self._parts:
            return None
        whole = span(self._lattice, list(self._parts))
        facts: dict[str, Any] = {
            "crs": whole.crs,
            "transform": list(whole.transform[:6]),
            "width": whole.width,
            "height": whole.height,
            "resolution": list(self._lattice.resolution),
            "anchor": list(self._lattice.anchor),
            "resampling": {self._bands[column]: method.value for column, method in sorted(self._methods.items())},
            "levels": self.levels(),
            "source_crs": dict(crs_counts(self._records)),
        }
        return json.dumps(facts).encode()

    def levels(self) -> dict[str, list[int]]:
        """The levels that resampled bands are read from."""
        return {band: sorted(self._levels[band]) for band in self._bands if band in self._levels}

    def _choose_methods(self, records: Sequence[BandGrids]) -> dict[int, Resampling]:
        """The bands that are resampled in some record, by column, and how."""
        found: dict[int, Resampling] = {}
        for grids in records:
            self._go_on()
            for grid, bands in grids.items():
                if not self._lattice_of(grid).holds(grid):
                    for band in bands:
                        found.setdefault(band.column, self._method(band))
        return found

    def _method(self, band: BandSource) -> Resampling:
        said = self._target.of_bands.get(self._bands[band.column], self._target.resampling)
        return said or (Resampling.NEAREST if band.is_classes else Resampling.BILINEAR)

    def _lattice_of(self, grid: Grid) -> Lattice:
        return self._own(grid) if self._lattice is None else self._lattice

    def _keeps(self, band: BandSource) -> bool:
        """Whether pixels of a band that are on the grid already are not changed by resampling."""
        return self._methods.get(band.column) in (None, *_KEPT)

    def _stays(self, grid: Grid) -> bool:
        """Whether pixels may come as they are, from the grid that they are on."""
        lattice = self._lattice_of(grid)
        return lattice.extent is None and not self._target.whole_areas and lattice.holds(grid)

    def _part(self, grid: Grid) -> Grid:
        return self._lattice_of(grid).under(grid)

    def _decimation(self, grid: Grid) -> float:
        """Pixels of a raster for each pixel of the lattice, along the axis that has fewer."""
        lattice = self._lattice_of(grid)
        native = projected(grid, lattice.crs, None).transform
        return min(lattice.resolution[0] / abs(native.a), lattice.resolution[1] / abs(native.e))

    def _warped(self, grid: Grid, bands: Sequence[BandSource]) -> list[GridCut]:
        part = self._under(grid)
        covered = self._around(part, grid)
        if not len(covered):
            return []
        self._parts[part] = None
        # A grid that goes far beyond the raster would take long to plan for, and is made in part.
        window = part.window if part.width * part.height <= _WHOLE_PIXELS else Window(*covered[0].tolist())
        _check_size(window, grid)
        target = part.part(window)
        groups: dict[tuple[Grid, Resampling, int], list[BandSource]] = defaultdict(list)
        for band in bands:
            method = self._methods.get(band.column, Resampling.NEAREST)
            number = self._level(grid, band, method)
            source = level_grid(grid, band.asset.profile.levels[number]) if number else grid
            made = None if method in _KEPT else physical_dtype(band.level.dtype)
            # of the type that GDAL would work in: it decides where large targets are cut
            itemsize = np.result_type(band.level.dtype, made or band.level.dtype).itemsize
            if band.column in self._methods:
                self._levels[self._bands[band.column]].add(number)
            groups[source, method, itemsize].append(
                replace(band, number=number, made=made, witnesses=witnesses(band.asset.profile, band.sample, number))
            )
        return [
            WarpedCut(
                part,
                tuple(alike),
                np.full(len(covered), -1),
                covered,
                self._warp(source, target, method, itemsize),
                self._ways,
                window.col_off,
                window.row_off,
            )
            for (source, method, itemsize), alike in groups.items()
        ]

    def _level(self, grid: Grid, band: BandSource, method: Resampling) -> int:
        if self._lattice_of(grid).holds(grid):
            return 0
        return choose_level(band.asset.profile, self._factor(grid), nearest=method is Resampling.NEAREST)


def whole_cuts(grids: BandGrids) -> list[GridCut]:
    """The bands of a record on the grids that they are on, and all of their pixels."""
    return [_whole(grid, bands) for grid, bands in grids.items()]


def _whole(grid: Grid, bands: Sequence[BandSource]) -> GridCut:
    return GridCut(grid, tuple(bands), np.array([-1]), np.array([grid.window]))


def _check_size(window: Window, grid: Grid) -> None:
    """Refuse to make more pixels of one raster than anybody can want."""
    if window.width * window.height > _MAX_PIXELS:
        raise RequestError(
            ErrorCode.LIMIT_EXCEEDED,
            f"a raster of {grid.width} x {grid.height} pixels would become one of {window.width} x {window.height}, "
            f"and {_MAX_PIXELS} pixels are the limit",
            field="grid.resolution",
            hint="take a coarser resolution, in units of the CRS of the grid",
        )


def _covered(part: Grid, grid: Grid) -> npt.NDArray[np.int64]:
    """The window of a grid that a raster covers, shape (1, 4), or none."""
    around = bounds_of(projected(grid, part.crs or "", None))
    inverse = ~part.transform
    cols = [inverse.a * around[side] + inverse.c for side in (0, 2)]
    rows = [inverse.e * around[side] + inverse.f for side in (1, 3)]
    left, right = max(0, int(np.floor(min(cols) + _SLACK))), min(part.width, int(np.ceil(max(cols) - _SLACK)))
    top, bottom = max(0, int(np.floor(min(rows) + _SLACK))), min(part.height, int(np.ceil(max(rows) - _SLACK)))
    window = [(left, top, right - left, bottom - top)] if right > left and bottom > top else []
    return np.array(window, dtype=np.int64).reshape(-1, 4)
