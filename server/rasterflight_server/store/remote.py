"""Files in remote stores, by range requests."""

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import obstore

from rasterflight_server.errors import SourceError
from rasterflight_server.store.options import StorageOptions
from rasterflight_server.store.places import Place
from rasterflight_server.store.refusals import (
    StoreErrors,
    compressed,
    explain,
    is_busy,
    other_bytes,
    status,
    worth_another_try,
)
from rasterflight_server.store.retrying import FailedTryError, Tries
from rasterflight_server.store.source import changed, truncated
from rasterflight_server.types import Identity

if TYPE_CHECKING:
    from obstore import ObjectMeta

_NOT_SATISFIABLE = 416


class RemoteSource:
    """A file in a store. No request is made until the first read.

    Parameters
    ----------
    connection
        Gives connections that many files share, see ``connect``; called for each request.
    key
        Of the file in the store.
    expected
        What the index knows; every response is held against it.
    place, options
        What the store is, for the words of errors.
    tries
        How often requests are made that fail.
    """

    remote = True

    def __init__(
        self,
        connection: Callable[[], Any],
        key: str,
        expected: Identity | None = None,
        *,
        place: Place,
        options: StorageOptions,
        tries: Tries,
    ) -> None:
        self._connection = connection
        self._key = key
        self._expected = expected
        self._place = place
        self._options = options
        self._tries = tries
        self._identity: Identity | None = None

    def identity(self) -> Identity:
        """Size and ETag by the latest response, or by a HEAD request before the first."""
        return self._identity or self._tries.run(self._head)

    def read_range(self, offset: int, length: int) -> memoryview:
        """Exactly ``length`` bytes from ``offset`` on, in one request if all goes well."""
        return self.fetch(offset, length)[0]

    def read_prefix(self, length: int) -> memoryview:
        """The first ``length`` bytes, or all there are, in one request if all goes well."""
        return self._tries.run(lambda: self._get(0, length))[0]

    def fetch(self, offset: int, length: int) -> tuple[memoryview, Identity | None]:
        """As ``read_range``, with the identity that the response itself states; None: nothing was asked."""
        if length == 0:
            return memoryview(b""), None
        data, identity = self._tries.run(lambda: self._get(offset, length))
        if len(data) != length:
            raise truncated(offset, length, identity.size)
        return data, identity

    def _get(self, offset: int, length: int) -> tuple[memoryview, Identity]:
        try:
            response = obstore.get(self._connection(), self._key, options={"range": (offset, offset + length)})
            identity = self._seen(response.meta)
            data = memoryview(response.bytes())
        except StoreErrors as error:
            if status(error) != _NOT_SATISFIABLE:
                raise self._failure(error) from None
            return memoryview(b""), self._past_the_end(offset, length)
        if len(data) != min(length, identity.size - offset):
            raise compressed() if response.attributes.get("Content-Encoding") else FailedTryError(other_bytes())
        return data, identity

    def _past_the_end(self, offset: int, length: int) -> Identity:
        # Only another request says why: the file may be another by now.
        identity = self._head()
        if offset < identity.size:
            raise FailedTryError(other_bytes())
        if offset > 0:
            raise truncated(offset, length, identity.size)
        return identity

    def _head(self) -> Identity:
        try:
            meta = obstore.head(self._connection(), self._key)
        except StoreErrors as error:
            raise self._failure(error) from None
        return self._seen(meta)

    def _seen(self, meta: "ObjectMeta") -> Identity:
        identity, expected = identity_of(meta), self._expected or self._identity
        if expected is not None:
            if identity.size != expected.size:
                raise changed(f"it had {expected.size} bytes, it has {identity.size}")
            if None not in (identity.etag, expected.etag) and identity.etag != expected.etag:
                raise changed("its ETag is another")
            if None not in (identity.mtime_ns, expected.mtime_ns) and identity.mtime_ns != expected.mtime_ns:
                raise changed("its modification time is another")
        self._identity = identity
        return identity

    def _failure(self, error: Exception) -> FailedTryError | SourceError:
        explained = explain(error, self._place, self._options)
        if worth_another_try(error, explained):
            return FailedTryError(explained, busy=is_busy(error))
        return explained

    def close(self) -> None:
        """Do nothing: connections belong to the shared store."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        self.close()


def identity_of(meta: "ObjectMeta") -> Identity:
    """Size and ETag of a file; where the ETag is weak or missing the time of its last change too, as far as the store says it."""
    etag = meta["e_tag"]
    if etag and not etag.endswith('"'):
        etag = f'"{etag}"'  # Azure quotes ETags in its responses, but not in its listings
    if etag and not etag.startswith("W/"):
        return Identity(meta["size"], etag=etag)
    seconds = int(meta["last_modified"].timestamp())
    return Identity(meta["size"], mtime_ns=seconds * 10**9 if seconds > 0 else None, etag=etag or None)
