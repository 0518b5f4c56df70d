"""Which batches are started together, so that each tile is decoded once and memory stays bounded.

Batches are started one by one, and tiles that later batches share are kept, decoded. That serves as long as neighbours come soon after each
other. Where the areas of a record come in any order, nearly all of its tiles would have to be kept for nearly all of its
batches. Then it may take less memory to start all batches of the record at once: each tile is decoded when it is
wanted for all of them, and what waits is the pixels that were asked for. Of both, the one is chosen that needs less memory.
Only where both need more than a stream may have (``GROUP_BYTES``), the batches are started in groups that fit, and of the tiles that
these groups share, those are decoded again that the reader cannot keep.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from rasterflight_server.plan.blocks import Rows, batches, row_weights, strips
from rasterflight_server.plan.cutouts import GridCut, RecordCut
from rasterflight_server.plan.estimate import sources_needed
from rasterflight_server.plan.joined import JoinedCut
from rasterflight_server.plan.warpedcut import WarpedCut
from rasterflight_server.read.reader import RETAINED_BYTES
from rasterflight_server.read.tiling import cut_along_tiles

#: Batches that are started together have at most so many bytes, in place of tiles that are kept.
GROUP_BYTES = RETAINED_BYTES

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Group:
    """Batches to be started together."""

    batches: list[list[Rows]]
    #: Bytes of memory that the batches take.
    nbytes: int
    #: Bytes of decoded tiles that are kept from here on, at the most, until the records that begin here are through.
    keeps: int


@dataclass(frozen=True, slots=True, eq=False)
class _Scheduled:
    rows: Rows
    together: bool
    keeps: int


def schedule(records: Iterable[Rows], target: int, geometry_bytes: Ints | None, ahead: int) -> Iterator[Group]:
    """Group rows into batches of about ``target`` bytes, and these into groups.

    Parameters
    ----------
    records
        The rows of each record, in order.
    geometry_bytes
        Size of each area, which travels with every row; None when there are none.
    ahead
        How many batches may be under way.
    """
    keeps: dict[RecordCut, int] = {}

    def decided() -> Iterator[_Scheduled]:
        for rows in records:
            found = _decide(rows, target, geometry_bytes, ahead)
            if found.keeps:
                keeps[rows.record] = found.keeps
            yield found

    for together, run in groupby(decided(), key=lambda one: one.together):
        if together:
            for one in run:
                yield from _in_groups(batches([one.rows], target, geometry_bytes))
        else:
            for batch in batches((one.rows for one in run), target, geometry_bytes):
                begin = sum(keeps.pop(rows.record, 0) for rows in batch)
                yield Group([batch], _memory(batch), begin)


def _decide(rows: Rows, target: int, geometry_bytes: Ints | None, ahead: int) -> _Scheduled:
    weight = np.cumsum(row_weights(rows, geometry_bytes))
    if weight[-1] <= target:
        return _Scheduled(rows, together=False, keeps=0)  # a record that fits into a batch is not divided
    keeps = _kept_bytes(rows, weight // target, ahead)
    whole = _memory([rows])
    together = keeps > min(whole, RETAINED_BYTES) and (whole <= GROUP_BYTES or keeps > RETAINED_BYTES)
    return _Scheduled(rows, together, 0 if together else keeps)


def _kept_bytes(rows: Rows, batch: Ints, ahead: int) -> int:
    """Bytes of decoded tiles that wait for their next use, at the most, when batches are started one by one.

    Parameters
    ----------
    batch
        Number of the batch of each row, ascending.
    """
    change = np.zeros(int(batch[-1]) + ahead + 2, dtype=np.int64)
    for position, cut in enumerate(rows.record.cuts):
        here = np.flatnonzero(rows.cut == position)
        blocks = strips(cut, rows.chip[here], rows.start[here], rows.stop[here])
        for asset, number, samples, windows in sources_needed(cut, blocks):
            level = asset.profile.level(number)
            parts = cut_along_tiles(level, windows)
            order = np.argsort(parts.tile, kind="stable")
            edges = np.flatnonzero(np.diff(parts.tile[order], prepend=-1, append=-1))
            used = batch[here][parts.window[order]]
            first, last = used[edges[:-1]], used[edges[1:] - 1]
            shared = last > first
            nbytes = level.tile_nbytes * (len(set(samples)) if level.planar_separate else 1)
            np.add.at(change, first[shared], nbytes)
            # A tile is let go when the batch that uses it last is complete.
            np.add.at(change, last[shared] + ahead + 1, -nbytes)
    return int(change.cumsum().max())


def _in_groups(found: Iterable[list[Rows]]) -> Iterator[Group]:
    """Batches of one record, as many together as memory allows."""
    group: list[list[Rows]] = []
    nbytes = 0
    for batch in found:
        size = _memory(batch)
        if group and nbytes + size > GROUP_BYTES:
            yield Group(group, nbytes, 0)
            group, nbytes = [], 0
        group.append(batch)
        nbytes += size
    yield Group(group, nbytes, 0)


def _memory(batch: Iterable[Rows]) -> int:
    """Bytes that rows take while they are put together."""
    total = 0
    for rows in batch:
        per_row = rows.of_chips([cut.windows[:, 2] * _pixel_memory(cut) for cut in rows.record.cuts])
        total += int(((rows.stop - rows.start) * per_row).sum())
    return total


def _pixel_memory(cut: GridCut) -> int:
    """Bytes that a pixel takes: in the result, as it is read if that is of another type, and those that tell about it."""
    own = {(band.asset.href, band.number, band.sample) for band in cut.bands}
    others = {
        (band.asset.href, witness.level, witness.sample): np.dtype(
            band.asset.profile.level(witness.level).dtype
        ).itemsize
        for band in cut.bands
        for witness in band.witnesses
    }
    raw = sum(
        np.dtype(band.level.dtype).itemsize
        for band in cut.bands
        if band.dtype != band.level.dtype or isinstance(cut, WarpedCut | JoinedCut)
    )
    # And a byte for each band to say whether the pixel is valid.
    told = len(cut.bands) if others else 0
    return cut.pixel_bytes + raw + told + sum(size for key, size in others.items() if key not in own)
