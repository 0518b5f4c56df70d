"""Sources as the manifest keeps them, so that an update can run them again: portable, and without secrets."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.ingest.batches import count_rows
from rasterflight_server.ingest.find import DEFAULTS, SourceOptions, find_records, source_label
from rasterflight_server.ingest.sources import Failure, RecordSource
from rasterflight_server.ingest.stacassets import AssetChoice
from rasterflight_server.ingest.stacquery import StacQuery
from rasterflight_server.ingest.tables import Query
from rasterflight_server.store import Stores

#: Names of parts of a query that let somebody in.
_SECRET: Final = re.compile(r"sig|token|key|secret|pass|cred|auth|^x-(amz|goog)-", re.IGNORECASE)
_URL: Final = re.compile(r"""\w+://[^\s'"]+""")


@dataclass(frozen=True, slots=True)
class SavedSource:
    """A source of records, and how it is read."""

    #: Absolute path, URL, or text of a query; empty: a program, which alone can make the records again.
    location: str
    #: Without ``stores`` and ``jobs``.
    options: SourceOptions = DEFAULTS
    #: The location is a DuckDB query.
    query: bool = False
    #: The location that was kept lacks a secret.
    incomplete: bool = False
    #: What a program gave, as long as it is there: a table.
    table: Any = None

    @classmethod
    def of(cls, source: Any, options: SourceOptions) -> Self:
        """A source as it was given."""
        # Whether one of several sources has an asset does not matter, only whether any has.
        choice = options.assets
        options = replace(options, assets=replace(choice, expected=not choice.keys))
        if isinstance(source, Query):
            return cls(source.sql, options, query=True)
        if not isinstance(source, str | Path):
            return cls("", options, table=source)
        location = str(source)
        return cls(location if "://" in location else str(Path(location).resolve()), options)

    @classmethod
    def load(cls, document: Mapping[str, Any], base: Path) -> Self:
        """A source as it was kept."""
        location, query = str(document["location"]), bool(document.get("query", False))
        if location and "://" not in location and not query:
            location = str(base / location)
        keys, search = tuple(document.get("assets", ())), document.get("search")
        options = SourceOptions(
            pattern=document.get("pattern"),
            map=document.get("map"),
            assets=AssetChoice(keys, document.get("prefer"), expected=not keys),
            search=None if search is None else StacQuery.of(search),
        )
        return cls(location, options, query, bool(document.get("incomplete", False)))

    def dump(self, base: Path) -> dict[str, Any]:
        """What is kept: a path relative to the folder of the index where it lies in that, a URL without secrets."""
        location, options = self.plain, self.options
        if location and "://" not in location and not self.query and Path(location).is_relative_to(base):
            location = Path(location).relative_to(base).as_posix()
        search = None if options.search is None else asdict(options.search)
        kept = {
            "location": location,
            "query": self.query,
            "pattern": options.pattern,
            "map": options.map and dict(options.map),
            "assets": list(options.assets.keys),
            "prefer": options.assets.prefer,
            "search": search and {name: value for name, value in search.items() if value},
            "incomplete": self.incomplete or self.plain != self.location,
        }
        return {name: value for name, value in kept.items() if value or name == "location"}

    @property
    def plain(self) -> str:
        """The location without secrets."""
        return _URL.sub(lambda url: _without_secrets(url[0]), self.location)

    @property
    def label(self) -> str:
        """A name that gives away neither the folders of this machine nor the signature of a URL."""
        return source_label(self._source) if self.location or self.table is not None else "records of a program"

    @property
    def _source(self) -> Any:
        return Query(self.location) if self.query else self.location or self.table

    def count(self) -> int | None:
        """Number of records, where it is known before they are found."""
        return count_rows(self.location) if self.location and not self.query else None

    def find(self, stores: Stores, jobs: int | None) -> Iterator[RecordSource | Failure]:
        """Find the records; raises as ``find_records``.

        Parameters
        ----------
        stores
            Where files are opened.
        jobs
            Documents of a catalog that are fetched at a time; None: what is usual.
        """
        return find_records([self._source], replace(self.options, stores=stores, jobs=jobs or DEFAULTS.jobs))


def merge_sources(known: Sequence[SavedSource], given: Sequence[SavedSource]) -> tuple[list[SavedSource], list[int]]:
    """Join sources that an update was given with those that an index has.

    Returns
    -------
    tuple
        All sources, and the numbers of those that are to be run: the given ones, or all.

    Raises
    ------
    RequestError
        BAD_REQUEST: a source that is to be run was kept without its secrets, or is a program.
    """
    sources = list(known)
    run = []
    for source in given:
        number = next((i for i, each in enumerate(sources) if _same(each, source)), len(sources))
        if number == len(sources):
            sources.append(source)
        else:
            told = source.options != DEFAULTS
            sources[number] = source if told else replace(source, options=sources[number].options)
        run.append(number)
    run = sorted(set(run)) or list(range(len(sources)))
    for number in run:
        _refuse(sources[number])
    return sources, run


def _same(one: SavedSource, other: SavedSource) -> bool:
    return bool(one.location) and (one.plain, one.query) == (other.plain, other.query)


def _refuse(source: SavedSource) -> None:
    if not source.location and source.table is None:
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            "the index was made from records of a program, which cannot be run again",
            field="source",
            hint="update it with sources of its own: rasterflight-server update DIR SOURCE, or build it again",
        )
    if source.incomplete:
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            f"the source {source.label!r} was given with a secret, which the index does not keep",
            field="source",
            hint="give the whole URL again: rasterflight-server update DIR URL",
        )


def _without_secrets(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:  # what is no URL cannot be read either
        return url
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    kept = [pair for pair in pairs if not _SECRET.search(pair[0])]
    if len(kept) == len(pairs) and "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(query=urlencode(kept), netloc=parts.netloc.rpartition("@")[2]))
