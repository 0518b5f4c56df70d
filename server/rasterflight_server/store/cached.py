"""Files in remote stores whose ranges are kept on a local disk."""

import hashlib
import re
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from rasterflight_server.store.diskcache import DiskCache
from rasterflight_server.store.places import Place
from rasterflight_server.store.remote import RemoteSource
from rasterflight_server.types import Identity

_SIGNATURES: Final = {"sig", "signature", "x-amz-signature", "x-goog-signature"}
#: What goes with a signature in the query of a URL: CloudFront and S3, Azure.
_SIGNED_WITH: Final = {"expires", "policy", "key-pair-id", "awsaccesskeyid"}
_AZURE: Final = re.compile("s[eiprstv]|s(pr|ip|rt|dd|ks|kt|kv|ke)|s(koid|ktid|aoid|uoid|cid)")


class CachedSource:
    """A remote file; ranges of the version that the index knows are read from the disk where they have been read before.

    A hit asks the store nothing: it has the bytes that belong to the index, whatever has become of the file since.

    Parameters
    ----------
    source
        The file.
    name
        What tells it from all other files, see ``cache_name``.
    expected
        The version that the index knows; ``identifies`` holds for it.
    """

    remote = True

    def __init__(self, source: RemoteSource, name: str, expected: Identity, cache: DiskCache) -> None:
        self._source = source
        self._expected = expected
        self._cache = cache
        self._version = f"{name}\0{expected.size}\0{expected.etag}\0{expected.mtime_ns}"

    def identity(self) -> Identity:
        """As the source says."""
        return self._source.identity()

    def read_range(self, offset: int, length: int) -> memoryview:
        """Exactly ``length`` bytes from ``offset`` on, in at most one request."""
        key = hashlib.sha256(f"{self._version}\0{offset}\0{length}".encode()).hexdigest()
        kept = self._cache.get(key)
        if kept is not None and len(kept) == length:
            return kept
        data, identity = self._source.fetch(offset, length)
        # A response that does not say its version may be of any.
        if identity is not None and (identity.etag, identity.mtime_ns) == (
            self._expected.etag,
            self._expected.mtime_ns,
        ):
            self._cache.put(key, data)
        return data

    def read_prefix(self, length: int) -> memoryview:
        """The first ``length`` bytes, or all there are; headers are not kept."""
        return self._source.read_prefix(length)

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        self.close()


def identifies(identity: Identity) -> bool:
    """Whether files of this identity have the same bytes: a weak ETag or a size alone does not say so."""
    if identity.etag is not None:
        return not identity.etag.startswith("W/")
    return identity.mtime_ns is not None


def cache_name(place: Place, key: str, endpoint: str | None) -> str:
    """Name of a file, the same however its URL is signed."""
    name = _unsigned(place.name) if place.kind == "http" else place.name
    return "\0".join((place.kind, endpoint or "", place.account, name, key))


def _unsigned(url: str) -> str:
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    if not any(name.lower() in _SIGNATURES for name, _ in query):
        return url
    kept = [(name, value) for name, value in query if not _is_signature(name.lower())]
    return urlunsplit(parts._replace(query=urlencode(kept)))


def _is_signature(name: str) -> bool:
    return name in _SIGNATURES | _SIGNED_WITH or name.startswith(("x-amz-", "x-goog-")) or bool(_AZURE.fullmatch(name))
