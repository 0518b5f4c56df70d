"""Byte ranges of tiles, packed.

Tiles of a cloud-optimised GeoTIFF follow each other with a fixed gap (0, or the 8 bytes of leader and trailer that GDAL
writes), so that the first offset, the gap and 32-bit byte counts say everything. Other files keep their offsets.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rasterflight_server.catalog.format import TILES_BATCH, TILES_SCHEMA
from rasterflight_server.catalog.ipc import MappedRows, values
from rasterflight_server.types import TileRanges


def pack(levels: Sequence[TileRanges]) -> pa.RecordBatch:
    """Rows of ``tiles.arrow``, one for each level."""
    lengths = np.array([len(ranges.counts) for ranges in levels], np.int64)
    ends = lengths.cumsum()
    starts = ends - lengths
    offsets = np.concatenate([ranges.offsets for ranges in levels])
    counts = np.concatenate([ranges.counts for ranges in levels])
    gaps = np.zeros_like(offsets)
    gaps[:-1] = offsets[1:] - offsets[:-1] - counts[:-1]
    # Nothing follows the last tile of a level.
    gaps[ends - 1] = np.where(lengths > 1, gaps[starts], 0)
    gap = np.minimum.reduceat(gaps, starts)
    packed = (gap == np.maximum.reduceat(gaps, starts)) & (np.minimum.reduceat(counts, starts) > 0)
    kept = pa.array(offsets[np.repeat(~packed, lengths)])
    bounds = np.concatenate([[0], np.where(packed, 0, lengths).cumsum()])
    counts_type, offsets_type = (TILES_SCHEMA.field(name).type for name in ("counts", "offsets"))
    columns = [
        pa.array(offsets[starts]),
        pa.array(gap, mask=~packed),
        pa.LargeListArray.from_arrays(
            pa.array(np.concatenate([[0], ends])), pa.array(counts.astype(np.uint32)), type=counts_type
        ),
        pa.LargeListArray.from_arrays(pa.array(bounds), kept, type=offsets_type, mask=pa.array(packed)),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=TILES_SCHEMA)


class _Columns(NamedTuple):
    """Columns of one batch: a list column as the bounds of its lists and the values of them all."""

    first_offset: npt.NDArray[np.int64]
    gap: npt.NDArray[np.int64]
    packed: npt.NDArray[np.bool_]
    count_bounds: npt.NDArray[np.int64]
    counts: npt.NDArray[np.uint32]
    offset_bounds: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]


class TilesFile:
    """``tiles.arrow`` of an index."""

    def __init__(self, path: Path) -> None:
        self._rows = MappedRows(path, TILES_SCHEMA, TILES_BATCH, _columns)

    def ranges(self, row: int) -> TileRanges:
        """Where the tiles of one level lie.

        Parameters
        ----------
        row
            ``first_tiles_row`` of the asset, plus the number of the level.
        """
        columns, i = self._rows.locate(row)
        start, stop = columns.count_bounds[i : i + 2]
        counts = columns.counts[start:stop].astype(np.int64)
        if not columns.packed[i]:
            start, stop = columns.offset_bounds[i : i + 2]
            return TileRanges(columns.offsets[start:stop], counts)
        offsets = counts + columns.gap[i]
        offsets[1:] = offsets[:-1]
        offsets[0] = columns.first_offset[i]
        return TileRanges(offsets.cumsum(out=offsets), counts)


def _columns(batch: pa.RecordBatch) -> _Columns:
    counts, offsets, gap = batch.column("counts"), batch.column("offsets"), batch.column("gap")
    return _Columns(
        first_offset=values(batch.column("first_offset"), np.int64),
        gap=values(gap, np.int64),
        packed=gap.is_valid().to_numpy(zero_copy_only=False),
        count_bounds=counts.offsets.to_numpy(),
        counts=values(counts.values, np.uint32),
        offset_bounds=offsets.offsets.to_numpy(),
        offsets=values(offsets.values, np.int64),
    )
