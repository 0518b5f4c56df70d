"""What the server offers, free of Flight: collections by name, plans, streams."""

import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from rasterflight_protocol import ErrorCode, TicketError, unpack
from rasterflight_protocol.v1.read_pb2 import LAYOUT_OUTLINES, LAYOUT_RECORDS, ReadRequest, Shard
from rasterflight_server.catalog import Collection
from rasterflight_server.encode.budget import LookaheadBudget
from rasterflight_server.encode.outlines import OutlinesStream
from rasterflight_server.encode.pointstream import PointsStream
from rasterflight_server.encode.stream import ChipsStream
from rasterflight_server.errors import RequestError
from rasterflight_server.flight.snapshots import Snapshots
from rasterflight_server.plan.planner import ReadPlan, plan_read
from rasterflight_server.plan.pointplan import PointPlan
from rasterflight_server.plan.request import Request, parse_request
from rasterflight_server.plan.uploads import Uploads
from rasterflight_server.read.workers import Workers
from rasterflight_server.telemetry import Telemetry

#: What all streams together may hold ahead of their readers.
LOOKAHEAD_BUDGET = 256 << 20
#: A shard has at least this many bytes of pixels: a stream of its own must be worth it.
SHARD_BYTES = 256 << 20
MAX_SHARDS = 16


class Service:
    """Answers requests.

    Parameters
    ----------
    collections
        By the name under which they are served.
    paths
        Directories of their indexes, where newer snapshots may turn up.
    """

    def __init__(self, collections: Mapping[str, Collection], paths: Mapping[str, Path] | None = None) -> None:
        self.snapshots = Snapshots(collections, paths)
        self.telemetry = Telemetry()
        self.workers = Workers(self.telemetry)
        self.uploads = Uploads()
        self._budget = LookaheadBudget(LOOKAHEAD_BUDGET)

    @property
    def collections(self) -> Mapping[str, Collection]:
        """The collections as they are served now."""
        return self.snapshots.current

    def collection(self, name: str) -> Collection:
        """Find a collection.

        Raises
        ------
        RequestError
            COLLECTION_NOT_FOUND: names what there is.
        """
        try:
            return self.collections[name]
        except KeyError:
            near = difflib.get_close_matches(name, list(self.collections), n=1)
            there = ", ".join(sorted(self.collections)[:20]) or "none"
            raise RequestError(
                ErrorCode.COLLECTION_NOT_FOUND,
                f"there is no collection {name[:100]!r}",
                field="collection",
                hint=f"did you mean {near[0]!r}?" if near else f"collections here: {there}",
            ) from None

    def request(self, ticket: bytes, caller: str = "") -> tuple[Request, Collection]:
        """Read and check a ticket.

        Parameters
        ----------
        caller
            Whose uploads the ticket may refer to.

        Raises
        ------
        RequestError
            BAD_REQUEST and its kin; STALE_SNAPSHOT when the ticket is pinned to another snapshot.
        """
        try:
            message = unpack(ticket)
        except TicketError as error:
            raise RequestError(ErrorCode.BAD_REQUEST, str(error), field="ticket") from None
        self.uploads.forget_expired()
        request = parse_request(message, lambda upload_id, field: self.uploads.find(upload_id, caller, field))
        collection = self.collection(request.collection)
        if request.snapshot and request.snapshot != collection.snapshot:
            raise RequestError(
                ErrorCode.STALE_SNAPSHOT,
                f"the ticket is for snapshot {request.snapshot[:100]!r}, the server has {collection.snapshot!r}",
                collection=collection.name,
                field="snapshot",
                hint="plan again, or leave the snapshot out",
            )
        return request, collection

    def chips(self, collection: Collection, request: Request) -> ChipsStream:
        """The stream of pixels that answers a request."""
        return ChipsStream(plan_read(collection, request).shard(), self.workers, self._budget)

    def points(self, collection: Collection, request: Request) -> PointsStream:
        """The stream of values at points that answers a request."""
        return PointsStream(PointPlan(collection, request), self.workers, self._budget)

    def outlines(self, collection: Collection, request: Request) -> OutlinesStream:
        """The stream that tells where the pixels of a request lie."""
        return OutlinesStream(plan_read(collection, request).shard())

    def pixels(self, collection: Collection, request: Request) -> ChipsStream | OutlinesStream | PointsStream:
        """The stream that answers a request for pixels, or for where they are."""
        if is_outlines(request):
            return self.outlines(collection, request)
        return (self.chips if request.points is None else self.points)(collection, request)

    @contextmanager
    def streaming(self) -> Iterator[None]:
        """Count a stream while it runs."""
        self.telemetry.add(streams=1, streams_started=1)
        try:
            yield
        finally:
            self.telemetry.add(streams=-1)

    def sent(self, batch: pa.RecordBatch) -> None:
        """Count a batch."""
        self.telemetry.add(batches=1, rows=batch.num_rows, bytes_sent=batch.nbytes)


def shard_requests(plan: ReadPlan) -> list[ReadRequest]:
    """Requests that together answer a plan, pinned to its snapshot, of about the same size."""
    count = max(1, min(MAX_SHARDS, len(plan.records), plan.nbytes // SHARD_BYTES))
    return [_pinned(plan.request.message, plan.collection.snapshot, index, count) for index in range(count)]


def _pinned(message: ReadRequest, snapshot: str, index: int, count: int) -> ReadRequest:
    pinned = ReadRequest()
    pinned.CopyFrom(message)
    pinned.snapshot = snapshot
    if count > 1:
        pinned.shard.CopyFrom(Shard(index=index, count=count))
    return pinned


def is_records(request: Request) -> bool:
    """Whether the request asks for rows of the index instead of pixels."""
    return request.layout == LAYOUT_RECORDS


def is_outlines(request: Request) -> bool:
    """Whether the request asks where chips lie instead of what they hold."""
    return request.layout == LAYOUT_OUTLINES
