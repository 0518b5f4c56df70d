"""Which files of a folder are opened, by whatever library: the kernel tells (inotify)."""

import ctypes
import os
import struct
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_OPEN: Final = 0x20
_EVENT: Final = struct.Struct("iIII")


class Watched:
    """Remembers the names of files that are opened while the block runs; for folders and files of this machine."""

    def __init__(self, folder: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._folder = folder

    def __enter__(self) -> Self:
        self._fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self._libc.inotify_add_watch(self._fd, os.fsencode(self._folder), _OPEN) >= 0
        return self

    def opened(self) -> list[str]:
        """Names since the last call."""
        try:
            data = os.read(self._fd, 1 << 16)
        except BlockingIOError:
            return []
        names, at = [], 0
        while at < len(data):
            *_, length = _EVENT.unpack_from(data, at)
            at += _EVENT.size + length
            names.append(data[at - length : at].rstrip(b"\0").decode())
        return names

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._fd)
