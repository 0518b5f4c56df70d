"""What the threads do: tiles are read and decoded, or taken from where they are kept, and their pixels are put where they go."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.read.cache import Flight, TileCache, TileKey
from rasterflight_server.read.placement import Pick, Placement
from rasterflight_server.read.ranges import RangeRequest
from rasterflight_server.read.scratch import Scratch, ScratchPool
from rasterflight_server.read.tile import Tile
from rasterflight_server.store import Source, Stores, is_remote
from rasterflight_server.telemetry import Counts, Meter
from rasterflight_server.types import Asset, Level


class Owner(Protocol):
    """Who wants tiles."""

    #: Counts what is read for him.
    meter: Meter


@dataclass(eq=False)
class TileTask:
    """One tile that is wanted, and where its pixels go."""

    #: Whose turn it takes.
    owner: Owner
    record_id: str
    asset: Asset
    #: Of the level, as ``Profile.level`` counts, and of the tile in it.
    number: int
    tile: int
    #: Where it lies in the file.
    offset: int
    length: int
    copies: Sequence[Placement | Pick]
    #: Rows that are needed, from the first of the tile on.
    rows: int
    #: Whether it is kept for other reads.
    keep: bool
    #: Called once at the end: with None, or with what went wrong.
    done: Callable[[BaseException | None], None]
    #: Called with the task when it has to be submitted once more.
    retry: "Callable[[TileTask], None]"

    @property
    def level(self) -> Level:
        """That the tile belongs to."""
        return self.asset.profile.level(self.number)

    @cached_property
    def key(self) -> TileKey:
        """What the tile is called in the cache."""
        return TileKey.of(self.asset, self.number, self.tile)

    def take(self, tile: Tile, scratch: Scratch) -> None:
        """Take pixels out of the decoded tile."""
        try:
            for copy in self.copies:
                copy.copy(tile, scratch)
        except BaseException as error:  # noqa: BLE001 - whoever waits for the task raises it
            self.done(error)
        else:
            self.done(None)

    def again(self) -> None:
        """Ask for the tile once more."""
        self.retry(self)

    def give_up(self) -> None:
        """Hold on to nothing, since nobody waits: a request that hangs must not keep the memory that its pixels were for."""
        self.owner, self.copies, self.done, self.retry = _Nobody(), (), _nobody, _nobody

    def fail(self, error: BaseException) -> None:
        """Tell whoever waits what went wrong."""
        self.done(error.about(record=self.record_id, asset=self.asset.key) if isinstance(error, SourceError) else error)


def _nobody(_told: object) -> None:
    pass


class _Nobody:
    """Owner of what is left of a task; what is still read for it was asked for by one who has gone."""

    def __init__(self) -> None:
        self.meter: Meter = Counts()


class Tools(NamedTuple):
    """What jobs work with."""

    cache: TileCache
    scratches: ScratchPool
    stores: Stores


#: A task, and the tile that it has to decode for all who wait for it.
Claimed = tuple[TileTask, Flight]


class Reading:
    """Read and decode tiles of one file.

    Parameters
    ----------
    requests
        What is asked of the file, and the tasks of the tiles in it; all of one owner.
    """

    def __init__(self, tools: Tools, asset: Asset, requests: Sequence[tuple[RangeRequest, Sequence[Claimed]]]) -> None:
        self._tools = tools
        self._asset = asset
        self._requests = requests
        self._left = {task: flight for _, claims in requests for task, flight in claims}
        self._stop = threading.Event()
        self._meter = next(iter(self._left)).owner.meter

    def run(self) -> None:
        """Do it."""
        try:
            stores = self._tools.stores
            with stores.open(self._asset.href, self._asset.identity, telemetry=self._meter, stop=self._stop) as source:
                for request, claims in self._requests:
                    self._read(source, request, claims)
        except BaseException as error:  # noqa: BLE001 - whoever waits for the tasks raises it
            self._fail(list(self._left), error)

    def drop(self) -> None:
        """Leave the tiles to others who want them."""
        self._fail(list(self._left), CancelledError())

    def stop(self) -> None:
        """Ask a store that failed not again."""
        self._stop.set()

    def _read(self, source: Source, request: RangeRequest, claims: Sequence[Claimed]) -> None:
        try:
            data = memoryview(source.read_range(request.offset, request.length))
        except SourceError as error:
            self._fail([task for task, _ in claims], error)
            return
        self._meter.add(requests=1, bytes_fetched=len(data), tiles_decoded=len(claims))
        for task, flight in claims:
            start = task.offset - request.offset
            raw = data[start : start + task.length]
            try:
                self._decode(task, flight, raw)
            except SourceError as error:
                if len(raw) < task.length and not task.level.stored_as_pixels:
                    # The rows take more of the tile than was thought.
                    self._read_rest(source, task, flight, raw)
                else:
                    self._fail([task], _damaged(task, error))

    def _read_rest(self, source: Source, task: TileTask, flight: Flight, raw: memoryview) -> None:
        try:
            rest = source.read_range(task.offset + len(raw), task.length - len(raw))
        except SourceError as error:
            self._fail([task], error)
            return
        self._meter.add(requests=1, bytes_fetched=len(rest))
        try:
            self._decode(task, flight, memoryview(b"".join((raw, rest))))
        except SourceError as error:
            self._fail([task], _damaged(task, error))

    def _decode(self, task: TileTask, flight: Flight, raw: memoryview) -> None:
        level = task.level
        with self._tools.scratches.take() as scratch:
            tile = Tile.decode(level, raw, flight.rows, level.rows_inside(task.tile), scratch)
            keep = task.keep and _worth_keeping(task)
            self._tools.cache.deliver(task.key, flight, tile, scratch, keep=keep)
        del self._left[task]

    def _fail(self, tasks: Sequence[TileTask], error: BaseException) -> None:
        for task in tasks:
            flight = self._left.pop(task)
            task.fail(error)
            self._tools.cache.abandon(task.key, flight)


def _damaged(task: TileTask, error: SourceError) -> SourceError:
    return SourceError(ErrorCode.SOURCE_CORRUPT, f"tile {task.tile}: {error.message}", hint=error.hint)


class Copying:
    """Take pixels out of tiles that are at hand."""

    def __init__(self, tools: Tools, tiles: Sequence[tuple[TileTask, Tile]]) -> None:
        self._tools = tools
        self._tiles = tiles

    def run(self) -> None:
        """Do it."""
        asset = self._tiles[0][0].asset
        try:
            if not is_remote(asset.href):
                # Costs next to nothing, and tells whether the file is still the one that the tiles are of.
                self._tools.stores.open(asset.href, asset.identity).close()
        except BaseException as error:  # noqa: BLE001 - whoever waits for the tasks raises it
            for task, _ in self._tiles:
                task.fail(error)
            return
        with self._tools.scratches.take() as scratch:
            for task, tile in self._tiles:
                task.take(tile, scratch)

    def drop(self) -> None:
        """Nobody wants the pixels any more."""
        for task, _ in self._tiles:
            task.fail(CancelledError())

    def stop(self) -> None:
        """Go on to the end, which is near."""


def _worth_keeping(task: TileTask) -> bool:
    """Whether other reads may use the tile, and it saves them something."""
    if task.asset.identity is None:
        return False  # nothing tells whether the file is still the same
    # To read pixels of a local file again costs no more than to keep them.
    return is_remote(task.asset.href) or not task.level.stored_as_pixels
