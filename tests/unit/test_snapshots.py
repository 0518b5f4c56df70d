"""The watch for new snapshots goes on, whatever goes wrong with one of them."""

import threading
from pathlib import Path
from typing import Any

import pytest

from rasterflight_server.catalog import Collection
from rasterflight_server.flight import snapshots
from rasterflight_server.flight.snapshots import Snapshots


class Indexes:
    """Indexes of which the first cannot even be looked at, and the second is new."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self.changed = False
        self.opened = threading.Event()

    def stamp(self, name: str) -> int:
        if not self.changed:
            return 0
        if name == "bad":
            raise MemoryError("no memory for the manifest")
        return 1

    def open(self, name: str) -> Any:
        self.opened.set()
        return self._collection

    def stores(self, _: object) -> None:
        return None


def test_the_watch_survives(
    indexes: dict[str, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(snapshots, "WATCH_SECONDS", 0.02)
    collection = Collection.open(str(indexes["ny"]), name="ny")
    found = Indexes(collection)
    served = Snapshots({"bad": collection, "good": collection}, found, lambda _: None)  # type: ignore[arg-type]
    watch = threading.Thread(target=served.watch, daemon=True)
    watch.start()
    found.changed = True
    assert found.opened.wait(5)
    found.opened.clear()
    served.wake()
    assert found.opened.wait(5)
    assert watch.is_alive()
    served._indexes = None
    served.wake()
    watch.join(5)
    assert f"collection 'bad' stays at snapshot {collection.snapshot}" in caplog.text
    assert "no memory for the manifest" in caplog.text
