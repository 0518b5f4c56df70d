"""Files on a local disk, by positioned reads."""

import os
import stat
from types import TracebackType
from typing import Self

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.store.source import changed, truncated
from rasterflight_server.types import Identity

# Opening a named pipe would otherwise wait for a writer; a regular file does not care.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


class LocalSource:
    """A regular file; opening costs two system calls.

    Parameters
    ----------
    path
        Absolute or relative to the working directory.
    expected
        What the index knows; another size or modification time is SOURCE_CHANGED.
    """

    remote = False

    def __init__(self, path: str, expected: Identity | None = None) -> None:
        self._fd = -1
        try:
            self._fd = os.open(path, _FLAGS)
            status = os.fstat(self._fd)
        except (OSError, ValueError) as error:
            self.close()
            raise _explain(error) from None
        self._identity = Identity(status.st_size, status.st_mtime_ns)
        try:
            self._check(stat.S_ISREG(status.st_mode), expected)
        except SourceError:
            self.close()
            raise

    def _check(self, regular: bool, expected: Identity | None) -> None:  # noqa: FBT001
        if not regular:
            raise SourceError(ErrorCode.SOURCE_NOT_FOUND, "not a regular file")
        if expected is None:
            return
        if self._identity.size != expected.size:
            raise changed(f"it had {expected.size} bytes, it has {self._identity.size}")
        if expected.mtime_ns is not None and self._identity.mtime_ns != expected.mtime_ns:
            raise changed("its modification time is another")

    def identity(self) -> Identity:
        """Size and modification time at opening."""
        return self._identity

    def read_range(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset`` on."""
        data = self._pread(offset, length)
        if len(data) == length:
            return data
        size = os.fstat(self._fd).st_size
        if size != self._identity.size:
            raise changed(f"it had {self._identity.size} bytes, it has {size}")
        raise truncated(offset, length, size)

    def read_prefix(self, length: int) -> bytes:
        """The first ``length`` bytes, or all there are."""
        return self._pread(0, min(length, self._identity.size))

    def _pread(self, offset: int, length: int) -> bytes:
        try:
            return os.pread(self._fd, length, offset)
        except OSError as error:
            raise _explain(error) from None

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        self.close()


def _explain(error: OSError | ValueError) -> SourceError:
    if isinstance(error, PermissionError):
        return SourceError(ErrorCode.SOURCE_FORBIDDEN, "the server may not read the file")
    if isinstance(error, FileNotFoundError | NotADirectoryError | ValueError):  # ValueError: a NUL in the path
        return SourceError(ErrorCode.SOURCE_NOT_FOUND, "the file does not exist")
    return SourceError(ErrorCode.SOURCE_UNAVAILABLE, f"the file cannot be read: {error.strerror or 'I/O error'}")
