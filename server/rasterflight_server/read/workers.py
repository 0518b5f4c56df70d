"""Who fetches and decodes: the threads of the process, shared by all streams."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import numpy as np

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.read.decode import Pick, Pixels, Placement, inflate, pick, place, restore
from rasterflight_server.read.ranges import RangeRequest, TileRange, coalesce
from rasterflight_server.read.scratch import ScratchPool
from rasterflight_server.store import Source, Stores, is_remote
from rasterflight_server.telemetry import Telemetry
from rasterflight_server.types import Asset, Level

#: Requests to remote stores that are under way at the same time.
REMOTE_REQUESTS = 64
#: Local tiles are handed to threads in groups of about this many decoded bytes: a hop costs as much as 20 us of decoding.
_LOCAL_GROUP_BYTES = 1 << 20
#: How often a waiting stream looks whether its caller is still there.
_CHECK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class TileJob:
    """One tile to be read, and where its pixels go."""

    level: Level
    #: Number of the tile in the file.
    tile: int
    offset: int
    length: int
    placements: list[Placement]
    #: Takes the whole tile, shape (rows, columns, samples), when it will be used again; placements are then empty.
    keep: Future[Pixels] | None
    #: Single pixels that are taken instead.
    pick: Pick | None = None


class Workers:
    """Threads that fetch and decode tiles.

    Parameters
    ----------
    telemetry
        Counts requests, bytes and tiles.
    decoders
        Tiles decoded at the same time; the number of CPUs that the process may use if None.
    stores
        Where files are opened; None: without options.
    """

    def __init__(self, telemetry: Telemetry, decoders: int | None = None, stores: Stores | None = None) -> None:
        count = decoders or len(os.sched_getaffinity(0))
        self._telemetry = telemetry
        self._stores = stores or Stores()
        self._scratches = ScratchPool(count)
        self._local = ThreadPoolExecutor(count, thread_name_prefix="decode")
        self._remote = ThreadPoolExecutor(REMOTE_REQUESTS, thread_name_prefix="fetch")

    def submit(
        self, record_id: str, asset: Asset, tiles: Sequence[TileJob]
    ) -> Iterator[tuple[Sequence[TileJob], Future[None]]]:
        """Start to read tiles of one asset, in groups; each group's future ends when its placements are written."""
        by_number = {tile.tile: tile for tile in tiles}
        requests = coalesce([TileRange(tile.offset, tile.length, tile.tile) for tile in tiles])
        if is_remote(asset.href):
            groups, pool = [[request] for request in requests], self._remote
        else:
            groups, pool = _grouped(list(requests), tiles[0].level), self._local
        for group in groups:
            members = [by_number[part.tile] for request in group for part in request.tiles]
            yield members, pool.submit(self._read, record_id, asset, group, by_number)

    def wait(self, futures: Sequence[Future[Any]], check: Callable[[], None]) -> None:
        """Wait until all futures are done, or one failed, calling ``check`` now and then."""
        left: set[Future[Any]] = set(futures)
        while left:
            check()
            done, left = wait(left, timeout=_CHECK_SECONDS, return_when=FIRST_EXCEPTION)
            if any(future.exception() for future in done) and left:
                # The rest is let run to its end: buffers must not be handed on while someone writes into them.
                wait(left)
                return

    def close(self) -> None:
        """Begin no more work."""
        self._local.shutdown(wait=False, cancel_futures=True)
        self._remote.shutdown(wait=False, cancel_futures=True)

    def _read(self, record_id: str, asset: Asset, group: Sequence[RangeRequest], tiles: dict[int, TileJob]) -> None:
        try:
            with self._stores.open(asset.href, asset.identity) as source:
                for request in group:
                    self._read_range(source, request, tiles)
        except SourceError as error:
            located = error.about(record=record_id, asset=asset.key)
            _fail(group, tiles, located)
            raise located from error
        except BaseException as error:
            _fail(group, tiles, error)
            raise

    def _read_range(self, source: Source, request: RangeRequest, tiles: dict[int, TileJob]) -> None:
        data = memoryview(source.read_range(request.offset, request.length))
        self._telemetry.add(requests=1, bytes_fetched=len(data), tiles_decoded=len(request.tiles))
        for part in request.tiles:
            start = part.offset - request.offset
            self._decode(tiles[part.tile], data[start : start + part.length])

    def _decode(self, job: TileJob, raw: memoryview) -> None:
        with self._scratches.take() as scratch:
            try:
                rows = job.level.rows_inside(job.tile)
                data = inflate(job.level, raw, rows, scratch)
                if job.pick is not None:
                    pick(job.level, data, job.pick, scratch)
                elif job.keep is None:
                    place(job.level, data, job.placements, scratch)
                else:
                    whole = restore(job.level, data, slice(0, rows), scratch)
                    # A copy of its own: what restore returns lives in the scratch.
                    _deliver(job.keep, np.array(whole, dtype=job.level.dtype))
            except SourceError as error:
                raise SourceError(
                    ErrorCode.SOURCE_CORRUPT, f"tile {job.tile}: {error.message}", hint=error.hint
                ) from error


def _grouped(requests: list[RangeRequest], level: Level) -> list[list[RangeRequest]]:
    """Requests of about as many tiles as one thread should take at once."""
    share = max(1, _LOCAL_GROUP_BYTES // level.tile_nbytes)
    single = [RangeRequest([tile]) for request in requests for tile in request.tiles]
    return [single[start : start + share] for start in range(0, len(single), share)]


def _deliver(future: Future[Pixels], pixels: Pixels) -> None:
    if future.set_running_or_notify_cancel():
        future.set_result(pixels)


def _fail(group: Sequence[RangeRequest], tiles: dict[int, TileJob], error: BaseException) -> None:
    """Tell those who wait for kept tiles that these will not come."""
    for request in group:
        for part in request.tiles:
            keep = tiles[part.tile].keep
            if keep is not None and not keep.done() and keep.set_running_or_notify_cancel():
                keep.set_exception(error)
