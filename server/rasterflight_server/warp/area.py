"""Average and mode: all source pixels under a target pixel."""

from collections.abc import Iterator

import numpy as np

from rasterflight_server.types import Window
from rasterflight_server.warp.extents import MANY, Area
from rasterflight_server.warp.patch import Mask, Patch, Pixels
from rasterflight_server.warp.transformer import F64

#: Source pixels that are looked at together.
_TOGETHER = 1 << 20


class Average:
    """The mean of the valid pixels, by the area that they share with the target pixel."""

    def __init__(self, area: Area) -> None:
        self._area = area

    @property
    def reach(self) -> Window:
        """What a patch has to cover."""
        return self._area.reach

    def __call__(self, patch: Patch) -> tuple[Pixels, Mask | None]:
        """Values and which of them are valid."""
        patch = self._area.closed(patch)
        mean, total = np.zeros(self._area.inside.shape), np.zeros(self._area.inside.shape)
        for where, area in self._area.groups():
            mean[where], total[where] = _mean(area, patch)
        return mean, self._area.inside & (total > 0)


def _mean(area: Area, patch: Patch) -> tuple[F64, F64]:
    """Means and sums of weights."""
    index = patch.at(area.rows.first.astype(np.float64), area.cols.first.astype(np.float64))
    if index.size == 1 and area.cols.longest * area.rows.longest > MANY:
        return _mean_of_many(area, patch)
    mean, total = np.zeros(index.shape), np.zeros(index.shape)
    across = [area.cols.weight(tap) for tap in range(area.cols.longest)]
    for down in range(area.rows.longest):
        share_down = area.rows.weight(down)
        for right, share in enumerate(across):
            weight = share_down * share
            there = patch.take_valid(index, down, right)
            counts = weight > 0 if there is None else (weight > 0) & there
            # The mean goes along with the sum of weights, step by step as GDAL's, so that ties round alike.
            total += np.where(counts, weight, 0.0)
            part = np.divide(weight, total, out=np.zeros(index.shape), where=counts)
            mean += part * (patch.take(index, down, right) - mean)
    return mean, total


def _mean_of_many(area: Area, patch: Patch) -> tuple[F64, F64]:
    """Mean of so many pixels under one that they are no longer taken step by step, and sum of weights."""
    top, left = area.rows.begin - patch.row, area.cols.begin - patch.col
    there = slice(top, top + area.rows.longest), slice(left, left + area.cols.longest)
    down, across = (
        np.concatenate([axis.weight(tap) for tap in range(axis.longest)]) for axis in (area.rows, area.cols)
    )
    weights = np.maximum(down[:, None] * across, 0.0)
    if patch.valid is not None:
        weights = np.where(patch.valid[there], weights, 0.0)
    total = weights.sum()
    values = patch.values[there].astype(np.float64)
    mean = (np.where(weights > 0, values, 0.0) * weights).sum() / total if total > 0 else 0.0
    return np.array([mean]), np.array([total])


class Mode:
    """The value that most of the valid pixels have, however little of them lies under the target pixel; of several the first to be so."""

    def __init__(self, area: Area) -> None:
        self._area = area

    @property
    def reach(self) -> Window:
        """What a patch has to cover."""
        return self._area.reach

    def __call__(self, patch: Patch) -> tuple[Pixels, Mask | None]:
        """Values and which of them are valid."""
        patch = self._area.closed(patch)
        values = np.zeros(self._area.inside.shape, patch.values.dtype)
        found = np.zeros(self._area.inside.shape, np.bool_)
        for where, area in self._area.groups():
            shape = np.broadcast_shapes(area.rows.first.shape, area.cols.first.shape)
            parts = list(_modes(area, patch))
            values[where] = np.concatenate([part[0] for part in parts]).reshape(shape)
            found[where] = np.concatenate([part[1] for part in parts]).reshape(shape)
        return values, self._area.inside & found


def _modes(area: Area, patch: Patch) -> Iterator[tuple[Pixels, Mask]]:
    """Most common values of one target pixel after another, in parts."""
    index = patch.at(area.rows.first.astype(np.float64), area.cols.first.astype(np.float64))
    rows, cols = (np.broadcast_to(axis.count, index.shape).reshape(-1, 1) for axis in (area.rows, area.cols))
    down, right = (taps.reshape(1, -1) for taps in np.indices((area.rows.longest, area.cols.longest)))
    step = max(1, _TOGETHER // down.size)
    for start in range(0, index.size, step):
        part = slice(start, start + step)
        counted = (down < rows[part]) & (right < cols[part])
        there = np.where(counted, index.reshape(-1, 1)[part] + (down * patch.values.shape[1] + right), 0)
        if patch.valid is not None:
            counted &= patch.valid.reshape(-1).take(there)
        yield most_common(patch.values.reshape(-1).take(there), counted)


def most_common(values: Pixels, counted: Mask) -> tuple[Pixels, Mask]:
    """The most common value of each row; of several that are equally common the one that is so first.

    Parameters
    ----------
    values
        Shape (rows, values).
    counted
        Same shape: which values count.

    Returns
    -------
    tuple
        Values, shape (rows,), and whether any value of the row counts.
    """
    count = values.shape[1]
    if count == 1:
        return values[:, 0], counted[:, 0]
    place = np.arange(count)
    # What does not count goes behind all that does, where it breaks no run of equal values.
    order = np.lexsort((values, ~counted), axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    begins = np.zeros(values.shape, np.intp)
    begins[:, 1:] = np.where(ordered[:, 1:] != ordered[:, :-1], place[1:], 0)
    begins = np.where(place == counted.sum(axis=1, keepdims=True), place, begins)
    nth = place - np.maximum.accumulate(begins, axis=1)
    nth = np.where(np.take_along_axis(counted, order, axis=1), nth, -1)
    best = np.argmax(nth * count - order, axis=1)[:, None]
    return np.take_along_axis(ordered, best, axis=1)[:, 0], np.asarray(counted.any(axis=1))
