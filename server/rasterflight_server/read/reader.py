"""The read engine: pieces of rasters in, pixels out; each tile fetched and decoded once.

A reader belongs to one stream and to the thread that drives it. The work is done by the shared ``Workers``.

Pieces are started in groups, one for each batch of rows. Within one call each tile is read once, whichever groups it is for.
A tile that later calls will ask for too is kept, decoded, until its last use. Only where more tiles would have to be kept
than ``RETAINED_BYTES`` allows, a tile is read again; it is for the caller to start together what shares so many.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rasterflight_server.errors import SourceError
from rasterflight_server.read.decode import Pixels, Placement
from rasterflight_server.read.tiling import Parts, coverage, cut_along_tiles
from rasterflight_server.read.workers import TileJob, Workers
from rasterflight_server.types import Asset

#: Decoded tiles that wait for their next use are kept up to this many bytes per stream; beyond it
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


class TileKey(NamedTuple):
    """One tile of one plane of one file."""

    href: str
    level: int
    tile: int


class Failure(NamedTuple):
    """Some windows of a piece that could not be read."""

    #: Index of the piece in its group.
    piece: int
    windows: Ints
    error: SourceError


@dataclass(slots=True)
class _Retained:
    """A decoded tile that more parts than those started so far will ask for."""

    future: Future[Pixels]
    nbytes: int
    #: Parts that will be copied from it, started or not.
    uses_left: int


class _Use(NamedTuple):
    """What a piece needs of a tile."""

    #: Index of the piece in its group.
    piece: int
    windows: Ints
    placement: Placement
    fill: Any


@dataclass(slots=True)
class Pending:
    """A group of pieces on its way."""

    #: Jobs that write into the pieces' arrays, and what they write.
    jobs: list[tuple[Future[None], _Use]] = field(default_factory=list)
    #: What is copied from retained tiles.
    copies: list[tuple[TileKey, _Use]] = field(default_factory=list)

    def futures(self, retained: dict[TileKey, _Retained]) -> set[Future[Any]]:
        """All that must be done before the pieces are complete."""
        return {future for future, _ in self.jobs} | {retained[key].future for key, _ in self.copies}


class Reader:
    """Reads pieces, some groups at a time, with the groups overlapping.

    Parameters
    ----------
    workers
        Who fetches and decodes.
    """

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._uses: dict[tuple[str, int], npt.NDArray[np.int32]] = {}
        self._retained: dict[TileKey, _Retained] = {}
        #: Bytes of decoded tiles that wait for their next use.
        self.retained_bytes = 0
        self._futures: set[Future[Any]] = set()

    def expect(self, asset: Asset, level: int, samples: Sequence[int], windows: Ints) -> None:
        """Announce the pieces of an asset that will be started, so that tiles with several uses are kept.

        Parameters
        ----------
        samples
            Samples of which pieces will be asked.
        windows
            Shape (n, 4), one row for each window of one sample.
        """
        shape = asset.profile.level(level)
        covered = coverage(shape, windows).reshape(-1)
        planes = [samples.count(plane) for plane in range(shape.planes)] if shape.planar_separate else [len(samples)]
        uses = np.concatenate([covered * times for times in planes])
        key = asset.href, level
        self._uses[key] = self._uses[key] + uses if key in self._uses else uses

    def start(self, groups: Sequence[Sequence[Piece]]) -> list[Pending]:
        """Begin to fill the arrays of some groups of pieces; tiles that are not stored are filled at once."""
        pendings = [Pending() for _ in groups]
        uses: dict[TileKey, list[tuple[Pending, _Use]]] = defaultdict(list)
        examples: dict[tuple[str, int], Piece] = {}
        for pending, pieces in zip(pendings, groups, strict=True):
            for index, piece in enumerate(pieces):
                examples.setdefault((piece.asset.href, piece.level), piece)
                for key, windows, placement in self._wanted_parts(piece):
                    uses[key].append((pending, _Use(index, windows, placement, piece.fill)))
        jobs: dict[tuple[str, int], list[TileJob]] = defaultdict(list)
        for key, of_tile in uses.items():
            job = self._assign(key, of_tile, examples[key.href, key.level])
            if job is not None:
                jobs[key.href, key.level].append(job)
        for source, tiles in jobs.items():
            self._submit(examples[source], tiles, uses)
        for counted in examples:
            if counted in self._uses and not self._uses[counted].any():
                del self._uses[counted]
        return pendings

    def wait(self, pending: Pending, check: Callable[[], None]) -> list[Failure]:
        """Complete a group of pieces.

        Parameters
        ----------
        check
            Called now and then while waiting; raises to give up.
        """
        failed: list[Failure] = []
        futures = pending.futures(self._retained)
        self._workers.wait(list(futures), check)
        self._futures -= futures
        for future, use in pending.jobs:
            error = _error(future)
            if error is not None:
                failed.append(Failure(use.piece, use.windows, error))
        for key, use in pending.copies:
            tile = self._retained[key]
            error = _error(tile.future)
            if error is not None:
                failed.append(Failure(use.piece, use.windows, error))
            else:
                use.placement.copy(tile.future.result())
            self._used(key, len(use.placement))
        return failed

    def close(self) -> None:
        """Give up what has not begun; what runs ends by itself and is forgotten."""
        for future in self._futures:
            future.cancel()
        for tile in self._retained.values():
            tile.future.cancel()
        self._retained.clear()
        self._futures.clear()

    def _wanted_parts(self, piece: Piece) -> Iterator[tuple[TileKey, Ints, Placement]]:
        """What a piece needs of each tile, and by which windows; the parts that it does not want are filled."""
        parts = cut_along_tiles(piece.asset.profile.level(piece.level), piece.windows)
        if piece.wanted is not None:
            for key, _, placement in _by_tile(piece, parts.where(~piece.wanted)):
                placement.fill(piece.fill)
                self._pass_over(key, len(placement))
            parts = parts.where(piece.wanted)
        yield from _by_tile(piece, parts)

    def _assign(self, key: TileKey, uses: Sequence[tuple[Pending, _Use]], piece: Piece) -> TileJob | None:
        """Decide how a tile is read: straight into the pieces, or kept for pieces to come; None: it is at hand."""
        level = piece.asset.profile.level(key.level)
        parts = sum(len(use.placement) for _, use in uses)
        uses_left = self._count_down(key, parts)
        kept = self._retained.get(key)
        if kept is None:
            ranges = piece.asset.tile_ranges(key.level)
            offset, length = int(ranges.offsets[key.tile]), int(ranges.counts[key.tile])
            if length == 0:
                for _, use in uses:
                    use.placement.fill(use.fill)
                return None
            if not uses_left or self.retained_bytes + level.tile_nbytes > RETAINED_BYTES:
                return TileJob(level, key.tile, offset, length, [use.placement for _, use in uses], None)
            kept = _Retained(Future(), level.tile_nbytes, uses_left + parts)
            self._retained[key] = kept
            self.retained_bytes += level.tile_nbytes
            job = TileJob(level, key.tile, offset, length, [], kept.future)
        else:
            job = None
        for pending, use in uses:
            pending.copies.append((key, use))
        return job

    def _pass_over(self, key: TileKey, parts: int) -> None:
        """Uses that were announced do not take place."""
        self._count_down(key, parts)
        if key in self._retained:
            self._used(key, parts)

    def _count_down(self, key: TileKey, parts: int) -> int:
        counts = self._uses.get((key.href, key.level))
        if counts is None:
            return 0
        counts[key.tile] -= parts
        return int(counts[key.tile])

    def _used(self, key: TileKey, parts: int) -> None:
        tile = self._retained[key]
        tile.uses_left -= parts
        if tile.uses_left <= 0:
            self.retained_bytes -= tile.nbytes
            del self._retained[key]

    def _submit(self, piece: Piece, tiles: list[TileJob], uses: dict[TileKey, list[tuple[Pending, _Use]]]) -> None:
        for group, future in self._workers.submit(piece.record_id, piece.asset, tiles):
            self._futures.add(future)
            for tile in group:
                if tile.keep is None:
                    for pending, use in uses[TileKey(piece.asset.href, piece.level, tile.tile)]:
                        pending.jobs.append((future, use))


def _by_tile(piece: Piece, parts: Parts) -> Iterator[tuple[TileKey, Ints, Placement]]:
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
            yield TileKey(piece.asset.href, piece.level, number), window[begin:end], placement


def _error(future: Future[Any]) -> SourceError | None:
    error = future.exception()
    if error is None or isinstance(error, SourceError):
        return error
    raise error
