"""What of the source lies under the pixels of a target, as GDAL sees it: from the upper left to the lower right corner of each."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from rasterflight_server.types import Window
from rasterflight_server.warp.patch import Index, Mask, Patch
from rasterflight_server.warp.places import Scan
from rasterflight_server.warp.transformer import F64

#: What a place may reach into a pixel without touching it.
_EPSILON = 1e-10
#: Target pixels from the edges of the source within which a pixel may lie on both of its ends.
_SEAM = 2
#: Source pixels under a target pixel from which on they are counted by themselves.
MANY = 4096


class Extent:
    """From where to where target pixels reach along one axis of the source."""

    def __init__(self, low: F64, high: F64, first: Index, count: Index) -> None:
        self.low, self.high = low, high
        #: The first source pixel of each target pixel, and how many there are.
        self.first, self.count = first, count
        self.begin = int(first.min())
        self.longest = int(count.max())
        self.end = int(first.max()) + self.longest

    def weight(self, tap: int) -> F64:
        """Share of the source pixel first + tap that lies in the extent; 0 behind its end.

        At the edge of the source a pixel weighs more by what of the extent lies outside, as it does in GDAL.
        """
        alone, last = self.count == 1, self.count == tap + 1
        if tap == 0:
            return np.where(alone, 1.0, 1.0 - (self.low - self.first))
        inner = np.where(self.count > tap + 1, 1.0, 0.0)
        return np.where(last, 1.0 - (self.first + self.count - self.high), inner)

    def take(self, where: Mask) -> "Extent":
        """The extents of some target pixels alone."""
        shape = where.shape
        low, high = np.broadcast_to(self.low, shape)[where], np.broadcast_to(self.high, shape)[where]
        first, count = np.broadcast_to(self.first, shape)[where], np.broadcast_to(self.count, shape)[where]
        return Extent(low, high, first, count)


class Area:
    """Extents of target pixels along both axes of what a chunk sees of the source, whose corner is (0, 0)."""

    def __init__(self, cols: Extent, rows: Extent, inside: Mask, width: int) -> None:
        self.cols, self.rows = cols, rows
        #: Shape of the target pixels; those that are not inside reach for what any other reaches for.
        self.inside = inside
        self._width = width

    @property
    def reach(self) -> Window:
        """What a patch has to cover."""
        height = self.rows.end - self.rows.begin
        if self._crosses_seam:
            return Window(0, self.rows.begin, self.cols.end, height)
        return Window(self.cols.begin, self.rows.begin, self.cols.end - self.cols.begin, height)

    def closed(self, patch: Patch) -> Patch:
        """The patch, with its first columns again behind the last where pixels lie on both ends of the source."""
        if not self._crosses_seam:
            return patch
        again = slice(self._width, patch.values.shape[1])
        first = slice(0, patch.values.shape[1] - self._width)
        valid = np.ones(patch.values.shape, np.bool_) if patch.valid is None else patch.valid.copy()
        values = patch.values.copy()
        values[:, again], valid[:, again] = values[:, first], valid[:, first]
        return Patch(values, valid, patch.row, patch.col)

    def groups(self) -> Iterator[tuple[Any, "Area"]]:
        """Target pixels by how many source pixels lie under them, so that a few with very many do not hold up the rest.

        Those with more than ``MANY`` come one by one.
        """
        count = self.cols.count * self.rows.count
        usual = min(MANY, 4 * float(np.median(self.cols.count)) * float(np.median(self.rows.count)) + 4)
        large = count > usual
        if not large.any():
            yield ..., self
            return
        if not large.all():
            yield ~large, self._take(~large)
        many = count > MANY
        for one in np.argwhere(many):
            where = np.zeros(many.shape, np.bool_)
            where[tuple(one)] = True
            yield where, self._take(where)
        size = np.where(large & ~many, np.ceil(np.log2(count)), -1)
        for one in np.unique(size[size >= 0]):
            yield size == one, self._take(size == one)

    def _take(self, where: Mask) -> "Area":
        return Area(self.cols.take(where), self.rows.take(where), self.inside[where], self._width)

    @property
    def _crosses_seam(self) -> bool:
        return bool((self.cols.first + self.cols.count).max() > self._width)


def areas(scan: Scan, window: Window) -> Area | None:
    """Find what of the source lies under a window of a scan, in pixels of the target; None: nothing."""
    chunk, seen = scan.chunk, scan.chunk.source
    x, y, x2, y2 = scan.corners(window)
    left, right = np.minimum(x, x2) - seen.col_off, np.maximum(x, x2) - seen.col_off
    top, bottom = np.minimum(y, y2) - seen.row_off, np.maximum(y, y2) - seen.row_off
    cols = _within(left, right, seen.width, chunk.scale[0])
    rows = _within(top, bottom, seen.height, chunk.scale[1])
    seam = _on_seam(scan, window, (left, right, cols & rows))
    if seam is not None:
        left, right = np.where(seam, right, left), np.where(seam, left + seen.width, right)
    first, count = _pixels(left, right, seen.width, cols, endless=seam)
    first_row, row_count = _pixels(top, bottom, seen.height, rows, endless=None)
    inside = cols & rows & (count > 0) & (row_count > 0)
    if not inside.any():
        return None
    across = _confined(Extent(left, right, first, count), inside, axis=0)
    return Area(across, _confined(Extent(top, bottom, first_row, row_count), inside, axis=1), inside, seen.width)


def _within(low: F64, high: F64, size: int, scale: float) -> Mask:
    """Extents that have something of the source in them, and not too much of what lies beside it."""
    margin = 2 * max(1, math.ceil(1.0 / scale))
    inside = (low >= -margin) & (high - size <= margin)
    return np.asarray(inside & (high > -_EPSILON) & (low < size + _EPSILON))


def _on_seam(scan: Scan, window: Window, across: tuple[F64, F64, Mask]) -> Mask | None:
    """Target pixels on both ends of a source that goes round the world: what lies between their corners is all but them.

    GDAL notices those whose centre lies behind the seam, and takes the whole world for the rest; here only where the source is not in
    degrees, which alone tell for sure.
    """
    left, right, inside = across
    transformer, chunk = scan.transformer, scan.chunk
    width = chunk.source.width
    if transformer.separable or chunk.source.col_off:
        return None
    near = min(_SEAM, width // 10)
    maybe = inside & (left * chunk.scale[0] < near) & ((width - right) * chunk.scale[0] < near)
    if not maybe.any():
        return None
    rows, cols = np.nonzero(maybe)
    x, y = cols.astype(np.float64) + window.col_off + 0.5, rows.astype(np.float64) + window.row_off
    middle, _ = transformer.exact(x, y)
    seam = np.zeros(maybe.shape, np.bool_)
    seam[rows, cols] = middle < left[rows, cols]
    if transformer.meridian is not None:
        seam[rows, cols] |= middle > right[rows, cols]
    return seam if seam.any() else None


def _pixels(low: F64, high: F64, size: int, inside: Mask, endless: Mask | None) -> tuple[Index, Index]:
    """First pixel of extents and how many there are; not cut off at the end of the source where it is endless."""
    low, high = np.where(inside, low, 0.0), np.where(inside, high, 1.0)
    first = np.maximum(np.floor(low + _EPSILON), 0.0).astype(np.intp)
    last = np.ceil(high - _EPSILON).astype(np.intp)
    last = np.minimum(last, size) if endless is None else np.where(endless, last, np.minimum(last, size))
    last += (last == first) & (last < size)
    return first, last - first


def _confined(extent: Extent, inside: Mask, axis: int) -> Extent:
    """Extents where those of target pixels that are not inside are one source pixel that another needs."""
    needed = inside if extent.first.shape == inside.shape else np.asarray(inside.any(axis=axis, keepdims=True))
    first = np.where(needed, extent.first, extent.first[needed][0])
    return Extent(extent.low, extent.high, first, np.where(needed, extent.count, 1))
