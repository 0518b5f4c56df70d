"""The inside of polygons as runs of pixels, equal to ``rasterio.features.geometry_mask``."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rasterflight_server.plan.centres import centre_runs
from rasterflight_server.plan.rings import pixel_edges
from rasterflight_server.plan.stack import Stack
from rasterflight_server.plan.touched import touched_runs

#: Below this mean length of a run, one array operation over all pixels beats a slice for each run.
_SHORT = 64


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """Half-open runs of pixels inside stacked windows, in reading order; they neither overlap nor touch each other.

    Parameters
    ----------
    stack
        The windows.
    lines, starts, stops
        Run ``i`` holds the pixels ``[starts[i], stops[i])`` of line ``lines[i]``.
    """

    stack: Stack
    lines: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int32]
    stops: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self.lines.nbytes + self.starts.nbytes + self.stops.nbytes

    @property
    def count(self) -> int:
        """How many pixels are inside."""
        return int(self.stops.sum(dtype=np.int64) - self.starts.sum(dtype=np.int64))

    def inside(self, first: int = 0, stop: int | None = None) -> npt.NDArray[np.bool_]:
        """Say which pixels are inside, on some lines or on all.

        Returns
        -------
        ndarray
            One dimension: the pixels of the lines ``first`` to ``stop`` (exclusive), in reading order.
        """
        bounds = np.array([first, int(self.stack.lines[-1]) if stop is None else stop])
        begin, end = self.stack.pixel_of(bounds).tolist()
        one, last = np.searchsorted(self.lines, bounds)
        lines = self.lines[one:last]
        offsets = self.stack.pixel_of(lines) - begin
        starts, stops = offsets + self.starts[one:last], offsets + self.stops[one:last]
        size = end - begin
        if size < _SHORT * len(starts):
            edges = np.concatenate(([0], np.stack([starts, stops], axis=1).ravel(), [size]))
            return np.repeat(np.arange(len(edges) - 1) % 2 == 1, np.diff(edges))
        pixels = np.zeros(size, dtype=np.bool_)
        for begin, end in zip(starts.tolist(), stops.tolist(), strict=True):
            pixels[begin:end] = True
        return pixels

    def tiles(
        self, tile_width: int, tile_height: int, windows: npt.NDArray[np.int64], edges: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        """Tell which tiles of a regular grid hold a pixel that is inside.

        Parameters
        ----------
        tile_width, tile_height
            Size of a tile.
        windows
            Shape (n, 4), on the raster that the tiles are counted on: strips of the stacked windows at their full width,
            one below the other.
        edges
            The line that each strip begins with.

        Returns
        -------
        ndarray
            One dimension: the tiles under each strip by row and column, strip after strip.
        """
        col_off, row_off, width, height = windows.T
        top, left = row_off // tile_height, col_off // tile_width
        down = (row_off + height - 1) // tile_height - top + 1
        across = (col_off + width - 1) // tile_width - left + 1
        # A run adds 1 from its first tile to its last one: mark both ends, then sum up along the row of tiles.
        room = down * (across + 1)
        base = np.cumsum(room) - room
        begin, end = np.searchsorted(self.lines, [edges[0], edges[-1] + height[-1]])
        lines = self.lines[begin:end]
        strip = np.searchsorted(edges, lines, side="right") - 1
        row = (lines - edges[strip] + row_off[strip]) // tile_height - top[strip]
        start, stop = self.starts[begin:end] + col_off[strip], self.stops[begin:end] + col_off[strip]
        place = base[strip] + row * (across[strip] + 1)
        size = int(room.sum())
        begun = np.bincount(place + start // tile_width - left[strip], minlength=size)
        ended = np.bincount(place + (stop - 1) // tile_width - left[strip] + 1, minlength=size)
        held: npt.NDArray[np.bool_] = (begun - ended).cumsum() > 0
        # What comes after the last tile of a row of tiles is no tile.
        beyond = np.repeat(across, down).cumsum() + np.arange(int(down.sum()))
        return np.delete(held, beyond)


def polygon_spans(
    geometries: npt.NDArray[np.object_], transforms: npt.NDArray[np.float64], stack: Stack, *, all_touched: bool
) -> Spans:
    """Find the pixels of windows that belong to polygons.

    Parameters
    ----------
    geometries
        Polygons and multipolygons. They need not be valid: rings may cross themselves or each other, and what lies inside
        is decided as GDAL does, by the even-odd rule within each part.
    transforms
        Shape (n, 6), of the window of each: pixel corner (col, row) -> (x, y) in the CRS of the geometries; neither
        rotated nor sheared.
    stack
        The window of each geometry.
    all_touched
        False: pixels whose centre is inside; True: also those that the border passes through.

    Raises
    ------
    RequestError
        BAD_GEOMETRY: a vertex is not finite, or out of all proportion to the grid.
        UNSUPPORTED_LAYOUT: a transform is rotated or sheared.
    """
    edges = pixel_edges(geometries, transforms)
    runs = centre_runs(edges, stack)
    if all_touched:
        runs = runs.join(touched_runs(edges, stack))
    lines, starts, stops = (array.astype(np.int32) for array in runs.union(stack.width))
    return Spans(stack, lines, starts, stops)
