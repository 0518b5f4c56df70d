"""Bilinear and cubic where the target shrinks the source: kernels as wide as a target pixel needs."""

import math

import numpy as np

from rasterflight_server.types import Window
from rasterflight_server.warp.kernels import before, both, on_valid
from rasterflight_server.warp.methods import Resampling
from rasterflight_server.warp.patch import Index, Mask, Patch, Pixels
from rasterflight_server.warp.places import Centres
from rasterflight_server.warp.transformer import F64

#: Pixels that together weigh less do not count.
_LEAST_WEIGHT = 1e-6
#: Sums of weights that are this near to 1 are taken for 1.
_NEAR_ONE = 1e-5
#: Pixels of a kernel from which on it is applied to one target pixel after another.
_MANY = 4096


class Widened:
    """All source pixels within the radius of the kernel, divided by the scale where that is below 1."""

    def __init__(self, centres: Centres, resampling: Resampling, scale: tuple[float, float]) -> None:
        self._centres = centres
        self._col, self._row = before(centres.x), before(centres.y)
        weigh = triangle if resampling is Resampling.BILINEAR else convolution
        self._taps_x = _taps(resampling.radius, scale[0])
        self._taps_y = _taps(resampling.radius, scale[1])
        across, down = centres.x - 0.5 - self._col, centres.y - 0.5 - self._row
        self._across = [weigh((tap - across) * min(scale[0], 1.0)) for tap in self._taps_x]
        self._down = [weigh((tap - down) * min(scale[1], 1.0)) for tap in self._taps_y]

    @property
    def reach(self) -> Window:
        """What a patch has to cover."""
        first = self._taps_x.start - 1, self._taps_y.start - 1
        return self._centres.reach(0.5, first, (self._taps_x.stop - 1, self._taps_y.stop - 1))

    def __call__(self, patch: Patch) -> tuple[Pixels, Mask | None]:
        """Values and which of them are valid."""
        index = patch.at(self._row + self._taps_y.start, self._col + self._taps_x.start)
        many = len(self._taps_x) * len(self._taps_y) > _MANY
        values, total = self._one_by_one(patch, index) if many else self._tap_by_tap(patch, index)
        enough = total >= _LEAST_WEIGHT
        uneven = enough & ((total < 1 - _NEAR_ONE) | (total > 1 + _NEAR_ONE))
        np.divide(values, total, out=values, where=uneven)
        return values, both(on_valid(self._centres, patch), enough)

    def _tap_by_tap(self, patch: Patch, index: Index) -> tuple[F64, F64]:
        """Sums of values by weight and of weights, of all target pixels at once."""
        values, total = np.zeros(index.shape), np.zeros(index.shape)
        for down, weight_down in enumerate(self._down):
            line, line_total = np.zeros(index.shape), np.zeros(index.shape)
            for right, weight in enumerate(self._across):
                there = patch.take_valid(index, down, right)
                counted = weight if there is None else np.where(there, weight, 0.0)
                line += patch.take(index, down, right) * counted
                line_total += counted
            values += line * weight_down
            total += line_total * weight_down
        return values, total

    def _one_by_one(self, patch: Patch, index: Index) -> tuple[F64, F64]:
        """The same of kernels so wide that there are more pixels in one than pixels to make."""
        values, total = np.zeros(index.shape), np.zeros(index.shape)
        across, down = (np.broadcast_arrays(values, *weights)[1:] for weights in (self._across, self._down))
        for place in np.ndindex(index.shape):
            top, left = divmod(int(index[place]), patch.values.shape[1])
            there = slice(top, top + len(down)), slice(left, left + len(across))
            x, y = np.array([weight[place] for weight in across]), np.array([weight[place] for weight in down])
            part = patch.values[there].astype(np.float64)
            counted = np.ones(part.shape) if patch.valid is None else patch.valid[there].astype(np.float64)
            values[place], total[place] = y @ ((part * counted) @ x), y @ (counted @ x)
        return values, total


def triangle(x: F64) -> F64:
    """Weight of a pixel that lies x from the place, in units of the kernel."""
    return np.maximum(0.0, 1.0 - np.abs(x))


def convolution(x: F64) -> F64:
    """Weight of a pixel that lies x from the place, in units of the kernel; cubic convolution with a = -0.5."""
    size, square = np.abs(x), x * x
    near = square * (1.5 * size - 2.5) + 1.0
    far = square * (-0.5 * size + 2.5) - 4.0 * size + 2.0
    return np.where(size <= 1.0, near, np.where(size <= 2.0, far, 0.0))  # noqa: PLR2004


def _taps(radius: int, scale: float) -> range:
    """Pixels of the kernel, counted from the last whose centre lies before the place."""
    reached = math.ceil(radius / scale) if scale < 1.0 else radius
    return range((radius + 1) % 2 - reached, reached + 1)
