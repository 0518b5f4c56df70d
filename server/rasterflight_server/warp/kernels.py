"""Kernels around the centre of a target pixel: nearest, and bilinear and cubic where the target does not shrink the source."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from rasterflight_server.types import Window
from rasterflight_server.warp.patch import Index, Mask, Patch, Pixels
from rasterflight_server.warp.places import Centres
from rasterflight_server.warp.transformer import F64

#: Neighbours that together weigh less do not count.
_LEAST_WEIGHT = 1e-5


class Kernel(Protocol):
    """How pixels of the target are made of a patch of the source; places and weights are found once for all bands."""

    @property
    def reach(self) -> Window:
        """What a patch has to cover, counted from the corner of what is seen of the source; may reach out of it."""
        ...

    def __call__(self, patch: Patch) -> tuple[Pixels, Mask | None]:
        """Values, of the type of the source or float64 and not yet rounded, and which of them are valid; None: all."""
        ...


class Nearest:
    """The source pixel that the centre lies on."""

    def __init__(self, centres: Centres) -> None:
        self._centres = centres
        self._row, self._col = centres.row, centres.col

    @property
    def reach(self) -> Window:
        """What a patch has to cover."""
        return self._centres.reach(0.0, (0, 0), (0, 0))

    def __call__(self, patch: Patch) -> tuple[Pixels, Mask | None]:
        """Values and which of them are valid."""
        index = patch.at(self._row, self._col)
        return patch.take(index), both(self._centres.inside, patch.take_valid(index))


class Bilinear:
    """The four pixels around the centre, by distance; invalid ones leave their weight to the others.

    A pixel whose centre lies on an invalid pixel is invalid.
    """

    def __init__(self, centres: Centres) -> None:
        self._centres = centres
        self._col, self._row = before(centres.x), before(centres.y)
        # Weights of the left column and of the upper row.
        self._left = 1.5 - (centres.x - self._col)
        self._upper = 1.5 - (centres.y - self._row)
        # Before the centre of the first pixel that pixel has all the weight; behind that of the last it comes to it by lack of others.
        _begin_inside(self._col, self._left)
        _begin_inside(self._row, self._upper)

    @property
    def reach(self) -> Window:
        """What a patch has to cover."""
        return self._centres.reach(0.5, (-1, -1), (2, 2))

    def __call__(self, patch: Patch) -> tuple[Pixels, Mask | None]:
        """Values and which of them are valid."""
        values, weighty = self.interpolate(patch, patch.at(self._row, self._col), self._left, self._upper)
        return values, both(on_valid(self._centres, patch), weighty)

    @staticmethod
    def interpolate(patch: Patch, index: Index, left: F64, upper: F64) -> tuple[F64, Mask | None]:
        """Weigh squares of four pixels that begin at the index; values, and where valid pixels weigh enough."""
        right, lower = 1.0 - left, 1.0 - upper
        values, total = np.zeros(index.shape), np.zeros(index.shape)
        term = np.empty(index.shape)
        for down, across, weight in _corners(left, right, upper, lower):
            np.multiply(patch.take(index, down, across), weight, out=term)
            values += term
            total += weight
        whole = patch.squares_valid(index, 2)
        if whole is None or whole.all():
            values /= total
            return values, None
        index, left, upper = index[~whole], *(np.broadcast_to(ratio, index.shape)[~whole] for ratio in (left, upper))
        values[~whole], total[~whole] = _partial(patch, index, left, upper)
        weighty = total >= _LEAST_WEIGHT
        np.divide(values, total, out=values, where=weighty)
        return values, weighty


def _corners(left: F64, right: F64, upper: F64, lower: F64) -> Iterator[tuple[int, int, F64]]:
    """Four pixels: how far down and right, and their weights; in GDAL's order, since sums depend on it."""
    yield 0, 0, left * upper
    yield 0, 1, right * upper
    yield 1, 0, left * lower
    yield 1, 1, right * lower


def _partial(patch: Patch, index: Index, left: F64, upper: F64) -> tuple[F64, F64]:
    """Sums of values by weight, and of weights, of the valid ones among four pixels."""
    right, lower = 1.0 - left, 1.0 - upper
    values, total = np.zeros(index.shape), np.zeros(index.shape)
    for down, across, weight in _corners(left, right, upper, lower):
        there = patch.take_valid(index, down, across)
        counted = weight if there is None else np.where(there, weight, 0.0)
        values += patch.take(index, down, across) * counted
        total += counted
    return values, total


class Cubic:
    """The sixteen pixels around the centre by cubic convolution (a = -0.5); bilinear where one of them is invalid."""

    def __init__(self, centres: Centres) -> None:
        self._centres = centres
        self._col, self._row = before(centres.x), before(centres.y)
        self._across = cubic_weights(centres.x - 0.5 - self._col)
        self._down = cubic_weights(centres.y - 0.5 - self._row)

    @property
    def reach(self) -> Window:
        """What a patch has to cover."""
        return self._centres.reach(0.5, (-2, -2), (2, 2))

    def __call__(self, patch: Patch) -> tuple[Pixels, Mask | None]:
        """Values and which of them are valid."""
        valid = on_valid(self._centres, patch)
        index = patch.at(self._row - 1, self._col - 1)
        values, term = np.zeros(index.shape), np.empty(index.shape)
        for down, weight in enumerate(self._down):
            line = patch.take(index, down, 0) * self._across[0]
            for right in (1, 2, 3):
                np.multiply(patch.take(index, down, right), self._across[right], out=term)
                line += term
            line *= weight
            values += line
        whole = patch.squares_valid(index, 4)
        if whole is None or whole.all():
            return values, valid
        left, upper = 1.5 - (self._centres.x - self._col), 1.5 - (self._centres.y - self._row)
        col, row, left, upper = (
            np.broadcast_to(part, whole.shape)[~whole] for part in (self._col, self._row, left, upper)
        )
        _begin_inside(col, left)
        _begin_inside(row, upper)
        values[~whole], weighty = Bilinear.interpolate(patch, patch.at(row, col), left, upper)
        if weighty is None:
            return values, valid
        whole[~whole] = weighty
        return values, both(valid, whole)


def cubic_weights(x: F64) -> tuple[F64, F64, F64, F64]:
    """Weights of the four pixels on a line around a place that lies x behind the centre of the second."""
    half, square = 0.5 * x, 0.5 * x * x
    return (
        half * (-1 + x * (2 - x)),
        1 + square * (-5 + 3.0 * x),
        half * (1 + x * (4 - 3.0 * x)),
        square * (-1 + x),
    )


def before(places: F64) -> F64:
    """The pixel whose centre is the last before each place."""
    pixels = places - 0.5
    return np.floor(pixels, out=pixels)


def _begin_inside(pixels: F64, weights: F64) -> None:
    outside = pixels < 0
    if outside.any():
        pixels[outside] = 0.0
        weights[outside] = 1.0


def on_valid(centres: Centres, patch: Patch) -> Mask | None:
    """Which centres lie on a valid pixel; None: all."""
    if patch.valid is None:
        return centres.inside
    return both(centres.inside, patch.take_valid(patch.at(centres.row, centres.col)))


def both(one: Mask | None, other: Mask | None) -> Mask | None:
    """Where both hold; None holds everywhere."""
    if one is None or other is None:
        return other if one is None else one
    return one & other
