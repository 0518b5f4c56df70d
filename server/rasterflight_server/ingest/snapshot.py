"""One version of an index: built aside, then put in place at once."""

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pyarrow as pa
import pyarrow.compute as pc
import shapely

from rasterflight_protocol import ErrorCode
from rasterflight_server.catalog.configuration import CONFIGURATION
from rasterflight_server.catalog.format import ASSETS, MANIFEST, PROFILES, RECORDS, TILES
from rasterflight_server.catalog.manifest import Manifest, is_index
from rasterflight_server.catalog.profiles import dump_profiles
from rasterflight_server.errors import RequestError
from rasterflight_server.ingest.registry import Registry
from rasterflight_server.ingest.write import (
    IndexedRecord,
    TilesWriter,
    sort_records,
    write_assets,
    write_records,
)

_BUILDING: Final = ".building"
_RETIRED: Final = ".retired"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SNAPSHOT: Final = re.compile(r"[0-9a-f]{16}")


def check_target(out: Path, name: str) -> None:
    """Check that an index of this name may be built in this place.

    Raises
    ------
    RequestError
        BAD_REQUEST: the name cannot be one, or the directory holds something else.
    """
    if not _NAME.fullmatch(name):
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            f"{name[:100]!r} cannot be the name of a collection",
            field="name",
            hint="use up to 100 letters, digits, '.', '_' and '-'",
        )
    if out.exists() and not out.is_dir():
        raise _occupied(out, "it is a file")
    if out.is_dir() and not is_index(out) and {entry.name for entry in out.iterdir()} - {_BUILDING, CONFIGURATION}:
        raise _occupied(out, "it is a directory with other things in it")


class SnapshotBuilder:
    """Context in which an index is built; what was not finished leaves no trace.

    Raises
    ------
    RequestError
        BAD_REQUEST: the directory cannot be written, or another build is at work in it.
    """

    #: Takes the tile lists while files are read.
    tiles: TilesWriter

    def __init__(self, out: Path) -> None:
        self._out = out
        self._folder = out / _BUILDING

    def __enter__(self) -> Self:
        try:
            self._out.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self._out, os.O_RDONLY)
        except OSError as error:
            raise _occupied(self._out, error.strerror or "it cannot be written") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # What a build that was killed left behind.
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir()
        except OSError as error:
            os.close(self._lock)
            busy = isinstance(error, BlockingIOError)
            why = "another build is at work there" if busy else error.strerror or "it cannot be written"
            raise _occupied(self._out, why) from None
        self.tiles = TilesWriter(self._folder / TILES)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        self.tiles.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        if not any(self._out.iterdir()):
            self._out.rmdir()
        os.close(self._lock)

    def finish(self, name: str, source: str, records: Sequence[IndexedRecord], registry: Registry) -> Manifest:
        """Write all tables, and make them the index.

        Readers see the index as it was before, or the new one: the manifest is replaced last, and older snapshots go
        only then.
        """
        self.tiles.close()
        ordered = sort_records(records)
        table = write_records(self._folder / RECORDS, ordered)
        write_assets(self._folder / ASSETS, ordered, len(registry.slots))
        (self._folder / PROFILES).write_text(dump_profiles(registry.profiles))
        manifest = Manifest(
            name=name,
            snapshot="",
            created="",
            generator=_generator(),
            source=source,
            records=len(ordered),
            bands=registry.bands,
            slots=registry.slots,
            crs=registry.crs,
            extent=_extent(ordered),
            time_range=_time_range(table),
        )
        snapshot = _digest(self._folder, manifest)
        created = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        manifest = replace(manifest, snapshot=snapshot, created=created)
        self._publish(manifest)
        return manifest

    def _publish(self, manifest: Manifest) -> None:
        target, retired = self._out / manifest.snapshot, self._out / _RETIRED
        shutil.rmtree(retired, ignore_errors=True)
        if target.exists():
            target.rename(retired)
        self._folder.rename(target)
        draft = self._out / f"{MANIFEST}.new"
        with draft.open("w") as file:
            file.write(manifest.to_json())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._out / MANIFEST)
        for entry in self._out.iterdir():
            if entry == retired or (_SNAPSHOT.fullmatch(entry.name) and entry != target):
                shutil.rmtree(entry, ignore_errors=True)


def _digest(folder: Path, manifest: Manifest) -> str:
    """Id of a snapshot by its contents: building the same again gives the same."""
    digest = hashlib.sha256(manifest.to_json().encode())
    for name in (RECORDS, ASSETS, TILES, PROFILES):
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def _extent(records: Sequence[IndexedRecord]) -> tuple[float, float, float, float] | None:
    footprints = [record.footprint for record in records if record.footprint is not None]
    if not footprints:
        return None
    minx, miny, maxx, maxy = shapely.total_bounds(footprints).tolist()
    return minx, miny, maxx, maxy


def _time_range(table: pa.Table) -> tuple[str, str] | None:
    limits = pc.min_max(table["datetime"].cast(pa.timestamp("us"))).as_py()
    if limits["min"] is None:
        return None
    return f"{limits['min'].isoformat()}Z", f"{limits['max'].isoformat()}Z"


def _generator() -> str:
    try:
        return f"rasterflight {version('rasterflight')}"
    except PackageNotFoundError:  # run from a source tree
        return "rasterflight"


def _occupied(out: Path, why: str) -> RequestError:
    return RequestError(
        ErrorCode.BAD_REQUEST,
        f"the index cannot be written to {out.name!r}: {why}",
        field="out",
        hint="give a new or empty directory, or one that holds an index",
    )
