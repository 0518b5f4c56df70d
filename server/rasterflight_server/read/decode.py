"""From the stored bytes of one tile to its pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rasterflight_server.read.codecs import inflate
from rasterflight_server.read.samples import HORIZONTAL, Pixels, restore, undo_differences
from rasterflight_server.read.scratch import Bytes, Scratch
from rasterflight_server.types import Level

__all__ = ["Pick", "Pixels", "Placement", "inflate", "pick", "place", "restore"]


@dataclass(frozen=True, slots=True)
class Placement:
    """A part of a tile and where its pixels go."""

    row_start: int
    row_stop: int
    col_start: int
    col_stop: int
    #: Sample inside the tile; 0 when samples are stored in separate planes.
    sample: int
    #: Shape (rows, columns), any strides, native byte order.
    out: Pixels


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


def place(level: Level, data: Bytes, placements: list[Placement], scratch: Scratch) -> None:
    """Write parts of an inflated tile to where they go."""
    if len(placements) == 1 and _place_directly(level, data, placements[0]):
        return
    rows = slice(min(part.row_start for part in placements), max(part.row_stop for part in placements))
    pixels = restore(level, data, rows, scratch)
    for part in placements:
        source = pixels[part.row_start - rows.start : part.row_stop - rows.start, part.col_start : part.col_stop]
        np.copyto(part.out, source[:, :, part.sample])


def _place_directly(level: Level, data: Bytes, part: Placement) -> bool:
    """Undo horizontal differences straight into the destination: predictor and copy in one pass."""
    dtype = np.dtype(level.dtype)
    swapped = level.big_endian and dtype.itemsize > 1
    if level.predictor != HORIZONTAL or level.tile_shape[2] != 1 or part.col_start or swapped or level.stored:
        return False
    stored = data.view(dtype).reshape(-1, level.tile_width)
    undo_differences(stored[part.row_start : part.row_stop, : part.col_stop], part.out)
    return True
