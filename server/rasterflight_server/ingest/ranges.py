"""Where the tiles and strips of a directory lie in the file; what libtiff mends is mended here."""

from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from rasterflight_server.ingest.ifd import Directory, corrupt
from rasterflight_server.read.codecs import NONE
from rasterflight_server.types import Level, TileRanges

_STRIP_OFFSETS, _STRIP_COUNTS, _TILE_OFFSETS, _TILE_COUNTS = 273, 279, 324, 325
#: Lists that are shorter than they should be are taken for sparse up to this many tiles, as libtiff does.
_MAX_MENDED: Final = 1_000_000
#: Bytes of numbers whose sum is no problem.
_PLAIN: Final = 4
#: Rows of strips without compression are read in pieces of about this many bytes.
_PIECE_BYTES: Final = 1 << 18

Numbers = npt.NDArray[np.int64]


def read_ranges(page: Directory, level: Level, size: int) -> tuple[Level, TileRanges]:
    """Find the tiles of a directory.

    Strips without compression are cut into, or put together to, pieces of a size that is good to read: the level that
    comes back has these for tiles.

    Raises
    ------
    SourceError
        SOURCE_CORRUPT: the list of tiles is too short, or a tile does not lie in the file.
    """
    tiles = level.tiles_across * level.tiles_down * level.planes
    sound = None if level.compression == NONE else _sound(page, level, tiles, size)
    if sound is not None:
        return level, sound
    offsets = _numbers(page, _TILE_OFFSETS, _STRIP_OFFSETS)
    counts = _numbers(page, _TILE_COUNTS, _STRIP_COUNTS)
    if offsets is None or (counts is None and tiles != level.planes):
        raise corrupt("the list of tiles is missing")
    if counts is None or _estimated(level, counts, tiles):
        counts = np.full(tiles, size, np.uint64)
        counts = np.minimum(counts, size - np.minimum(_padded(offsets, tiles), size)).astype(np.uint64)
    known, offsets, counts = len(offsets), _padded(offsets, tiles), _padded(counts, tiles)
    if counts[known:].any():
        raise corrupt(f"the file has {known} of {tiles} tiles in its list of tiles")
    # A tile without bytes or without a place is sparse.
    counts[offsets == 0] = 0
    if level.compression == NONE:
        # libtiff reads what the pixels take, whatever the list says.
        counts[counts > 0] = _sizes(level, counts)[counts > 0]
    else:
        # More than pixels could take is not read, so that no list decides how much memory is taken.
        np.minimum(counts, _most(level), out=counts)
    _check(offsets, counts, size)
    offsets[counts == 0] = 0
    places = offsets.astype(np.int64), counts.astype(np.int64)
    if level.compression == NONE and level.striped and level.ycbcr is None and counts.any():
        return _repartition(level, *places)
    return level, TileRanges(*places)


def _sound(page: Directory, level: Level, tiles: int, size: int) -> TileRanges | None:
    """The tiles as they are listed, where all are there and nothing about them needs mending, as it mostly is."""
    offsets, counts = page.array(_TILE_OFFSETS), page.array(_TILE_COUNTS)
    if not (len(offsets) == len(counts) == tiles and _is_plain(offsets.dtype) and _is_plain(counts.dtype)):
        return None
    offsets, counts = offsets.astype(np.int64), counts.astype(np.int64)
    ends = offsets + counts
    least, most = np.minimum.reduce, np.maximum.reduce
    if least(offsets) < 1 or least(counts) < 1 or most(counts) > _most(level) or most(ends) > size:
        return None
    return TileRanges(offsets, counts)


def _is_plain(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "u" and dtype.itemsize <= _PLAIN


def _most(level: Level) -> int:
    """More bytes than the pixels of a tile could take."""
    return 10 * level.stored_nbytes(level.tile_height) + 65536


def _numbers(page: Directory, *tags: int) -> npt.NDArray[np.uint64] | None:
    """Values of the first of the tags that there is; libtiff takes those of strips and tiles for each other."""
    values = next((page.array(tag) for tag in tags if tag in page), np.empty(0, np.uint8))
    if values.dtype.kind != "u" or not values.size:
        return None
    return values.astype(np.uint64)


def _padded(values: npt.NDArray[np.uint64], tiles: int) -> npt.NDArray[np.uint64]:
    if len(values) < tiles:
        if tiles > _MAX_MENDED:
            raise corrupt(f"the file has {len(values)} of {tiles} tiles in its list of tiles")
        values = np.concatenate([values, np.zeros(tiles - len(values), np.uint64)])
    return values[:tiles].copy()


def _estimated(level: Level, counts: npt.NDArray[np.uint64], tiles: int) -> bool:
    """Whether the size of a single strip is so wrong that libtiff takes it to end where the file does."""
    return level.striped and tiles == 1 and counts.size > 0 and int(counts[0]) == 0


def _sizes(level: Level, counts: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Bytes of each tile without compression, by its shape.

    Of tiles that reach beyond the last row of the image libtiff takes what is stored, so that too little is found out.
    """
    whole = np.uint64(level.stored_nbytes(level.tile_height))
    sizes = np.full(counts.shape, whole).reshape(level.planes, level.tiles_down, level.tiles_across)
    inside = np.uint64(level.stored_nbytes(level.height - (level.tiles_down - 1) * level.tile_height))
    last = counts.reshape(sizes.shape)[:, -1]
    sizes[:, -1] = inside if level.striped or inside == whole else np.minimum(last, whole)
    return sizes.reshape(-1)


def _check(offsets: npt.NDArray[np.uint64], counts: npt.NDArray[np.uint64], size: int) -> None:
    # Compared this way round since a sum could overflow.
    outside = (counts > 0) & ((counts > size) | (offsets > size - np.minimum(counts, size)))
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        end = int(offsets[first]) + int(counts[first])
        raise corrupt(f"truncated: tile {first} ends at byte {end}, the file has {size}")


def _repartition(level: Level, offsets: Numbers, counts: Numbers) -> tuple[Level, TileRanges]:
    """Cut strips without compression anew."""
    row = level.stored_nbytes(1)
    strips = level.tiles_down
    by_plane, stored = offsets.reshape(level.planes, strips), counts.reshape(level.planes, strips)
    rows = max(1, min(level.height, _PIECE_BYTES // row))
    starts = np.arange(strips) * (level.tile_height * row)
    joined = (stored > 0).all() and (by_plane - by_plane[:, :1] == starts).all()
    if not joined:
        # Only parts of a strip can be pieces of their own.
        rows = next(n for n in range(min(rows, level.tile_height), 0, -1) if level.tile_height % n == 0)
    cut = replace(level, tile_height=rows)
    first = np.arange(cut.tiles_down) * rows
    strip = first // level.tile_height if not joined else np.zeros_like(first)
    within = (first - strip * level.tile_height) * row
    heights: Any = np.minimum(rows, level.height - first)
    lengths = heights * row * (stored[:, strip] > 0)
    places = np.where(lengths > 0, by_plane[:, strip] + within, 0)
    return cut, TileRanges(places.reshape(-1).astype(np.int64), lengths.reshape(-1).astype(np.int64))
