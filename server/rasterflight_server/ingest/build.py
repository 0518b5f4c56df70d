"""Building an index: read the header of every file, keep what can be read, list the rest."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

from rasterflight_protocol import ErrorCode
from rasterflight_server.catalog.configuration import Configuration
from rasterflight_server.catalog.storage import storage_options
from rasterflight_server.errors import RequestError, SourceError
from rasterflight_server.ingest.bands import NamedAsset, name_bands
from rasterflight_server.ingest.configure import config_text, put_configuration
from rasterflight_server.ingest.conflicts import find_conflicts
from rasterflight_server.ingest.find import SourceOptions, find_records, source_label
from rasterflight_server.ingest.header import Header, read_header
from rasterflight_server.ingest.location import locate
from rasterflight_server.ingest.presets import archive_source
from rasterflight_server.ingest.registry import Registry
from rasterflight_server.ingest.snapshot import SnapshotBuilder, check_target
from rasterflight_server.ingest.sources import AssetSource, Failure, Notice, RecordSource
from rasterflight_server.ingest.stacassets import AssetChoice
from rasterflight_server.ingest.stacquery import StacQuery
from rasterflight_server.ingest.tables import Query
from rasterflight_server.ingest.write import IndexedAsset, IndexedRecord
from rasterflight_server.store import Stores
from rasterflight_server.types import Grid

DEFAULT_JOBS: Final = 16
_AHEAD_PER_JOB: Final = 8
_NAMED_FAILURES: Final = 3
_LEFT_OUT: Final = "none of its files can be read, it is not in the index"

_Pending = tuple[RecordSource, list["Future[Header]"]]


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What became of a build."""

    name: str
    path: Path
    snapshot: str
    records: int
    assets: int
    bands: tuple[str, ...]
    failures: tuple[Failure, ...]
    #: What is in the index, but not as its catalog says.
    notices: tuple[Notice, ...] = ()


def build_index(
    source: Any,
    out: str | Path,
    name: str,
    *,
    pattern: str | None = None,
    map: Mapping[str, str] | None = None,  # noqa: A002 - named as on the command line
    query: str | None = None,
    config: str | Path | None = None,
    preset: str | None = None,
    assets: Sequence[str] = (),
    prefer: str | None = None,
    search: Mapping[str, Any] | None = None,
    jobs: int = DEFAULT_JOBS,
    stores: Stores | None = None,
    progress: bool = False,
    on_failure: Callable[[Failure], None] | None = None,
) -> BuildReport:
    """Index STAC of any kind, tables, or files by their names.

    Files that cannot be read do not stop the build: they are left out and listed, and so is a record of which no file can be
    read. Headers win over the catalog where both say something.

    Parameters
    ----------
    source
        Path or URL of STAC (a catalog, an ItemCollection, items one on each line, an API with ``search``), a table (a Parquet
        or Arrow file, a folder of them, an object with ``__arrow_c_stream__``), a folder of GeoTIFFs, a path with wildcards, or
        a prefix of an object store that ends in "/"; or several. Tables of stac-geoparquet and collections of rasteret are
        known by their columns; those of rasteret are indexed without opening a file.
    out
        Directory of the index: new, empty, or an index, which is then replaced at once when the new one is complete.
    name
        Name of the collection.
    pattern
        For files: what their names look like, see ``read_folder``.
    map
        For tables: ``id``, ``datetime``, ``geometry`` or the name of a band -> column; all others become properties.
    query
        A DuckDB query that gives a further table; it may read whatever the user may.
    config
        A TOML file that becomes the collection's configuration, see ``Configuration``; None: the one that it has stays.
    preset
        Name of a preset that becomes its configuration instead; where no source is given, also the archive to search.
    assets
        For STAC, also as a table: keys of the assets to take; none: all that are data.
    prefer
        For STAC, also as a table: take the href of this scheme, such as ``"s3"`` or ``"https"``, where an asset has alternates.
    search
        For STAC APIs: what to search for; ``StacQuery`` has the names.
    jobs
        Files that are read at a time.
    stores
        Where files are opened; None: as the configuration says.
    progress
        Show a bar on stderr when that is a terminal.
    on_failure
        Called with each failure when it is found.

    Raises
    ------
    RequestError
        A parameter cannot be used, or there is nothing that can be indexed.
    SourceError
        A source cannot be read.
    ConfigError
        The configuration cannot be used. Where it does not fit the bands that were found, the index is built nevertheless.
    """
    check_target(Path(out), name)
    configuration = config_text(config, preset, Path(out))
    if stores is None:
        said = Configuration() if configuration is None else Configuration.parse(configuration)
        stores = Stores(storage_options({name: said}))
    if jobs < 1:
        raise RequestError(ErrorCode.BAD_REQUEST, f"jobs is at least 1, got {jobs}", field="jobs")
    failures: list[Failure] = []

    def fail(failure: Failure) -> None:
        failures.append(failure)
        if on_failure is not None:
            on_failure(failure)

    sources = _sources(source, query)
    choice = AssetChoice(tuple(assets), prefer)
    if preset is not None and not sources:
        archive, search, keys = archive_source(preset, search)
        choice = choice if choice.keys else AssetChoice(keys, prefer, expected=False)
        sources = [archive]
    options = SourceOptions(
        pattern=pattern,
        map=map,
        stores=stores,
        assets=choice,
        search=None if search is None else StacQuery.of(search),
        jobs=jobs,
    )
    found = find_records(sources, options)
    with SnapshotBuilder(Path(out)) as snapshot:
        indexer = _Indexer(Path(out).resolve().parent, snapshot, fail)
        bar = tqdm(unit="record", disable=None if progress else True, file=sys.stderr)
        with bar, ThreadPoolExecutor(jobs, "header") as pool:
            for record, headers in _read(_records(found, fail), stores, pool, jobs):
                indexer.add(record, headers)
                bar.update()
        if not indexer.records:
            raise _nothing(failures)
        labels = ", ".join(source_label(each) for each in sources)
        manifest = snapshot.finish(name, labels, indexer.records, indexer.registry)
        if configuration is not None:
            put_configuration(Path(out), configuration, manifest)
    return BuildReport(
        name=name,
        path=Path(out),
        snapshot=manifest.snapshot,
        records=manifest.records,
        assets=sum(len(record.assets) for record in indexer.records),
        bands=tuple(band.name for band in manifest.bands),
        failures=tuple(failures),
        notices=tuple(indexer.notices),
    )


def _sources(source: Any, query: str | None) -> list[Any]:
    """Paths and URLs as text, tables as they are."""
    alone = isinstance(source, str | Path) or hasattr(source, "__arrow_c_stream__")
    sources = [str(each) if isinstance(each, Path) else each for each in ([source] if alone else source)]
    return sources if query is None else [*sources, Query(query)]


def _records(found: Iterable[RecordSource | Failure], fail: Callable[[Failure], None]) -> Iterator[RecordSource]:
    for record in found:
        if isinstance(record, Failure):
            fail(record)
        else:
            yield record


def _read(records: Iterable[RecordSource], stores: Stores, pool: ThreadPoolExecutor, jobs: int) -> Iterator[_Pending]:
    """Read headers a bounded number of files ahead; records come in order, each with the outcome for each of its files."""
    pending: deque[_Pending] = deque()
    files = 0
    for record in records:
        pending.append((record, [pool.submit(_header, asset, stores) for asset in record.assets]))
        files += len(record.assets)
        while files > jobs * _AHEAD_PER_JOB and len(pending) > 1:
            files -= len(pending[0][1])
            yield pending.popleft()
    yield from pending


def _header(asset: AssetSource, stores: Stores) -> Header:
    if asset.header is not None:
        return asset.header
    with stores.open(asset.href) as source:
        return read_header(source)


class _Indexer:
    """Turns records whose headers were read into records of the index."""

    def __init__(self, base: Path, snapshot: SnapshotBuilder, fail: Callable[[Failure], None]) -> None:
        self._base = base
        self._snapshot = snapshot
        self._fail = fail
        self.registry = Registry()
        self.records: list[IndexedRecord] = []
        self.notices: list[Notice] = []

    def add(self, record: RecordSource, headers: Sequence["Future[Header]"]) -> None:
        files: list[tuple[AssetSource, Header]] = []
        for asset, future in zip(record.assets, headers, strict=True):
            try:
                files.append((asset, future.result()))
            except SourceError as error:
                self._fail(Failure(record.id, asset.key, str(error)))
        assets = [self._asset(asset) for asset in name_bands(files) if self._usable(record, asset)]
        if not assets:
            self._fail(Failure(record.id, "", _LEFT_OUT))
            return
        footprint, elsewhere = locate(record.geometry, [asset.grid for asset in assets])
        self.notices += [*record.notices, *find_conflicts(record.id, files)]
        if elsewhere is not None:
            self.notices.append(Notice(record.id, "", elsewhere))
        self.records.append(IndexedRecord(record, footprint, assets))

    def _usable(self, record: RecordSource, asset: NamedAsset) -> bool:
        if asset.reserved is None:
            return True
        reason = f"a band cannot be named {asset.reserved!r}: a column of every result has that name; give it another"
        self._fail(Failure(record.id, asset.source.key, reason))
        return False

    def _asset(self, asset: NamedAsset) -> IndexedAsset:
        grid = _grid(asset)
        return IndexedAsset(
            href=self._portable(asset.source.href),
            identity=asset.header.identity,
            grid=grid,
            numbers=self.registry.add(asset, grid.crs),
            first_tiles_row=self._snapshot.tiles.add(asset.header.tiles),
            tags=asset.header.tags,
        )

    def _portable(self, href: str) -> str:
        if "://" in href or not Path(href).is_relative_to(self._base):
            return href
        return Path(href).relative_to(self._base).as_posix()


def _grid(asset: NamedAsset) -> Grid:
    """Grid by the header; what that does not say, by the catalog."""
    grid, source = asset.header.grid, asset.source
    transform = grid.transform if asset.header.located else source.transform
    if transform is None:
        return grid
    return replace(grid, transform=transform, crs=grid.crs or source.crs)


def _nothing(failures: Sequence[Failure]) -> RequestError:
    """Error that gives one example for each of the first reasons."""
    first: dict[str, Failure] = {}
    for failure in failures:
        if failure.reason != _LEFT_OUT:
            first.setdefault(failure.reason, failure)
    named = list(first.values())[:_NAMED_FAILURES]
    reasons = "; ".join(map(str, named)) or "the source has no TIFF"
    more = f"; {len(failures)} failures in all" if len(failures) > len(named) else ""
    return RequestError(ErrorCode.BAD_REQUEST, f"nothing can be indexed: {reasons}{more}", field="source")
