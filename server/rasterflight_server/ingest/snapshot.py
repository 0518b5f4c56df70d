"""One version of an index: built aside, then put in place at once."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa

from rasterflight_server.catalog.format import ASSETS, NONE, ORIGINS, PROFILES, RECORDS, TILES
from rasterflight_server.catalog.manifest import Manifest
from rasterflight_server.catalog.profiles import dump_profiles
from rasterflight_server.ingest.previous import Previous
from rasterflight_server.ingest.properties import PropertyNames
from rasterflight_server.ingest.registry import Registry
from rasterflight_server.ingest.spill import RECORD_SCHEMA, AssetsSpill, IndexedRecord, RecordsSpill, TilesWriter
from rasterflight_server.ingest.target import BUILDING, digest, lock_directory, occupied, publish
from rasterflight_server.ingest.write import (
    Rows,
    extent_of,
    join_records,
    numbers,
    sorted_rows,
    time_range_of,
    write_assets,
    write_origins,
    write_records,
    write_tiles,
)

_SPILL: Final = "spill"


@dataclass(frozen=True, slots=True)
class Counts:
    """Records of a snapshot, and how they stand to those of the one before."""

    added: int
    dropped: int
    changed: int
    unchanged: int

    @property
    def records(self) -> int:
        """Records of the new snapshot."""
        return self.added + self.changed + self.unchanged


class SnapshotBuilder:
    """Context in which an index is built; what was not finished leaves no trace.

    Parameters
    ----------
    out
        Directory of the index.
    update
        Begin with the index that is there: its records can be kept.

    Raises
    ------
    RequestError
        BAD_REQUEST: the directory cannot be written, or another build is at work in it.
    BadIndexError
        There is no index that can be updated.
    """

    registry: Registry
    #: Takes the tile lists while files are read.
    tiles: TilesWriter
    #: What is updated.
    previous: Previous | None

    def __init__(self, out: Path, *, update: bool = False) -> None:
        self._out = out
        self._update = update
        self._folder = out / BUILDING
        self._spill = self._folder / _SPILL

    def __enter__(self) -> Self:
        self._lock = lock_directory(self._out)
        try:
            self._begin()
        except BaseException:
            self._leave()
            raise
        return self

    def _begin(self) -> None:
        self.previous = Previous(self._out) if self._update else None
        # What a build that was killed left behind.
        shutil.rmtree(self._folder, ignore_errors=True)
        try:
            self._spill.mkdir(parents=True)
        except OSError as error:
            raise occupied(self._out, error.strerror or "it cannot be written") from None
        if self.previous is None:
            self.registry, names, tiles = Registry(), PropertyNames(), 0
        else:
            self.registry = Registry(self.previous.manifest, self.previous.profiles)
            names = PropertyNames(self.previous.records.schema.names[len(RECORD_SCHEMA) :])
            tiles = len(self.previous.tiles)
        self._kept = np.zeros(0 if self.previous is None else len(self.previous.records), np.bool_)
        self._records = RecordsSpill(self._spill, names)
        self._assets = AssetsSpill(self._spill / ASSETS)
        self.tiles = TilesWriter(self._spill / TILES, tiles)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        self.tiles.close()
        self._assets.close()
        self._leave()

    def _leave(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        if not any(self._out.iterdir()):
            self._out.rmdir()
        os.close(self._lock)

    def add(self, record: IndexedRecord) -> None:
        """Take a new record."""
        position = self._records.add(record)
        for asset in record.assets:
            self._assets.add(position, asset)

    def keep(self, rows: int | Rows) -> None:
        """Take records of the previous snapshot as they are."""
        self._kept[rows] = True

    def outranks(self, source: int, record: str) -> bool:
        """Whether a record of this id is kept that came from a later source."""
        if self.previous is None:
            return False
        row = self.previous.row(record)
        return row is not None and bool(self._kept[row]) and self.previous.origin(row).source > source

    def let_go(self, record: str) -> None:
        """Leave out a record that was kept or taken before, if it was."""
        row = None if self.previous is None else self.previous.row(record)
        if row is not None:
            self._kept[row] = False
        self._records.let_go(record)

    def counts(self) -> Counts:
        """What became of records since the previous snapshot."""
        unchanged = int(self._kept.sum())
        known = 0 if self.previous is None else sum(map(self.previous.has, self._records.positions))
        return Counts(
            added=len(self._records.positions) - known,
            dropped=len(self._kept) - unchanged - known,
            changed=known,
            unchanged=unchanged,
        )

    def finish(self, name: str, source: str, sources: Sequence[Mapping[str, Any]]) -> tuple[Manifest, int]:
        """Write all tables, and make them the index; returns the manifest and the number of files.

        Readers see the index as it was before, or the new one: the manifest is replaced last, and older snapshots go
        only then.
        """
        records, rows = self._ordered()
        files, places = self._places(len(records))
        places = places[rows]
        present = places != NONE
        used = places[present]
        profile, crs, first = (numbers(files[column])[used] for column in ("profile", "crs", "first_tiles_row"))
        slots = np.broadcast_to(np.arange(places.shape[1]), places.shape)[present]
        shared = self.registry.shared(slots, profile, crs)
        moved = np.full(len(files), NONE, np.int64)
        moved[used] = self._write_tiles(first, self.registry.tile_rows()[profile])
        write_assets(self._folder / ASSETS, files, places[:, shared.used_slots].reshape(-1), moved, shared)
        write_records(self._folder / RECORDS, records, rows, self.registry.crs_names, self._geometry_types())
        write_origins(self._folder / ORIGINS, records, rows)
        (self._folder / PROFILES).write_text(dump_profiles(shared.profiles))
        manifest = Manifest(
            name=name,
            snapshot="",
            created="",
            generator=_generator(),
            source=source,
            records=len(rows),
            bands=shared.bands,
            slots=shared.slots,
            crs=shared.crs,
            extent=extent_of(records, rows),
            time_range=time_range_of(records, rows),
            sources=tuple(sources),
        )
        shutil.rmtree(self._spill)
        created = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        manifest = replace(manifest, snapshot=digest(self._folder, manifest), created=created)
        publish(self._out, self._folder, manifest)
        return manifest, len(used)

    def _ordered(self) -> tuple[pa.Table, Rows]:
        """All records that there are, and which of them the snapshot has, in which order."""
        before = [] if self.previous is None else [self.previous.records]
        records = join_records([*before, *self._records.tables()])
        new = np.fromiter(self._records.positions.values(), np.int64) + len(self._kept)
        return records, sorted_rows(records, np.concatenate([np.flatnonzero(self._kept), new]))

    def _places(self, count: int) -> tuple[pa.Table, Rows]:
        """All files that there are, and the row there of each record's file in each slot."""
        new = self._assets.table()
        files = new if self.previous is None else pa.concat_tables([self.previous.assets, new])
        first_new, first_record = len(files) - len(new), count - self._records.count
        record, slot = files["record"].to_numpy().copy(), files["slot"].to_numpy()
        record[first_new:] += first_record
        rows = np.flatnonzero(files["profile"].to_numpy() != NONE)
        places = np.full((count, self.registry.slots), NONE, np.int64)
        places[record[rows], slot[rows]] = rows
        for position, row in self._records.files_of:
            places[first_record + position] = places[row]
        return files, places

    def _write_tiles(self, first: Rows, counts: Rows) -> Rows:
        path = self._folder / TILES
        if self.previous is None and len(self._records.positions) == self._records.count:
            # Every row is needed, and stands where it should.
            self.tiles.close()
            (self._spill / TILES).rename(path)
            return first
        before = [] if self.previous is None else [self.previous.tiles]
        return write_tiles(path, pa.concat_tables([*before, self.tiles.table()]), first, counts)

    def _geometry_types(self) -> set[str]:
        before = [] if self.previous is None else self.previous.geometry_types
        return self._records.geometry_types.union(before)


def _generator() -> str:
    try:
        return f"rasterflight {version('rasterflight')}"
    except PackageNotFoundError:  # run from a source tree
        return "rasterflight"
