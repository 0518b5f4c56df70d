"""What every source of bytes can do, and what is said when it cannot."""

from types import TracebackType
from typing import Protocol, Self, TypeAlias

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.types import Identity

#: Bytes read from a source; any consumer of the buffer protocol takes them without a copy.
Data: TypeAlias = bytes | memoryview


class Source(Protocol):
    """One file, open for reading. Safe to use from several threads at once.

    Every method that reads raises ``SourceError``: SOURCE_NOT_FOUND, SOURCE_FORBIDDEN, SOURCE_CHANGED, SOURCE_CORRUPT (the
    file ends too early) or SOURCE_UNAVAILABLE (worth another try).
    """

    @property
    def remote(self) -> bool:
        """A read costs a round trip rather than a system call."""

    def identity(self) -> Identity:
        """Size and version of the file as it is now."""

    def read_range(self, offset: int, length: int) -> Data:
        """Exactly ``length`` bytes from ``offset`` on."""

    def read_prefix(self, length: int) -> Data:
        """The first ``length`` bytes, or all there are."""

    def close(self) -> None:
        """Give back what the source holds; a second call does nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...


def changed(what: str) -> SourceError:
    """Error for a file that is no longer the one in the index."""
    return SourceError(
        ErrorCode.SOURCE_CHANGED,
        f"the file changed since it was indexed: {what}",
        hint="index the collection again",
    )


def truncated(offset: int, length: int, size: int) -> SourceError:
    """Error for a file that ends before the last byte of a range."""
    return SourceError(
        ErrorCode.SOURCE_CORRUPT,
        f"truncated: bytes {offset} to {offset + length} are needed, the file has {size}",
    )
