"""Points that go up while their values come down."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import flight

from rasterflight._connection import Connection
from rasterflight._points import PointSet, check_point_columns
from rasterflight._uploads import Deadline, SentRequest
from rasterflight_protocol import points_schema
from rasterflight_protocol.v1.read_pb2 import ReadRequest

_COORDINATES: Final = pa.schema(
    [pa.field("x", pa.float64(), nullable=False), pa.field("y", pa.float64(), nullable=False)]
)
_FAILURES: Final = (flight.FlightError, pa.ArrowException, OSError)
_JOIN_SECONDS: Final = 5.0
_TAKEN: Final = frozenset(points_schema(with_neighbourhood=True, with_error=True).names)


class Chunk(NamedTuple):
    """What `Stream` takes from a FlightStreamReader."""

    data: pa.RecordBatch
    app_metadata: Any


@dataclass(frozen=True, slots=True)
class _Sent:
    """The other columns of points that went up."""

    first: int
    stop: int
    columns: pa.Table


class PointsReader:
    """The rows for sets of points, with the points' own columns beside; reads like a FlightStreamReader.

    The sets are taken, and sent, on a thread of their own, one after the other.

    Parameters
    ----------
    connection
        To the server.
    request
        For the points layout, without coordinates.
    sets
        In order; the first one says which columns there are.
    seconds
        All that it may take; None: no limit.

    Raises
    ------
    ColumnCollisionError
        A column of the points has the name of one of the result.
    """

    def __init__(
        self, connection: Connection, request: ReadRequest, sets: Iterator[PointSet], seconds: float | None
    ) -> None:
        first = next(sets)
        names = [] if first.columns is None else first.columns.schema
        check_point_columns([field.name for field in names], _TAKEN)
        self._own = list(names)
        deadline = Deadline(connection.seconds(seconds))
        self._request = SentRequest(connection, request, deadline)
        # a writer that is dropped closes the call, with rows still on their way: it is kept as long as the reader
        self._writer, self._reader = connection.exchange(self._request.message, deadline.left)
        self._sent: deque[_Sent] = deque()
        self._failure: BaseException | None = None
        self._sender = threading.Thread(
            target=self._send, args=(chain([first], sets),), name="rasterflight-send", daemon=True
        )
        self._sender.start()

    @property
    def schema(self) -> pa.Schema:
        """Of the rows."""
        with self._told():
            schema = self._reader.schema
        return pa.schema([*schema, *self._own], metadata=schema.metadata)

    def read_chunk(self) -> Chunk:
        """Wait for the next rows.

        Raises
        ------
        StopIteration
            There are no more.
        """
        with self._told():
            chunk = self._reader.read_chunk()
        return Chunk(self._joined(chunk.data), chunk.app_metadata)

    def cancel(self) -> None:
        """End the call."""
        self._reader.cancel()
        self._close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """At the end of the rows, say what is known better here: the call is given up when points cannot be taken."""
        try:
            yield
        except (StopIteration, *_FAILURES):
            self._close()
            if self._failure is not None:
                raise self._failure from None
            raise

    def _close(self) -> None:
        self._sender.join(_JOIN_SECONDS)
        with suppress(*_FAILURES):  # the reader has told it
            self._writer.close()
        self._request.drop()

    def _send(self, sets: Iterator[PointSet]) -> None:
        try:
            with suppress(*_FAILURES):  # the server says why to the one who reads
                self._send_all(sets)
        except BaseException as error:  # noqa: BLE001 - handed over and raised in the thread that reads the rows
            self._failure = error
            self._reader.cancel()

    def _send_all(self, sets: Iterator[PointSet]) -> None:
        self._writer.begin(_COORDINATES)
        first = 0
        for points in sets:
            if points.columns is not None:
                self._sent.append(_Sent(first, first + len(points), points.columns))
            self._writer.write_batch(pa.record_batch([_column(points.x), _column(points.y)], schema=_COORDINATES))
            first += len(points)
        self._writer.done_writing()

    def _joined(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Rows with the columns of their points; null for the rows of records that failed."""
        if not self._own:
            return batch
        index = batch.column("point_index")
        known = index.drop_null()
        if len(known):
            while self._sent[0].stop <= known[0].as_py():
                self._sent.popleft()
            places = pa.array(np.asarray(index.fill_null(0)) - self._sent[0].first, mask=np.asarray(index.is_null()))
            own = [column.combine_chunks() for column in self._sent[0].columns.take(places).columns]
        else:
            own = [pa.nulls(len(batch), field.type) for field in self._own]
        return pa.RecordBatch.from_arrays([*batch.columns, *own], schema=self._reading(batch))

    def _reading(self, batch: pa.RecordBatch) -> pa.Schema:
        return pa.schema([*batch.schema, *self._own], metadata=batch.schema.metadata)


def _column(values: np.ndarray) -> pa.Array:
    # Not pa.array: that imports pandas, which takes longer than many a read.
    return pa.Array.from_buffers(pa.float64(), len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])
