"""Single pixels out of tiles: each tile is fetched and decoded once, however many of the pixels lie in it."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rasterflight_server.read.jobs import Owner, TileTask
from rasterflight_server.read.outcome import Outcome
from rasterflight_server.read.placement import Pick, Pixels
from rasterflight_server.read.workers import Workers
from rasterflight_server.types import Asset, Level

Ints = npt.NDArray[np.int64]


class _Groups(NamedTuple):
    """Pixels sorted by the tile that they lie in."""

    #: Positions of the pixels, tile by tile.
    order: Ints
    #: Of each pixel in that order: row and column inside its tile.
    rows: Ints
    cols: Ints
    #: Of each tile: its row and column in the tile grid, and where its pixels start; one more start at the end.
    tile_rows: Ints
    tile_cols: Ints
    starts: Ints


class PixelSet:
    """Pixels of one grid, by row and column; remembers which tiles they lie in."""

    def __init__(self, rows: Ints, cols: Ints) -> None:
        self.rows, self.cols = rows, cols
        self._groups: dict[tuple[int, int], _Groups] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def by_tile(self, level: Level) -> _Groups:
        """Sort the pixels into the tiles of a level."""
        shape = level.tile_height, level.tile_width
        if shape not in self._groups:
            self._groups[shape] = self._sorted(*shape)
        return self._groups[shape]

    def _sorted(self, tile_height: int, tile_width: int) -> _Groups:
        tile_row, row = np.divmod(self.rows, tile_height)
        tile_col, col = np.divmod(self.cols, tile_width)
        across = int(tile_col.max(initial=0)) + 1
        tile = tile_row * across + tile_col
        order = np.argsort(tile, kind="stable")
        tiles, starts = np.unique(tile[order], return_index=True)
        return _Groups(order, row[order], col[order], tiles // across, tiles % across, np.append(starts, len(order)))


@dataclass(frozen=True, slots=True)
class Gathered:
    """A sample, and the array that takes its pixels."""

    #: One dimension, as long as the set of pixels; native byte order.
    out: Pixels
    #: What pixels of tiles hold that are not stored.
    fill: Any


@dataclass(frozen=True, slots=True)
class Layer:
    """A level of a file, and what is taken of it."""

    asset: Asset
    #: As ``Profile.level`` counts.
    number: int
    #: By sample.
    samples: dict[int, Gathered] = field(default_factory=dict)


def gather(workers: Workers, record_id: str, layer: Layer, pixels: PixelSet, *, owner: Owner, outcome: Outcome) -> None:
    """Begin to take pixels from a level of a file; what is not stored is filled at once.

    Parameters
    ----------
    owner
        Whose turn it takes, and who counts it.
    outcome
        Told of each tile; when it is complete, so are the arrays.
    """
    shape = layer.asset.profile.level(layer.number)
    groups = pixels.by_tile(shape)
    ranges = layer.asset.tile_ranges(layer.number)
    tasks: list[TileTask] = []
    for plane in range(shape.planes):
        outs = [
            (0 if shape.planar_separate else sample, one)
            for sample, one in layer.samples.items()
            if not shape.planar_separate or sample == plane
        ]
        if not outs:
            continue
        tiles = (plane * shape.tiles_down + groups.tile_rows) * shape.tiles_across + groups.tile_cols
        samples = [(sample, one.out) for sample, one in outs]
        offsets, counts = ranges.offsets[tiles].tolist(), ranges.counts[tiles].tolist()
        for number, tile in enumerate(tiles.tolist()):
            part = slice(int(groups.starts[number]), int(groups.starts[number + 1]))
            if counts[number] == 0:
                for _, one in outs:
                    one.out[groups.order[part]] = one.fill
                continue
            pick = Pick(groups.rows[part], groups.cols[part], groups.order[part], samples)
            outcome.begin()
            tasks.append(
                TileTask(
                    owner=owner,
                    record_id=record_id,
                    asset=layer.asset,
                    number=layer.number,
                    tile=tile,
                    offset=offsets[number],
                    length=counts[number],
                    copies=[pick],
                    rows=pick.rows,
                    keep=True,
                    done=partial(outcome.end, tile),
                    retry=workers.retry,
                )
            )
    if tasks:
        workers.submit(tasks)
