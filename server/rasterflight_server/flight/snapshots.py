"""Which snapshot of each collection is served, and how a newer one takes its place while streams go on."""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Final

from rasterflight_server.catalog import Collection
from rasterflight_server.errors import ServiceError
from rasterflight_server.flight.indexes import Indexes
from rasterflight_server.store import Stores

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
    indexes
        Where newer snapshots, and other configurations, may turn up; None: nowhere.
    use
        Told where files are opened from now on, whenever a collection is replaced.
    """

    def __init__(
        self, collections: Mapping[str, Collection], indexes: Indexes | None, use: Callable[[Stores], None]
    ) -> None:
        #: Replaced as a whole, never changed.
        self.current: Mapping[str, Collection] = dict(collections)
        self._indexes = indexes
        self._use = use
        self._stamps = {} if indexes is None else {name: indexes.stamp(name) for name in self.current}
        self._lock = threading.Lock()
        self._wake = threading.Event()

    def refresh(self, name: str) -> Collection:
        """Take the newest snapshot of a collection, and its configuration; returns what is served from now on.

        Raises
        ------
        ServiceError
            The index or its configuration cannot be used as it is now; what was served is served on.
        """
        with self._lock:
            served = self.current[name]
            if self._indexes is None:
                return served
            # Before it is opened: what comes after it is noticed the next time.
            self._stamps[name] = self._indexes.stamp(name)
            try:
                opened = self._indexes.open(name)
                if (opened.snapshot, opened.configuration) == (served.snapshot, served.configuration):
                    opened.close()
                    return served
                newest = {**self.current, name: opened}
                stores = self._indexes.stores(newest)
            except ServiceError as error:
                _log.warning("collection %r stays at snapshot %s: %s", name, served.snapshot, error)
                raise
            if opened.configuration != served.configuration:
                self._use(stores)
            self.current = newest
        _log.info("collection %r: snapshot %s takes the place of %s", name, opened.snapshot, served.snapshot)
        return opened

    def watch(self) -> None:
        """Take new snapshots as they turn up; does not return."""
        while self._indexes is not None:
            asked = self._wake.wait(WATCH_SECONDS)
            self._wake.clear()
            for name in self.current:
                try:
                    if asked or self._indexes.stamp(name) != self._stamps[name]:
                        self.refresh(name)
                except ServiceError:
                    pass  # it is in the log
                except Exception:  # noqa: BLE001 - the watch goes on: for the others, and for this one when it changes again
                    _log.exception("collection %r stays at snapshot %s", name, self.current[name].snapshot)

    def wake(self) -> None:
        """Let the watch look at once, whether indexes seem to have changed or not; also at those behind URLs."""
        self._wake.set()
