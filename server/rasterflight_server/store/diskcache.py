"""Ranges of remote files on a local disk, within a bound of bytes, for all processes that share the folder."""

import contextlib
import fcntl
import logging
import os
import struct
import threading
import time
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.store.source import Data
from rasterflight_server.telemetry import Telemetry

_log = logging.getLogger("rasterflight_server")

#: Another layout of the folder gets another name: processes of two versions do not meet.
_LAYOUT: Final = "ranges-1"
#: Of each entry: mark, CRC-32 of what follows, its length.
_HEADER: Final = struct.Struct("<4sIQ")
_MARK: Final = b"RFR1"
#: Of the folder, in the locked file: bytes in use, the part to evict from next.
_STATE: Final = struct.Struct("<qq")
_BLOCK: Final = 4096
_FOLDERS: Final = 256
#: Eviction looks at a part of about this size at a time, and removes an eighth of it.
_PART_BYTES: Final = 64 << 20
_SHARE: Final = 8
#: What a killed writer left behind is removed when it is this old.
_LEFTOVER_SECONDS: Final = 60.0


class DiskCache:
    """Keeps bytes by key; when they are too many, those go that were not used for the longest time.

    Entries appear at once and whole; one that was torn by a crash is noticed by its length and checksum, and dropped. A failure
    to write is counted and logged, and else of no consequence. Safe to use from many threads; each process makes its own.

    Parameters
    ----------
    folder
        Made if need be; all that is written lies in one folder below it.
    limit
        Bytes on disk, in whole blocks, of all processes together. Entries that are being written come on top.
    telemetry
        Counts hits, misses, evictions, errors, and bytes read and written.

    Raises
    ------
    RequestError
        BAD_REQUEST: the folder cannot be written to, or the limit is none.
    """

    def __init__(self, folder: Path, limit: int, telemetry: Telemetry) -> None:
        if limit < _BLOCK:
            raise RequestError(
                ErrorCode.BAD_REQUEST, f"a disk cache of {limit} bytes holds nothing", field="disk_cache_size"
            )
        self._root = folder / _LAYOUT
        self._writing = self._root / "writing"
        self._limit = limit
        self._parts = max(1, min(_FOLDERS, limit // _PART_BYTES))
        self._telemetry = telemetry
        self._lock = threading.Lock()
        self._warned = False
        try:
            self._writing.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._state = os.open(self._root / "state", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._recount()
        except OSError as error:
            raise RequestError(
                ErrorCode.BAD_REQUEST,
                f"the folder of the disk cache cannot be used: {error.strerror}",
                field="disk_cache",
                hint="name one that the server may write to",
            ) from None

    def get(self, key: str) -> memoryview | None:
        """The bytes of a key, or None.

        Parameters
        ----------
        key
            At least four hexadecimal digits.
        """
        path = self._path(key)
        try:
            content = path.read_bytes()
            os.utime(path)
        except OSError:
            content = b""
        data = memoryview(content)[_HEADER.size :]
        if not content or content[: _HEADER.size] != _header(data):
            if content:
                self._drop(path)
            self._telemetry.add(disk_cache_misses=1)
            return None
        self._telemetry.add(disk_cache_hits=1, disk_cache_bytes_read=len(data))
        return data

    def put(self, key: str, data: Data) -> None:
        """Keep the bytes of a key, if there is room to be had."""
        need = _on_disk(_HEADER.size + len(data))
        if need > self._limit:
            return
        draft = self._writing / uuid.uuid4().hex
        try:
            try:
                with draft.open("xb", buffering=0) as file:
                    _write_all(file.fileno(), _header(data), data)
                self._enter(draft, self._path(key), need)
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            self._telemetry.add(disk_cache_errors=1)
            if not self._warned:
                self._warned = True
                _log.warning("the disk cache cannot be written to, reads go on without it: %s", error.strerror)
            return
        self._telemetry.add(disk_cache_bytes_written=len(data))

    @property
    def size(self) -> int:
        """Bytes in use on disk."""
        with self._locked() as (used, _):
            return used

    def close(self) -> None:
        """Give the folder back; what is in it stays for the next who opens it."""
        os.close(self._state)

    def _path(self, key: str) -> Path:
        return self._root / key[:2] / key[2:]

    def _enter(self, draft: Path, path: Path, need: int) -> None:
        """Give a complete entry its name. Its bytes are counted before it is there: a crash makes the count too high, not too low."""
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with self._locked() as (used, part):
            left, following = self._make_room(used - _size(path), part, need)
            self._note(left + need, following)
            draft.rename(path)

    def _make_room(self, used: int, part: int, need: int) -> tuple[int, int]:
        """Remove the entries of a part that were not used for the longest time, then of the next, until there is room."""
        evicted, empty = 0, 0
        while used + need > self._limit and empty < self._parts:
            entries = sorted(self._entries(part))
            for _, size, path in entries[: -(-len(entries) // _SHARE)]:
                Path(path).unlink(missing_ok=True)
                used -= size
                evicted += 1
            empty = 0 if entries else empty + 1
            part = (part + 1) % self._parts
        self._telemetry.add(disk_cache_evictions=evicted)
        return (used if empty < self._parts else 0), part

    def _entries(self, part: int) -> Iterator[tuple[int, int, str]]:
        """Time of last use in ns, bytes on disk, path."""
        for number in range(part, _FOLDERS, self._parts):
            with contextlib.suppress(FileNotFoundError), os.scandir(self._root / f"{number:02x}") as files:
                for file in files:
                    status = file.stat()
                    yield status.st_mtime_ns, _on_disk(status.st_size), file.path

    def _drop(self, path: Path) -> None:
        with contextlib.suppress(OSError), self._locked() as (used, part):
            size = _size(path)
            path.unlink(missing_ok=True)
            self._note(used - size, part)

    def _recount(self) -> None:
        """Find what earlier processes left: names and sizes are looked at, contents are not."""
        with self._locked():
            now = time.time()
            with os.scandir(self._writing) as drafts:
                for draft in drafts:
                    if draft.stat().st_mtime < now - _LEFTOVER_SECONDS:
                        Path(draft).unlink(missing_ok=True)
            used = sum(size for part in range(self._parts) for _, size, _ in self._entries(part))
            self._note(*self._make_room(used, 0, 0))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[tuple[int, int]]:
        """Keep other threads and processes from changing what is counted; gives bytes in use and the part to evict from."""
        with self._lock:
            fcntl.flock(self._state, fcntl.LOCK_EX)
            try:
                state = os.pread(self._state, _STATE.size, 0)
                used, part = _STATE.unpack(state) if len(state) == _STATE.size else (0, 0)
                yield used, part % self._parts
            finally:
                fcntl.flock(self._state, fcntl.LOCK_UN)

    def _note(self, used: int, part: int) -> None:
        os.pwrite(self._state, _STATE.pack(used, part), 0)


def _header(data: Data) -> bytes:
    return _HEADER.pack(_MARK, zlib.crc32(data), len(data))


def _write_all(fd: int, header: bytes, data: Data) -> None:
    written = os.writev(fd, [header, data]) - len(header)
    while written < len(data):
        written += os.write(fd, memoryview(data)[max(written, 0) :])


def _on_disk(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _size(path: Path) -> int:
    try:
        return _on_disk(path.stat().st_size)
    except FileNotFoundError:
        return 0
