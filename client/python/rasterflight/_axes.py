"""The axes of the cubes that chips make up."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rasterflight._combine import Combine
from rasterflight._commongrid import CommonGrid
from rasterflight._lattice import Lattice, Place, union
from rasterflight._rows import Chip
from rasterflight._timesteps import Groupby, Longitudes, TimeSteps, time_steps


@dataclass(frozen=True, slots=True)
class Assembly:
    """How chips become cubes."""

    combine: Combine
    groupby: Groupby
    longitudes: Longitudes
    #: Cubes cover all of the grid that was asked for, not just the chips.
    whole_grid: bool = False
    #: Coordinates x and y of it, if somebody has them: computed anew, they would differ by rounding.
    coordinates: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Axes:
    """What the dimensions (time, geometry, y, x) stand for."""

    steps: TimeSteps
    #: Ids of the areas that have pixels, ascending; 1 for whole records.
    geometry_ids: tuple[int, ...]
    #: Rows and columns of the lattice.
    extent: Place
    transform: tuple[float, ...]
    crs: str | None
    #: ``Assembly.coordinates``.
    coordinates: Mapping[str, np.ndarray]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Length of each dimension."""
        return len(self.steps.times), len(self.geometry_ids), self.extent.height, self.extent.width

    def cell(self, chip: Chip) -> tuple[int, int]:
        """Position of a chip along time and geometry."""
        return self.steps.index[chip.record_id], bisect_left(self.geometry_ids, chip.geometry_id or 1)


def axes_of(
    placed: Sequence[tuple[Place, Chip]], lattice: Lattice, grid: CommonGrid | None, assembly: Assembly
) -> Axes:
    """Find the axes of the cubes of some chips.

    Parameters
    ----------
    placed
        The chips, in the order (datetime, id), with their places.
    lattice
        That they are on.
    grid
        The grid that the server put them on.
    assembly
        How they become cubes.
    """
    chips = [chip for _, chip in placed]
    places = list(placed)
    if grid is not None and assembly.whole_grid:
        places = [(lattice.place(grid.as_chip(), ()), grid.as_chip())]
    extent = union(place for place, _ in places)
    return Axes(
        steps=time_steps(chips, assembly.groupby, assembly.longitudes),
        geometry_ids=tuple(sorted({chip.geometry_id or 1 for chip in chips})),
        extent=extent,
        transform=lattice.transform(extent, places),
        crs=chips[0].crs,
        coordinates=assembly.coordinates,
    )


def lattice_of(first: Chip, bands: tuple[str, ...], grid: CommonGrid | None) -> Lattice:
    """The lattice of some chips: that of the server's grid, or else of the first of them.

    Raises
    ------
    GridMismatchError
        See `Lattice`.
    """
    return Lattice(first if grid is None else grid.as_chip(), bands)
