"""Which snapshot of each collection is served, and how a newer one takes its place while streams go on."""

import logging
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from rasterflight_server.catalog import Collection
from rasterflight_server.catalog.format import MANIFEST
from rasterflight_server.catalog.manifest import Manifest
from rasterflight_server.errors import ServiceError

_log = logging.getLogger("rasterflight_server")

#: Seconds between two looks at the manifests.
WATCH_SECONDS: Final = 1.0


class Snapshots:
    """The collections of a server; any number of threads may look, and take new snapshots, at once.

    A stream holds on to the collection that it began with. What that needs is open or in memory, so that it goes on when a
    rebuild has removed the files; it is freed with the last stream that uses it.

    Parameters
    ----------
    collections
        By the name under which they are served.
    paths
        Where newer snapshots may turn up: directories of indexes, by name.
    """

    def __init__(self, collections: Mapping[str, Collection], paths: Mapping[str, Path] | None = None) -> None:
        #: Replaced as a whole, never changed.
        self.current: Mapping[str, Collection] = dict(collections)
        self._paths = dict(paths or {})
        self._stamps = {name: _stamp(path) for name, path in self._paths.items()}
        self._lock = threading.Lock()
        self._wake = threading.Event()

    def refresh(self, name: str) -> Collection:
        """Take the newest snapshot of a collection; returns the one that is served from now on.

        Raises
        ------
        ServiceError
            The index cannot be used as it is now; the snapshot that was served is served on.
        """
        with self._lock:
            served = self.current[name]
            if name not in self._paths:
                return served
            path = self._paths[name]
            # Before the manifest is read: what comes after it is noticed the next time.
            self._stamps[name] = _stamp(path)
            try:
                if Manifest.read(path).snapshot == served.snapshot:
                    return served
                opened = Collection.open(path, name=name)
            except ServiceError as error:
                _log.warning("collection %r stays at snapshot %s: %s", name, served.snapshot, error)
                raise
            self.current = {**self.current, name: opened}
        _log.info("collection %r: snapshot %s takes the place of %s", name, opened.snapshot, served.snapshot)
        return opened

    def watch(self) -> None:
        """Take new snapshots as they turn up; does not return."""
        while True:
            asked = self._wake.wait(WATCH_SECONDS)
            self._wake.clear()
            for name, path in self._paths.items():
                if asked or _stamp(path) != self._stamps[name]:
                    with suppress(ServiceError):  # it is in the log
                        self.refresh(name)

    def wake(self) -> None:
        """Let the watch look at once, whether manifests seem to have changed or not."""
        self._wake.set()


def _stamp(directory: Path) -> tuple[int, ...]:
    """What tells one manifest from the next; empty where there is none."""
    try:
        status = (directory / MANIFEST).stat()
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_ino, status.st_size
