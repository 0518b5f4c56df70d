"""Where a URL points: which store, and which file in it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.store.options import StorageOptions

Kind = Literal["http", "s3", "gs", "az"]

#: Schemes of remote files, and the kind of store that each names.
KINDS: Final[dict[str, Kind]] = {
    "http": "http",
    "https": "http",
    "s3": "s3",
    "s3a": "s3",
    "gs": "gs",
    "gcs": "gs",
    "az": "az",
    "azure": "az",
    "abfs": "az",
    "abfss": "az",
}
#: Scheme of local files that are named by what came from elsewhere: they are not opened. Paths without ".." follow.
FOREIGN: Final = "foreign"
_AZURE_HOST: Final = ".blob.core.windows.net"


@dataclass(frozen=True, slots=True)
class Place:
    """A store: what one set of connections serves."""

    kind: Kind
    #: http: scheme, host and query; else the bucket or container.
    name: str
    #: az: account, "" where neither URL nor options name it.
    account: str = ""

    def url(self, url: str, key: str) -> str:
        """URL of another file, where ``url`` is that of one in the same bucket or container."""
        scheme, _, rest = url.partition("://")
        host = rest.partition("/")[0]
        if scheme == "https":
            return f"https://{host}/{quote(f'{self.name}/{key}')}"
        return f"{scheme}://{host}/{key}"


def locate(url: str, options: StorageOptions) -> tuple[Place, str]:
    """Split a remote URL into a store and the key of a file in it; the key is empty, or ends in a slash, where the URL does.

    Keys of s3, gs and az URLs are taken as they stand; http and https URLs are percent-encoded.

    Raises
    ------
    SourceError
        SOURCE_NOT_FOUND: there is no such URL.
    """
    scheme, _, rest = url.partition("://")
    kind = KINDS[scheme.lower()]
    try:
        if kind == "http" and options.signing is None:
            base, key = _split(url)
            return Place("http", base), key
        if kind == "http":
            return _azure_blob(url)
    except ValueError:
        raise unusable() from None
    name, _, key = rest.partition("/")
    if not name or not _is_key(key):
        raise unusable()
    if kind == "az":
        name, _, host = name.partition("@")
        return Place("az", name, host.partition(".")[0] or options.account or ""), key
    return Place(kind, name), key


def _split(url: str) -> tuple[str, str]:
    """Split a URL into the base of a store and the path in it.

    The store appends the path to the base and encodes it, and keeps the query of the base: a server is one store per query
    (most have none; signed URLs of one container share theirs). A path that would not survive that is made a base of its own.
    """
    parts = urlsplit(url)
    segments = parts.path.removeprefix("/").split("/")
    if not all("/" not in unquote(segment) for segment in segments) or not _is_plain(map(unquote, segments)):
        return urlunsplit(parts._replace(fragment="")), ""
    return urlunsplit((parts.scheme, parts.netloc, "", parts.query, "")), unquote("/".join(segments))


def _azure_blob(url: str) -> tuple[Place, str]:
    parts = urlsplit(url)
    container, _, key = unquote(parts.path).removeprefix("/").partition("/")
    host = parts.hostname or ""
    if not host.endswith(_AZURE_HOST) or not container or not _is_key(key):
        raise unusable()
    return Place("az", container, host.removesuffix(_AZURE_HOST)), key


def _is_key(key: str) -> bool:
    return key == "" or _is_plain(key.removesuffix("/").split("/"))


def _is_plain(segments: Iterable[str]) -> bool:
    return all(segment not in ("", ".", "..") for segment in segments)


def unusable() -> SourceError:
    """Error for a URL that names no file."""
    return SourceError(ErrorCode.SOURCE_NOT_FOUND, "the URL of the file cannot be used")
