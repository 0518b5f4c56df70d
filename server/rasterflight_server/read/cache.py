"""Decoded tiles that are kept: one store for all streams, bounded by bytes; of those who want a tile at a time, one decodes it."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from rasterflight_server.read.scratch import Scratch
from rasterflight_server.read.tile import Tile
from rasterflight_server.types import Asset

#: What reads may hold of tiles that they will need again, where the cache itself is smaller.
HOLD_BYTES: Final = 256 << 20


class TileKey(NamedTuple):
    """One tile of one version of a file; planes follow one another."""

    #: Where the file is, and what tells that it is still the same.
    file: Hashable
    level: int
    tile: int

    @classmethod
    def of(cls, asset: Asset, level: int, tile: int) -> "TileKey":
        """Name a tile of a file."""
        return cls((asset.href, asset.identity), level, tile)


class Waiter(Protocol):
    """Who wants a tile."""

    def take(self, tile: Tile, scratch: Scratch) -> None:
        """Take pixels; called by the thread that decoded the tile."""

    def again(self) -> None:
        """Nobody decodes it any more: ask once more."""


@dataclass(slots=True, eq=False)
class Flight:
    """A tile that somebody is about to decode, or decoding."""

    #: How many of its rows.
    rows: int
    waiters: list[Waiter] = field(default_factory=list)


class TileCache:
    """The tiles that were used last; safe to use from any thread.

    Parameters
    ----------
    limit
        Bytes of tiles that are kept. Those that reads hold, because they will need them again, are part of it; up to
        ``HOLD_BYTES`` these are kept whatever the limit.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        #: Tiles that nobody holds, the one used last at the end.
        self._loose: OrderedDict[TileKey, Tile] = OrderedDict()
        self._loose_bytes = 0
        #: Tiles that are held, once they are there; and by how many reads, and with how many bytes.
        self._held: dict[TileKey, Tile | None] = {}
        self._holds: dict[TileKey, tuple[int, int]] = {}
        self._held_bytes = 0
        self._flights: dict[TileKey, Flight] = {}
        self._hits = self._misses = self._evictions = 0

    def claim(self, key: TileKey, rows: int, inside: int, waiter: Waiter) -> Tile | Flight | None:
        """Ask for the first rows of a tile.

        Parameters
        ----------
        inside
            Rows that the tile has: all are decoded where fewer were asked for before, and more now.
        waiter
            Who asks.

        Returns
        -------
        Tile or Flight or None
            The tile; or what the caller has to decode and to `deliver`, or to `abandon`; None: somebody else does, the waiter
            hears of it.
        """
        with self._lock:
            known = self._held.get(key) or self._loose.get(key)
            if known is not None and known.rows >= rows:
                if key in self._loose:
                    self._loose.move_to_end(key)
                self._hits += 1
                return known
            flight = self._flights.get(key)
            if flight is not None and flight.rows >= rows:
                self._hits += 1
                flight.waiters.append(waiter)
                return None
            self._misses += 1
            mine = Flight(rows if known is None and flight is None else inside, [waiter])
            self._flights.setdefault(key, mine)
            return mine

    def deliver(self, key: TileKey, flight: Flight, tile: Tile, scratch: Scratch, *, keep: bool) -> None:
        """Hand a tile to all who wait for it.

        Parameters
        ----------
        scratch
            In which it was decoded.
        keep
            Keep it also when nobody holds it.
        """
        if self._wants(key, tile, keep=keep):
            tile.keep(scratch)
            self._store(key, tile)
        for waiter in self._end(key, flight):
            waiter.take(tile, scratch)

    def abandon(self, key: TileKey, flight: Flight) -> None:
        """Say that a tile will not come; all who wait for it but the one who claimed it ask again."""
        for waiter in self._end(key, flight)[1:]:
            waiter.again()

    def hold(self, key: TileKey, nbytes: int) -> bool:
        """Promise to keep a tile until it is let go, wherever it is now; False: there is no room."""
        with self._lock:
            holders, _ = self._holds.get(key, (0, nbytes))
            if not holders:
                if self._held_bytes + nbytes > max(self.limit, HOLD_BYTES):
                    return False
                self._held[key] = self._pop(key)
                self._held_bytes += nbytes
                self._evict()
            self._holds[key] = holders + 1, nbytes
            return True

    def let_go(self, key: TileKey) -> None:
        """Take back one `hold`."""
        with self._lock:
            holders, nbytes = self._holds.pop(key)
            if holders > 1:
                self._holds[key] = holders - 1, nbytes
                return
            self._held_bytes -= nbytes
            tile = self._held.pop(key)
            if tile is not None:
                self._add(key, tile)

    def counts(self) -> dict[str, int]:
        """Numbers for the statistics of the server."""
        with self._lock:
            kept = sum(tile.nbytes for tile in self._held.values() if tile is not None)
            return {
                "cache_hits": self._hits,
                "cache_misses": self._misses,
                "cache_evictions": self._evictions,
                "cache_bytes": self._loose_bytes + kept,
                "cache_limit": self.limit,
            }

    def _wants(self, key: TileKey, tile: Tile, *, keep: bool) -> bool:
        with self._lock:
            return key in self._held or (keep and self._held_bytes + tile.nbytes <= self.limit)

    def _store(self, key: TileKey, tile: Tile) -> None:
        with self._lock:
            if key not in self._held:
                self._add(key, tile)
            elif (there := self._held[key]) is None or there.rows < tile.rows:
                self._held[key] = tile

    def _end(self, key: TileKey, flight: Flight) -> list[Waiter]:
        with self._lock:
            if self._flights.get(key) is flight:
                del self._flights[key]
            # Nobody joins from here on.
            return flight.waiters

    def _add(self, key: TileKey, tile: Tile) -> None:
        there = self._pop(key)
        if there is not None and there.rows > tile.rows:
            tile = there
        self._loose[key] = tile
        self._loose_bytes += tile.nbytes
        self._evict()

    def _pop(self, key: TileKey) -> Tile | None:
        tile = self._loose.pop(key, None)
        if tile is not None:
            self._loose_bytes -= tile.nbytes
        return tile

    def _evict(self) -> None:
        while self._loose and self._held_bytes + self._loose_bytes > self.limit:
            _, tile = self._loose.popitem(last=False)
            self._loose_bytes -= tile.nbytes
            self._evictions += 1
