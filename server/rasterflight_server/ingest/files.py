"""Records from files that a wildcard or the listing of a store finds."""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.ingest.folder import is_raster_name, read_files
from rasterflight_server.ingest.sources import Failure, RecordSource

_WILD: Final = re.compile(r"[*?\[]")

#: Gives the URLs of all files below a URL that ends in "/".
Lister = Callable[[str], Iterable[str]]


def is_glob(source: str) -> bool:
    """Whether a source is a path with wildcards: ``scenes/**/*_B04.tif``."""
    return "://" not in source and _WILD.search(source) is not None and not Path(source).exists()


def is_prefix(source: str) -> bool:
    """Whether a source is a folder of an object store: ``s3://bucket/scenes/``; behind http it would be a page."""
    parts = urlsplit(source)
    return parts.scheme not in ("", "http", "https", "file") and parts.path.endswith("/") and not parts.query


def read_glob(source: str, pattern: str | None) -> Iterator[RecordSource | Failure]:
    """Find the GeoTIFFs that a path with wildcards means: ``*`` and ``?`` within a part of it, ``**`` for any folders.

    Parameters
    ----------
    source
        The path. Names of files, and so ids, start from its last folder without a wildcard.
    pattern
        As for ``read_folder``.
    """
    folder, wild = _split(source)
    files = sorted(path for path in folder.glob(wild) if is_raster_name(path.name) and path.is_file())
    return read_files(((path.relative_to(folder).as_posix(), str(path)) for path in files), pattern, folder.name)


def read_prefix(url: str, pattern: str | None, lister: Lister | None) -> Iterator[RecordSource | Failure]:
    """Find the GeoTIFFs below a URL.

    Parameters
    ----------
    url
        It ends in "/"; names of files, and so ids, start from there.
    pattern
        As for ``read_folder``.
    lister
        Lists what lies below; None: nobody can.

    Raises
    ------
    RequestError
        There is no lister.
    SourceError
        The store cannot be listed.
    """
    if lister is None:
        raise RequestError(ErrorCode.BAD_REQUEST, "object stores cannot be listed from here", field="source")
    files = sorted(href for href in lister(url) if is_raster_name(urlsplit(href).path))
    root = PurePosixPath(urlsplit(url).path).name or urlsplit(url).netloc
    return read_files(((unquote(href.removeprefix(url)), href) for href in files), pattern, root)


def _split(source: str) -> tuple[Path, str]:
    """The folder that has no wildcard, and the rest."""
    parts = Path(source).absolute().parts
    first = next(i for i, part in enumerate(parts) if _WILD.search(part))
    return Path(*parts[:first]), str(PurePosixPath(*parts[first:]))
