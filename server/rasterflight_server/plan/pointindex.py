"""Points by longitude and latitude: which lie in a box, and which boxes hold any."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_CELLS = 512


class PointIndex:
    """Points, at least one, sorted for lookups by box.

    Parameters
    ----------
    lon, lat
        Finite, of one length.
    """

    def __init__(self, lon: Floats, lat: Floats) -> None:
        self._order = np.argsort(lon, kind="stable")
        self._lon, self._lat = lon[self._order], lat[self._order]
        #: minx, miny, maxx, maxy of all points.
        self.bounds = (float(self._lon[0]), float(lat.min()), float(self._lon[-1]), float(lat.max()))
        self._counts = self._count_cells()

    def near(self, boxes: Floats) -> npt.NDArray[np.bool_]:
        """Say which boxes may hold a point; it is wrong only about boxes with points close to their sides.

        Parameters
        ----------
        boxes
            Shape (n, 4): minx, miny, maxx, maxy.
        """
        left, right = self._cells(boxes[:, 0::2], 0)
        bottom, top = self._cells(boxes[:, 1::2], 1)
        counts = self._counts
        held = counts[top + 1, right + 1] - counts[bottom, right + 1] - counts[top + 1, left] + counts[bottom, left]
        minx, miny, maxx, maxy = self.bounds
        apart = (boxes[:, 0] > maxx) | (boxes[:, 2] < minx) | (boxes[:, 1] > maxy) | (boxes[:, 3] < miny)
        found: npt.NDArray[np.bool_] = (held > 0) & ~apart
        return found

    def inside(self, minx: float, miny: float, maxx: float, maxy: float) -> npt.NDArray[np.int64]:
        """Find the points in a box or on its sides: their positions, ascending."""
        start = np.searchsorted(self._lon, minx, side="left")
        stop = np.searchsorted(self._lon, maxx, side="right")
        lat = self._lat[start:stop]
        return np.sort(self._order[start:stop][(lat >= miny) & (lat <= maxy)])

    def _cells(self, values: Floats, axis: int) -> npt.NDArray[np.int64]:
        """Number of the cell that each value falls into, along one axis; transposed."""
        low, high = self.bounds[axis], self.bounds[axis + 2]
        cells = np.floor((values - low) / max(high - low, 1e-12) * _CELLS)
        return np.clip(cells, 0, _CELLS - 1).astype(np.int64).T

    def _count_cells(self) -> npt.NDArray[np.int64]:
        """How many points lie below and left of each corner of a coarse grid."""
        col, row = self._cells(self._lon, 0), self._cells(self._lat, 1)
        counts = np.zeros((_CELLS + 1, _CELLS + 1), np.int64)
        counts[1:, 1:] = np.bincount(row * _CELLS + col, minlength=_CELLS * _CELLS).reshape(_CELLS, _CELLS)
        return counts.cumsum(axis=0).cumsum(axis=1)
