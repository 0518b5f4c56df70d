"""What GetFlightInfo and ListFlights answer: schema, size and tickets of what can be streamed."""

import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.flight as fl

from rasterflight_protocol import ErrorCode, pack
from rasterflight_protocol.v1.plan_pb2 import Plan
from rasterflight_protocol.v1.read_pb2 import LAYOUT_RECORDS, ReadRequest
from rasterflight_server.catalog import Collection
from rasterflight_server.encode.layouts import plan_schema
from rasterflight_server.encode.points import plan_schema as points_plan_schema
from rasterflight_server.encode.records import RecordsStream
from rasterflight_server.errors import RequestError
from rasterflight_server.flight.service import Service, is_outlines, is_records, shard_requests
from rasterflight_server.flight.summary import summary
from rasterflight_server.plan.estimate import estimate, estimate_outlines, estimate_points
from rasterflight_server.plan.planner import ReadPlan
from rasterflight_server.plan.pointplan import PointPlan
from rasterflight_server.plan.request import Request
from rasterflight_server.sql.service import Planned

#: How long a plan's tickets are promised to work; they go on working while the snapshot is served.
_TICKET_LIFE = timedelta(hours=1)


def collection_info(collection: Collection) -> fl.FlightInfo:
    """A collection, as a flight of its records."""
    request = ReadRequest(collection=collection.name, layout=LAYOUT_RECORDS)
    return fl.FlightInfo(
        collection.records_schema,
        fl.FlightDescriptor.for_path(collection.name),
        [fl.FlightEndpoint(pack(request), [])],
        total_records=collection.manifest.records,
        total_bytes=-1,
        ordered=True,
        app_metadata=json.dumps(summary(collection)).encode(),
    )


def read_info(
    service: Service, collection: Collection, request: Request, descriptor: fl.FlightDescriptor
) -> fl.FlightInfo:
    """What a read streams, whatever its layout."""
    if request.message.HasField("start"):
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            "start: a plan is that of a whole read",
            field="start",
            hint="leave it out, or ask for the rest of the rows by DoGet",
        )
    if is_records(request):
        return _records_info(collection, request, descriptor)
    if request.points is not None:
        return _points_info(collection, request, descriptor)
    return _chips_info(service.planned(collection, request), descriptor)


def sql_info(planned: Planned, descriptor: fl.FlightDescriptor) -> fl.FlightInfo:
    """Rows of a statement."""
    return fl.FlightInfo(planned.schema, descriptor, [fl.FlightEndpoint(planned.ticket, [])], -1, -1)


def _records_info(collection: Collection, request: Request, descriptor: fl.FlightDescriptor) -> fl.FlightInfo:
    stream = RecordsStream(collection, request)
    rows = len(stream.rows)
    told = Plan(snapshot=collection.snapshot, records=rows, rows=rows)
    return _planned(stream.schema, descriptor, [_pinned(collection, request)], told, total_bytes=-1)


def _points_info(collection: Collection, request: Request, descriptor: fl.FlightDescriptor) -> fl.FlightInfo:
    plan = PointPlan(collection, request)
    return _planned(points_plan_schema(plan), descriptor, [_pinned(collection, request)], estimate_points(plan))


def _chips_info(whole: ReadPlan, descriptor: fl.FlightDescriptor) -> fl.FlightInfo:
    plan = whole.shard()
    told = (estimate_outlines if is_outlines(plan.request) else estimate)(plan)
    return _planned(plan_schema(whole), descriptor, shard_requests(plan), told)


def _pinned(collection: Collection, request: Request) -> ReadRequest:
    pinned = ReadRequest()
    pinned.CopyFrom(request.message)
    pinned.snapshot = collection.snapshot
    return pinned


def _planned(
    schema: pa.Schema,
    descriptor: fl.FlightDescriptor,
    messages: list[ReadRequest],
    told: Plan,
    *,
    total_bytes: int | None = None,
) -> fl.FlightInfo:
    expires = pa.scalar(datetime.now(UTC) + _TICKET_LIFE, pa.timestamp("ns", "UTC"))
    return fl.FlightInfo(
        schema,
        descriptor,
        [fl.FlightEndpoint(pack(message), [], expiration_time=expires) for message in messages],
        total_records=told.rows,
        total_bytes=told.bytes_to_receive if total_bytes is None else total_bytes,
        ordered=True,
        app_metadata=told.SerializeToString(),
    )
