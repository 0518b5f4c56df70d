"""Pixels of the source as kernels read them: a copy with a border, so that no kernel has to ask where the source ends."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from rasterflight_server.types import Window

Pixels: TypeAlias = npt.NDArray[Any]
Mask: TypeAlias = npt.NDArray[np.bool_]
Index: TypeAlias = npt.NDArray[np.intp]
#: Numbers of rows or columns; as float64, in which whole numbers are exact and arithmetic needs no conversion.
Places: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Patch:
    """A rectangle of the source; what of it lies outside the source, or was not given, is invalid and 0."""

    #: Shape (rows, columns).
    values: Pixels
    #: Same shape; None: all pixels are valid.
    valid: Mask | None
    #: Row and column of the first pixel, in the frame in which places are given.
    row: int
    col: int

    def at(self, row: Places, col: Places) -> Index:
        """Flat index of pixels, given by whole numbers, of the shape that row and column broadcast to."""
        flat = row * float(self.values.shape[1]) + (col - float(self.row * self.values.shape[1] + self.col))
        return flat.astype(np.intp)

    def take(self, index: Index, down: int = 0, right: int = 0) -> Pixels:
        """Values of the pixels that lie that far below and to the right of those at the index."""
        return self.values.reshape(-1)[down * self.values.shape[1] + right :].take(index)

    def take_valid(self, index: Index, down: int = 0, right: int = 0) -> Mask | None:
        """Which of the pixels that lie that far below and to the right of those at the index are valid; None: all."""
        if self.valid is None:
            return None
        return self.valid.reshape(-1)[down * self.values.shape[1] + right :].take(index)

    def squares_valid(self, index: Index, size: int) -> Mask | None:
        """Whether all pixels are valid of squares that begin with the pixels at the index; None: always."""
        if self.valid is None:
            return None
        rows, cols = (length - size + 1 for length in self.valid.shape)
        down = np.logical_and.reduce([self.valid[shift : shift + rows] for shift in range(size)])
        whole = np.zeros_like(self.valid)
        whole[:rows, :cols] = np.logical_and.reduce([down[:, shift : shift + cols] for shift in range(size)])
        return whole.take(index)


def cut(pixels: Pixels, valid: Mask | None, have: Window, seen: Window, wanted: Window) -> Patch:
    """Cut a patch out of pixels.

    Parameters
    ----------
    pixels
        Shape (rows, columns).
    valid
        Same shape; None: all are.
    have
        Where in the source the pixels lie.
    seen
        What of the source there is; all else is invalid. Places are counted from its corner.
    wanted
        What the patch is to cover, counted from the corner of ``seen``; may reach out of it.

    Returns
    -------
    Patch
        Contiguous; a view of the pixels where they are just what is wanted.
    """
    window = Window(wanted.col_off + seen.col_off, wanted.row_off + seen.row_off, wanted.width, wanted.height)
    if window == have and seen.intersection(have) == have and (valid is None or valid.all()):
        return Patch(np.ascontiguousarray(pixels), None, wanted.row_off, wanted.col_off)
    shape = wanted.height, wanted.width
    common = window.intersection(have)
    common = common and common.intersection(seen)
    if common is None:
        return Patch(np.zeros(shape, pixels.dtype), np.zeros(shape, np.bool_), wanted.row_off, wanted.col_off)
    there, here = _slices(common, window), _slices(common, have)
    complete = common == window
    values = np.empty(shape, pixels.dtype) if complete else np.zeros(shape, pixels.dtype)
    values[there] = pixels[here]
    part = None if valid is None else valid[here]
    if complete and (part is None or part.all()):
        return Patch(values, None, wanted.row_off, wanted.col_off)
    mask = np.zeros(shape, np.bool_)
    mask[there] = True if part is None else part
    values[~mask] = 0
    return Patch(values, mask, wanted.row_off, wanted.col_off)


def _slices(window: Window, within: Window) -> tuple[slice, slice]:
    top, left = window.row_off - within.row_off, window.col_off - within.col_off
    return slice(top, top + window.height), slice(left, left + window.width)
