"""The directory of an index: who may write in it, and the one step that makes a new snapshot the current one."""

import fcntl
import hashlib
import os
import re
import shutil
from pathlib import Path
from typing import Final

from rasterflight_protocol import ErrorCode
from rasterflight_server.catalog.configuration import CONFIGURATION
from rasterflight_server.catalog.format import ASSETS, MANIFEST, ORIGINS, PROFILES, RECORDS, TILES
from rasterflight_server.catalog.manifest import Manifest, is_index
from rasterflight_server.errors import RequestError
from rasterflight_server.ingest.failures import REPORT
from rasterflight_server.ingest.journal import FOLDER as JOURNAL

#: Where a snapshot is built.
BUILDING: Final = ".building"
_RETIRED: Final = ".retired"
_DRAFT: Final = f"{MANIFEST}.new"
_OURS: Final = frozenset([BUILDING, JOURNAL, REPORT, _DRAFT, CONFIGURATION])
_FILES: Final = (RECORDS, ASSETS, TILES, PROFILES, ORIGINS)
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
        raise occupied(out, "it is a file")
    if out.is_dir() and not is_index(out):
        others = {entry.name for entry in out.iterdir()} - _OURS
        # A snapshot without a manifest: the first build was killed just before its last step.
        if any(not _SNAPSHOT.fullmatch(name) for name in others):
            raise occupied(out, "it is a directory with other things in it")


def lock_directory(out: Path) -> int:
    """Make the directory, and make sure that nobody else builds there.

    Returns
    -------
    int
        What to close when the work is done; it is closed with the process, however that ends.

    Raises
    ------
    RequestError
        BAD_REQUEST: it cannot be written, or another build is at work in it.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = os.open(out, os.O_RDONLY)
    except OSError as error:
        raise occupied(out, error.strerror or "it cannot be written") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        busy = isinstance(error, BlockingIOError)
        why = "another build is at work there" if busy else error.strerror or "it cannot be written"
        raise occupied(out, why) from None
    return lock


def digest(folder: Path, manifest: Manifest) -> str:
    """Id of a snapshot by its contents: building the same again gives the same."""
    found = hashlib.sha256(manifest.to_json().encode())
    for content in _contents(folder):
        found.update(content)
    return found.hexdigest()[:16]


def _contents(folder: Path) -> list[bytes]:
    found = []
    for name in _FILES:
        with (folder / name).open("rb") as file:
            found.append(hashlib.file_digest(file, "sha256").digest())
    return found


def publish(out: Path, folder: Path, manifest: Manifest) -> None:
    """Make a snapshot that was built in ``folder`` the current one.

    At every moment the manifest names a snapshot that is complete and on disk: the new one is put beside the old one, the
    manifest is replaced, and only then the old one goes.
    """
    target, retired = out / manifest.snapshot, out / _RETIRED
    shutil.rmtree(retired, ignore_errors=True)
    for name in _FILES:
        _sync(folder / name)
    _sync(folder)
    if not _same(target, folder):
        if target.exists():  # damaged: the manifest may name it, but nobody can use it
            target.rename(retired)
        folder.rename(target)
    draft = out / _DRAFT
    draft.write_text(manifest.to_json())
    _sync(draft)
    _sync(out)
    draft.replace(out / MANIFEST)
    _sync(out)
    for entry in out.iterdir():
        if entry == retired or (_SNAPSHOT.fullmatch(entry.name) and entry != target):
            shutil.rmtree(entry, ignore_errors=True)


def _same(target: Path, folder: Path) -> bool:
    """Whether a snapshot is there already, as built again."""
    try:
        return _contents(target) == _contents(folder)
    except OSError:
        return False


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def occupied(out: Path, why: str) -> RequestError:
    """Error for a directory that cannot be written."""
    return RequestError(
        ErrorCode.BAD_REQUEST,
        f"the index cannot be written to {out.resolve().name!r}: {why}",
        field="out",
        hint="give a new or empty directory, or one that holds an index",
    )
