"""Tiles that are kept: bounded, the ones used last, decoded by one of those who want them."""

import numpy as np
import pytest

from rasterflight_server.read import cache as module
from rasterflight_server.read.cache import Flight, TileCache, TileKey
from rasterflight_server.read.scratch import Scratch
from rasterflight_server.read.tile import Tile
from rasterflight_server.types import Level

ROWS, COLS = 16, 64
LEVEL = Level(COLS, 4 * ROWS, COLS, ROWS, "uint8", False, 8, 1, 1, 1, False)
NBYTES = ROWS * COLS


class Taker:
    """Someone who wants a tile, and what became of it."""

    def __init__(self) -> None:
        self.tiles: list[Tile] = []
        self.asked_again = 0

    def take(self, tile: Tile, scratch: Scratch) -> None:
        self.tiles.append(tile)

    def again(self) -> None:
        self.asked_again += 1


def key(tile: int) -> TileKey:
    return TileKey("file", 0, tile)


def made(rows: int = ROWS) -> Tile:
    return Tile(LEVEL, np.zeros((rows, COLS, 1), np.uint8), differences=False)


def claimed(cache: TileCache, tile: int, rows: int = ROWS, taker: Taker | None = None) -> Tile | Flight | None:
    return cache.claim(key(tile), rows, ROWS, taker or Taker())


def put(cache: TileCache, tile: int, rows: int = ROWS) -> Tile:
    flight = claimed(cache, tile, rows)
    assert isinstance(flight, Flight)
    found = made(flight.rows)
    cache.deliver(key(tile), flight, found, Scratch(), keep=True)
    return found


def test_the_tiles_used_last_are_kept_within_the_limit() -> None:
    cache = TileCache(3 * NBYTES)
    tiles = [put(cache, number) for number in range(3)]
    assert claimed(cache, 0) is tiles[0]
    put(cache, 3)
    assert isinstance(claimed(cache, 1), Flight)
    assert [claimed(cache, number) is tiles[number] for number in (0, 2)] == [True, True]
    assert cache.counts() == {
        "cache_hits": 3,
        "cache_misses": 5,
        "cache_evictions": 1,
        "cache_bytes": 3 * NBYTES,
        "cache_limit": 3 * NBYTES,
    }


def test_a_tile_larger_than_the_cache_is_not_kept() -> None:
    cache = TileCache(NBYTES - 1)
    put(cache, 0)
    assert isinstance(claimed(cache, 0), Flight)
    assert cache.counts()["cache_bytes"] == 0


def test_one_decodes_for_all_who_wait() -> None:
    cache = TileCache(NBYTES)
    first, second, third = Taker(), Taker(), Taker()
    flight = claimed(cache, 0, 8, first)
    assert isinstance(flight, Flight)
    assert claimed(cache, 0, 8, second) is None
    more = claimed(cache, 0, 9, third)
    assert isinstance(more, Flight)
    assert more.rows == ROWS
    tile = made(8)
    cache.deliver(key(0), flight, tile, Scratch(), keep=True)
    assert (first.tiles, second.tiles, third.tiles) == ([tile], [tile], [])
    whole = made()
    cache.deliver(key(0), more, whole, Scratch(), keep=True)
    assert third.tiles == [whole]
    assert claimed(cache, 0) is whole


def test_first_rows_serve_who_needs_no_more() -> None:
    cache = TileCache(4 * NBYTES)
    some = put(cache, 0, 5)
    assert claimed(cache, 0, 5) is some
    flight = claimed(cache, 0, 6)
    assert isinstance(flight, Flight)
    assert flight.rows == ROWS, "whoever comes again for more will come once more"
    whole = made()
    cache.deliver(key(0), flight, whole, Scratch(), keep=True)
    late = cache.claim(key(0), 2, ROWS, Taker())
    assert late is whole
    assert cache.counts()["cache_bytes"] == NBYTES


def test_those_who_wait_ask_again_when_a_tile_will_not_come() -> None:
    cache = TileCache(NBYTES)
    first, second = Taker(), Taker()
    flight = claimed(cache, 0, ROWS, first)
    assert isinstance(flight, Flight)
    assert claimed(cache, 0, ROWS, second) is None
    cache.abandon(key(0), flight)
    assert (first.asked_again, second.asked_again) == (0, 1)
    assert isinstance(claimed(cache, 0), Flight)


def test_what_is_held_is_not_pushed_out() -> None:
    cache = TileCache(2 * NBYTES)
    held = put(cache, 0)
    assert cache.hold(key(0), NBYTES)
    assert cache.hold(key(0), NBYTES)
    for number in range(1, 5):
        put(cache, number)
    assert claimed(cache, 0) is held
    cache.let_go(key(0))
    put(cache, 5)
    assert claimed(cache, 0) is held
    cache.let_go(key(0))
    put(cache, 6)
    put(cache, 7)
    assert isinstance(claimed(cache, 0), Flight)
    assert cache.counts()["cache_bytes"] == 2 * NBYTES


def test_holding_is_possible_without_a_cache_and_ends_at_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HOLD_BYTES", 2 * NBYTES)
    cache = TileCache(0)
    assert cache.hold(key(0), NBYTES)
    assert cache.hold(key(1), NBYTES)
    assert not cache.hold(key(2), NBYTES)
    tiles = [put(cache, number) for number in range(2)]
    put(cache, 2)
    assert [claimed(cache, number) is tiles[number] for number in range(2)] == [True, True]
    assert isinstance(claimed(cache, 2), Flight)
    cache.let_go(key(0))
    assert isinstance(claimed(cache, 0), Flight)
    assert cache.counts()["cache_bytes"] == NBYTES
