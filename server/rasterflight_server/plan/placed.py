"""Points on the grid of a raster: the pixels that hold them, and those around."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rasterflight_server.read.gather import PixelSet
from rasterflight_server.types import Grid

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Placed:
    """Points that lie in a raster."""

    grid: Grid
    #: Positions in ``Points``, ascending.
    points: Ints
    #: The pixels that hold them.
    rows: Ints
    cols: Ints
    #: How far around they look, in pixels.
    distance: int

    def __len__(self) -> int:
        return len(self.points)

    def only(self, wanted: npt.NDArray[np.bool_]) -> "Placed":
        """Those of the points that are wanted; ``wanted`` is as long as ``Points``."""
        kept = wanted[self.points]
        if kept.all():
            return self
        return Placed(self.grid, self.points[kept], self.rows[kept], self.cols[kept], self.distance)

    @cached_property
    def pixels(self) -> PixelSet:
        """All pixels that the points look at, point by point, and around each row by row from the top left."""
        if not self.distance:
            return PixelSet(self.rows, self.cols)
        rows, cols = self._around()
        return PixelSet(rows[self.inside], cols[self.inside])

    @cached_property
    def inside(self) -> npt.NDArray[np.bool_]:
        """Which of the pixels that the points look at lie in the raster, shape (points, pixels around each)."""
        rows, cols = self._around()
        return (rows >= 0) & (rows < self.grid.height) & (cols >= 0) & (cols < self.grid.width)

    def squared_distances(self, which: npt.NDArray[np.intp], x: Floats, y: Floats) -> Floats:
        """How far points are from the pixels around them.

        Parameters
        ----------
        which
            Numbers of the points here.
        x, y
            Their coordinates in the CRS of the grid.

        Returns
        -------
        ndarray
            Shape (points, pixels around each): from the point to the rectangle of the pixel, in units of the CRS, squared.
        """
        transform = self.grid.transform
        across = self._gap(x, self.cols[which], transform.a, transform.c)
        down = self._gap(y, self.rows[which], transform.e, transform.f)
        squared: Floats = down[:, :, None] ** 2 + across[:, None, :] ** 2
        return squared.reshape(len(which), len(self._reach) ** 2)

    @property
    def _reach(self) -> Ints:
        return np.arange(-self.distance, self.distance + 1)

    def _around(self) -> tuple[Ints, Ints]:
        """Row and column of all pixels that the points look at, also of those outside."""
        shape = len(self), len(self._reach), len(self._reach)
        rows = np.broadcast_to((self.rows[:, None] + self._reach)[:, :, None], shape)
        cols = np.broadcast_to((self.cols[:, None] + self._reach)[:, None, :], shape)
        return rows.reshape(len(self), -1), cols.reshape(len(self), -1)

    def _gap(self, position: Floats, pixel: Ints, size: float, origin: float) -> Floats:
        """How far a coordinate lies outside of the pixels around, along one axis; shape (positions, reach)."""
        edges = np.arange(-self.distance, self.distance + 2)
        at = (pixel[:, None] + edges) * size + origin
        low, high = np.minimum(at[:, :-1], at[:, 1:]), np.maximum(at[:, :-1], at[:, 1:])
        gap: Floats = np.maximum(np.maximum(low - position[:, None], position[:, None] - high), 0.0)
        return gap
