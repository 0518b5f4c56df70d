"""Points that go up while their values come down."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pyarrow import flight

from rasterflight._connection import Connection
from rasterflight._deadline import Deadline
from rasterflight._handover import Chunk
from rasterflight._points import PointSet, check_point_columns
from rasterflight._resuming import Resuming
from rasterflight.errors import RasterflightError
from rasterflight_protocol import points_schema
from rasterflight_protocol.v1.read_pb2 import ReadRequest

_COORDINATES: Final = pa.schema(
    [pa.field("x", pa.float64(), nullable=False), pa.field("y", pa.float64(), nullable=False)]
)
_FAILURES: Final = (flight.FlightError, pa.ArrowException, OSError)
_JOIN_SECONDS: Final = 5.0
#: Points that are kept to be sent again, at the most: 64 MiB. Those that no record holds wait until there are rows for later ones.
_MOST_WAITING: Final = 1 << 22
_TAKEN: Final = frozenset(points_schema(with_neighbourhood=True, with_error=True).names)


@dataclass(slots=True)
class _Set:
    """A set of points that was taken, as long as rows for it may come."""

    first: int
    stop: int
    #: None: let go, since too many wait for their rows.
    points: PointSet | None
    columns: pa.Table | None


class _Sets:
    """Sets of points on their way up: taken one after the other, and kept until their rows are there.

    Parameters
    ----------
    coming
        In order; the first one says which columns there are.
    """

    def __init__(self, coming: Iterator[PointSet]) -> None:
        self._coming = coming
        #: Held while the next set is waited for, which may depend on rows that are still to be read.
        self._taking = threading.Lock()
        self._lock = threading.Lock()
        self._kept: deque[_Set] = deque()
        #: Number of the first one that is kept.
        self._number = 0
        self._stop = 0
        self._waiting = 0
        #: Why no more could be taken.
        self.failure: BaseException | None = None

    def number(self, first: int) -> int:
        """The number of the set that begins with a point.

        Raises
        ------
        RasterflightError
            It is not kept any more.
        """
        with self._lock:
            for number, one in enumerate(self._kept, self._number):
                if one.first == first and one.points is not None:
                    return number
            if first == self._stop:
                return self._number + len(self._kept)
        raise RasterflightError(
            f"the connection was lost while more than {_MOST_WAITING} points were waiting for an answer",
            retryable=True,
            hint="read again",
        )

    def starting(self, number: int) -> Iterator[PointSet]:
        """The sets from one on: those that went up before, then others; several threads may ask, one after the other."""
        while True:
            if not self._has(number):
                with self._taking:
                    if not self._has(number) and not self._take():
                        return
            with self._lock:
                points = self._kept[number - self._number].points
            assert points is not None
            yield points
            number += 1

    def columns(self, point: int) -> tuple[pa.Table | None, int]:
        """The other columns of the set that holds a point, and the number of its first point; those before it are let go."""
        with self._lock:
            while self._kept[0].stop <= point:
                gone = self._kept.popleft()
                self._waiting -= 0 if gone.points is None else len(gone.points)
                self._number += 1
            return self._kept[0].columns, self._kept[0].first

    def _has(self, number: int) -> bool:
        with self._lock:
            return number - self._number < len(self._kept)

    def _take(self) -> bool:
        if self.failure is not None:
            return False
        try:
            points = next(self._coming, None)
        except BaseException as error:  # noqa: BLE001 - raised in the thread that reads the rows
            self.failure = error
            return False
        if points is None:
            return False
        with self._lock:
            self._kept.append(_Set(self._stop, self._stop + len(points), points, points.columns))
            self._stop += len(points)
            self._waiting += len(points)
            for one in self._kept:
                if self._waiting <= _MOST_WAITING:
                    break
                if one.points is not None:
                    self._waiting -= len(one.points)
                    one.points = None
        return True


class _Exchange:
    """One call: points go up on a thread of its own."""

    def __init__(self, connection: Connection, request: ReadRequest, seconds: float | None, sets: _Sets) -> None:
        number = sets.number(request.start.points)
        # a writer that is dropped closes the call, with rows still on their way: it is kept as long as the reader
        self._writer, self._reader = connection.exchange(request, seconds)
        self._sets = sets
        self._sender = threading.Thread(target=self._send, args=(number,), name="rasterflight-send", daemon=True)
        self._sender.start()

    @property
    def schema(self) -> pa.Schema:
        with self._closing():
            return self._reader.schema

    def read_chunk(self) -> Any:
        with self._closing():
            return self._reader.read_chunk()

    def cancel(self) -> None:
        self._reader.cancel()
        self._close()

    @contextmanager
    def _closing(self) -> Iterator[None]:
        try:
            yield
        except (StopIteration, *_FAILURES):
            self._close()
            raise

    def _close(self) -> None:
        self._sender.join(_JOIN_SECONDS)
        with suppress(*_FAILURES):  # the reader has told it
            self._writer.close()

    def _send(self, number: int) -> None:
        try:
            with suppress(*_FAILURES):  # the server says why to the one who reads
                self._send_all(number)
        except BaseException as error:  # noqa: BLE001 - handed over and raised in the thread that reads the rows
            self._sets.failure = error
        if self._sets.failure is not None:
            self._reader.cancel()

    def _send_all(self, number: int) -> None:
        self._writer.begin(_COORDINATES)
        for points in self._sets.starting(number):
            self._writer.write_batch(pa.record_batch([_column(points.x), _column(points.y)], schema=_COORDINATES))
        if self._sets.failure is None:
            self._writer.done_writing()


class PointsReader:
    """The rows for sets of points, with the points' own columns beside; reads like a FlightStreamReader.

    The sets are taken, and sent, on a thread of their own, one after the other. Where the call breaks off, those that were not
    answered are sent again.

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
        self._sets = _Sets(chain([first], sets))
        deadline = Deadline(connection.seconds(seconds))
        with self._told():
            self._reading = Resuming(connection, request, deadline, partial(_Exchange, connection, sets=self._sets))
        schema = self._reading.schema
        #: Of the rows.
        self.schema: pa.Schema = pa.schema([*schema, *self._own], metadata=schema.metadata)

    def read_chunk(self) -> Chunk:
        """Wait for the next rows.

        Raises
        ------
        StopIteration
            There are no more.
        """
        with self._told():
            chunk = self._reading.read_chunk()
        return Chunk(self._joined(chunk.data), chunk.app_metadata)

    def cancel(self) -> None:
        """End the call."""
        self._reading.cancel()

    def drop(self) -> None:
        """Let the server forget what went up for this read."""
        self._reading.drop()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """At the end of the rows, say what is known better here: the call is given up when points cannot be taken."""
        try:
            yield
        except (StopIteration, RasterflightError):
            if self._sets.failure is not None:
                raise self._sets.failure from None
            raise

    def _joined(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Rows with the columns of their points; null for the rows of records that failed."""
        index = batch.column("point_index")
        known = index.drop_null()
        columns, first = self._sets.columns(known[0].as_py()) if len(known) else (None, 0)
        if not self._own:
            return batch
        if columns is None:
            own = [pa.nulls(len(batch), field.type) for field in self._own]
        else:
            places = pa.array(np.asarray(index.fill_null(0)) - first, mask=np.asarray(index.is_null()))
            own = [column.combine_chunks() for column in columns.take(places).columns]
        return pa.RecordBatch.from_arrays([*batch.columns, *own], schema=self.schema)


def _column(values: np.ndarray) -> pa.Array:
    # Not pa.array: that imports pandas, which takes longer than many a read.
    return pa.Array.from_buffers(pa.float64(), len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])
