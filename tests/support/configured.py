"""A collection whose configuration a test writes, read by the server's own parts."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rasterflight._chips import read_chips
from rasterflight._rows import Chip
from rasterflight_protocol import BandField, band_fields, pack
from rasterflight_protocol.v1.read_pb2 import Filter, GridOptions, ReadRequest
from rasterflight_server.catalog import Collection
from rasterflight_server.catalog.configuration import CONFIGURATION
from rasterflight_server.flight.service import Service
from rasterflight_server.ingest import build_index
from rasterflight_server.settings import Settings


class Configured:
    """A collection of the files of a folder, named "files"; a record is a file, by its stem."""

    def __init__(self, folder: Path, index: Path) -> None:
        self.folder = folder
        self.index = index
        report = build_index(folder, index, "files")
        #: Names of the bands.
        self.bands = list(report.bands)

    @contextmanager
    def serve(self, configuration: str, settings: Settings = Settings()) -> Iterator[Service]:  # noqa: B008 - it never changes
        """Open the collection with this configuration."""
        (self.index / CONFIGURATION).write_text(configuration)
        service = Service({"files": Collection.open(self.index)}, settings=settings)
        try:
            yield service
        finally:
            service.workers.close()
            service.collections["files"].close()

    def read(
        self, configuration: str, record: str, request: ReadRequest | None = None, **grid: Any
    ) -> tuple[Chip, list[BandField]]:
        """Read one file whole, all bands unless the request names some; gives its chip and what the schema says of the bands."""
        message = ReadRequest(collection="files", filters=[Filter(ids=[record])], grid=GridOptions(**grid))
        if request is not None:
            message.MergeFrom(request)
        if not message.bands:
            message.bands.extend(self.bands)
        with self.serve(configuration) as service:
            checked, collection = service.request(pack(message))
            stream = service.chips(collection, checked)
            [chip] = read_chips((batch for batch, _ in stream.batches(lambda: None)), stream.schema)
            return chip, band_fields(stream.schema)
