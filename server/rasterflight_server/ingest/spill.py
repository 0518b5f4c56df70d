"""Rows of an index in the order in which they come, kept on disk until all are there and can be sorted."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import shapely
from shapely.geometry.base import BaseGeometry

from rasterflight_server.catalog.format import ASSETS_BATCH, ASSETS_SCHEMA, TILES_BATCH, TILES_SCHEMA
from rasterflight_server.catalog.tiles import pack
from rasterflight_server.ingest.properties import PropertyNames, clean_text, property_columns
from rasterflight_server.ingest.registry import Numbers
from rasterflight_server.ingest.sources import RecordSource
from rasterflight_server.types import Grid, Identity, TileRanges

_RECORDS_BATCH: Final = 10_000

Row = TypeVar("Row")

#: Columns of a record before its properties.
RECORD_SCHEMA: Final = pa.schema(
    [
        pa.field("id", pa.utf8()),
        pa.field("datetime", pa.timestamp("us", "UTC")),
        pa.field("geometry", pa.binary()),
        *(pa.field(name, pa.float64()) for name in ("xmin", "ymin", "xmax", "ymax")),
        pa.field("crs", pa.int32()),
        pa.field("source", pa.int16()),
        pa.field("record_print", pa.uint64()),
        pa.field("assets_print", pa.uint64()),
    ]
)
#: Which record a file belongs to, by position, and in which slot.
ASSET_SCHEMA: Final = pa.schema([*ASSETS_SCHEMA, pa.field("record", pa.int64()), pa.field("slot", pa.int32())])


class Origin(NamedTuple):
    """Where a record came from."""

    #: Position in ``Manifest.sources``.
    source: int
    #: What its source says about the record, and what about its files, boiled down to numbers.
    record_print: int
    assets_print: int


class IndexedAsset(NamedTuple):
    """A file as it stands in the index."""

    #: As it is to be stored: relative where the file and the index may move together.
    href: str
    identity: Identity | None
    grid: Grid
    numbers: Numbers
    first_tiles_row: int
    tags: str = ""


class IndexedRecord(NamedTuple):
    """A record as it stands in the index."""

    source: RecordSource
    footprint: BaseGeometry | None
    origin: Origin
    assets: Sequence[IndexedAsset]
    #: CRS of the first raster that has one; ``NONE``: none has.
    crs: int
    #: Row of the index that is updated whose files are those of this record, instead of ``assets``.
    files_of: int | None = None


class RecordsSpill:
    """Records; a file for each batch, since each may have other properties.

    Parameters
    ----------
    folder
        Where to write.
    names
        Gives the names of columns.
    """

    def __init__(self, folder: Path, names: PropertyNames) -> None:
        self._folder = folder
        self._names = names
        self._pending: list[IndexedRecord] = []
        self._paths: list[Path] = []
        self.count = 0
        #: Id -> position, without those that were let go.
        self.positions: dict[str, int] = {}
        self.geometry_types: set[str] = set()
        #: Position, and row of the index that is updated, of records whose files are those of the latter.
        self.files_of: list[tuple[int, int]] = []

    def add(self, record: IndexedRecord) -> int:
        """Append a record; returns its position."""
        self._pending.append(record)
        if len(self._pending) == _RECORDS_BATCH:
            self._flush()
        position, self.count = self.count, self.count + 1
        self.positions[record.source.id] = position
        if record.files_of is not None:
            self.files_of.append((position, record.files_of))
        return position

    def let_go(self, record: str) -> None:
        """Leave out the record of an id, if there is one."""
        self.positions.pop(record, None)

    def _flush(self) -> None:
        if not self._pending:
            return
        batch = self._batch(self._pending)
        path = self._folder / f"records-{len(self._paths)}.arrow"
        with pa.ipc.new_file(str(path), batch.schema) as writer:
            writer.write_batch(batch)
        self._paths.append(path)
        self._pending = []

    def _batch(self, records: Sequence[IndexedRecord]) -> pa.RecordBatch:
        footprints = np.array([record.footprint for record in records], dtype=object)
        self.geometry_types.update(footprint.geom_type for footprint in footprints if footprint is not None)
        fields, columns = property_columns([record.source.properties for record in records], self._names)
        source, record_print, assets_print = zip(*(record.origin for record in records), strict=True)
        fixed = [
            pa.array([record.source.id for record in records]),
            pa.array([record.source.when for record in records], pa.timestamp("us")).cast(pa.timestamp("us", "UTC")),
            pa.array(shapely.to_wkb(footprints), pa.binary()),
            *(pa.array(bounds, from_pandas=True) for bounds in shapely.bounds(footprints).T),
            pa.array([record.crs for record in records], pa.int32()),
            pa.array(source, pa.int16()),
            pa.array(record_print, pa.uint64()),
            pa.array(assets_print, pa.uint64()),
        ]
        return pa.RecordBatch.from_arrays([*fixed, *columns], schema=pa.schema([*RECORD_SCHEMA, *fields]))

    def tables(self) -> list[pa.Table]:
        """All records, memory-mapped; nothing can be added any more."""
        self._flush()
        return [pa.ipc.open_file(pa.memory_map(str(path))).read_all() for path in self._paths]


class _Spill(Generic[Row]):
    """Rows of one schema, memory-mapped when they are complete."""

    def __init__(self, path: Path, schema: pa.Schema, batch: int, make: Callable[[list[Row]], pa.RecordBatch]) -> None:
        self._path = path
        self._batch = batch
        self._make = make
        self._writer = pa.ipc.new_file(str(path), schema)
        self._pending: list[Row] = []
        self.rows = 0

    def append(self, row: Row) -> None:
        """Append a row."""
        self._pending.append(row)
        self.rows += 1
        if len(self._pending) == self._batch:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            self._writer.write_batch(self._make(self._pending))
            self._pending = []

    def close(self) -> None:
        """Complete the file; a second call does nothing."""
        self._flush()
        self._writer.close()

    def table(self) -> pa.Table:
        """All rows; nothing can be appended any more."""
        self.close()
        return pa.ipc.open_file(pa.memory_map(str(self._path))).read_all()


class AssetsSpill(_Spill[tuple[Any, ...]]):
    """Files, in ``ASSET_SCHEMA``."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, ASSET_SCHEMA, ASSETS_BATCH, _assets)

    def add(self, record: int, asset: IndexedAsset) -> None:
        """Append a file of a record."""
        identity, grid, numbers = asset.identity, asset.grid, asset.numbers
        self.append(
            (
                clean_text(asset.href),
                identity and identity.size,
                identity and identity.mtime_ns,
                identity and identity.etag,
                numbers.profile,
                numbers.crs,
                grid.width,
                grid.height,
                *grid.coefficients,
                asset.first_tiles_row,
                clean_text(asset.tags) or None,
                record,
                numbers.slot,
            )
        )


def _assets(rows: Sequence[tuple[Any, ...]]) -> pa.RecordBatch:
    columns = zip(ASSET_SCHEMA, zip(*rows, strict=True), strict=True)
    return pa.RecordBatch.from_arrays([pa.array(values, field.type) for field, values in columns], schema=ASSET_SCHEMA)


class TilesWriter(_Spill[TileRanges]):
    """``tiles.arrow``: tile lists are written while files are read, so that they need not be kept.

    Parameters
    ----------
    path
        Where to write.
    before
        Number of rows that will stand before these.
    """

    def __init__(self, path: Path, before: int = 0) -> None:
        super().__init__(path, TILES_SCHEMA, TILES_BATCH, pack)
        self._before = before

    def add(self, levels: Iterable[TileRanges]) -> int:
        """Append the levels of one file; returns the row of the first."""
        first = self._before + self.rows
        for ranges in levels:
            self.append(ranges)
        return first
