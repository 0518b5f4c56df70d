"""Files behind http and https, by range requests."""

from datetime import timedelta
from functools import lru_cache
from types import TracebackType
from typing import Final, Self
from urllib.parse import unquote, urlsplit, urlunsplit

import obstore
from obstore.exceptions import BaseError, NotSupportedError, PermissionDeniedError, UnauthenticatedError
from obstore.store import HTTPStore

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.store.source import changed, truncated
from rasterflight_server.types import Identity

# No new try after ten seconds; a request that hangs is given up by itself.
_CONNECT_TIMEOUT: Final = "4s"
_REQUEST_TIMEOUT: Final = "20s"
_RETRY_TIMEOUT: Final = timedelta(seconds=10)
_MAX_RETRIES: Final = 4
_STORES: Final = 256


class HttpSource:
    """A file behind a URL. No request is made until the first read.

    Parameters
    ----------
    url
        http or https, with or without a query.
    expected
        What the index knows; every response is held against it.
    """

    remote = True

    def __init__(self, url: str, expected: Identity | None = None) -> None:
        try:
            base, self._path = _split(url)
            self._store = _store(base)
        except (BaseError, ValueError):
            raise SourceError(ErrorCode.SOURCE_NOT_FOUND, "the URL of the file cannot be used") from None
        self._expected = expected
        self._identity: Identity | None = None

    def identity(self) -> Identity:
        """Size and ETag by the latest response, or by a HEAD request before the first."""
        if self._identity is None:
            try:
                meta = obstore.head(self._store, self._path)
            except (BaseError, OSError, ValueError) as error:
                raise _explain(error) from None
            self._seen(meta["size"], meta["e_tag"])
        assert self._identity is not None
        return self._identity

    def read_range(self, offset: int, length: int) -> memoryview:
        """Exactly ``length`` bytes from ``offset`` on, in one request."""
        if length == 0:
            return memoryview(b"")
        data = self._get(offset, length)
        if len(data) != length:
            raise truncated(offset, length, self.identity().size)
        return data

    def read_prefix(self, length: int) -> memoryview:
        """The first ``length`` bytes, or all there are, in one request."""
        return self._get(0, length)

    def _get(self, offset: int, length: int) -> memoryview:
        try:
            response = obstore.get(self._store, self._path, options={"range": (offset, offset + length)})
            self._seen(response.meta["size"], response.meta["e_tag"])
            return memoryview(response.bytes())
        except (BaseError, OSError, ValueError) as error:
            if "416 Range Not Satisfiable" not in str(error):
                raise _explain(error) from None
        size = self.identity().size
        if size == offset == 0:
            return memoryview(b"")
        raise truncated(offset, length, size)

    def _seen(self, size: int, etag: str | None) -> None:
        expected = self._expected or self._identity
        if expected is not None:
            if size != expected.size:
                raise changed(f"it had {expected.size} bytes, it has {size}")
            if etag is not None and expected.etag is not None and etag != expected.etag:
                raise changed("its ETag is another")
        self._identity = Identity(size, etag=etag)

    def close(self) -> None:
        """Do nothing: connections belong to the shared store."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        self.close()


@lru_cache(maxsize=_STORES)
def _store(base: str) -> HTTPStore:
    """Return the store whose connections all files of a server share; it is made once, and is thread-safe."""
    return HTTPStore(
        base,
        client_options={"allow_http": True, "connect_timeout": _CONNECT_TIMEOUT, "timeout": _REQUEST_TIMEOUT},
        retry_config={
            "max_retries": _MAX_RETRIES,
            "retry_timeout": _RETRY_TIMEOUT,
            "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
        },
    )


def _split(url: str) -> tuple[str, str]:
    """Split a URL into the base of a store and the path in it.

    The store appends the path to the base and encodes it, and keeps the query of the base: a server is one store per query
    (most have none; signed URLs of one container share theirs). A path that would not survive that is made a base of its own.
    """
    parts = urlsplit(url)
    segments = parts.path.removeprefix("/").split("/")
    plain = all(unquote(segment) not in ("", ".", "..") and "/" not in unquote(segment) for segment in segments)
    if not plain:
        return urlunsplit(parts._replace(fragment="")), ""
    return urlunsplit((parts.scheme, parts.netloc, "", parts.query, "")), unquote("/".join(segments))


def _explain(error: BaseError | OSError | ValueError) -> SourceError:
    """Turn an error of the store into words of our own; the store's contain the URL, and with it perhaps a signature."""
    if isinstance(error, FileNotFoundError):
        return SourceError(ErrorCode.SOURCE_NOT_FOUND, "the file does not exist (HTTP 404)")
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return SourceError(
            ErrorCode.SOURCE_FORBIDDEN,
            "the store refuses the file (HTTP 401 or 403)",
            hint="a signed URL may have run out: index the collection again with fresh ones",
        )
    if isinstance(error, NotSupportedError):
        return SourceError(
            ErrorCode.SOURCE_UNAVAILABLE,
            "the web server of the file does not answer range requests",
            hint="serve the file from one that does",
        )
    return SourceError(ErrorCode.SOURCE_UNAVAILABLE, "the store of the file does not answer, or answers with an error")
