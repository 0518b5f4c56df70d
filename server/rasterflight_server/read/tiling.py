"""Which tiles lie under windows."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rasterflight_server.types import Level

Ints = npt.NDArray[np.int64]


class TileBlocks(NamedTuple):
    """Rectangles of the tile grid, half-open, one for each window."""

    row_start: Ints
    row_stop: Ints
    col_start: Ints
    col_stop: Ints

    @property
    def across(self) -> Ints:
        """Tiles side by side."""
        return self.col_stop - self.col_start

    @property
    def tiles(self) -> Ints:
        """Number of tiles."""
        return (self.row_stop - self.row_start) * self.across


class Parts(NamedTuple):
    """Windows cut along the tile grid; a row is what one window has of one tile.

    They come window after window, and of each window by row and column of tiles.
    """

    #: Index of the window.
    window: Ints
    #: Number of the tile in its plane.
    tile: Ints
    #: Where in the tile, half-open.
    row_start: Ints
    row_stop: Ints
    col_start: Ints
    col_stop: Ints
    #: Where in the window the part begins.
    into_row: Ints
    into_col: Ints

    def where(self, chosen: npt.NDArray[Any]) -> "Parts":
        """Some of them, by a mask or by indexes."""
        return Parts(*(array[chosen] for array in self))


def tiles_under(level: Level, windows: Ints) -> TileBlocks:
    """Tiles that windows have pixels of.

    Parameters
    ----------
    windows
        Shape (n, 4): col_off, row_off, width, height, each inside the level and not empty.
    """
    col, row, width, height = windows.T
    return TileBlocks(
        row // level.tile_height,
        -(-(row + height) // level.tile_height),
        col // level.tile_width,
        -(-(col + width) // level.tile_width),
    )


def cut_along_tiles(level: Level, windows: Ints) -> Parts:
    """Cut windows along the tile grid; ``windows`` as in `tiles_under`."""
    blocks = tiles_under(level, windows)
    counts = blocks.tiles
    window = np.repeat(np.arange(len(windows)), counts)
    place = np.arange(len(window)) - np.repeat(np.cumsum(counts) - counts, counts)
    row, col = np.divmod(place, blocks.across[window])
    row += blocks.row_start[window]
    col += blocks.col_start[window]
    col_off, row_off, width, height = windows[window].T
    top, left = row * level.tile_height, col * level.tile_width
    first_row, first_col = np.maximum(top, row_off), np.maximum(left, col_off)
    return Parts(
        window,
        row * level.tiles_across + col,
        first_row - top,
        np.minimum(top + level.tile_height, row_off + height) - top,
        first_col - left,
        np.minimum(left + level.tile_width, col_off + width) - left,
        first_row - row_off,
        first_col - col_off,
    )


def coverage(level: Level, windows: Ints) -> npt.NDArray[np.int32]:
    """How many of the windows have pixels of each tile; ``windows`` as in `tiles_under`.

    Returns
    -------
    ndarray
        Shape (tiles down, tiles across).
    """
    top, bottom, left, right = tiles_under(level, windows)
    # A window adds 1 to a rectangle of tiles: mark its corners, then sum up along both axes.
    corners = np.zeros((level.tiles_down + 1, level.tiles_across + 1), dtype=np.int32)
    np.add.at(corners, (top, left), 1)
    np.add.at(corners, (bottom, right), 1)
    np.add.at(corners, (top, right), -1)
    np.add.at(corners, (bottom, left), -1)
    counts: npt.NDArray[np.int32] = corners.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)[:-1, :-1]
    return counts
