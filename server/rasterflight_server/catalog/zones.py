"""Which records have footprint bounds near a box: a tree over records that lie along a Hilbert curve."""

from typing import Final

import numpy as np
import numpy.typing as npt

from rasterflight_server.types.lonlat import Box

#: Children of a node.
_FANOUT: Final = 32

Ints = npt.NDArray[np.int64]
#: Shape (4, n): xmin, ymin, xmax, ymax; NaN: no footprint.
Bounds = npt.NDArray[np.float64]


class Zones:
    """A packed R-tree. Records are its leaves, in the order that they have: nothing is sorted, and any order gives right answers.

    Parameters
    ----------
    bounds
        Shape (4, n): xmin, ymin, xmax, ymax of the records by number; NaN where there is none.
    """

    def __init__(self, bounds: Bounds) -> None:
        #: As given.
        self.bounds = bounds
        #: From the records up to the nodes that have no common parent.
        self._levels = [bounds]
        while self._levels[-1].shape[1] > _FANOUT:
            self._levels.append(_parents(self._levels[-1]))

    def meeting(self, box: Box, margin: float = 0.0) -> Ints:
        """Numbers of the records whose bounds, widened on each side by a share of their size, meet a box; sorted.

        Parameters
        ----------
        box
            (minx, miny, maxx, maxy).
        margin
            The share.
        """
        nodes = np.arange(self._levels[-1].shape[1])
        for depth in range(len(self._levels) - 1, -1, -1):
            level = self._levels[depth]
            nodes = nodes[_meets(level[:, nodes], box, margin)]
            if depth:
                children = nodes[:, np.newaxis] * _FANOUT + np.arange(_FANOUT)
                nodes = children[children < self._levels[depth - 1].shape[1]]
        return nodes


def common(one: Ints, other: Ints) -> Ints:
    """Numbers that are in both of two ascending sets; takes as long as the smaller."""
    few, many = sorted((one, other), key=len)
    if not len(few):
        return few
    places = np.searchsorted(many, few)
    found: Ints = few[many[np.minimum(places, len(many) - 1)] == few]
    return found


def _parents(level: Bounds) -> Bounds:
    """Bounds of each group of nodes; those without any take no part."""
    starts = np.arange(0, level.shape[1], _FANOUT)
    return np.concatenate([np.fmin.reduceat(level[:2], starts, axis=1), np.fmax.reduceat(level[2:], starts, axis=1)])


def _meets(bounds: Bounds, box: Box, margin: float) -> npt.NDArray[np.bool_]:
    """Bounds that meet a box. Sums and products are rounded monotonically: where those of a record meet it, those of its node do."""
    xmin, ymin, xmax, ymax = bounds
    minx, miny, maxx, maxy = box
    wider, higher = (margin * (xmax - xmin), margin * (ymax - ymin)) if margin else (0.0, 0.0)
    meets: npt.NDArray[np.bool_] = (
        (xmax + wider >= minx) & (xmin - wider <= maxx) & (ymax + higher >= miny) & (ymin - higher <= maxy)
    )
    return meets
