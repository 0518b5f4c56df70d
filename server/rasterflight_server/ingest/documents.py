"""Documents of catalogs, wherever they lie: as a stream of bytes, and as JSON."""

import gzip
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import requests
import urllib3

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.ingest.web import fetch, unavailable
from rasterflight_server.store import Source, open_source

_GZIP: Final = b"\x1f\x8b"
_BUFFER: Final = 1 << 20
_WEB: Final = ("http://", "https://")


class NotJsonError(ValueError):
    """A document is not JSON."""


@contextmanager
def open_document(location: str, session: requests.Session) -> Iterator[io.BufferedReader]:
    """Open a document for reading from its beginning to its end; what is gzipped is unpacked.

    Parameters
    ----------
    location
        Path or URL. On the web it is asked for as browsers do: other than of files with pixels, nobody promises ranges of it.
    session
        For those on the web.

    Raises
    ------
    SourceError
        It cannot be read; also while it is read.
    """
    try:
        if location.lower().startswith(_WEB):
            with fetch(session, location) as response:
                response.raw.decode_content, response.raw.auto_close = True, False
                yield _unpacked(response.raw)
        else:
            with open_source(location) as source:
                yield _unpacked(_SourceFile(source))
    except urllib3.exceptions.HTTPError:
        raise unavailable() from None
    except (EOFError, gzip.BadGzipFile):
        raise SourceError(ErrorCode.SOURCE_CORRUPT, "its compression is damaged, or it ends too early") from None


def label(location: str) -> str:
    """Return a name for a document that gives away neither the folders of this machine nor the signature of a URL."""
    return location.partition("?")[0] if "://" in location else Path(location).resolve().name


def load_json(location: str, session: requests.Session) -> Any:
    """Read a JSON document.

    Raises
    ------
    SourceError
        It cannot be read.
    NotJsonError
        It is not JSON.
    """
    with open_document(location, session) as file:
        return parse_json(file.read())


def parse_json(content: bytes) -> Any:
    """Parse JSON as Python does, but for its two ways to fail.

    Raises
    ------
    NotJsonError
        It is not JSON.
    """
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise NotJsonError("it is not JSON") from None


def _unpacked(raw: Any) -> io.BufferedReader:
    file = io.BufferedReader(raw, _BUFFER)
    packed = file.peek(len(_GZIP)).startswith(_GZIP)
    return io.BufferedReader(gzip.GzipFile(fileobj=file), _BUFFER) if packed else file


class _SourceFile(io.RawIOBase):
    """A source, read from its beginning to its end."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._left = source.identity().size
        self._offset = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer)
        length = min(len(view), self._left)
        view[:length] = self._source.read_range(self._offset, length) if length else b""
        self._offset += length
        self._left -= length
        return length
