"""Reads through everything but the network: index, plan, engine, batches, and the client's chips."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rasterflight._chips import read_chips
from rasterflight._rows import Chip
from rasterflight_protocol import BandField, band_fields, pack
from rasterflight_protocol.v1.read_pb2 import Filter, GridOptions, ReadRequest
from rasterflight_server.catalog import Collection
from rasterflight_server.flight.service import Service
from rasterflight_server.ingest import build_index
from rasterflight_server.plan.request import Request
from rasterflight_server.settings import CacheSettings, Settings
from rasterflight_server.store import Stores


class Direct:
    """A collection of the files of a folder; a record is a file, by its stem."""

    def __init__(self, service: Service, collection: Collection) -> None:
        self.service = service
        self.collection = collection

    def read(
        self, record: str, bands: list[str] | None = None, request: ReadRequest | None = None, **grid: Any
    ) -> tuple[list[Chip], list[BandField]]:
        """Read one file, all bands unless told otherwise; gives its chips and what the schema says about the bands."""
        stream = self.service.chips(self.collection, self.request(record, bands, request, **grid))
        batches = (batch for batch, _ in stream.batches(lambda: None))
        return list(read_chips(batches, stream.schema)), band_fields(stream.schema)

    def request(
        self, record: str, bands: list[str] | None = None, request: ReadRequest | None = None, **grid: Any
    ) -> Request:
        """The request that ``read`` answers."""
        message = ReadRequest(collection="files", bands=bands or self.bands(record), grid=GridOptions(**grid))
        message.filters.append(Filter(ids=[record]))
        if request is not None:
            message.MergeFrom(request)
        return self.service.request(pack(message))[0]

    def bands(self, record: str) -> list[str]:
        """Names of the bands of a file."""
        [row] = self.collection.select([Filter(ids=[record])])["row"].to_pylist()
        slots = self.collection.manifest.slots
        found = zip(slots, self.collection.assets(row, range(len(slots))), strict=True)
        return [name for slot, asset in found if asset is not None for name in slot.bands]


@contextmanager
def direct(source: Path, index: Path, stores: Stores | None = None) -> Iterator[Direct]:
    """Index a folder, or STAC items, and open it; every file must be readable."""
    report = build_index(source, index, "files", stores=stores)
    assert not report.failures, list(map(str, report.failures))
    with opened(index, stores) as reads:
        yield reads


@contextmanager
def opened(index: Path | str, stores: Stores | None = None) -> Iterator[Direct]:
    """Open an index, by its folder or URL."""
    collection = Collection.open(index, name="files")
    service = Service({"files": collection}, stores=stores, settings=Settings(cache=CacheSettings(memory=0)))
    try:
        yield Direct(service, collection)
    finally:
        service.workers.close()
        collection.close()
