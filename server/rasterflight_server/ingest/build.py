"""Building an index and keeping it up to date: read the headers of files, keep what can be read, list the rest."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from tqdm import tqdm

from rasterflight_server.catalog.manifest import Manifest
from rasterflight_server.ingest.failures import REPORT, Allowance, Failures, write_report
from rasterflight_server.ingest.headers import DaskReader, HeaderReader, ThreadReader
from rasterflight_server.ingest.indexer import Indexer
from rasterflight_server.ingest.journal import Journal
from rasterflight_server.ingest.previous import Previous
from rasterflight_server.ingest.saved import SavedSource, find, merge_sources
from rasterflight_server.ingest.snapshot import SnapshotBuilder
from rasterflight_server.ingest.sources import Failure, RecordSource
from rasterflight_server.ingest.target import check_target

#: Records that are looked for before the first is read: of so many it is known how long they will take.
_PEEK: Final = 2_000

Found = Iterable[RecordSource | Failure]


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What became of a build; numbers of records but for ``assets``."""

    name: str
    path: Path
    snapshot: str
    records: int
    #: Files.
    assets: int
    bands: tuple[str, ...]
    failures: tuple[Failure, ...]
    #: Files and records that could not be read, without what only follows from that.
    failed: int
    #: New since the last snapshot; all of them where there was none.
    added: int
    #: No longer in a source, or no longer readable.
    dropped: int
    #: Said otherwise by a source than before, or with other files.
    changed: int
    unchanged: int
    #: Headers that an interrupted build had read before.
    resumed: int


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How files are read, and what is done about failures."""

    #: Files read at a time; None: what suits where they lie (4 local, 32 remote ones).
    jobs: int | None = None
    #: Address of a Dask scheduler whose workers read the files instead.
    dask: str | None = None
    #: Show a bar on stderr when that is a terminal.
    progress: bool = False
    #: Called with each failure when it is found.
    on_failure: Callable[[Failure], None] | None = None
    #: How much may fail before the build does: "1%", or a number of files; None: anything.
    fail_over: str | float | None = None
    #: Where failures are written to as Parquet; None: ``failures.parquet`` beside the manifest, if there are any.
    report: Path | None = None


def build_index(
    source: str | Path | Sequence[str | Path],
    out: str | Path,
    name: str,
    *,
    pattern: str | None = None,
    **options: Any,
) -> BuildReport:
    """Index STAC items or folders of GeoTIFFs.

    Files that cannot be read do not stop the build: they are left out and listed, and so is a record of which no file can be
    read. Headers win over the catalog where both say something. A build that is interrupted keeps the headers that it read:
    the next one in the same place goes on from there. Of records with one id, the last source counts, and there the first record.

    Parameters
    ----------
    source
        Path or URL of a STAC ItemCollection, or a folder; or several.
    out
        Directory of the index: new, empty, or an index, which is then replaced at once when the new one is complete.
    name
        Name of the collection.
    pattern
        For folders: what file names look like, see ``read_folder``.
    options
        See ``BuildOptions``.

    Raises
    ------
    RequestError
        A parameter cannot be used, too much failed, or there is nothing that can be indexed.
    SourceError
        The STAC file cannot be read.
    """
    locations = [source] if isinstance(source, str | Path) else list(source)
    sources = [SavedSource.of(str(location), pattern) for location in locations]
    return _build(Path(out), name, sources, BuildOptions(**options), map(find, sources))


def index_records(records: Found, out: str | Path, name: str, **options: Any) -> BuildReport:
    """Index records that a program makes; as ``build_index``. Other sources can join such an index by ``update_index``.

    Parameters
    ----------
    records
        Taken one by one, and not kept.
    out, name, options
        As for ``build_index``.
    """
    return _build(Path(out), name, [SavedSource("")], BuildOptions(**options), [records])


def update_index(
    out: str | Path,
    source: Sequence[str | Path] = (),
    *,
    pattern: str | None = None,
    verify: bool = True,
    **options: Any,
) -> BuildReport:
    """Bring an index up to date: run its sources again, read what is new or changed, keep the rest without reading it.

    Records that are no longer in their source are dropped. Files that cannot be reached at the moment stay as they were,
    and are reported. Readers see the index as it was before until the new one is complete.

    Parameters
    ----------
    out
        Directory of the index.
    source
        Run these only: sources of the index, or new ones, whose records join those that are there. Records of other sources
        stay as they are, but for those whose id a new source has.
    pattern
        For new folders, as for ``build_index``.
    verify
        Look whether files of records that did not change are still the same (size, modification time, ETag): a system call
        for each local one, a HEAD request for each remote one. False: what the source says is enough.
    options
        See ``BuildOptions``.

    Raises
    ------
    BadIndexError
        There is no index, or one that does not say what it was made from.
    RequestError, SourceError
        As ``build_index``.
    """
    directory = Path(out)
    Manifest.read(directory)
    with _at_work(directory, BuildOptions(**options), update=True, verify=verify) as work:
        assert work.previous is not None
        manifest, base = work.previous.manifest, directory.resolve().parent
        known = [SavedSource.load(document, base) for document in manifest.sources]
        given = [SavedSource.of(str(location), pattern) for location in source]
        sources, run = merge_sources(known, given)
        work.snapshot.keep(np.flatnonzero(~np.isin(work.previous.sources, run)))
        for number in run:
            work.run(number, find(sources[number]))
        return work.finish(manifest.name, sources)


def _build(
    out: Path, name: str, sources: Sequence[SavedSource], options: BuildOptions, records: Iterable[Found]
) -> BuildReport:
    check_target(out, name)
    with _at_work(out, options) as work:
        for number, found in enumerate(records):
            work.run(number, found)
        return work.finish(name, sources)


@contextmanager
def _at_work(out: Path, options: BuildOptions, *, update: bool = False, verify: bool = True) -> Iterator["_Work"]:
    allowance = None if options.fail_over is None else Allowance.parse(options.fail_over)
    failures = Failures(options.on_failure)
    with (
        _reader(options) as reader,
        SnapshotBuilder(out, update=update) as snapshot,
        Journal(out) as journal,
        tqdm(unit="record", disable=None if options.progress else True, file=sys.stderr) as bar,
    ):
        if journal.found:
            bar.write(f"going on with {journal.found} headers that an interrupted build read", file=sys.stderr)
        base = out.resolve().parent
        indexer = Indexer(snapshot, reader, journal, failures, base=base, verify=verify)
        yield _Work(out, options, allowance, failures, snapshot, journal, indexer, bar)


@dataclass(frozen=True, slots=True)
class _Work:
    """What a build works with."""

    out: Path
    options: BuildOptions
    allowance: Allowance | None
    failures: Failures
    snapshot: SnapshotBuilder
    journal: Journal
    indexer: Indexer
    bar: "tqdm[Any]"

    @property
    def previous(self) -> Previous | None:
        """What is updated."""
        return self.snapshot.previous

    def run(self, number: int, found: Found) -> None:
        """Index the records of a source."""
        records = iter(found)
        first = list(islice(records, _PEEK))
        if len(first) < _PEEK:
            self.bar.total = self.bar.n + len(first)
        elif self.previous is not None:
            self.bar.total = max(self.previous.manifest.records, self.bar.n)
        else:
            self.bar.total = None
        for _ in self.indexer.run(number, chain(first, records)):
            self.bar.update()
            if failed := len(self.failures.found):
                self.bar.set_postfix(failed=failed, refresh=False)

    def finish(self, name: str, sources: Sequence[SavedSource]) -> BuildReport:
        """Write the index, and what failed."""
        counts, report = self.snapshot.counts(), self.options.report
        if report is None and not counts.records:
            raise self.failures.nothing()
        if self.failures.found or report is not None:
            write_report(report or self.out / REPORT, self.failures.found)
        else:
            (self.out / REPORT).unlink(missing_ok=True)
        self.failures.check(self.allowance, f"all failures are in {report or self.out.name + '/' + REPORT}")
        if not counts.records:
            raise self.failures.nothing()
        base = self.out.resolve().parent
        label = ", ".join(source.label for source in sources)
        manifest, files = self.snapshot.finish(name, label, [source.dump(base) for source in sources])
        self.journal.clear()
        return BuildReport(
            name=name,
            path=self.out,
            snapshot=manifest.snapshot,
            records=manifest.records,
            assets=files,
            bands=tuple(band.name for band in manifest.bands),
            failures=tuple(self.failures.found),
            failed=len(self.failures.own),
            added=counts.added,
            dropped=counts.dropped,
            changed=counts.changed,
            unchanged=counts.unchanged,
            resumed=self.journal.found,
        )


def _reader(options: BuildOptions) -> HeaderReader:
    return ThreadReader(options.jobs) if options.dask is None else DaskReader(options.dask)
