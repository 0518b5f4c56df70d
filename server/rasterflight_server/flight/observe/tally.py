"""What one call takes: counted to all and to its caller while it runs, and told when it ends."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.flight as fl

from rasterflight_protocol import ErrorCode
from rasterflight_protocol.v1.read_pb2 import Layout
from rasterflight_server.flight.identity.peers import told_peer
from rasterflight_server.flight.observe.tracing import Trace
from rasterflight_server.telemetry import Counts, Telemetry

#: Name of the middleware that knows about each call.
CALL: Final = "call"
OK: Final = "OK"
_HASH_BYTES: Final = 8


class Tally:
    """What one call takes.

    Parameters
    ----------
    telemetry
        Counters of the process.
    method
        Of Flight, such as ``DoGet``.
    request_id
        Which call it is.
    trace
        That the call is part of, if there is one.
    """

    def __init__(self, telemetry: Telemetry, method: str, request_id: str, trace: Trace | None) -> None:
        self.method = method
        self.request_id = request_id
        #: Name of who makes the call, once that is known.
        self.caller = ""
        self.collection = ""
        self.layout = ""
        #: Name of the action that is run.
        self.action = ""
        #: Name of the error that ended the call, or ``OK``; of a stream that has not come to its end: ``CANCELLED``.
        self.code = OK
        self.trace = trace
        self._telemetry = telemetry
        self._mine = Counts()
        self._callers = Counts()
        self._began = time.monotonic()
        self._began_at = time.time_ns()
        self._planned: float | None = None
        self._waited = self._seconds = 0.0
        self._ticket = b""
        self._peer = ""
        self._bands: list[int] | None = None

    def add(self, **amounts: int) -> None:
        """Count what is done for the call."""
        self._mine.add(**amounts)
        self._callers.add(**amounts)
        self._telemetry.add(**amounts)

    def made_by(self, caller: str) -> None:
        """Say who makes the call."""
        self.caller = caller
        self._callers = self._telemetry.caller(caller)

    def answers(self, context: fl.ServerCallContext) -> None:
        """Say that the call has reached the one who answers it."""
        self._peer = self._peer or told_peer(context.peer())

    def asks(self, ticket: bytes, collection: str, layout: int) -> None:
        """Say what is asked for."""
        self._ticket = ticket
        self.collection = collection
        self.layout = (Layout.Name(layout) if layout else "LAYOUT_CHIPS").removeprefix("LAYOUT_").lower()

    def planned(self) -> None:
        """Say that it is known from here on what there is to do."""
        self._planned = seconds = time.monotonic() - self._began - self._waited
        self._telemetry.took(seconds, "plan", self.collection)
        self._part("plan", self._began_at)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count how long the call waits for its turn."""
        began, began_at = time.monotonic(), time.time_ns()
        try:
            yield
        finally:
            self._waited = seconds = time.monotonic() - began
            self._telemetry.took(seconds, "queue")
            self._part("queue", began_at)

    def streams(self) -> None:
        """Say that a stream answers, whose end is yet to come: callers go away without a word."""
        self.code = ErrorCode.CANCELLED.code

    @contextmanager
    def streaming(self) -> Iterator[None]:
        """Count a stream while it runs."""
        self.streams()
        self.add(streams=1, streams_started=1)
        began = time.time_ns()
        try:
            yield
            self.code = OK
        finally:
            self.add(streams=-1)
            self._part("stream", began)

    def sent(self, batch: pa.RecordBatch) -> None:
        """Count a batch."""
        self.add(batches=1, rows=batch.num_rows, bytes_sent=batch.nbytes, pixels=self._pixels(batch))

    def failed(self, code: ErrorCode) -> None:
        """Say what went wrong."""
        self.code = code.code

    def end(self) -> None:
        """Count the call, which has come to its end."""
        self._seconds = seconds = time.monotonic() - self._began
        self._telemetry.took(seconds, "rpc", self.method, self.code)
        if self.layout and self.method in ("DoGet", "DoExchange"):
            self._telemetry.took(seconds, "query", self.collection, self.layout)

    def told(self) -> dict[str, Any]:
        """What there is to tell of the call after its end, without any text that the caller chose but its id."""
        counts = self._mine.snapshot()
        told = {
            "time": datetime.fromtimestamp(self._began_at / 1e9, UTC).isoformat(timespec="milliseconds"),
            "request_id": self.request_id,
            "caller": self.caller,
            "peer": self._peer,
            "method": self.method,
            "action": self.action,
            "collection": self.collection,
            "layout": self.layout,
            "rows": counts.get("rows", 0),
            "bytes": counts.get("bytes_sent", 0),
            "pixels": counts.get("pixels", 0),
            "gets": counts.get("requests", 0),
            "bytes_fetched": counts.get("bytes_fetched", 0),
            "tiles": counts.get("tiles_decoded", 0),
            "queue_ms": _milliseconds(self._waited),
            "plan_ms": None if self._planned is None else _milliseconds(self._planned),
            "ms": _milliseconds(self._seconds),
            "code": self.code,
            "ticket": hashlib.blake2b(self._ticket, digest_size=_HASH_BYTES).hexdigest() if self._ticket else "",
        }
        if self.trace is not None:
            told["trace_id"] = self.trace.id
        return told

    def _part(self, name: str, began_at: int) -> None:
        if self.trace is not None:
            self.trace.part(name, began_at)

    def _pixels(self, batch: pa.RecordBatch) -> int:
        """Pixels of all bands, or of all points."""
        if self.layout != "chips":
            return batch.num_rows if self.layout == "points" else 0
        if self._bands is None:
            # No other columns of chips are lists.
            self._bands = [number for number, type_ in enumerate(batch.schema.types) if pa.types.is_list(type_)]
        return sum(_values(batch.column(number)) for number in self._bands)


def tally_of(context: fl.ServerCallContext) -> Tally:
    """What is counted of the call."""
    call: Any = context.get_middleware(CALL)
    tally: Tally = call.tally
    return tally


def _values(column: pa.Array) -> int:
    offsets = column.offsets
    return int(offsets[-1].as_py() - offsets[0].as_py())


def _milliseconds(seconds: float) -> float:
    return round(1000 * seconds, 3)
