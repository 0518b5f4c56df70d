"""The newest valid value of each point and band."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from rasterflight_server.encode.points import NO_CODE, Rows
from rasterflight_server.encode.pointsamples import BandSamples
from rasterflight_server.plan.points import Points

_NONE = -1


class Latest:
    """What has been found so far, while records are offered from the newest back.

    A point that no record has a valid value for keeps the pixel of the newest record that holds it.

    Parameters
    ----------
    points, bands
        What is asked for.
    """

    def __init__(self, points: Points, bands: int) -> None:
        shape = len(points), bands
        around = points.sampling.window_pixels if points.sampling.keeps_windows else 0
        #: Points and bands without a valid value.
        self.missing: npt.NDArray[np.bool_] = np.ones(shape, np.bool_)
        self._record = np.full(shape, _NONE, np.int64)
        self._epsg = np.full(shape, NO_CODE, np.int64)
        self._value = np.zeros(shape)
        self._null = np.zeros(shape, np.bool_)
        self._around = np.zeros((*shape, around))
        self._present = np.zeros((*shape, around), np.bool_)
        self._wanted = np.zeros(shape, np.bool_)

    @property
    def complete(self) -> bool:
        """Each point has a valid value in each band."""
        return not self.missing.any()

    def offer(self, position: int, samples: Iterable[BandSamples]) -> None:
        """Take from a record what is still missing.

        Parameters
        ----------
        position
            Of the record, in ``PointPlan.records``.
        """
        for band in samples:
            at = band.points, np.full(len(band.points), band.column)
            better = self.missing[at] & (band.usable | (self._record[at] == _NONE))
            to = band.points[better], band.column
            self._record[to] = position
            self._epsg[to] = NO_CODE if band.epsg is None else band.epsg
            self._value[to] = band.values[better]
            self._null[to] = band.null[better]
            self.missing[to] = ~band.usable[better]
            if band.surroundings is not None:
                self._around[to] = band.surroundings.values[better]
                self._present[to] = band.surroundings.present[better]
                self._wanted[to] = band.surroundings.wanted[better]

    def rows(self) -> Rows:
        """One row for each point and band that a record holds."""
        at = np.nonzero(self._record != _NONE)
        point, band = at
        return Rows(
            self._record[at],
            point,
            band,
            self._epsg[at],
            self._value[at],
            self._null[at],
            self._around[at],
            self._present[at],
            self._wanted[at],
        ).ordered()
