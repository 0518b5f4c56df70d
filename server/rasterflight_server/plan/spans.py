"""The inside of a polygon as runs of pixels, equal to ``rasterio.features.geometry_mask``."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine

from rasterflight_server.plan.centres import centre_runs
from rasterflight_server.plan.rings import pixel_edges
from rasterflight_server.plan.touched import touched_runs

#: Below this mean length of a run, one array operation over all pixels beats a slice for each run.
_SHORT = 64


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """Half-open runs of pixels inside a window, in reading order; they neither overlap nor touch each other.

    Parameters
    ----------
    width, height
        Size of the window.
    rows, starts, stops
        Run ``i`` holds the pixels ``[starts[i], stops[i])`` of row ``rows[i]``.
    """

    width: int
    height: int
    rows: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int32]
    stops: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def covers_all(self) -> bool:
        """Every pixel of the window is inside."""
        return len(self.rows) == self.height and self.count == self.width * self.height

    @property
    def count(self) -> int:
        """How many pixels are inside."""
        return int(self.stops.sum(dtype=np.int64) - self.starts.sum(dtype=np.int64))

    def mask(self, row_start: int = 0, row_stop: int | None = None) -> npt.NDArray[np.bool_]:
        """Say where a pixel is inside, for some rows of the window or for all.

        Returns
        -------
        ndarray
            Shape ``(row_stop - row_start, width)``.
        """
        row_stop = self.height if row_stop is None else row_stop
        first, last = np.searchsorted(self.rows, [row_start, row_stop])
        offset = (self.rows[first:last].astype(np.int64) - row_start) * self.width
        starts, stops = offset + self.starts[first:last], offset + self.stops[first:last]
        size = (row_stop - row_start) * self.width
        if size < _SHORT * len(starts):
            edges = np.concatenate(([0], np.stack([starts, stops], axis=1).ravel(), [size]))
            pixels = np.repeat(np.arange(len(edges) - 1) % 2 == 1, np.diff(edges))
        else:
            pixels = np.zeros(size, dtype=np.bool_)
            for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
                pixels[start:stop] = True
        return pixels.reshape(row_stop - row_start, self.width)

    def tiles(self, tile_width: int, tile_height: int, col_off: int = 0, row_off: int = 0) -> npt.NDArray[np.bool_]:
        """Tell which tiles of a regular grid hold a pixel that is inside.

        Parameters
        ----------
        tile_width, tile_height
            Size of a tile.
        col_off, row_off
            Where the window lies on the raster that the tiles are counted on.

        Returns
        -------
        ndarray
            Shape (tile rows, tile columns) of the block of tiles under the window; its first tile is the one that holds
            the first pixel of the window.
        """
        down = (row_off + self.height - 1) // tile_height - row_off // tile_height + 1
        across = (col_off + self.width - 1) // tile_width - col_off // tile_width + 1
        row = (self.rows.astype(np.int64) + row_off) // tile_height - row_off // tile_height
        first = (self.starts.astype(np.int64) + col_off) // tile_width - col_off // tile_width
        last = (self.stops.astype(np.int64) + (col_off - 1)) // tile_width - col_off // tile_width
        # A run adds 1 from its first tile to its last one: mark both ends, then sum up along the row of tiles.
        size = down * (across + 1)
        begun = np.bincount(row * (across + 1) + first, minlength=size)
        ended = np.bincount(row * (across + 1) + last + 1, minlength=size)
        held: npt.NDArray[np.bool_] = (begun - ended).reshape(down, across + 1).cumsum(axis=1)[:, :-1] > 0
        return held


def polygon_spans(
    geometry: shapely.Polygon | shapely.MultiPolygon, transform: Affine, width: int, height: int, *, all_touched: bool
) -> Spans:
    """Find the pixels of a window that belong to a polygon.

    Parameters
    ----------
    geometry
        In the CRS of the transform. It need not be valid: rings may cross themselves or each other, and what lies inside
        is decided as GDAL does, by the even-odd rule within each part.
    transform
        Of the window: pixel corner (col, row) -> (x, y); neither rotated nor sheared.
    width, height
        Size of the window.
    all_touched
        False: pixels whose centre is inside; True: also those that the border passes through.

    Raises
    ------
    RequestError
        BAD_GEOMETRY: a vertex is not finite, or out of all proportion to the grid.
        UNSUPPORTED_LAYOUT: the transform is rotated or sheared.
    """
    edges = pixel_edges(geometry, transform)
    runs = centre_runs(edges, width, height)
    if all_touched:
        runs = runs.join(touched_runs(edges, width, height))
    rows, starts, stops = (array.astype(np.int32) for array in runs.union(width))
    return Spans(width, height, rows, starts, stops)
