"""Sources as the manifest keeps them, so that an update can run them again: portable, and without secrets."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError, SourceError
from rasterflight_server.ingest.folder import compile_pattern, read_folder
from rasterflight_server.ingest.sources import Failure, RecordSource
from rasterflight_server.ingest.stac import read_stac

#: Names of parts of a query that let somebody in.
_SECRET: Final = re.compile(r"sig|token|key|secret|pass|cred|auth|^x-(amz|goog)-", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SavedSource:
    """A source of records."""

    #: Absolute path, or URL; empty: a program, which alone can make the records again.
    location: str
    pattern: str | None = None
    #: The location that was kept lacks a secret.
    incomplete: bool = False

    @classmethod
    def of(cls, location: str, pattern: str | None) -> Self:
        """A source as it was given."""
        return cls(location if "://" in location else str(Path(location).resolve()), pattern)

    @classmethod
    def load(cls, document: Mapping[str, Any], base: Path) -> Self:
        """A source as it was kept."""
        location = str(document["location"])
        if location and "://" not in location:
            location = str(base / location)
        return cls(location, document.get("pattern"), bool(document.get("incomplete", False)))

    def dump(self, base: Path) -> dict[str, Any]:
        """What is kept: a path relative to the folder of the index where it lies in that, a URL without secrets."""
        location = self.plain
        if location and "://" not in location and Path(location).is_relative_to(base):
            location = Path(location).relative_to(base).as_posix()
        return {
            "location": location,
            "pattern": self.pattern,
            "incomplete": self.incomplete or self.plain != self.location,
        }

    @property
    def plain(self) -> str:
        """The location without secrets."""
        if "://" not in self.location:  # nor has a program any
            return self.location
        parts = urlsplit(self.location)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        kept = [pair for pair in pairs if not _SECRET.search(pair[0])]
        if len(kept) == len(pairs) and "@" not in parts.netloc:
            return self.location
        return urlunsplit(parts._replace(query=urlencode(kept), netloc=parts.netloc.rpartition("@")[2]))

    @property
    def label(self) -> str:
        """A name that gives away neither the folders of this machine nor the signature of a URL."""
        if not self.location:
            return "records of a program"
        return self.location.partition("?")[0] if "://" in self.location else Path(self.location).name


def merge_sources(known: Sequence[SavedSource], given: Sequence[SavedSource]) -> tuple[list[SavedSource], list[int]]:
    """Join sources that an update was given with those that an index has.

    Returns
    -------
    tuple
        All sources, and the numbers of those that are to be run: the given ones, or all.

    Raises
    ------
    RequestError
        BAD_REQUEST: a source that is to be run was kept without its secrets.
    """
    sources = list(known)
    run = []
    for source in given:
        number = next((i for i, each in enumerate(sources) if each.plain == source.plain), len(sources))
        if number == len(sources):
            sources.append(source)
        else:
            sources[number] = SavedSource(source.location, source.pattern or sources[number].pattern)
        run.append(number)
    run = sorted(set(run)) or list(range(len(sources)))
    for number in run:
        if sources[number].incomplete:
            raise RequestError(
                ErrorCode.BAD_REQUEST,
                f"the source {sources[number].label!r} was given with a secret, which the index does not keep",
                field="source",
                hint="give the whole URL again: rasterflight-server update DIR URL",
            )
    return sources, run


def find(source: SavedSource) -> Iterator[RecordSource | Failure]:
    """Find the records of a source.

    Raises
    ------
    RequestError
        The source cannot be indexed, or a pattern does not go with it.
    SourceError
        It cannot be read.
    """
    if not source.location:
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            "the index was made from records of a program, which cannot be run again",
            field="source",
            hint="update it with sources of its own: rasterflight-server update DIR SOURCE, or build it again",
        )
    folder = Path(source.location)
    if "://" not in source.location and folder.is_dir():
        if source.pattern is not None:
            compile_pattern(source.pattern)
        yield from read_folder(folder, source.pattern)
        return
    if source.pattern is not None:
        if not folder.exists():
            raise SourceError(ErrorCode.SOURCE_NOT_FOUND, f"the source {source.label!r}: the folder does not exist")
        raise RequestError(ErrorCode.BAD_REQUEST, "a pattern goes with a folder, the source is a file", field="pattern")
    try:
        yield from read_stac(source.location)
    except SourceError as error:
        raise SourceError(error.code, f"the source {source.label!r}: {error.message}", hint=error.hint) from None
