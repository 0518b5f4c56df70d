"""From records as their sources have them to records of an index: files are looked at, and what is known is kept."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from shapely.geometry.base import BaseGeometry

from rasterflight_protocol import ErrorCode
from rasterflight_server.catalog.format import NONE
from rasterflight_server.ingest.bands import NamedAsset, name_bands
from rasterflight_server.ingest.conflicts import find_conflicts
from rasterflight_server.ingest.failures import LEFT_OUT, Failures
from rasterflight_server.ingest.header import Header
from rasterflight_server.ingest.headers import HeaderReader, Outcome, Task, Unreadable, read_in_order
from rasterflight_server.ingest.journal import Journal
from rasterflight_server.ingest.location import locate
from rasterflight_server.ingest.measured import Measured, measured
from rasterflight_server.ingest.previous import known_header
from rasterflight_server.ingest.snapshot import SnapshotBuilder
from rasterflight_server.ingest.sources import AssetSource, BandHint, Failure, Notice, RecordSource
from rasterflight_server.ingest.spill import IndexedAsset, IndexedRecord, Origin
from rasterflight_server.store import is_remote
from rasterflight_server.types import Asset, Grid, Profile
from rasterflight_server.types.lonlat import Box

#: How the bands of a file are to be called.
_named: Final = attrgetter("key", "single", "unnamed", "by_description")
#: A file that cannot be reached now may well be there tomorrow.
_PASSING: Final = frozenset([ErrorCode.SOURCE_UNAVAILABLE, ErrorCode.SOURCE_FORBIDDEN])


@dataclass(slots=True)
class _File:
    """A file of a record, and what is known of it before it is looked at."""

    source: AssetSource
    #: What the index that is updated has of it.
    known: Asset | None
    #: What the source itself, or an earlier build, knows.
    header: Header | None
    #: None: it need not be looked at.
    task: Task | None


class _Work(NamedTuple):
    """A record on its way."""

    record: RecordSource
    origin: Origin
    #: Its row in the index that is updated.
    row: int | None
    files: Sequence[_File]
    #: Those of the geometry of the record.
    bounds: Box


class Indexer:
    """Puts records into a snapshot, source by source.

    Parameters
    ----------
    base
        Folder that the index lies in: files in it are known by relative paths.
    verify
        Look whether files that the index knows are still the same.
    """

    def __init__(
        self,
        snapshot: SnapshotBuilder,
        reader: HeaderReader,
        journal: Journal,
        failures: Failures,
        *,
        base: Path,
        verify: bool = True,
    ) -> None:
        self._snapshot = snapshot
        self._reader = reader
        self._journal = journal
        self._failures = failures
        self._base = f"{base}/"
        self._verify = verify
        self._previous = snapshot.previous
        #: Id -> number of the source that it came from.
        self._seen: dict[str, int] = {}
        self._partial = False
        #: What is in the index, but not as its source says; of records that did not change, nothing is said again.
        self.notices: list[Notice] = []
        #: Keys of the files that sources named.
        self.keys: set[str] = set()

    def run(self, number: int, found: Iterable[RecordSource | Failure]) -> Iterator[None]:
        """Index the records of a source; comes back after each.

        Of records with one id, the first of a source counts, and the last source. Where part of the source was not to be had,
        what else the index has of it stays.
        """
        self._partial = False
        for work, outcomes in read_in_order(self._works(number, found), self._reader):
            self._take(work, outcomes)
            yield
        if self._partial and self._previous is not None:
            self._snapshot.keep(np.array(list(self._previous.missing(number, self._seen)), np.int64))

    def _works(self, number: int, found: Iterable[RecordSource | Failure]) -> Iterator[tuple[_Work, list[Task]]]:
        for each in measured(found):
            record = each.record
            if isinstance(record, Failure):
                self._failures.tried += 1
                self._failures.add(record)
                self._partial = self._partial or record.partial
                continue
            self.keys.update(asset.key for asset in record.assets)
            if self._new(number, record.id):
                self._failures.tried += len(record.assets)
                work = self._work(number, record, each)
                yield work, [file.task for file in work.files if file.task is not None]

    def _new(self, number: int, record: str) -> bool:
        source = self._seen.get(record)
        if source == number:
            self._failures.tried += 1
            self._failures.add(Failure(record, "", "an earlier record has the same id"))
            return False
        if self._snapshot.outranks(number, record):
            return False
        self._snapshot.let_go(record)
        self._seen[record] = number
        return True

    def _work(self, number: int, record: RecordSource, geometry: Measured) -> _Work:
        origin = Origin(
            number, _print(geometry.wkb or b"", (record.when, dict(record.properties))), self._assets_print(record)
        )
        row = None if self._previous is None else self._previous.row(record.id)
        known: dict[tuple[str, str], Asset] = {}
        if row is not None and self._previous is not None:
            same = self._previous.origin(row).assets_print == origin.assets_print
            known = {(asset.key, asset.href): asset for asset in self._previous.files(row)} if same else {}
        return _Work(record, origin, row, [self._file(asset, known) for asset in record.assets], geometry.bounds)

    def _file(self, asset: AssetSource, known: dict[tuple[str, str], Asset]) -> _File:
        indexed = known.get((asset.key, asset.href))
        if asset.header is not None:
            return _File(asset, indexed, None if indexed is not None else asset.header, None)
        if indexed is not None:
            verified = self._verify and indexed.identity is not None
            return _File(asset, indexed, None, Task(asset.href, indexed.identity) if verified else None)
        header = self._journal.find(asset.href)
        if header is not None and is_remote(asset.href):
            return _File(asset, None, header, None)
        return _File(asset, None, header, Task(asset.href, None if header is None else header.identity))

    def _assets_print(self, record: RecordSource) -> int:
        return _print(
            b"",
            [
                (
                    self._portable(asset.href),
                    None if asset.header is None else _header_print(asset.header),
                    _bands_print(_named(asset), asset.hints, asset.rest),
                    asset.crs,
                    None if asset.transform is None else asset.transform[:6],
                    asset.shape,
                )
                for asset in record.assets
            ],
        )

    def _take(self, work: _Work, outcomes: Sequence[Outcome]) -> None:
        record = work.record
        given = iter(outcomes)
        present: list[tuple[AssetSource, Header | Asset]] = []
        same = True
        for file in work.files:
            found = self._resolve(record, file, None if file.task is None else next(given))
            same = same and found is file.known
            if found is not None:
                present.append((file.source, found))
        if same and present and work.row is not None:
            self._take_known(work, work.row, [asset.grid for _, asset in present])
        else:
            self._take_new(work, present)

    def _resolve(self, record: RecordSource, file: _File, outcome: Outcome) -> Header | Asset | None:
        """What is known of a file by now; None: it cannot be read."""
        if isinstance(outcome, Header):
            self._journal.add(file.source.href, outcome)
            return outcome
        if isinstance(outcome, Unreadable):
            kept = file.known is not None and outcome.code in _PASSING
            reason = f"{outcome.reason}; it stays in the index as it was" if kept else outcome.reason
            self._failures.add(Failure(record.id, file.source.key, reason))
            return file.known if kept else None
        return file.known or file.header

    def _take_known(self, work: _Work, row: int, grids: Sequence[Grid]) -> None:
        """Take a record whose files are the same."""
        assert self._previous is not None
        if self._previous.origin(row) == work.origin:
            self._snapshot.keep(row)
            return
        footprint = self._locate(work, grids)
        crs = self._previous.crs(row)
        self._snapshot.add(IndexedRecord(work.record, footprint, work.origin, (), crs, files_of=row))

    def _take_new(self, work: _Work, present: Sequence[tuple[AssetSource, Header | Asset]]) -> None:
        record = work.record
        files = [(source, known_header(found) if isinstance(found, Asset) else found) for source, found in present]
        assets = [self._asset(asset) for asset in name_bands(files) if self._usable(record, asset)]
        if not assets:
            self._failures.add(Failure(record.id, "", LEFT_OUT))
            return
        crs = next((asset.numbers.crs for asset in assets if asset.numbers.crs != NONE), NONE)
        footprint = self._locate(work, [asset.grid for asset in assets], files)
        self._snapshot.add(IndexedRecord(record, footprint, work.origin, assets, crs))

    def _locate(
        self, work: _Work, grids: Sequence[Grid], files: Sequence[tuple[AssetSource, Header]] = ()
    ) -> BaseGeometry | None:
        """Footprint of a record; notes what is odd about it, and about its files."""
        record = work.record
        footprint, elsewhere = locate(record.geometry, work.bounds, grids)
        self.notices += [*record.notices, *find_conflicts(record.id, files)]
        if elsewhere is not None:
            self.notices.append(Notice(record.id, "", elsewhere))
        return footprint

    def _usable(self, record: RecordSource, asset: NamedAsset) -> bool:
        if asset.reserved is None:
            return True
        reason = f"a band cannot be named {asset.reserved!r}: a column of every result has that name; give it another"
        self._failures.add(Failure(record.id, asset.source.key, reason))
        return False

    def _asset(self, asset: NamedAsset) -> IndexedAsset:
        grid = _grid(asset)
        return IndexedAsset(
            href=self._portable(asset.source.href),
            identity=asset.header.identity,
            grid=grid,
            numbers=self._snapshot.registry.add(asset, grid.crs),
            first_tiles_row=self._snapshot.tiles.add(asset.header.tiles),
            tags=asset.header.tags,
        )

    def _portable(self, href: str) -> str:
        return href.removeprefix(self._base)


def _grid(asset: NamedAsset) -> Grid:
    """Grid by the header; what that does not say, by the catalog."""
    grid, source = asset.header.grid, asset.source
    transform = grid.transform if asset.header.located else source.transform
    crs = grid.crs or source.crs
    if transform is None or (transform is grid.transform and crs == grid.crs):
        return grid
    return replace(grid, transform=transform, crs=crs)


def _print(content: bytes, facts: object) -> int:
    """What tells some bytes and facts from others; updates compare it with what an index has."""
    mark = blake2b(content, digest_size=8)
    mark.update(repr(facts).encode("utf-8", "replace"))
    return int.from_bytes(mark.digest(), "big")


def _header_print(header: Header) -> tuple[object, ...]:
    """What tells a header that a source gave from another."""
    tiles = blake2b(digest_size=8)
    for ranges in header.tiles:
        tiles.update(ranges.offsets.tobytes())
        tiles.update(ranges.counts.tobytes())
    return header.identity, header.grid, _profile_print(header.profile), tiles.hexdigest()


@lru_cache(maxsize=4096)
def _profile_print(profile: Profile) -> int:
    return _print(b"", profile)


@lru_cache(maxsize=4096)
def _bands_print(names: tuple[object, ...], hints: tuple[BandHint, ...], rest: BandHint) -> int:
    return _print(b"", (names, hints, rest))
