"""Work in terms of tiles, for readers that know nothing else: which are needed, and the result from them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from affine import Affine
from rasterio.enums import Resampling
from rasterio.features import geometry_mask
from rasterio.warp import reproject, transform_bounds

from benchmarks.scenarios import Grid, Item, Points, Polygons, Windows, Work, epsg_of, origin_of, side_of
from benchmarks.scenes import NODATA, PIXEL

#: (row, column) of a tile to its pixels.
Tiles = dict[tuple[int, int], np.ndarray]
#: First row, end of rows, first column, end of columns.
Extent = tuple[int, int, int, int]


class TileWork:
    """The work on files whose tiles are squares of ``tile`` pixels."""

    def __init__(self, work: Work, tile: int) -> None:
        self._work = work
        self._tile = tile

    def needed(self, item: Item) -> list[tuple[int, int]]:
        """The tiles of a file that the work needs, (row, column)."""
        size = self._tile
        if isinstance(self._work.area, Points):
            return [(row, col) for row, col in np.unique(self._pixels(item) // size, axis=0).tolist()]
        return sorted(
            {
                (row, col)
                for top, bottom, left, right in self._extents(item)
                for row in range(top // size, (bottom - 1) // size + 1)
                for col in range(left // size, (right - 1) // size + 1)
            }
        )

    def result(self, files: Sequence[Tiles]) -> Any:
        """The result of the work; a dict for each of its files. ``canonical`` brings it into the common form."""
        match self._work.area:
            case Windows():
                return [[self._cut(tiles, extent) for extent in self._extents(self._work.items[0])] for tiles in files]
            case Grid():
                return [self._on_grid(tiles, item) for tiles, item in zip(files, self._work.items, strict=True)]
            case Points():
                return self._at_points(files)
            case Polygons():
                return self._masked(files)

    def canonical(self, result: Any) -> Any:
        records, bands = len(self._work.items), len(self._work.bands)
        match self._work.area:
            case Windows():
                pixels = np.array(result)
                return pixels.reshape(records, bands, *pixels.shape[1:]).swapaxes(1, 2)
            case Polygons(rings):
                return [
                    result[record * bands + band][number]
                    for record in range(records)
                    for number in range(len(rings))
                    for band in range(bands)
                ]
        return np.array(result)

    def _extents(self, item: Item) -> list[Extent]:
        x, y = origin_of(item)
        match self._work.area:
            case Windows(windows):
                return [(row, row + height, col, col + width) for col, row, width, height in windows]
            case Grid(epsg, west, north, side):
                bounds = (west, north - side * PIXEL, west + side * PIXEL, north)
                if epsg_of(item) == epsg:
                    return [_extent(bounds, x, y, side_of(item))]
                bounds = transform_bounds(f"EPSG:{epsg}", f"EPSG:{epsg_of(item)}", *bounds)
                return [_extent(bounds, x, y, side_of(item), margin=2)]
            case Polygons(rings):
                return [_extent((*ring.min(0), *ring.max(0)), x, y, side_of(item)) for ring in rings]
        raise AssertionError

    def _cut(self, tiles: Tiles, extent: Extent) -> np.ndarray:
        top, bottom, left, right = extent
        size = self._tile
        pixels = np.empty((bottom - top, right - left), np.uint16)
        for row in range(top // size, (bottom - 1) // size + 1):
            rows = slice(max(top, row * size), min(bottom, (row + 1) * size))
            for col in range(left // size, (right - 1) // size + 1):
                cols = slice(max(left, col * size), min(right, (col + 1) * size))
                tile = tiles[row, col]
                pixels[_moved(rows, top), _moved(cols, left)] = tile[_moved(rows, row * size), _moved(cols, col * size)]
        return pixels

    def _on_grid(self, tiles: Tiles, item: Item) -> np.ndarray:
        grid = self._work.area
        assert isinstance(grid, Grid)
        [extent] = self._extents(item)
        pixels = self._cut(tiles, extent)
        if epsg_of(item) == grid.epsg:
            return pixels
        x, y = origin_of(item)
        target = np.zeros((grid.side, grid.side), np.uint16)
        reproject(
            pixels, target, resampling=Resampling.nearest,
            src_crs=f"EPSG:{epsg_of(item)}", src_nodata=NODATA,
            src_transform=Affine(PIXEL, 0, x + extent[2] * PIXEL, 0, -PIXEL, y - extent[0] * PIXEL),
            dst_crs=f"EPSG:{grid.epsg}", dst_nodata=NODATA,
            dst_transform=Affine(PIXEL, 0, grid.x, 0, -PIXEL, grid.y),
        )  # fmt: skip
        return target

    def _pixels(self, item: Item) -> np.ndarray:
        """Row and column of each point."""
        assert isinstance(self._work.area, Points)
        x, y = origin_of(item)
        cols, rows = ((self._work.area.xy - (x, y)) / (PIXEL, -PIXEL)).T
        return np.floor(np.column_stack([rows, cols])).astype(int)

    def _at_points(self, files: Sequence[Tiles]) -> list[np.ndarray]:
        pixels = self._pixels(self._work.items[0])  # points are read from records of one grid
        kinds, which = np.unique(pixels // self._tile, axis=0, return_inverse=True)
        order = np.argsort(which, kind="stable")
        groups = np.split(order, np.cumsum(np.bincount(which))[:-1])
        rows, cols = (pixels % self._tile).T
        found = []
        for tiles in files:
            values = np.empty(len(pixels), np.uint16)
            for (row, col), at in zip(kinds.tolist(), groups, strict=True):
                values[at] = tiles[row, col][rows[at], cols[at]]
            found.append(values)
        return found

    def _masked(self, files: Sequence[Tiles]) -> list[list[np.ndarray]]:
        assert isinstance(self._work.area, Polygons)
        x, y = origin_of(self._work.items[0])
        cuts = []
        for ring, extent in zip(self._work.area.rings, self._extents(self._work.items[0]), strict=True):
            top, bottom, left, right = extent
            transform = Affine(PIXEL, 0, x + left * PIXEL, 0, -PIXEL, y - top * PIXEL)
            shape = {"type": "Polygon", "coordinates": [[*ring.tolist(), ring[0].tolist()]]}
            cuts.append((extent, geometry_mask([shape], (bottom - top, right - left), transform)))
        found = []
        for tiles in files:
            patches = []
            for extent, outside in cuts:
                patch = self._cut(tiles, extent)
                patch[outside] = 0
                patches.append(patch)
            found.append(patches)
        return found


def _extent(bounds: Sequence[float], x: float, y: float, side: int, margin: int = 0) -> Extent:
    west, south, east, north = bounds
    return (
        max(0, int(np.floor((y - north) / PIXEL)) - margin),
        min(side, int(np.ceil((y - south) / PIXEL)) + margin),
        max(0, int(np.floor((west - x) / PIXEL)) - margin),
        min(side, int(np.ceil((east - x) / PIXEL)) + margin),
    )


def _moved(span: slice, start: int) -> slice:
    return slice(span.start - start, span.stop - start)
