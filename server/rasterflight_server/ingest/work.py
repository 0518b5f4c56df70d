"""A build or an update at work: what it works with, from its first record to its report."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

from rasterflight_server.catalog.configuration import Configuration
from rasterflight_server.catalog.manifest import Manifest
from rasterflight_server.catalog.storage import storage_options
from rasterflight_server.ingest.failures import REPORT, Allowance, Failures, write_report
from rasterflight_server.ingest.headers import DaskReader, HeaderReader, ThreadReader
from rasterflight_server.ingest.indexer import Indexer
from rasterflight_server.ingest.journal import Journal
from rasterflight_server.ingest.previous import Previous
from rasterflight_server.ingest.saved import SavedSource
from rasterflight_server.ingest.snapshot import SnapshotBuilder
from rasterflight_server.ingest.sources import Failure, Notice, RecordSource
from rasterflight_server.ingest.stacassets import ALL_DATA, AssetChoice
from rasterflight_server.store import Stores

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
    #: What is in the index, but not as its source says; of records that did not change, nothing is said again.
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How files are read, and what is done about failures."""

    #: Files read at a time; None: what suits where they lie (4 local, 32 remote ones).
    jobs: int | None = None
    #: Where files are opened; None: as the configuration says.
    stores: Stores | None = None
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


@contextmanager
def at_work(
    out: Path, name: str, options: BuildOptions, configuration: bytes | None, *, verify: bool | None = None
) -> Iterator["Work"]:
    """Work in a directory; ``verify`` is said of updates alone."""
    allowance = None if options.fail_over is None else Allowance.parse(options.fail_over)
    failures = Failures(options.on_failure)
    stores = options.stores
    if stores is None:
        said = Configuration() if configuration is None else Configuration.parse(configuration)
        stores = Stores(storage_options({name: said}))
    with (
        _reader(options, stores) as reader,
        SnapshotBuilder(out, update=verify is not None) as snapshot,
        Journal(out) as journal,
        tqdm(unit="record", disable=None if options.progress else True, file=sys.stderr) as bar,
    ):
        if journal.found:
            bar.write(f"going on with {journal.found} headers that an interrupted build read", file=sys.stderr)
        base = out.resolve().parent
        indexer = Indexer(snapshot, reader, journal, failures, base=base, verify=bool(verify))
        yield Work(out, options, stores, allowance, failures, snapshot, journal, indexer, bar)


@dataclass(frozen=True, slots=True)
class Work:
    """What a build works with."""

    out: Path
    options: BuildOptions
    stores: Stores
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

    def run(self, number: int, source: SavedSource, *, several: bool) -> None:
        """Index the records of a source; where it is one of several, its failures name it."""
        found = source.find(self.stores, self.options.jobs)
        self.take(number, _told(found, source.label) if several else found, source.count())

    def take(self, number: int, found: Found, count: int | None = None) -> None:
        """Index records of a source; ``count``: how many there are, where that is known."""
        records = iter(found)
        first = list(islice(records, _PEEK))
        if len(first) < _PEEK:
            self.bar.total = self.bar.n + len(first)
        elif count is not None:
            self.bar.total = self.bar.n + count
        elif self.previous is not None:
            self.bar.total = max(self.previous.manifest.records, self.bar.n)
        else:
            self.bar.total = None
        for _ in self.indexer.run(number, chain(first, records)):
            self.bar.update()
            if failed := len(self.failures.found):
                self.bar.set_postfix(failed=failed, refresh=False)

    def finish(
        self, name: str, sources: Sequence[SavedSource], choice: AssetChoice = ALL_DATA
    ) -> tuple[Manifest, BuildReport]:
        """Write the index, and what failed; some source should have had each asset of the choice."""
        for key in choice.keys:
            if choice.expected and self.indexer.keys and key not in self.indexer.keys:
                self.failures.add(Failure("", key, "no record has an asset of this name"))
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
        return manifest, BuildReport(
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
            notices=tuple(self.indexer.notices),
        )


def _told(found: Found, label: str) -> Iterator[RecordSource | Failure]:
    for each in found:
        yield replace(each, reason=f"{each.reason} (in {label})") if isinstance(each, Failure) else each


def _reader(options: BuildOptions, stores: Stores) -> HeaderReader:
    return ThreadReader(stores, options.jobs) if options.dask is None else DaskReader(stores, options.dask)
