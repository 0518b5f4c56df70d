"""The index that is updated: what its rows hold, and what it knows of files."""

import json
from collections.abc import Container, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rasterflight_server.catalog.assets import AssetsFile, from_folder
from rasterflight_server.catalog.format import (
    ASSETS,
    ASSETS_SCHEMA,
    NONE,
    ORIGINS,
    ORIGINS_SCHEMA,
    PROFILES,
    RECORDS,
    TILES,
)
from rasterflight_server.catalog.manifest import Manifest
from rasterflight_server.catalog.profiles import load_profiles
from rasterflight_server.errors import BadIndexError
from rasterflight_server.ingest.header import Header
from rasterflight_server.ingest.properties import known_field
from rasterflight_server.ingest.spill import ASSET_SCHEMA, RECORD_SCHEMA, Origin
from rasterflight_server.types import Asset


class Previous:
    """The current snapshot of an index.

    Parameters
    ----------
    directory
        Of the index.

    Raises
    ------
    BadIndexError
        There is none, it is damaged, or it was built before indexes could be updated.
    """

    def __init__(self, directory: Path) -> None:
        directory = directory.resolve()
        self.manifest = Manifest.read(directory)
        folder = directory / self.manifest.snapshot
        if not self.manifest.sources or not (folder / ORIGINS).exists():
            raise BadIndexError(
                f"the index {directory.name!r} does not say what it was made from", hint="build the index again"
            )
        self._assets = AssetsFile(folder, self.manifest, partial(from_folder, directory.parent), {})
        self.profiles = load_profiles((folder / PROFILES).read_bytes())
        #: All files, in ``ASSET_SCHEMA``.
        self.assets = _numbered(_mapped(folder / ASSETS), len(self.manifest.slots))
        self.tiles = _mapped(folder / TILES)
        try:
            records = pq.ParquetFile(folder / RECORDS)
            table, metadata = records.read(), records.schema_arrow.metadata
        except (OSError, pa.ArrowException):
            raise _damaged(RECORDS) from None
        origins = _mapped(folder / ORIGINS)
        if not origins.schema.equals(ORIGINS_SCHEMA) or len(origins) != len(table):
            raise _damaged(ORIGINS)
        #: All records, as ``RecordsSpill`` would give them.
        self.records = _as_spilt(table, origins, [crs.name for crs in self.manifest.crs])
        self.geometry_types: list[str] = json.loads(metadata[b"geo"])["columns"]["geometry"]["geometry_types"]
        self.sources: npt.NDArray[np.int16] = origins["source"].to_numpy()
        self._record_prints: npt.NDArray[np.uint64] = origins["record_print"].to_numpy()
        self._assets_prints: npt.NDArray[np.uint64] = origins["assets_print"].to_numpy()
        self._rows = {record: row for row, record in enumerate(table["id"].to_pylist())}

    def row(self, record: str) -> int | None:
        """Row of a record; None: there is none of this id."""
        return self._rows.get(record)

    def has(self, record: str) -> bool:
        """Whether there is a record of this id."""
        return record in self._rows

    def missing(self, source: int, seen: Container[str]) -> Iterator[int]:
        """Rows of the records of a source that were not seen."""
        return (row for record, row in self._rows.items() if self.sources[row] == source and record not in seen)

    def origin(self, row: int) -> Origin:
        """Where a record came from."""
        return Origin(int(self.sources[row]), int(self._record_prints[row]), int(self._assets_prints[row]))

    def files(self, row: int) -> Iterator[Asset]:
        """Files of a record."""
        for slot in range(len(self.manifest.slots)):
            asset = self._assets.get(row, slot)
            if asset is not None:
                yield asset

    def crs(self, row: int) -> int:
        """Number of the CRS of a record, or ``NONE``."""
        return int(self.records["crs"][row].as_py())


def known_header(asset: Asset) -> Header:
    """What the header of a file said, with what the catalog added to it."""
    levels = len(asset.profile.levels) + len(asset.profile.masks)
    return Header(
        identity=asset.identity,
        profile=asset.profile,
        grid=asset.grid,
        located=True,
        tiles=tuple(map(asset.tile_ranges, range(levels))),
        tags=asset.tags,
    )


def _mapped(path: Path) -> pa.Table:
    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (OSError, pa.ArrowException):
        raise _damaged(path.name) from None


def _numbered(assets: pa.Table, slots: int) -> pa.Table:
    rows = np.arange(len(assets))
    numbered = assets.select(ASSETS_SCHEMA.names)
    numbered = numbered.append_column("record", pa.array(rows // slots))
    return numbered.append_column("slot", pa.array((rows % slots).astype(np.int32))).cast(ASSET_SCHEMA)


def _as_spilt(table: pa.Table, origins: pa.Table, crs: list[str]) -> pa.Table:
    bbox = table["bbox"]
    columns: dict[str, Any] = {name: table[name] for name in ("id", "datetime")}
    columns["geometry"] = table["geometry"].cast(pa.binary())
    columns |= {name: pc.struct_field(bbox, name) for name in ("xmin", "ymin", "xmax", "ymax")}
    columns["crs"] = pc.fill_null(pc.index_in(table["crs"], pa.array(crs, pa.utf8()), skip_nulls=True), NONE)
    columns |= {name: origins[name] for name in ORIGINS_SCHEMA.names}
    fields = [known_field(table[field.name], field) for field in list(table.schema)[5:]]
    columns |= {field.name: table[field.name] for field in fields}
    return pa.table(columns, schema=pa.schema([*RECORD_SCHEMA, *fields]))


def _damaged(name: str) -> BadIndexError:
    return BadIndexError(f"{name} of the index is damaged", hint="build the index again")
