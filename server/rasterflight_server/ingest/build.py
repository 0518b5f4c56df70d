"""Building an index: read the header of every file, keep what can be read, list the rest."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tqdm import tqdm

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError, SourceError
from rasterflight_server.ingest.bands import NamedAsset, name_bands
from rasterflight_server.ingest.folder import compile_pattern, read_folder
from rasterflight_server.ingest.footprint import outline
from rasterflight_server.ingest.header import Header, read_header
from rasterflight_server.ingest.registry import Registry
from rasterflight_server.ingest.snapshot import SnapshotBuilder, check_target
from rasterflight_server.ingest.sources import AssetSource, Failure, RecordSource
from rasterflight_server.ingest.stac import read_stac
from rasterflight_server.ingest.write import IndexedAsset, IndexedRecord
from rasterflight_server.store import open_source
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


def build_index(
    source: str | Path,
    out: str | Path,
    name: str,
    *,
    pattern: str | None = None,
    jobs: int = DEFAULT_JOBS,
    progress: bool = False,
    on_failure: Callable[[Failure], None] | None = None,
) -> BuildReport:
    """Index STAC items or a folder of GeoTIFFs.

    Files that cannot be read do not stop the build: they are left out and listed, and so is a record of which no file can be
    read. Headers win over the catalog where both say something.

    Parameters
    ----------
    source
        Path or URL of a STAC ItemCollection, or a folder.
    out
        Directory of the index: new, empty, or an index, which is then replaced at once when the new one is complete.
    name
        Name of the collection.
    pattern
        For folders: what file names look like, see ``read_folder``.
    jobs
        Files that are read at a time.
    progress
        Show a bar on stderr when that is a terminal.
    on_failure
        Called with each failure when it is found.

    Raises
    ------
    RequestError
        A parameter cannot be used, or there is nothing that can be indexed.
    SourceError
        The STAC file cannot be read.
    """
    check_target(Path(out), name)
    if jobs < 1:
        raise RequestError(ErrorCode.BAD_REQUEST, f"jobs is at least 1, got {jobs}", field="jobs")
    failures: list[Failure] = []

    def fail(failure: Failure) -> None:
        failures.append(failure)
        if on_failure is not None:
            on_failure(failure)

    found = _find(str(source), pattern)
    with SnapshotBuilder(Path(out)) as snapshot:
        indexer = _Indexer(Path(out).resolve().parent, snapshot, fail)
        bar = tqdm(total=len(found), unit="record", disable=None if progress else True, file=sys.stderr)
        with bar, ThreadPoolExecutor(jobs, "header") as pool:
            for record, headers in _read(_unique(found, fail), pool, jobs):
                indexer.add(record, headers)
                bar.update()
        if not indexer.records:
            raise _nothing(failures)
        manifest = snapshot.finish(name, _label(str(source)), indexer.records, indexer.registry)
    return BuildReport(
        name=name,
        path=Path(out),
        snapshot=manifest.snapshot,
        records=manifest.records,
        assets=sum(len(record.assets) for record in indexer.records),
        bands=tuple(band.name for band in manifest.bands),
        failures=tuple(failures),
    )


def _find(source: str, pattern: str | None) -> list[RecordSource | Failure]:
    folder = Path(source).resolve() if "://" not in source else None
    if folder is not None and folder.is_dir():
        if pattern is not None:
            compile_pattern(pattern)
        return list(read_folder(folder, pattern))
    if pattern is not None:
        raise RequestError(ErrorCode.BAD_REQUEST, "a pattern goes with a folder, the source is a file", field="pattern")
    try:
        return list(read_stac(source))
    except SourceError as error:
        raise SourceError(error.code, f"the source {_label(source)!r}: {error.message}", hint=error.hint) from None


def _label(source: str) -> str:
    """Return a name for the source that gives away neither the folders of this machine nor the signature of a URL."""
    return source.partition("?")[0] if "://" in source else Path(source).resolve().name


def _unique(found: Iterable[RecordSource | Failure], fail: Callable[[Failure], None]) -> Iterator[RecordSource]:
    seen: set[str] = set()
    for record in found:
        if isinstance(record, Failure):
            fail(record)
        elif record.id in seen:
            fail(Failure(record.id, "", "an earlier record has the same id"))
        else:
            seen.add(record.id)
            yield record


def _read(records: Iterable[RecordSource], pool: ThreadPoolExecutor, jobs: int) -> Iterator[_Pending]:
    """Read headers a bounded number of files ahead; records come in order, each with the outcome for each of its files."""
    pending: deque[_Pending] = deque()
    files = 0
    for record in records:
        pending.append((record, [pool.submit(_header, asset) for asset in record.assets]))
        files += len(record.assets)
        while files > jobs * _AHEAD_PER_JOB and len(pending) > 1:
            files -= len(pending[0][1])
            yield pending.popleft()
    yield from pending


def _header(asset: AssetSource) -> Header:
    if asset.header is not None:
        return asset.header
    with open_source(asset.href) as source:
        return read_header(source)


class _Indexer:
    """Turns records whose headers were read into records of the index."""

    def __init__(self, base: Path, snapshot: SnapshotBuilder, fail: Callable[[Failure], None]) -> None:
        self._base = base
        self._snapshot = snapshot
        self._fail = fail
        self.registry = Registry()
        self.records: list[IndexedRecord] = []

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
        outlines = (outline(asset.grid) for asset in assets)
        footprint = record.geometry or next((shape for shape in outlines if shape is not None), None)
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
