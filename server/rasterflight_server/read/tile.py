"""One tile of a file, decoded: what pixels are taken from, once or again and again."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from rasterflight_server.read.codecs import NONE, can_stop, inflate
from rasterflight_server.read.samples import HORIZONTAL, Pixels, add_sums, restore, undo_differences
from rasterflight_server.read.scratch import Scratch
from rasterflight_server.types import Level


class Tile:
    """Rows of a tile, from its first one on.

    Where only horizontal differences are left to be undone, that waits until pixels are taken: then they are undone on the way
    to where the pixels go, which costs no more than to copy them.

    Parameters
    ----------
    level
        That it belongs to.
    pixels
        Shape (rows, tile width, samples).
    differences
        Whether these are differences of pixels yet; there is one sample then.
    """

    __slots__ = ("_held", "_kept", "_level", "rows")

    def __init__(self, level: Level, pixels: Pixels, *, differences: bool) -> None:
        self._level = level
        # One attribute, so that threads see both as they belong together.
        self._held = pixels, differences
        self._kept = False
        #: How many rows there are.
        self.rows = len(pixels)

    @classmethod
    def decode(cls, level: Level, raw: Any, rows: int, inside: int, scratch: Scratch) -> Self:
        """Decode the stored bytes of a tile.

        Parameters
        ----------
        rows
            Rows that are wanted; there may be more.
        inside
            Rows of the tile that lie in the image.

        Returns
        -------
        Tile
            Its memory may be that of ``scratch`` or of ``raw``: see `keep`.

        Raises
        ------
        SourceError
            SOURCE_CORRUPT: the bytes do not decode, or to too few.
        """
        stop = rows < inside and can_stop(level)
        data = inflate(level, raw, rows if stop else inside, scratch, stop=stop)
        if _is_plain(level):
            return cls(level, data.view(level.dtype).reshape(-1, level.tile_width, 1), differences=True)
        return cls(level, restore(level, data, slice(None), scratch), differences=False)

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self._held[0].nbytes

    def keep(self, scratch: Scratch) -> None:
        """Take the memory over from the scratch that the tile was decoded in, so that it can be kept."""
        pixels, differences = self._held
        own = scratch.let_go(pixels)
        if own is pixels and self._level.compression == NONE:
            # What was not compressed still lies in the bytes that were read, with all that came along with them.
            own = pixels.copy()
        self._held = own, differences
        self._kept = True

    def take(self, part: Sequence[int], sample: int, out: Pixels) -> None:
        """Write a rectangle of one sample to where it goes.

        Parameters
        ----------
        part
            Half-open: row_start, row_stop, col_start, col_stop.
        out
            Shape (bottom - top, right - left), of any strides, native byte order.
        """
        top, bottom, left, right = part
        pixels, differences = self._held
        if not differences:
            out[...] = pixels[top:bottom, left:right, sample]
            return
        undo_differences(pixels[top:bottom, left:right, 0], out)
        if left:
            add_sums(pixels[top:bottom, :left, 0], out)

    def restored(self, scratch: Scratch) -> Pixels:
        """All pixels, shape (rows, tile width, samples); in a tile that is kept they are at hand from now on."""
        pixels, differences = self._held
        if not differences:
            return pixels
        if not self._kept:
            return undo_differences(pixels, _room(scratch, pixels))
        # Into new memory: other threads may be taking pixels out of the old.
        pixels = undo_differences(pixels, np.empty(pixels.shape, pixels.dtype))
        self._held = pixels, False
        return pixels


def _room(scratch: Scratch, stored: Pixels) -> Pixels:
    return scratch.restored(stored.nbytes).view(stored.dtype).reshape(stored.shape)


def _is_plain(level: Level) -> bool:
    """Whether nothing but horizontal differences stands between the inflated bytes and the pixels."""
    return (
        level.predictor == HORIZONTAL
        and level.tile_shape[2] == 1
        and not level.stored
        and level.ycbcr is None
        and not (level.big_endian and np.dtype(level.dtype).itemsize > 1)
    )
