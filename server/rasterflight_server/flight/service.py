"""What the server offers, free of Flight: collections by name, plans, streams."""

import difflib
from collections.abc import Mapping

from rasterflight_protocol import ErrorCode, TicketError, unpack
from rasterflight_protocol.v1.read_pb2 import LAYOUT_OUTLINES, LAYOUT_PIXELS, LAYOUT_RECORDS, ReadRequest, Shard
from rasterflight_server.catalog import Collection
from rasterflight_server.encode.outlines import OutlinesStream
from rasterflight_server.encode.pointstream import PointsStream
from rasterflight_server.encode.stream import ChipsStream
from rasterflight_server.errors import RequestError
from rasterflight_server.flight.admission import Admission, Place
from rasterflight_server.flight.crew import Crew
from rasterflight_server.flight.indexes import Indexes
from rasterflight_server.flight.life import Life
from rasterflight_server.flight.readiness import Readiness
from rasterflight_server.flight.snapshots import Snapshots
from rasterflight_server.flight.streams import Streams
from rasterflight_server.plan.limits import Allowance
from rasterflight_server.plan.planner import ReadPlan, plan_read
from rasterflight_server.plan.pointplan import PointPlan
from rasterflight_server.plan.request import Request, parse_request
from rasterflight_server.plan.ticketsize import check_ticket
from rasterflight_server.read.cache import TileCache
from rasterflight_server.read.workers import Workers
from rasterflight_server.settings import Settings
from rasterflight_server.sql.service import SqlService
from rasterflight_server.store import Stores
from rasterflight_server.telemetry import Meter, Telemetry
from rasterflight_server.types.caller import ANONYMOUS, Caller
from rasterflight_server.types.going import GoOn, for_ever

#: A shard has at least this many bytes of pixels: a stream of its own must be worth it.
SHARD_BYTES = 256 << 20
MAX_SHARDS = 16


class Service:
    """Answers requests.

    Parameters
    ----------
    collections
        By the name under which they are served.
    telemetry
        Counts what is done.
    stores
        Where files are opened; None: without options.
    settings
        What the operator says, for all processes together.
    crew
        The processes that answer beside this one.
    indexes
        Where newer snapshots of the collections may turn up; None: nowhere.
    readiness
        Tells others whether calls are taken; None: there are no others.
    """

    def __init__(
        self,
        collections: Mapping[str, Collection],
        telemetry: Telemetry | None = None,
        stores: Stores | None = None,
        *,
        settings: Settings = Settings(),  # noqa: B008 - it never changes
        crew: Crew = Crew(),  # noqa: B008 - it never changes
        indexes: Indexes | None = None,
        readiness: Readiness | None = None,
    ) -> None:
        self.settings = settings
        self.crew = crew
        self.life = Life(readiness or Readiness())
        self.telemetry = telemetry or Telemetry()
        cache = TileCache(settings.cache.memory // crew.size)
        self.workers = Workers(self.telemetry, stores=stores, cache=cache)
        self.snapshots = Snapshots(collections, indexes, self.workers.use)
        self.limits = settings.limits.part(crew.size)
        self.uploads = crew.make_uploads(self.limits.caller.uploads)
        self._budget = crew.stream_budget()
        self.sql = SqlService(self, settings.sql.part(crew.size))
        self.streams = Streams(
            self.limits, Admission(self.limits, self._budget, self.telemetry), self.telemetry, self.life
        )

    @property
    def collections(self) -> Mapping[str, Collection]:
        """The collections as they are served now."""
        return self.snapshots.current

    def readable(self, caller: Caller) -> dict[str, Collection]:
        """The collections that exist for a caller, by name, in its order."""
        return {name: one for name, one in sorted(self.collections.items()) if caller.may_read(name)}

    def collection(self, name: str, caller: Caller = ANONYMOUS) -> Collection:
        """Find a collection.

        Raises
        ------
        RequestError
            COLLECTION_NOT_FOUND: names what there is. What the caller may not read is not there.
        """
        readable = self.readable(caller)
        try:
            return readable[name]
        except KeyError:
            near = difflib.get_close_matches(name, list(readable), n=1)
            there = ", ".join(list(readable)[:20]) or "none"
            raise RequestError(
                ErrorCode.COLLECTION_NOT_FOUND,
                f"there is no collection {name[:100]!r}",
                field="collection",
                hint=f"did you mean {near[0]!r}?" if near else f"collections here: {there}",
            ) from None

    def request(self, ticket: bytes, caller: Caller = ANONYMOUS, go_on: GoOn = for_ever) -> tuple[Request, Collection]:
        """Read and check a ticket.

        Parameters
        ----------
        caller
            Whose uploads the ticket may refer to, and who must be able to read its collection.
        go_on
            Called now and then, from here to the end of the answer; raises when nobody waits for it any more.

        Raises
        ------
        RequestError
            BAD_REQUEST and its kin; STALE_SNAPSHOT when the ticket is pinned to another snapshot.
        """
        check_ticket(ticket)
        try:
            message = unpack(ticket)
        except TicketError as error:
            raise RequestError(ErrorCode.BAD_REQUEST, str(error), field="ticket") from None
        self.uploads.forget_expired()
        request = parse_request(
            message,
            lambda upload_id, field: self.uploads.find(upload_id, caller.key, field),
            Allowance(self.limits.request, self._readable(message.collection, caller), go_on),
        )
        collection = self.collection(request.collection, caller)
        if request.snapshot and request.snapshot != collection.snapshot:
            raise RequestError(
                ErrorCode.STALE_SNAPSHOT,
                f"the ticket is for snapshot {request.snapshot[:100]!r}, the server has {collection.snapshot!r}",
                collection=collection.name,
                field="snapshot",
                hint="plan again, or leave the snapshot out",
            )
        return request, collection

    def _readable(self, name: str, caller: Caller) -> Collection | None:
        return self.collections.get(name) if caller.may_read(name) else None

    def planned(self, collection: Collection, request: Request) -> ReadPlan:
        """What a request for pixels will do if it is asked now, its shard left aside."""
        plan = plan_read(collection, request)
        return plan if request.states_batch_bytes else plan.in_batches(self._budget.batch_bytes(request.batch_bytes))

    def chips(
        self, collection: Collection, request: Request, place: Place | None = None, meter: Meter | None = None
    ) -> ChipsStream:
        """The stream of pixels that answers a request; its place says how large batches are, None: the request does."""
        plan = plan_read(collection, request).shard()
        if place is not None:
            plan = plan.in_batches(place.batch_bytes)
            if request.layout != LAYOUT_PIXELS:  # whose rows take more than the pixels
                place.need(plan.nbytes)
        return ChipsStream(plan, self.workers, self._budget, meter)

    def points(
        self, collection: Collection, request: Request, place: Place | None = None, meter: Meter | None = None
    ) -> PointsStream:
        """The stream of values at points that answers a request; ``place`` as for ``chips``."""
        plan = PointPlan(collection, request)
        return PointsStream(
            plan if place is None else plan.in_batches(place.batch_bytes), self.workers, self._budget, meter
        )

    def outlines(self, collection: Collection, request: Request) -> OutlinesStream:
        """The stream that tells where the pixels of a request lie."""
        return OutlinesStream(plan_read(collection, request).shard())

    def pixels(
        self, collection: Collection, request: Request, place: Place | None = None, meter: Meter | None = None
    ) -> ChipsStream | PointsStream | OutlinesStream:
        """The stream that answers a request for pixels, or for where they are."""
        if is_outlines(request):
            return self.outlines(collection, request)
        return (self.chips if request.points is None else self.points)(collection, request, place, meter)


def shard_requests(plan: ReadPlan) -> list[ReadRequest]:
    """Requests that together answer a plan, pinned to its snapshot and batches, of about the same size."""
    if plan.request.shard_count > 1:
        return [_pinned(plan)]
    count = max(1, min(MAX_SHARDS, len(plan.records), plan.nbytes // SHARD_BYTES))
    return [_pinned(plan, index, count) for index in range(count)]


def _pinned(plan: ReadPlan, index: int = 0, count: int = 1) -> ReadRequest:
    pinned = ReadRequest()
    pinned.CopyFrom(plan.request.message)
    pinned.snapshot = plan.collection.snapshot
    # In batches of another size there would be other rows than were counted.
    pinned.batch_bytes = plan.request.batch_bytes
    if count > 1:
        pinned.shard.CopyFrom(Shard(index=index, count=count))
    return pinned


def is_records(request: Request) -> bool:
    """Whether the request asks for rows of the index instead of pixels."""
    return request.layout == LAYOUT_RECORDS


def is_outlines(request: Request) -> bool:
    """Whether the request asks where chips lie instead of what they hold."""
    return request.layout == LAYOUT_OUTLINES
