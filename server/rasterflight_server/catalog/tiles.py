"""Byte ranges of tiles, packed.

Tiles of a cloud-optimised GeoTIFF follow each other with a fixed gap (0, or the 8 bytes of leader and trailer that GDAL
writes), so that the first offset, the gap and 32-bit byte counts say everything. Other files keep their offsets.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rasterflight_server.catalog.format import TILES_BATCH, TILES_SCHEMA
from rasterflight_server.catalog.ipc import MappedRows, values
from rasterflight_server.types import TileRanges


def pack(ranges: TileRanges) -> dict[str, Any]:
    """One row of ``tiles.arrow``."""
    offsets, counts = ranges.offsets, ranges.counts
    gaps = offsets[1:] - offsets[:-1] - counts[:-1]
    gap = int(gaps[0]) if gaps.size else 0
    packed = bool((gaps == gap).all() and (counts > 0).all())
    return {
        "first_offset": int(offsets[0]),
        "gap": gap if packed else None,
        "counts": counts.astype(np.uint32),
        "offsets": None if packed else offsets,
    }


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
