"""The read engine: pieces of rasters in, pixels out; each tile fetched and decoded once.

A reader belongs to one stream and to the thread that drives it. The work is done by the shared ``Workers``.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rasterflight_server.errors import SourceError
from rasterflight_server.read.decode import Pixels, Placement
from rasterflight_server.read.tiling import coverage, tiles_under
from rasterflight_server.read.workers import TileJob, Workers
from rasterflight_server.types import Asset, Window

#: Decoded tiles that wait for their next use are kept up to this many bytes per stream; beyond it
#: a tile that is needed again is read again, so that memory stays bounded.
RETAINED_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Piece:
    """A window of one sample of one asset, and the array that it fills."""

    record_id: str
    asset: Asset
    #: As ``Profile.level`` counts; the window is on that level's pixels.
    level: int
    sample: int
    window: Window
    #: Shape (window.height, window.width), native byte order.
    out: Pixels
    #: What a tile that is not stored, or not wanted, holds.
    fill: Any
    #: Which of the tiles under the window are wanted, shape (tile rows, tile columns); None: all.
    wanted: npt.NDArray[np.bool_] | None = None


class TileKey(NamedTuple):
    """One tile of one plane of one file."""

    href: str
    level: int
    tile: int


@dataclass(slots=True)
class _Retained:
    """A decoded tile that more pieces than those started so far will ask for."""

    future: Future[Pixels]
    nbytes: int
    #: Copies that will be made of it, started or not.
    uses_left: int


@dataclass(slots=True)
class Pending:
    """Pieces on their way."""

    #: Jobs that write into the pieces' arrays, with the indexes of those pieces.
    jobs: list[tuple[Future[None], list[int]]] = field(default_factory=list)
    #: Parts that are copied from retained tiles, with the index of their piece.
    copies: list[tuple[TileKey, Placement, int]] = field(default_factory=list)

    def futures(self, retained: dict[TileKey, _Retained]) -> Iterable[Future[Any]]:
        """All that must be done before the pieces are complete."""
        yield from (future for future, _ in self.jobs)
        yield from (retained[key].future for key, _, _ in self.copies)


class Reader:
    """Reads pieces, a group at a time, with the groups overlapping.

    Parameters
    ----------
    workers
        Who fetches and decodes.
    """

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._uses: dict[tuple[str, int], npt.NDArray[np.int32]] = {}
        self._retained: dict[TileKey, _Retained] = {}
        self._retained_bytes = 0
        self._futures: set[Future[Any]] = set()

    def expect(self, asset: Asset, level: int, samples: Sequence[int], windows: npt.NDArray[np.int64]) -> None:
        """Announce the pieces of an asset that will be started, so that tiles with several uses are kept.

        Parameters
        ----------
        samples
            Samples of which pieces will be asked.
        windows
            Shape (n, 4), one row for each piece of one sample.
        """
        shape = asset.profile.level(level)
        covered = coverage(shape, windows).reshape(-1)
        planes = [samples.count(plane) for plane in range(shape.planes)] if shape.planar_separate else [len(samples)]
        uses = np.concatenate([covered * times for times in planes])
        key = asset.href, level
        self._uses[key] = self._uses[key] + uses if key in self._uses else uses

    def start(self, pieces: Sequence[Piece]) -> Pending:
        """Begin to fill the arrays of some pieces; tiles that are not stored are filled at once."""
        pending = Pending()
        parts: dict[TileKey, list[tuple[Placement, int]]] = defaultdict(list)
        examples: dict[tuple[str, int], Piece] = {}
        for index, piece in enumerate(pieces):
            examples.setdefault((piece.asset.href, piece.level), piece)
            for key, placement, wanted in _parts(piece):
                if wanted:
                    parts[key].append((placement, index))
                else:
                    placement.out[...] = piece.fill
                    self._pass_over(key)
        jobs: dict[tuple[str, int], list[TileJob]] = defaultdict(list)
        for key, placements in parts.items():
            job = self._assign(key, placements, examples[key.href, key.level], pending)
            if job is not None:
                jobs[key.href, key.level].append(job)
        for source, tiles in jobs.items():
            self._submit(examples[source], tiles, pending, parts)
        for counted in {(key.href, key.level) for key in parts}:
            if counted in self._uses and not self._uses[counted].any():
                del self._uses[counted]
        return pending

    def wait(self, pending: Pending, check: Callable[[], None]) -> dict[int, SourceError]:
        """Complete the pieces.

        Parameters
        ----------
        check
            Called now and then while waiting; raises to give up.

        Returns
        -------
        dict
            Index of each piece that could not be read -> why.
        """
        failed: dict[int, SourceError] = {}
        self._workers.wait(list(pending.futures(self._retained)), check)
        for future, indexes in pending.jobs:
            self._futures.discard(future)
            error = _error(future)
            if error is not None:
                failed.update(dict.fromkeys(indexes, error))
        for key, part, index in pending.copies:
            tile = self._retained[key]
            error = _error(tile.future)
            if error is not None:
                failed[index] = error
            else:
                pixels = tile.future.result()
                np.copyto(part.out, pixels[part.row_start : part.row_stop, part.col_start : part.col_stop, part.sample])
            self._used(key, tile)
        return failed

    def close(self) -> None:
        """Give up what has not begun; what runs ends by itself and is forgotten."""
        for future in self._futures:
            future.cancel()
        for tile in self._retained.values():
            tile.future.cancel()
        self._retained.clear()
        self._futures.clear()

    def _assign(
        self, key: TileKey, placements: list[tuple[Placement, int]], piece: Piece, pending: Pending
    ) -> TileJob | None:
        """Decide how a tile is read: straight into the pieces, or kept for pieces to come; None: it is at hand."""
        level = piece.asset.profile.level(key.level)
        uses_left = self._count_down(key, len(placements))
        kept = self._retained.get(key)
        if kept is None:
            ranges = piece.asset.tile_ranges(key.level)
            offset, length = int(ranges.offsets[key.tile]), int(ranges.counts[key.tile])
            if length == 0:
                for part, _ in placements:
                    part.out[...] = piece.fill
                return None
            if not uses_left or self._retained_bytes + level.tile_nbytes > RETAINED_BYTES:
                return TileJob(level, key.tile, offset, length, [part for part, _ in placements], None)
            kept = _Retained(Future(), level.tile_nbytes, uses_left + len(placements))
            self._retained[key] = kept
            self._retained_bytes += level.tile_nbytes
            job = TileJob(level, key.tile, offset, length, [], kept.future)
        else:
            job = None
        pending.copies.extend((key, part, index) for part, index in placements)
        return job

    def _pass_over(self, key: TileKey) -> None:
        """A use that was announced does not take place."""
        self._count_down(key, 1)
        if key in self._retained:
            self._used(key, self._retained[key])

    def _count_down(self, key: TileKey, uses: int) -> int:
        counts = self._uses.get((key.href, key.level))
        if counts is None:
            return 0
        counts[key.tile] -= uses
        return int(counts[key.tile])

    def _used(self, key: TileKey, tile: _Retained) -> None:
        tile.uses_left -= 1
        if tile.uses_left <= 0:
            self._retained_bytes -= tile.nbytes
            del self._retained[key]

    def _submit(
        self,
        piece: Piece,
        tiles: list[TileJob],
        pending: Pending,
        parts: dict[TileKey, list[tuple[Placement, int]]],
    ) -> None:
        level = piece.level
        for group, future in self._workers.submit(piece.record_id, piece.asset, tiles):
            self._futures.add(future)
            indexes = {
                index
                for tile in group
                if tile.keep is None
                for _, index in parts[TileKey(piece.asset.href, level, tile.tile)]
            }
            pending.jobs.append((future, sorted(indexes)))


def _parts(piece: Piece) -> Iterable[tuple[TileKey, Placement, bool]]:
    """Cut a piece along the tile grid; say of each part whether it is wanted."""
    level = piece.asset.profile.level(piece.level)
    window = piece.window
    plane, sample = (piece.sample, 0) if level.planar_separate else (0, piece.sample)
    block = tiles_under(level, window)
    first = plane * level.tiles_down * level.tiles_across
    for tile_row in range(block.row_start, block.row_stop):
        rows = _overlap(tile_row, level.tile_height, window.row_off, window.height)
        for tile_col in range(block.col_start, block.col_stop):
            cols = _overlap(tile_col, level.tile_width, window.col_off, window.width)
            placement = Placement(
                rows.start, rows.stop, cols.start, cols.stop, sample, piece.out[_shift(rows), _shift(cols)]
            )
            tile = first + tile_row * level.tiles_across + tile_col
            wanted = piece.wanted is None or piece.wanted[tile_row - block.row_start, tile_col - block.col_start]
            yield TileKey(piece.asset.href, piece.level, tile), placement, bool(wanted)


class _Overlap(NamedTuple):
    """Common pixels of a tile and a window along one axis: in the tile (start, stop), and where they begin in the window."""

    start: int
    stop: int
    into: int


def _overlap(tile: int, size: int, off: int, length: int) -> _Overlap:
    origin = tile * size
    start, stop = max(origin, off), min(origin + size, off + length)
    return _Overlap(start - origin, stop - origin, start - off)


def _shift(overlap: _Overlap) -> slice:
    return slice(overlap.into, overlap.into + overlap.stop - overlap.start)


def _error(future: Future[Any]) -> SourceError | None:
    error = future.exception()
    if error is None or isinstance(error, SourceError):
        return error
    raise error
