"""Points that go up while their values come down."""

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import flight

from rasterflight._points import PointSet, check_point_columns
from rasterflight_protocol import points_schema

_COORDINATES = pa.schema([pa.field("x", pa.float64(), nullable=False), pa.field("y", pa.float64(), nullable=False)])
_TAKEN = frozenset(points_schema(with_neighbourhood=True, with_error=True).names)


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
    writer, reader
        Of a DoExchange.
    sets
        In order; the first one says which columns there are.

    Raises
    ------
    ColumnCollisionError
        A column of the points has the name of one of the result.
    """

    def __init__(self, writer: Any, reader: Any, sets: Iterator[PointSet]) -> None:
        first = next(sets)
        names = [] if first.columns is None else first.columns.schema
        check_point_columns([field.name for field in names], _TAKEN)
        self._own = list(names)
        self._reader = reader
        self._sent: deque[_Sent] = deque()
        self._failure: BaseException | None = None
        thread = threading.Thread(
            target=self._send, args=(writer, chain([first], sets)), name="rasterflight-send", daemon=True
        )
        thread.start()

    @property
    def schema(self) -> pa.Schema:
        """Of the rows."""
        schema = self._reader.schema
        return pa.schema([*schema, *self._own], metadata=schema.metadata)

    def read_chunk(self) -> Chunk:
        """Wait for the next rows.

        Raises
        ------
        StopIteration
            There are no more.
        """
        try:
            chunk = self._reader.read_chunk()
        except (flight.FlightError, pa.ArrowException, OSError):
            if self._failure is not None:  # the points could not be taken, and the call was given up for that
                raise self._failure from None
            raise
        return Chunk(self._joined(chunk.data), chunk.app_metadata)

    def cancel(self) -> None:
        """End the call."""
        self._reader.cancel()

    def _send(self, writer: Any, sets: Iterator[PointSet]) -> None:
        try:
            self._send_all(writer, sets)
        except (flight.FlightError, pa.ArrowException, OSError):
            # the server says why to the one who reads
            return
        except BaseException as error:  # noqa: BLE001 - handed over and raised in the thread that reads the rows
            self._failure = error
            self._reader.cancel()

    def _send_all(self, writer: Any, sets: Iterator[PointSet]) -> None:
        writer.begin(_COORDINATES)
        first = 0
        for points in sets:
            if points.columns is not None:
                self._sent.append(_Sent(first, first + len(points), points.columns))
            writer.write_batch(pa.record_batch([pa.array(points.x), pa.array(points.y)], schema=_COORDINATES))
            first += len(points)
        writer.done_writing()

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
