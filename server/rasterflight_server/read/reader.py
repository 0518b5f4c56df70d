"""The read engine: pieces of rasters in, pixels out; each tile fetched and decoded once.

A reader belongs to one stream and to the thread that drives it. The work is done by the shared ``Workers``.

Pieces are started in groups, one for each batch of rows. Within one call each tile is read once, whichever groups it is for.
A tile that later calls will ask for too is held in the cache until its last use. Only where more tiles would have to be held than there
is room for, a tile is read again; it is for the caller to start together what shares so many.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rasterflight_server.errors import SourceError
from rasterflight_server.read.cache import TileKey
from rasterflight_server.read.jobs import TileTask
from rasterflight_server.read.outcome import Outcome
from rasterflight_server.read.placement import Pixels, Placement
from rasterflight_server.read.tiling import Parts, cut_along_tiles
from rasterflight_server.read.workers import Workers
from rasterflight_server.telemetry import Meter
from rasterflight_server.types import Asset, TileRanges

#: Decoded tiles that wait for their next use are held up to this many bytes per stream; beyond it
#: a tile that is needed again is read again, so that memory stays bounded.
RETAINED_BYTES = 256 << 20

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Windows of some samples of one asset, and the arrays that they fill."""

    record_id: str
    asset: Asset
    #: As ``Profile.level`` counts; the windows are on that level's pixels.
    level: int
    #: Shape (n, 4): col_off, row_off, width, height.
    windows: Ints
    #: Each sample, and the pixels of all windows, one after the other: one dimension, native byte order.
    samples: Sequence[tuple[int, Pixels]]
    #: What a tile that is not stored, or not wanted, holds.
    fill: Any
    #: Which parts of the windows are wanted, in the order of `cut_along_tiles`; None: all.
    wanted: npt.NDArray[np.bool_] | None = None


class Failure(NamedTuple):
    """Some windows of a piece that could not be read."""

    #: Index of the piece in its group.
    piece: int
    windows: Ints
    error: SourceError


class _Use(NamedTuple):
    """What a piece needs of a tile."""

    #: Index of the piece in its group.
    piece: int
    tile: int
    windows: Ints
    placement: Placement
    fill: Any


@dataclass(slots=True)
class _Ahead:
    """What a reader was told about one level of a file, for each of its tiles."""

    #: Parts of pieces that are still to be started.
    uses: npt.NDArray[np.int64]
    #: Rows that these need, from the first of the tile on.
    rows: npt.NDArray[np.int64]


#: A group of pieces on its way; what failed of it are uses.
Pending = Outcome


class Reader:
    """Reads pieces, some groups at a time, with the groups overlapping.

    Parameters
    ----------
    workers
        Who fetches and decodes.
    keep
        Whether tiles are kept for other readers.
    meter
        Counts what is read; that of the workers if None.
    """

    def __init__(self, workers: Workers, *, keep: bool = True, meter: Meter | None = None) -> None:
        self.meter = workers.meter if meter is None else meter
        self._workers = workers
        self._keep = keep
        self._ahead: dict[tuple[str, int], _Ahead] = {}
        self._held: dict[TileKey, int] = {}
        #: Bytes of decoded tiles that wait for their next use.
        self.retained_bytes = 0

    def expect(self, asset: Asset, level: int, samples: Sequence[int], windows: Ints) -> None:
        """Announce the pieces of an asset that will be started, so that tiles with several uses are held.

        Parameters
        ----------
        samples
            Samples of which pieces will be asked.
        windows
            Shape (n, 4), one row for each window of one sample.
        """
        shape = asset.profile.level(level)
        parts = cut_along_tiles(shape, windows)
        tiles = shape.tiles_down * shape.tiles_across
        uses = np.bincount(parts.tile, minlength=tiles)
        rows = np.zeros(tiles, np.int64)
        np.maximum.at(rows, parts.tile, parts.row_stop)
        planes = [samples.count(plane) for plane in range(shape.planes)] if shape.planar_separate else [len(samples)]
        uses = np.concatenate([uses * times for times in planes])
        rows = np.tile(rows, shape.planes)
        known = self._ahead.setdefault((asset.href, level), _Ahead(np.zeros_like(uses), np.zeros_like(rows)))
        known.uses += uses
        np.maximum(known.rows, rows, out=known.rows)

    def start(self, groups: Sequence[Sequence[Piece]]) -> list[Pending]:
        """Begin to fill the arrays of some groups of pieces; tiles that are not stored are filled at once."""
        pendings = [Pending() for _ in groups]
        sources: dict[tuple[str, int], tuple[Piece, dict[int, list[tuple[Pending, _Use]]]]] = {}
        for pending, pieces in zip(pendings, groups, strict=True):
            for index, piece in enumerate(pieces):
                source = sources.setdefault((piece.asset.href, piece.level), (piece, defaultdict(list)))
                for tile, windows, placement in self._wanted_parts(piece):
                    source[1][tile].append((pending, _Use(index, tile, windows, placement, piece.fill)))
        for piece, uses in sources.values():
            self._submit(piece, uses)
        return pendings

    def wait(self, pending: Pending, check: Callable[[], None], *, hasty: bool = False) -> list[Failure]:
        """Complete a group of pieces.

        Parameters
        ----------
        check
            Called now and then while waiting; raises to give up.
        hasty
            Leave the group incomplete when a store does not answer.
        """
        pending.wait(check, hasty=hasty)
        # In an order that does not depend on which thread was faster.
        failures = sorted(pending.failures, key=lambda failure: failure[0][:2])
        return [Failure(use.piece, use.windows, error) for use, error in failures]

    def close(self) -> None:
        """Give up what has not begun; what runs ends by itself and is forgotten."""
        self._workers.drop(self)
        for key in self._held:
            self._workers.cache.let_go(key)
        self._held.clear()
        self._ahead.clear()

    def _submit(self, piece: Piece, uses: Mapping[int, Sequence[tuple[Pending, _Use]]]) -> None:
        """Start to read tiles of one level of a file."""
        ranges = piece.asset.tile_ranges(piece.level)
        ahead = self._ahead.get((piece.asset.href, piece.level))
        tasks = []
        for tile, of_tile in uses.items():
            if ranges.counts[tile]:
                tasks.append(self._task(piece, tile, ranges, of_tile))
            else:
                for _, use in of_tile:
                    use.placement.fill(use.fill)
            if ahead is not None:
                ahead.uses[tile] -= sum(len(use.placement) for _, use in of_tile)
        for task in tasks:
            if ahead is not None and ahead.uses[task.tile] > 0:
                self._hold(task)
        if tasks:
            self._workers.submit(tasks)
        for tile in uses:
            self._let_go_of_used(piece, tile)
        if ahead is not None and not ahead.uses.any():
            del self._ahead[piece.asset.href, piece.level]

    def _task(self, piece: Piece, tile: int, ranges: TileRanges, uses: Sequence[tuple[Pending, _Use]]) -> TileTask:
        for pending, _ in uses:
            pending.begin()

        def done(error: BaseException | None) -> None:
            for pending, use in uses:
                pending.end(use, error)

        ahead = self._ahead.get((piece.asset.href, piece.level))
        rows = max(use.placement.rows for _, use in uses) if ahead is None else int(ahead.rows[tile])
        return TileTask(
            owner=self,
            record_id=piece.record_id,
            asset=piece.asset,
            number=piece.level,
            tile=tile,
            offset=int(ranges.offsets[tile]),
            length=int(ranges.counts[tile]),
            copies=[use.placement for _, use in uses],
            rows=rows,
            keep=self._keep,
            done=done,
            retry=self._workers.retry,
        )

    def _hold(self, task: TileTask) -> None:
        """Hold a tile that will be needed again, if there is room."""
        nbytes = task.level.tile_nbytes
        if task.key in self._held or self.retained_bytes + nbytes > RETAINED_BYTES:
            return
        if self._workers.cache.hold(task.key, nbytes):
            self._held[task.key] = nbytes
            self.retained_bytes += nbytes

    def _let_go_of_used(self, piece: Piece, tile: int) -> None:
        """Let a tile go when its last use has begun."""
        ahead = self._ahead.get((piece.asset.href, piece.level))
        if ahead is not None and ahead.uses[tile] <= 0:
            key = TileKey.of(piece.asset, piece.level, tile)
            nbytes = self._held.pop(key, None)
            if nbytes is not None:
                self.retained_bytes -= nbytes
                self._workers.cache.let_go(key)

    def _wanted_parts(self, piece: Piece) -> Iterator[tuple[int, Ints, Placement]]:
        """What a piece needs of each tile, and by which windows; the parts that it does not want are filled."""
        parts = cut_along_tiles(piece.asset.profile.level(piece.level), piece.windows)
        if piece.wanted is not None:
            ahead = self._ahead.get((piece.asset.href, piece.level))
            for tile, _, placement in _by_tile(piece, parts.where(~piece.wanted)):
                placement.fill(piece.fill)
                if ahead is not None:
                    ahead.uses[tile] -= len(placement)
                    self._let_go_of_used(piece, tile)
            parts = parts.where(piece.wanted)
        yield from _by_tile(piece, parts)


def _by_tile(piece: Piece, parts: Parts) -> Iterator[tuple[int, Ints, Placement]]:
    """Parts of the windows of a piece, tile by tile and sample by sample."""
    level = piece.asset.profile.level(piece.level)
    order = np.argsort(parts.tile, kind="stable")
    window, tile, *source, into_row, into_col = parts.where(order)
    width, height = piece.windows[:, 2], piece.windows[:, 3]
    first = np.cumsum(width * height) - width * height
    sources = np.stack(source, axis=1)
    targets = np.stack([first[window], height[window], width[window], into_row, into_col], axis=1)
    edges = np.flatnonzero(np.diff(tile, prepend=-1, append=-1))
    for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        for sample, out in piece.samples:
            plane, layer = (sample, 0) if level.planar_separate else (0, sample)
            number = plane * level.tiles_down * level.tiles_across + int(tile[begin])
            placement = Placement(sources[begin:end], targets[begin:end], layer, out)
            yield number, window[begin:end], placement
