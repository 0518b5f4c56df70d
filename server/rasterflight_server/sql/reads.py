"""What statements read with: the service, as they see it."""

from collections.abc import Callable, Generator, Mapping
from typing import Any, Protocol

import pyarrow as pa

from rasterflight_server.catalog import Collection
from rasterflight_server.plan.request import Request
from rasterflight_server.telemetry import Meter
from rasterflight_server.types.caller import Caller

#: Raises when the caller has gone, or has waited for too long.
Check = Callable[[], None]


class Stream(Protocol):
    """Rows that are being read."""

    schema: pa.Schema

    def batches(self, check: Check) -> Generator[tuple[pa.RecordBatch, Any]]:
        """Read; closing the iterator frees everything."""


class Reads(Protocol):
    """The service."""

    @property
    def collections(self) -> Mapping[str, Collection]:
        """The collections as they are served now."""

    def request(self, ticket: bytes, caller: Caller) -> tuple[Request, Collection]:
        """Read and check a ticket."""

    def pixels(
        self, collection: Collection, request: Request, place: None = None, meter: Meter | None = None
    ) -> Stream:
        """The stream that answers a request for pixels; ``meter`` counts what is read."""
