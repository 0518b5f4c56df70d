"""Which tiles lie under a window."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rasterflight_server.types import Level, Window


class TileBlock(NamedTuple):
    """A rectangle of the tile grid, half-open."""

    row_start: int
    row_stop: int
    col_start: int
    col_stop: int

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return (self.row_stop - self.row_start) * (self.col_stop - self.col_start)


def tiles_under(level: Level, window: Window) -> TileBlock:
    """Tiles that a window (which lies inside the level) has pixels of."""
    return TileBlock(
        window.row_off // level.tile_height,
        -(-(window.row_off + window.height) // level.tile_height),
        window.col_off // level.tile_width,
        -(-(window.col_off + window.width) // level.tile_width),
    )


def coverage(level: Level, windows: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """How many of the windows have pixels of each tile.

    Parameters
    ----------
    windows
        Shape (n, 4): col_off, row_off, width, height, each inside the level and not empty.

    Returns
    -------
    ndarray
        Shape (tiles down, tiles across).
    """
    col, row, width, height = windows.T
    top, bottom = row // level.tile_height, -(-(row + height) // level.tile_height)
    left, right = col // level.tile_width, -(-(col + width) // level.tile_width)
    # A window adds 1 to a rectangle of tiles: mark its corners, then sum up along both axes.
    corners = np.zeros((level.tiles_down + 1, level.tiles_across + 1), dtype=np.int32)
    np.add.at(corners, (top, left), 1)
    np.add.at(corners, (bottom, right), 1)
    np.add.at(corners, (top, right), -1)
    np.add.at(corners, (bottom, left), -1)
    counts: npt.NDArray[np.int32] = corners.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)[:-1, :-1]
    return counts
