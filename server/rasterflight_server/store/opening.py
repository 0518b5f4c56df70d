"""From an href to its source."""

from urllib.parse import unquote, urlsplit

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.store.http import HttpSource
from rasterflight_server.store.local import LocalSource
from rasterflight_server.store.source import Source
from rasterflight_server.types import Identity


def open_source(href: str, expected: Identity | None = None) -> Source:
    """Open a file for reading.

    Parameters
    ----------
    href
        A local path, or a URL: ``file``, ``http`` or ``https``.
    expected
        What the index knows about the file: local files are compared at once, remote ones with every response.

    Raises
    ------
    SourceError
        SOURCE_NOT_FOUND (also for a kind of URL that is not read), SOURCE_FORBIDDEN, SOURCE_CHANGED, SOURCE_UNAVAILABLE.
    """
    scheme, separator, _ = href.partition("://")
    if not separator:
        return LocalSource(href, expected)
    match scheme.lower():
        case "http" | "https":
            return HttpSource(href, expected)
        case "file":
            return LocalSource(unquote(urlsplit(href).path), expected)
        case _:
            raise SourceError(
                ErrorCode.SOURCE_NOT_FOUND,
                f"files at {scheme[:20]!r} URLs cannot be read",
                hint="local paths, file://, http:// and https:// can",
            )


def is_remote(href: str) -> bool:
    """Whether a read of the file costs a round trip rather than a system call."""
    return href.partition("://")[1] != "" and not href.lower().startswith("file://")


def read_whole(href: str) -> bytes:
    """All bytes of a file.

    Raises
    ------
    SourceError
        As ``open_source`` and ``Source.read_range``.
    """
    with open_source(href) as source:
        return bytes(source.read_range(0, source.identity().size))
