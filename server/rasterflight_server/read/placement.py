"""From the pixels of one tile to where they go."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rasterflight_server.read.samples import Pixels
from rasterflight_server.read.scratch import Scratch
from rasterflight_server.read.tile import Tile

Ints = npt.NDArray[np.int64]

__all__ = ["Pick", "Pixels", "Placement"]


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

    @property
    def rows(self) -> int:
        """Rows of the tile that are needed, from its first on."""
        return int(self.source[:, 1].max())

    def copy(self, tile: Tile, scratch: Scratch) -> None:
        """Write the parts of a decoded tile."""
        if len(self.source) == 1:
            [target] = self.targets()
            tile.take(self.source[0].tolist(), self.sample, target)
            return
        layer = tile.restored(scratch)[:, :, self.sample]
        for (top, bottom, left, right), target in zip(self.source.tolist(), self.targets(), strict=True):
            target[...] = layer[top:bottom, left:right]


@dataclass(frozen=True, slots=True)
class Pick:
    """Single pixels of a tile and where they go."""

    #: Row and column of each inside the tile.
    source_rows: Ints
    source_cols: Ints
    #: Where each goes.
    positions: Ints
    #: Sample inside the tile, and the one-dimensional array that takes its pixels.
    outs: Sequence[tuple[int, Pixels]]

    @property
    def rows(self) -> int:
        """Rows of the tile that are needed, from its first on."""
        return int(self.source_rows.max()) + 1

    def copy(self, tile: Tile, scratch: Scratch) -> None:
        """Write the pixels of a decoded tile."""
        pixels = tile.restored(scratch)
        for sample, out in self.outs:
            out[self.positions] = pixels[self.source_rows, self.source_cols, sample]
