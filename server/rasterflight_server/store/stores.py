"""The stores that a process reads from, and the options by which it reaches them."""

import threading
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

import obstore

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.store.authorization import read_authorization
from rasterflight_server.store.cached import CachedSource, cache_name, identifies
from rasterflight_server.store.connect import connect
from rasterflight_server.store.diskcache import DiskCache
from rasterflight_server.store.local import LocalSource
from rasterflight_server.store.options import StorageOptions
from rasterflight_server.store.places import FOREIGN, KINDS, Place, locate, unusable
from rasterflight_server.store.prefixes import Prefixes
from rasterflight_server.store.refusals import StoreErrors, explain
from rasterflight_server.store.remote import RemoteSource, identity_of
from rasterflight_server.store.retrying import Tries
from rasterflight_server.store.source import Source
from rasterflight_server.telemetry import Meter
from rasterflight_server.types import Identity

if TYPE_CHECKING:
    from rasterflight_server.store.connect import Connection

#: Stores whose connections are kept.
_STORES: Final = 256
_PAGE: Final = 1000


class Stores:
    """Opens files, local and remote. Each store is connected to once, and shared by all of its files and all threads.

    Parameters
    ----------
    options
        Prefix of URLs -> options of what is below it. A prefix ends where a part of the URL ends: ``s3://bucket`` holds for
        ``s3://bucket/a.tif``, not for ``s3://bucket-2/a.tif``. The longest that fits holds, alone.
    cache
        Keeps ranges of remote files whose version the index knows; None: nothing is kept.

    Raises
    ------
    RequestError
        BAD_REQUEST: a prefix is not one, or has options that mean nothing for it.
    """

    def __init__(self, options: Mapping[str, StorageOptions] | None = None, *, cache: DiskCache | None = None) -> None:
        self._options = dict(options or {})
        self._prefixes = Prefixes(self._options)
        self._cache = cache
        self._connect = lru_cache(maxsize=_STORES)(connect)

    def __reduce__(self) -> tuple[type["Stores"], tuple[dict[str, StorageOptions]]]:
        # In another process: the same options, connections of its own, no cache.
        return Stores, (self._options,)

    def open(
        self,
        href: str,
        expected: Identity | None = None,
        *,
        telemetry: Meter | None = None,
        stop: threading.Event | None = None,
    ) -> Source:
        """Open a file for reading.

        Parameters
        ----------
        href
            A local path, or a URL: ``file``, ``http``, ``https``, ``s3``, ``gs``, ``az``, ``abfs``.
        expected
            What the index knows about the file: local files are compared at once, remote ones with every response.
        telemetry
            Counts requests that failed; None: nobody counts.
        stop
            Set when nobody waits for the file any more: what failed is then not tried again, and raises ``CancelledError``.

        Raises
        ------
        SourceError
            SOURCE_NOT_FOUND (also for a kind of URL that is not read), SOURCE_FORBIDDEN, SOURCE_CHANGED, SOURCE_UNAVAILABLE.
        """
        if "://" not in href:
            return LocalSource(href, expected)
        url, options = self._prefixes.resolve(href)
        if url.startswith("file://"):
            return LocalSource(unquote(urlsplit(url).path), expected)
        place, key, connection = self._reach(url, options)
        if place.kind != "http" and (not key or key.endswith("/")):
            raise unusable()
        tries = Tries(options.patience, telemetry, stop)
        source = RemoteSource(connection, key, expected, place=place, options=options, tries=tries)
        if self._cache is None or expected is None or not identifies(expected):
            return source
        return CachedSource(source, cache_name(place, key, options.endpoint), expected, self._cache)

    def list_files(self, url: str) -> Iterator[tuple[str, Identity]]:
        """All files below a prefix of a bucket, in the order of the store; page by page, as they are taken.

        Parameters
        ----------
        url
            ``s3://bucket``, ``s3://bucket/folder`` ...; of folders whole names only.

        Yields
        ------
        tuple of str and Identity
            URL for ``open``; size and ETag.

        Raises
        ------
        SourceError
            As ``open``; SOURCE_NOT_FOUND also where the URL is not in a bucket.
        """
        url, options = self._prefixes.resolve(url)
        place, prefix, connection = self._reach(url, options, retries=options.retries)
        if place.kind == "http":
            raise SourceError(
                ErrorCode.SOURCE_NOT_FOUND,
                "files behind http:// and https:// cannot be listed",
                hint="those of s3://, gs:// and az:// can: a rewrite in the storage options makes one of the other",
            )
        pages = obstore.list(connection(), prefix.rstrip("/") or None, chunk_size=_PAGE)
        while True:
            try:
                page = next(pages, ())
            except StoreErrors as error:
                raise explain(error, place, options) from None
            if not page:
                return
            for meta in page:
                yield place.url(url, meta["path"]), identity_of(meta)

    def _reach(
        self, url: str, options: StorageOptions, *, retries: int = 0
    ) -> "tuple[Place, str, Callable[[], Connection]]":
        scheme = url.partition("://")[0]
        if scheme == FOREIGN:
            raise SourceError(
                ErrorCode.SOURCE_FORBIDDEN,
                "what comes from elsewhere may not name files of this machine",
                hint="copy the catalog or the index to this machine, if you trust it",
            )
        if scheme not in KINDS:
            raise SourceError(
                ErrorCode.SOURCE_NOT_FOUND,
                f"files at {scheme[:20]!r} URLs cannot be read",
                hint="local paths, file://, http(s)://, s3://, gs://, az:// and abfs:// can",
            )
        place, key = locate(url, options)
        return place, key, partial(self._connection, place, options, retries)

    def _connection(self, place: Place, options: StorageOptions, retries: int) -> "Connection":
        """Connections with the authorization as it is now: a file with a token may have been replaced since the last request."""
        return self._connect(place, options, read_authorization(options), retries=retries)
