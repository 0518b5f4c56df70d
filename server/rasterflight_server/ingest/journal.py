"""Headers that were read, kept beside an index until it is complete: a build that was interrupted goes on from there."""

import contextlib
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
from affine import Affine

from rasterflight_server.catalog.profiles import dump_profiles, load_profiles
from rasterflight_server.ingest.header import Header
from rasterflight_server.ingest.properties import clean_text
from rasterflight_server.ingest.registry import NumberedProfiles
from rasterflight_server.types import Grid, Identity, Profile, TileRanges

FOLDER: Final = ".headers"
_PROFILES: Final = b"profiles"
_VERSION: Final = {b"version": b"1"}
_HEADERS_PER_FILE: Final = 2_000
_SECONDS_PER_FILE: Final = 5.0
#: Remote files are not looked at again, so what is old is not trusted.
_KEPT_SECONDS: Final = 7 * 24 * 3600

_SCHEMA: Final = pa.schema(
    [
        pa.field("href", pa.large_utf8()),
        pa.field("size", pa.int64()),
        pa.field("mtime_ns", pa.int64()),
        pa.field("etag", pa.utf8()),
        pa.field("profile", pa.int32()),
        pa.field("crs", pa.utf8()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("transform", pa.list_(pa.float64(), 6)),
        pa.field("located", pa.bool_()),
        pa.field("tags", pa.large_utf8()),
        # Number of tiles of each level, then the places of all of them.
        pa.field("tiles", pa.list_(pa.int64())),
        pa.field("offsets", pa.large_list(pa.int64())),
        pa.field("counts", pa.large_list(pa.int64())),
    ]
)


class Journal:
    """The headers of one build; used by one thread; a context.

    Parameters
    ----------
    directory
        That of the index.
    """

    def __init__(self, directory: Path) -> None:
        self._folder = directory / FOLDER
        kept = [
            path for path in sorted(self._folder.glob("*.arrow")) if time.time() - path.stat().st_mtime < _KEPT_SECONDS
        ]
        self._files = [file for path in kept if (file := _open(path)) is not None]
        self._found = {
            href: (number, row)
            for number, (table, _) in enumerate(self._files)
            for row, href in enumerate(table["href"].to_pylist())
        }
        self._pending: list[tuple[str, Header]] = []
        self._written = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        self.flush()

    @property
    def found(self) -> int:
        """Number of headers that an earlier build left."""
        return len(self._found)

    def find(self, href: str) -> Header | None:
        """The header that an earlier build read of a file."""
        place = self._found.get(href)
        if place is None:
            return None
        table, profiles = self._files[place[0]]
        [row] = table.slice(place[1], 1).to_pylist()
        return _header(row, profiles)

    def add(self, href: str, header: Header) -> None:
        """Keep a header, on disk within some seconds."""
        self._pending.append((href, header))
        late = time.monotonic() - self._written > _SECONDS_PER_FILE
        if late or len(self._pending) >= _HEADERS_PER_FILE:
            self.flush()

    def flush(self) -> None:
        """Write what is not written yet."""
        if self._pending:
            self._folder.mkdir(parents=True, exist_ok=True)
            # Later files count more, and have later names.
            path = self._folder / f"{time.time_ns():020d}.arrow"
            draft = path.with_suffix(".new")
            table = _table(self._pending)
            with pa.ipc.new_file(str(draft), table.schema) as writer:
                writer.write_table(table)
            draft.rename(path)
            self._pending = []
        self._written = time.monotonic()

    def clear(self) -> None:
        """Forget everything."""
        self._pending = []
        shutil.rmtree(self._folder, ignore_errors=True)


def _open(path: Path) -> tuple[pa.Table, list[Profile]] | None:
    """Open a file of the journal; None: it is damaged, or another version wrote it."""
    with contextlib.suppress(OSError, pa.ArrowException, KeyError, ValueError, TypeError):
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        metadata = table.schema.metadata
        if table.schema.equals(_SCHEMA) and metadata.items() >= _VERSION.items():
            return table, load_profiles(metadata[_PROFILES])
    return None


def _table(headers: Sequence[tuple[str, Header]]) -> pa.Table:
    profiles = NumberedProfiles()
    rows = [_row(href, header, profiles) for href, header in headers]
    levels = [ranges for _, header in headers for ranges in header.tiles]
    per_file = [sum(len(ranges.counts) for ranges in header.tiles) for _, header in headers]
    bounds = pa.array(np.concatenate([[0], np.cumsum(per_file)]).astype(np.int64))
    columns: dict[str, Any] = dict(zip(_SCHEMA.names, zip(*rows, strict=True), strict=False))
    for name in ("offsets", "counts"):
        joined = np.concatenate([getattr(ranges, name) for ranges in levels])
        columns[name] = pa.LargeListArray.from_arrays(bounds, pa.array(joined))
    metadata = {_PROFILES: dump_profiles(profiles.values).encode(), **_VERSION}
    return pa.table(columns, schema=_SCHEMA.with_metadata(metadata))


def _row(href: str, header: Header, profiles: NumberedProfiles) -> tuple[Any, ...]:
    """Values of the columns before ``offsets``."""
    identity, grid = header.identity, header.grid
    return (
        clean_text(href),
        identity and identity.size,
        identity and identity.mtime_ns,
        identity and identity.etag,
        profiles.number(header.profile),
        grid.crs,
        grid.width,
        grid.height,
        grid.coefficients,
        header.located,
        clean_text(header.tags),
        [len(ranges.counts) for ranges in header.tiles],
    )


def _header(row: dict[str, Any], profiles: Sequence[Profile]) -> Header:
    ends = np.cumsum(row["tiles"])[:-1]
    places = (np.split(np.array(row[name], np.int64), ends) for name in ("offsets", "counts"))
    return Header(
        identity=None if row["size"] is None else Identity(row["size"], row["mtime_ns"], row["etag"]),
        profile=profiles[row["profile"]],
        grid=Grid(row["width"], row["height"], Affine(*row["transform"]), row["crs"]),
        located=row["located"],
        tiles=tuple(TileRanges(offsets, counts) for offsets, counts in zip(*places, strict=True)),
        tags=row["tags"],
    )
