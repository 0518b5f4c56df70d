"""Records from files that a wildcard or the listing of a store finds."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from rasterflight_server.ingest.folder import is_raster_name, read_files
from rasterflight_server.ingest.sources import Failure, RecordSource
from rasterflight_server.store import Stores, list_files

_WILD: Final = re.compile(r"[*?\[]")


def is_glob(source: str) -> bool:
    """Whether a source is a path with wildcards: ``scenes/**/*_B04.tif``."""
    return "://" not in source and _WILD.search(source) is not None and not Path(source).exists()


def is_prefix(source: str) -> bool:
    """Whether a source is a folder of an object store: ``s3://bucket/scenes/``; behind http it would be a page."""
    scheme, _, place = source.partition("://")
    return scheme.lower() not in ("http", "https", "file") and place.endswith("/") and "?" not in place


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


def below(url: str, stores: Stores) -> Iterator[tuple[str, str]]:
    """Files below a prefix of an object store: path from there, and URL.

    Raises
    ------
    SourceError
        The store cannot be listed.
    """
    start = _key(url)
    for href, _ in list_files(url, stores):
        yield _key(href).removeprefix(start), href


def read_prefix(url: str, pattern: str | None, stores: Stores) -> Iterator[RecordSource | Failure]:
    """Find the GeoTIFFs below a URL.

    Parameters
    ----------
    url
        It ends in "/"; names of files, and so ids, start from there.
    pattern
        As for ``read_folder``.
    stores
        Where it is listed.

    Raises
    ------
    SourceError
        The store cannot be listed.
    """
    files = sorted((name, href) for name, href in below(url, stores) if is_raster_name(name))
    return read_files(files, pattern, PurePosixPath(_key(url)).name or urlsplit(url).netloc)


def _key(url: str) -> str:
    """Key of an object; it stands in its URL as it is."""
    return url.partition("://")[2].partition("/")[2]


def _split(source: str) -> tuple[Path, str]:
    """The folder that has no wildcard, and the rest."""
    parts = Path(source).absolute().parts
    first = next(i for i, part in enumerate(parts) if _WILD.search(part))
    return Path(*parts[:first]), str(PurePosixPath(*parts[first:]))
