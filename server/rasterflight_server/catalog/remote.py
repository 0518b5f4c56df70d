"""An index behind a URL, brought to the local disk.

All of its files are fetched whole, the tile ranges too: a plan looks up a hundred of them at once, which takes a microsecond each in
a memory-mapped file, and a round trip for each few by range requests.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

from rasterflight_protocol import ErrorCode
from rasterflight_server.catalog.configuration import CONFIGURATION, Configuration
from rasterflight_server.catalog.format import ASSETS, MANIFEST, PROFILES, RECORDS, TILES
from rasterflight_server.catalog.manifest import Manifest
from rasterflight_server.errors import BadIndexError, ConfigError, SourceError
from rasterflight_server.store import from_elsewhere, is_remote, open_source, read_whole

_FILES: Final = (PROFILES, ASSETS, RECORDS, TILES)
#: What was fetched: sizes by file name. Written last, so that a folder with it is complete.
_FETCHED: Final = "fetched.json"
_LOCK: Final = ".lock"
# It names a folder here.
_SNAPSHOT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_HINTS: Final = {
    ErrorCode.SOURCE_NOT_FOUND: f"give the URL of the directory that has the {MANIFEST}",
    ErrorCode.SOURCE_FORBIDDEN: "a signed URL may have run out",
    ErrorCode.SOURCE_CHANGED: "it is being built again: wait until that is done",
    ErrorCode.SOURCE_CORRUPT: "copy the index there again",
    ErrorCode.SOURCE_UNAVAILABLE: "try again later",
}
#: Storage options that send a secret of this machine to where the configuration says.
_SECRETS: Final = frozenset(["token_env", "token_file", "login_env", "login_file", "profile", "signing_url", "ca_file"])
_PART: Final = 8 << 20
#: Parts that are fetched at a time, and held in memory.
_TOGETHER: Final = 8


def default_cache() -> Path:
    """Folder for fetched indexes where none is named."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rasterflight" / "indexes"


def fetch_index(url: str, cache: Path) -> tuple[Manifest, Path]:
    """Fetch an index, unless the snapshot that it has now is there already.

    Parameters
    ----------
    url
        Of the directory of the index; a query goes with every file.
    cache
        Folder that indexes are kept in, one snapshot of each.

    Returns
    -------
    Manifest, Path
        The manifest, and the local folder of its snapshot.

    Raises
    ------
    BadIndexError
        It is not an index, or it cannot be kept in the cache.
    SourceError
        A file of it cannot be fetched.
    """
    name = _label(url)
    try:
        data = read_whole(_child(url, MANIFEST))
    except SourceError as error:
        raise _named(error, name, MANIFEST) from None
    manifest = Manifest.parse(data, name)
    if not _SNAPSHOT.fullmatch(manifest.snapshot):
        raise BadIndexError(f"the {MANIFEST} of {name!r} is damaged: {manifest.snapshot[:50]!r} cannot be a snapshot")
    place = cache / hashlib.sha256(name.encode()).hexdigest()[:16]
    folder = place / manifest.snapshot
    try:
        with _locked(place):
            if not _complete(folder):
                _fetch(url, folder)
                _remove_others(place, folder)
    except OSError as error:
        raise BadIndexError(
            f"the index {name!r} cannot be kept in {str(cache)!r}: {error.strerror}",
            hint="name a folder that can be written by --index-cache",
        ) from None
    return manifest, folder


def fetch_configuration(url: str) -> Configuration:
    """Fetch the configuration of an index; without one, or where it may not be read, all is as the index says.

    Raises
    ------
    ConfigError
        It cannot be used, its storage options send secrets of this machine elsewhere, or it names files of this machine.
    SourceError
        It cannot be fetched now.
    """
    name = _label(url)
    try:
        text = read_whole(_child(url, CONFIGURATION))
    except SourceError as error:
        # Stores say of a file that is not there that it is forbidden, where the folder may not be listed.
        if error.code in (ErrorCode.SOURCE_NOT_FOUND, ErrorCode.SOURCE_FORBIDDEN):
            return Configuration()
        raise _named(error, name, CONFIGURATION) from None
    found = Configuration.parse(text, f"{CONFIGURATION} of {name!r}")
    _check_remote(found, name)
    return found


def _check_remote(configuration: Configuration, name: str) -> None:
    """Refuse what would send secrets of this machine to others, or let others name its files."""
    places = {f"rewrite[{number}].to": rewrite.to for number, rewrite in enumerate(configuration.rewrites)}
    for prefix, options in configuration.storage.items():
        told = _SECRETS & options.keys()
        if "endpoint" in options and not options.get("anonymous"):
            told |= {"endpoint"}
        for option in sorted(told):
            raise _not_from_there(
                name, f'storage."{prefix}".{option}', "an index behind a URL has no use of the secrets here"
            )
        places[f'storage."{prefix}".rewrite'] = str(options.get("rewrite", prefix))
    for field, place in places.items():
        if not is_remote(place):
            raise _not_from_there(name, field, "an index behind a URL names no files of this machine")


def _not_from_there(name: str, field: str, why: str) -> ConfigError:
    return ConfigError(
        f"{CONFIGURATION} of {name!r}: {field}: {why}",
        field=field,
        hint="copy the index to the disk of the server, if you trust it",
    )


def beside(url: str, href: str) -> str:
    """URL that an href of the index means: a relative one starts from the folder that its directory lies in.

    Of files of this machine, what ``from_elsewhere`` says.
    """
    if href.startswith("/") or "://" in href:
        return from_elsewhere(href)
    parts = urlsplit(url)
    parent = parts.path.rstrip("/").rpartition("/")[0]
    # Keys of buckets are not encoded in URLs; paths of web servers are.
    path = quote(href) if parts.scheme.lower() in ("http", "https") else href
    return urlunsplit(parts._replace(path=f"{parent}/{path}"))


def _child(url: str, name: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}"))


def _label(url: str) -> str:
    """The URL without its query, which may be a signature."""
    return urlunsplit(urlsplit(url)._replace(query="", fragment="")).rstrip("/")


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    """Hold a place alone: who comes second finds what the first has fetched."""
    place.mkdir(parents=True, exist_ok=True)
    with (place / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _complete(folder: Path) -> bool:
    try:
        sizes = json.loads((folder / _FETCHED).read_bytes())
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def _fetch(url: str, folder: Path) -> None:
    building = Path(tempfile.mkdtemp(prefix=".fetching-", dir=folder.parent))
    try:
        snapshot = _child(url, folder.name)
        with ThreadPoolExecutor(_TOGETHER, "index") as pool:
            sizes = {name: _fetch_file(_child(snapshot, name), building / name, pool) for name in _FILES}
        (building / _FETCHED).write_text(json.dumps(sizes))
        shutil.rmtree(folder, ignore_errors=True)
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _fetch_file(url: str, path: Path, pool: ThreadPoolExecutor) -> int:
    """Fetch one file in parts; each is held against the size and ETag of the first answer. Returns its size."""
    try:
        with open_source(url) as source, path.open("wb") as file:
            size = source.identity().size

            def fetch(start: int) -> None:
                part = source.read_range(start, min(_PART, size - start))
                os.pwrite(file.fileno(), part, start)

            for _ in pool.map(fetch, range(0, size, _PART)):
                pass
            return size
    except SourceError as error:
        index = _label(url).rsplit("/", 2)[0]
        raise _named(error, index, path.name) from None


def _remove_others(place: Path, kept: Path) -> None:
    """Remove what older snapshots and broken fetches left; who has their files open keeps them."""
    for entry in place.iterdir():
        if entry.is_dir() and entry != kept:
            shutil.rmtree(entry, ignore_errors=True)


def _named(error: SourceError, index: str, file: str) -> SourceError:
    message = f"the index {index!r} cannot be fetched: {file}: {error.message}"
    return SourceError(error.code, message, hint=_HINTS.get(error.code, error.hint))
