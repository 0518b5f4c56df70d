"""Where the pixels of a target lie in the source, and which of them lie in it at all."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from rasterflight_server.types import Window
from rasterflight_server.warp.chunks import Chunk
from rasterflight_server.warp.patch import Mask
from rasterflight_server.warp.scanlines import Scanlines
from rasterflight_server.warp.transformer import F64, Transformer

#: What may lack to the next pixel for it to be taken.
_EPSILON = 1e-10


class Range(NamedTuple):
    """From where to where places lie along one axis."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Centres:
    """Where the centres of target pixels lie in what a chunk sees of the source, whose corner is (0, 0)."""

    #: Shape (rows, columns), or (1, columns) and (rows, 1). Where ``inside`` is false, any place inside.
    x: F64
    y: F64
    x_range: Range
    y_range: Range
    #: Shape (rows, columns); None: all centres lie inside.
    inside: Mask | None
    #: Pixels across and down of what is seen.
    size: tuple[int, int]

    @property
    def col(self) -> F64:
        """The column that each centre lies on."""
        return _on(self.x, self.x_range, self.size[0])

    @property
    def row(self) -> F64:
        """The row that each centre lies on."""
        return _on(self.y, self.y_range, self.size[1])

    def reach(self, shift: float, first: tuple[int, int], last: tuple[int, int]) -> Window:
        """The rectangle around all pixels that begin ``shift`` before a centre.

        It goes from ``first`` (x, y) pixels beside the first of them to ``last`` pixels beside the last.
        """
        left, right, top, bottom = (
            int(np.floor(place + _EPSILON - shift))
            for place in (self.x_range.low, self.x_range.high, self.y_range.low, self.y_range.high)
        )
        left, top = left + first[0], top + first[1]
        return Window(left, top, right + last[0] + 1 - left, bottom + last[1] + 1 - top)


class Scan:
    """Rows of a chunk that are wanted; how they lie in the source is found once for all of them.

    Parameters
    ----------
    transformer
        From target to source.
    chunk
        The chunk.
    row_off, height
        The rows, in pixels of the target.
    """

    def __init__(self, transformer: Transformer, chunk: Chunk, row_off: int, height: int) -> None:
        self.transformer = transformer
        self.chunk = chunk
        self._row_off = row_off
        self._height = height

    def corners(self, window: Window) -> tuple[F64, F64, F64, F64]:
        """Where the upper left and the lower right corners of target pixels lie in the source: x, y, x2, y2."""
        x, y = self._places(self._upper_left, window)
        x2, y2 = self._places(self._lower_right, window)
        return x, y, x2, y2

    def centres(self, window: Window) -> tuple[F64, F64]:
        """Where the centres of target pixels lie in the source: x, y."""
        return self._places(self._middle, window)

    @cached_property
    def _upper_left(self) -> Scanlines:
        return self._lines(0.0)

    @cached_property
    def _middle(self) -> Scanlines:
        return self._lines(0.5)

    @cached_property
    def _lower_right(self) -> Scanlines:
        return self._lines(1.0)

    def _lines(self, shift: float) -> Scanlines:
        y = np.arange(self._row_off, self._row_off + self._height, dtype=np.float64) + shift
        return Scanlines(self.transformer, self.chunk.target.col_off + shift, self.chunk.target.width, y)

    def _places(self, lines: Scanlines, window: Window) -> tuple[F64, F64]:
        row, col = window.row_off - self._row_off, window.col_off - self.chunk.target.col_off
        return lines.places(slice(row, row + window.height), slice(col, col + window.width))


def centres(scan: Scan, window: Window) -> Centres | None:
    """Find the centres of a window of a scan, in pixels of the target; None: no centre lies inside.

    A centre that seems to lie outside by less than a pixel is looked at again without approximation.
    """
    seen = scan.chunk.source
    x, y = scan.centres(window)
    x_range, y_range = _range(x), _range(y)
    inside: Mask | None = None
    if not _holds(x_range, seen.col_off, seen.width) or not _holds(y_range, seen.row_off, seen.height):
        x, y, inside = _look_again(scan.transformer, seen, window, x, y)
        if not inside.any():
            return None
        x, y = _moved_inside(x, inside), _moved_inside(y, inside)
        x_range, y_range = _range(x), _range(y)
        inside = None if inside.all() else inside
    x -= seen.col_off
    y -= seen.row_off
    x_range, y_range = _shifted(x_range, seen.col_off), _shifted(y_range, seen.row_off)
    return Centres(x, y, x_range, y_range, inside, (seen.width, seen.height))


def _look_again(transformer: Transformer, seen: Window, window: Window, x: F64, y: F64) -> tuple[F64, F64, Mask]:
    column = np.arange(window.col_off, window.col_off + window.width, dtype=np.float64)[None, :] + 0.5
    line = np.arange(window.row_off, window.row_off + window.height, dtype=np.float64)[:, None] + 0.5
    if transformer.separable:
        exact_x, _ = transformer.exact(column, line[:1])
        _, exact_y = transformer.exact(column[:, :1], line)
        x = np.where(_just_outside(x, seen.col_off, seen.width), exact_x, x)
        y = np.where(_just_outside(y, seen.row_off, seen.height), exact_y, y)
    else:
        again = _just_outside(x, seen.col_off, seen.width)
        again |= _within(x, seen.col_off, seen.width) & _just_outside(y, seen.row_off, seen.height)
        if again.any():
            rows, cols = np.nonzero(again)
            x[rows, cols], y[rows, cols] = transformer.exact(column[0, cols], line[rows, 0])
    return x, y, _within(x, seen.col_off, seen.width) & _within(y, seen.row_off, seen.height)


def _moved_inside(places: F64, inside: Mask) -> F64:
    """Give centres that lie outside the place of one that lies inside; places along an axis may be given once for all rows or columns."""
    needed = inside
    for axis in (0, 1):
        if places.shape[axis] != inside.shape[axis]:
            needed = np.asarray(needed.any(axis=axis, keepdims=True))
    return np.where(needed, places, places[needed][0])


def _range(places: F64) -> Range:
    return Range(float(places.min()), float(places.max()))


def _shifted(places: Range, offset: int) -> Range:
    return Range(places.low - offset, places.high - offset)


def _holds(places: Range, offset: int, size: int) -> bool:
    return places.low >= offset and places.high + _EPSILON <= offset + size


def _within(places: F64, offset: int, size: int) -> Mask:
    return np.asarray((places >= offset) & (places + _EPSILON <= offset + size))


def _just_outside(places: F64, offset: int, size: int) -> Mask:
    near = (places > offset - 1) & (places < offset + size + 1)
    return np.asarray(near & ~_within(places, offset, size))


def _on(places: F64, found: Range, size: int) -> F64:
    pixels = places + _EPSILON
    np.floor(pixels, out=pixels)
    if found.high + _EPSILON >= size:
        np.minimum(pixels, size - 1, out=pixels)
    return pixels
