"""A Flight server that answers with what a test puts in, and remembers what it was asked."""

import datetime as dt
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import flight

import rasterflight as rf
from rasterflight_protocol import BandField, chips_schema, unpack
from rasterflight_protocol.schemas import CRS_KEY, records_schema
from rasterflight_protocol.v1.error_pb2 import ErrorDetail
from rasterflight_protocol.v1.plan_pb2 import Plan, Progress, Upload
from rasterflight_protocol.v1.read_pb2 import LAYOUT_RECORDS, ReadRequest

UTM18 = "EPSG:32618"
CRS_METADATA = {CRS_KEY: json.dumps({UTM18: {"wkt": "PROJCRS[...]", "projjson": {"type": "ProjectedCRS"}}}).encode()}
RECORDS = records_schema([pa.field("eo:cloud_cover", pa.float64())])
TOY = {
    "name": "toy",
    "records": 2,
    "bands": [{"name": "red", "dtype": "uint16", "nodata": "0"}, {"name": "nir", "dtype": "uint16", "nodata": "0"}],
    "crs": [UTM18],
    "extent": [-75.0, 40.0, -73.0, 42.0],
    "time": ["2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"],
    "snapshot": "s1",
}


@dataclass
class Answers:
    """What the server says and what it was asked."""

    schema: pa.Schema = field(default_factory=lambda: chips_schema([BandField("red", "uint16", "0")]))
    #: Batches, ``(batch, total bytes)`` pairs, and errors to raise between them; an Event is waited for.
    stream: Sequence[Any] = ()
    #: What a read of records answers with.
    records: pa.Table = field(default_factory=RECORDS.empty_table)
    #: Raised by every call before it does anything.
    error: Exception | None = None
    collections: list[dict[str, Any]] = field(default_factory=lambda: [TOY])
    plan: Plan = field(default_factory=Plan)
    requests: list[ReadRequest] = field(default_factory=list)
    #: Areas that went up, and what is answered to them: bytes, None for no answer, or an error to raise.
    uploads: list[tuple[list[bytes], pa.Table]] = field(default_factory=list)
    upload: Any = field(default_factory=lambda: Upload(id="u1").SerializeToString())
    #: Raised by reads of uploads.
    lost: Exception | None = None
    #: Actions with their bodies.
    actions: list[tuple[str, bytes]] = field(default_factory=list)
    headers: list[dict[str, list[str]]] = field(default_factory=list)
    #: Set when a stream has ended, for whatever reason.
    ended: threading.Event = field(default_factory=threading.Event)


class _Headers(flight.ServerMiddlewareFactory):
    def __init__(self, answers: Answers) -> None:
        super().__init__()
        self._answers = answers

    def start_call(self, info, headers):
        self._answers.headers.append(dict(headers))


class FakeServer(flight.FlightServerBase):
    def __init__(self, answers: Answers, location: str = "grpc://127.0.0.1:0") -> None:
        super().__init__(location, middleware={"headers": _Headers(answers)})
        self._answers = answers

    def list_flights(self, context, criteria):
        self._check()
        for about in self._answers.collections:
            yield self._describe(about)

    def get_flight_info(self, context, descriptor):
        self._check()
        if descriptor.path:
            name = descriptor.path[0].decode()
            known = {about["name"]: about for about in self._answers.collections}
            if name not in known:
                raise failure("COLLECTION_NOT_FOUND", f"no collection {name!r}; there are: {', '.join(known)}")
            return self._describe(known[name])
        self._answers.requests.append(unpack(descriptor.command))
        self._check_upload(unpack(descriptor.command))
        endpoints = [flight.FlightEndpoint(descriptor.command, [])]
        plan = self._answers.plan.SerializeToString()
        return flight.FlightInfo(self._answers.schema, descriptor, endpoints, app_metadata=plan)

    def do_get(self, context, ticket):
        self._check()
        request = unpack(ticket.ticket)
        self._answers.requests.append(request)
        self._check_upload(request)
        if request.layout == LAYOUT_RECORDS:
            return flight.RecordBatchStream(self._answers.records)
        return flight.GeneratorStream(self._answers.schema, self._batches())

    def do_put(self, context, descriptor, reader, writer):
        self._check()
        if isinstance(self._answers.upload, Exception):
            raise self._answers.upload
        self._answers.uploads.append((list(descriptor.path), reader.read_all()))
        if self._answers.upload is not None:
            writer.write(self._answers.upload)

    def do_action(self, context, action):
        self._check()
        self._answers.actions.append((action.type, action.body.to_pybytes()))
        return [json.dumps({"status": "ok", "action": action.type}).encode()]

    def _check(self) -> None:
        if self._answers.error is not None:
            raise self._answers.error

    def _check_upload(self, request: ReadRequest) -> None:
        if self._answers.lost is not None and request.geometries.upload:
            raise self._answers.lost

    def _describe(self, about):
        descriptor = flight.FlightDescriptor.for_path(about["name"])
        return flight.FlightInfo(RECORDS, descriptor, [], app_metadata=json.dumps(about).encode())

    def _batches(self):
        try:
            done = 0
            for item in self._answers.stream:
                if isinstance(item, Exception):
                    raise item
                if isinstance(item, threading.Event):
                    item.wait(20)
                    continue
                batch, total = item if isinstance(item, tuple) else (item, None)
                if total is None:
                    yield batch
                else:
                    done += batch.nbytes
                    yield batch, Progress(bytes_done=min(done, total), bytes_total=total).SerializeToString()
        finally:
            self._answers.ended.set()


@contextmanager
def serving(answers: Answers) -> Iterator[str]:
    """Serve answers; gives the URL."""
    server = FakeServer(answers)
    try:
        yield f"grpc://127.0.0.1:{server.port}"
    finally:
        server.shutdown()


@contextmanager
def collection(schema: pa.Schema, *stream: Any, total: int | None = None) -> Iterator[tuple[rf.Collection, Answers]]:
    """Open the collection "toy" on a server that streams these; ``total`` makes them report progress."""
    items = [(item, total) if total is not None and isinstance(item, pa.RecordBatch) else item for item in stream]
    answers = Answers(schema=schema, stream=items)
    with serving(answers) as url, rf.connect(url) as client:
        yield client.collection("toy"), answers


def failure(code: str, message: str, cls: type[Exception] = flight.FlightServerError, **facts: Any) -> Exception:
    """Make the error that a server raises."""
    detail = ErrorDetail(code=code, message=message, **facts)
    return cls(message, detail.SerializeToString())


def row(record_id: str = "r1", **values: Any) -> dict[str, Any]:
    """Make a row of the chips layout: bands as 2-D arrays; the shape follows from them unless given."""
    pixels = next((value for value in values.values() if isinstance(value, np.ndarray)), np.empty((1, 1)))
    height, width = pixels.shape
    return {
        "record_id": record_id,
        "datetime": dt.datetime(2024, 1, 1, 10, 30, tzinfo=dt.UTC),
        "cloud_cover": 12.5,
        "collection": "toy",
        "geometry_id": 1,
        "geometry": b"",
        "crs": UTM18,
        "transform": [10.0, 0.0, 500000.0, 0.0, -10.0, 4500000.0],
        "chip_height": height,
        "chip_width": width,
        "row_off": 0,
        "height": height,
        "width": width,
        **values,
    }


def batch(schema: pa.Schema, *rows: dict[str, Any]) -> pa.RecordBatch:
    """Make a batch of rows; columns that a row does not name are null."""
    flat = [{name: v.ravel() if isinstance(v, np.ndarray) else v for name, v in one.items()} for one in rows]
    return pa.RecordBatch.from_pylist(flat, schema=schema)


def blocks(one: dict[str, Any], *heights: int) -> list[dict[str, Any]]:
    """Cut a row of a whole chip into rows of these heights."""
    cut, start = [], 0
    for height in heights:
        strips = {name: v[start : start + height] for name, v in one.items() if isinstance(v, np.ndarray)}
        cut.append({**one, **strips, "row_off": start, "height": height})
        start += height
    return cut


def pixels(height: int, width: int, start: int = 1, dtype: str = "uint16") -> np.ndarray:
    """Count up from ``start``."""
    return np.arange(start, start + height * width, dtype=dtype).reshape(height, width)
