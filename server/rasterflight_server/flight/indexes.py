"""Where the indexes of a server are, and how they are opened."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rasterflight_server.catalog import Collection
from rasterflight_server.catalog.configuration import CONFIGURATION
from rasterflight_server.catalog.format import MANIFEST
from rasterflight_server.catalog.storage import storage_options
from rasterflight_server.flight.warmup import warm_up
from rasterflight_server.store import DiskCache, Stores, is_remote

_Stamp = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Indexes:
    """Indexes by the names under which they are served."""

    #: Directory, or URL.
    paths: Mapping[str, str]
    #: Folder that indexes behind URLs are kept in; None: that of the user.
    cache: Path | None = None
    #: For what is read from remote files.
    disk_cache: DiskCache | None = None

    def open(self, name: str) -> Collection:
        """Open what is there now, ready to be asked; raises as ``Collection.open``."""
        collection = Collection.open(self.paths[name], name=name, cache=self.cache)
        warm_up(collection)
        return collection

    def open_all(self) -> dict[str, Collection]:
        """All collections, by name."""
        return {name: self.open(name) for name in self.paths}

    def stores(self, collections: Mapping[str, Collection]) -> Stores:
        """Where their files are opened; raises as ``storage_options``."""
        configurations = {name: collection.configuration for name, collection in collections.items()}
        return Stores(storage_options(configurations), cache=self.disk_cache)

    def stamp(self, name: str) -> _Stamp:
        """What is another when the index or its configuration is; the same for ever where that would take a request."""
        path = self.paths[name]
        return () if is_remote(path) else tuple(_stamp(Path(path) / file) for file in (MANIFEST, CONFIGURATION))


def _stamp(path: Path) -> tuple[int, ...]:
    """What tells one version of a file from the next; empty where there is none."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_ino, status.st_size
