"""Who fetches and decodes: the threads of the process, shared by all streams."""

import os
import threading
from collections.abc import Iterator, Sequence
from typing import TypeVar
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary, WeakSet

from rasterflight_server.read.cache import TileCache
from rasterflight_server.read.codecs import can_stop
from rasterflight_server.read.fairpool import FairPool
from rasterflight_server.read.jobs import Claimed, Copying, Reading, TileTask, Tools
from rasterflight_server.read.ranges import RangeRequest, TileRange, coalesce
from rasterflight_server.read.scratch import ScratchPool
from rasterflight_server.read.tile import Tile
from rasterflight_server.store import Stores, is_remote
from rasterflight_server.telemetry import Meter
from rasterflight_server.types import Asset

#: Requests to one remote store that are under way at the same time.
REMOTE_REQUESTS = 64
#: Local tiles are handed to threads in groups of about this many decoded bytes: a hop costs as much as 20 us of decoding.
_READ_TOGETHER = 1 << 20
#: Tiles that are at hand already: to copy one costs a twentieth of that.
_COPY_TOGETHER = 8 << 20

#: Rows take more than their part of a compressed tile, by this factor at the most in all but one of a hundred tiles of Sentinel-2 and NAIP.
_MARGIN = 1.1
#: Less is not worth the risk of a second request.
_WORTH_GUESSING = 128 << 10

_T = TypeVar("_T")


class Workers:
    """Threads that fetch and decode tiles.

    Parameters
    ----------
    meter
        Counts requests, bytes and tiles of owners who bring no meter of their own.
    decoders
        Tiles decoded at the same time; the number of CPUs that the process may use if None.
    cache
        Keeps decoded tiles; None: only those that reads hold.
    stores
        Where files are opened; None: without options.
    """

    def __init__(
        self,
        meter: Meter,
        decoders: int | None = None,
        cache: TileCache | None = None,
        stores: Stores | None = None,
    ) -> None:
        count = decoders or len(os.sched_getaffinity(0))
        self.cache = TileCache(0) if cache is None else cache
        self.meter = meter
        self._tools = Tools(self.cache, ScratchPool(count), stores or Stores())
        self._local = FairPool(count, "decode")
        self._remote: dict[tuple[str, str], FairPool] = {}
        self._tasks: WeakKeyDictionary[object, WeakSet[TileTask]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def use(self, stores: Stores) -> None:
        """Open files there from now on."""
        self._tools = self._tools._replace(stores=stores)

    def submit(self, tasks: Sequence[TileTask]) -> None:
        """Start to read tiles of one level of one file, for one owner; each task is told when it is done."""
        with self._lock:
            self._tasks.setdefault(tasks[0].owner, WeakSet()).update(tasks)
        hits: list[tuple[TileTask, Tile]] = []
        misses: dict[int, Claimed] = {}
        for task in tasks:
            found = self.cache.claim(task.key, task.rows, task.level.rows_inside(task.tile), task)
            if isinstance(found, Tile):
                hits.append((task, found))
            elif found is not None:
                misses[task.tile] = task, found
        owner, level = tasks[0].owner, tasks[0].level
        if misses:
            self._read(tasks[0].asset, misses)
        together = _COPY_TOGETHER // level.tile_nbytes
        self._local.submit(owner, [Copying(self._tools, group) for group in _grouped(hits, together)])

    def retry(self, task: TileTask) -> None:
        """Start once more to read a tile."""
        self.submit([task])

    def drop(self, owner: object) -> None:
        """Give up what has not begun for an owner; what runs ends by itself, fills nothing, and asks no store again that failed."""
        with self._lock:
            tasks = list(self._tasks.pop(owner, ()))
        for task in tasks:
            task.give_up()
        for pool in self._pools():
            pool.drop(owner)

    def close(self) -> None:
        """Begin no more work."""
        for pool in self._pools():
            pool.close()

    def _read(self, asset: Asset, misses: dict[int, Claimed]) -> None:
        remote = is_remote(asset.href)
        ranges = [
            TileRange(task.offset, bytes_needed(task, flight.rows, remote=remote), task.tile)
            for task, flight in misses.values()
        ]
        groups: list[Sequence[RangeRequest]]
        if remote:
            pool = self._remote_pool(asset.href)
            groups = [[request] for request in coalesce(ranges)]
        else:
            pool = self._local
            tiles = [RangeRequest([part]) for part in sorted(ranges, key=lambda part: part.offset)]
            groups = list(_grouped(tiles, _READ_TOGETHER // _first(misses).level.tile_nbytes))
        jobs = [
            Reading(self._tools, asset, [(request, [misses[part.tile] for part in request.tiles]) for request in group])
            for group in groups
        ]
        pool.submit(_first(misses).owner, jobs)

    def _remote_pool(self, href: str) -> FairPool:
        parts = urlsplit(href)
        store = parts.scheme, parts.netloc
        with self._lock:
            if store not in self._remote:
                self._remote[store] = FairPool(REMOTE_REQUESTS, "fetch")
            return self._remote[store]

    def _pools(self) -> list[FairPool]:
        with self._lock:
            return [self._local, *self._remote.values()]


def bytes_needed(task: TileTask, rows: int, *, remote: bool) -> int:
    """Bytes from the start of a tile that its first rows take, as far as that can be known or guessed.

    Where a tile is compressed it is a guess: rows take about the same part of the bytes as of the tile. It is made only where it saves
    more than a second request would cost now and then, when it is too small.
    """
    if task.level.stored_as_pixels:
        return min(task.length, task.level.stored_nbytes(rows))
    inside = task.level.rows_inside(task.tile)
    guess = int(task.length * _MARGIN * rows / inside)
    return guess if remote and can_stop(task.level) and task.length - guess >= _WORTH_GUESSING else task.length


def _first(misses: dict[int, Claimed]) -> TileTask:
    return next(iter(misses.values()))[0]


def _grouped(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    size = max(1, size)
    return (items[start : start + size] for start in range(0, len(items), size))
