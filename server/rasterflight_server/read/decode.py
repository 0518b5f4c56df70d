"""From the stored bytes of one tile to its pixels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rasterflight_server.read.codecs import inflate
from rasterflight_server.read.samples import HORIZONTAL, Pixels, restore, undo_differences
from rasterflight_server.read.scratch import Bytes, Scratch
from rasterflight_server.types import Level

Ints = npt.NDArray[np.int64]

__all__ = ["Pick", "Pixels", "Placement", "inflate", "pick", "place", "restore"]


@dataclass(frozen=True, slots=True)
class Placement:
    """Parts of a tile, rectangles of one sample, and where their pixels go.

    A request may have a hundred thousand windows, so the parts are columns here, not objects: row ``i`` of each array is
    one part.
    """

    #: Where in the tile, half-open: row_start, row_stop, col_start, col_stop; shape (n, 4).
    source: Ints
    #: The window that each part belongs to: its first pixel in ``out``, height and width; then row and column where the part
    #: begins in it. Shape (n, 5).
    target: Ints
    #: Sample inside the tile; 0 when samples are stored in separate planes.
    sample: int
    #: Pixels of the windows, one after the other, each in reading order; native byte order.
    out: Pixels

    def __len__(self) -> int:
        return len(self.source)

    def targets(self) -> Iterator[Pixels]:
        """The place of each part, shape (rows, columns)."""
        for (top, bottom, left, right), (first, height, width, row, col) in zip(
            self.source.tolist(), self.target.tolist(), strict=True
        ):
            window = self.out[first : first + height * width].reshape(height, width)
            yield window[row : row + bottom - top, col : col + right - left]

    def fill(self, value: Any) -> None:
        """Write one value to all parts."""
        for target in self.targets():
            target[...] = value

    def copy(self, pixels: Pixels, first_row: int = 0) -> None:
        """Write the parts of a decoded tile.

        Parameters
        ----------
        pixels
            Shape (rows, tile width, samples), from row ``first_row`` of the tile on.
        """
        layer = pixels[:, :, self.sample]
        for (top, bottom, left, right), target in zip(self.source.tolist(), self.targets(), strict=True):
            target[...] = layer[top - first_row : bottom - first_row, left:right]


@dataclass(frozen=True, slots=True)
class Pick:
    """Single pixels of a tile and where they go."""

    #: Row and column of each inside the tile.
    rows: npt.NDArray[np.int64]
    cols: npt.NDArray[np.int64]
    #: Where each goes.
    positions: npt.NDArray[np.int64]
    #: Sample inside the tile, and the one-dimensional array that takes its pixels.
    outs: Sequence[tuple[int, Pixels]]


def pick(level: Level, data: Bytes, wanted: Pick, scratch: Scratch) -> None:
    """Write single pixels of an inflated tile to where they go."""
    first = int(wanted.rows.min())
    pixels = restore(level, data, slice(first, int(wanted.rows.max()) + 1), scratch)
    for sample, out in wanted.outs:
        out[wanted.positions] = pixels[wanted.rows - first, wanted.cols, sample]


def place(level: Level, data: Bytes, placements: Sequence[Placement], scratch: Scratch) -> None:
    """Write parts of an inflated tile to where they go."""
    if len(placements) == 1 and len(placements[0]) == 1 and _place_directly(level, data, placements[0]):
        return
    first = min(int(part.source[:, 0].min()) for part in placements)
    stop = max(int(part.source[:, 1].max()) for part in placements)
    pixels = restore(level, data, slice(first, stop), scratch)
    for part in placements:
        part.copy(pixels, first)


def _place_directly(level: Level, data: Bytes, part: Placement) -> bool:
    """Undo horizontal differences straight into the destination: predictor and copy in one pass."""
    dtype = np.dtype(level.dtype)
    swapped = level.big_endian and dtype.itemsize > 1
    [(top, bottom, left, right)] = part.source.tolist()
    if level.predictor != HORIZONTAL or level.tile_shape[2] != 1 or left or swapped or level.stored:
        return False
    stored = data.view(dtype).reshape(-1, level.tile_width)
    [target] = part.targets()
    undo_differences(stored[top:bottom, :right], target)
    return True
