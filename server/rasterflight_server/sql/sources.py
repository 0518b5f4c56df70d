"""What the tables of a statement stand for: records, facts about collections, and reads."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import cached_property
from typing import Final, Protocol

import numpy as np
import pyarrow as pa

from rasterflight_protocol import pack
from rasterflight_protocol.v1.read_pb2 import Filter, ReadRequest
from rasterflight_server.catalog import Collection
from rasterflight_server.plan.cutouts import Record
from rasterflight_server.plan.planner import plan_read
from rasterflight_server.plan.pointplan import PointPlan
from rasterflight_server.plan.request import Request
from rasterflight_server.sql.reads import Check, Reads
from rasterflight_server.telemetry import Meter
from rasterflight_server.types.caller import Caller

_BATCH_ROWS: Final = 4096


class Source(Protocol):
    """Rows that a statement may scan, any number of times."""

    @property
    def schema(self) -> pa.Schema:
        """Schema of the rows."""

    @property
    def facts(self) -> pa.RecordBatch | None:
        """What is the same for all rows of a record, a row each; None: there are no records."""

    def batches(self, columns: Sequence[str], records: Sequence[int] | None, check: Check) -> Iterator[pa.RecordBatch]:
        """Read columns of some records, by position; None: of all."""


class TableSource:
    """A table that is made when it is scanned.

    Parameters
    ----------
    schema
        Of all columns.
    make
        Makes the table.
    """

    facts = None

    def __init__(self, schema: pa.Schema, make: Callable[[], pa.Table]) -> None:
        self.schema = schema
        self._make = make

    def batches(self, columns: Sequence[str], records: Sequence[int] | None, check: Check) -> Iterator[pa.RecordBatch]:
        """Read columns."""
        assert records is None
        for batch in self._make().select(columns).to_batches(max_chunksize=_BATCH_ROWS):
            check()
            yield batch


class RecordsSource:
    """The records of a collection."""

    facts = None

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self.schema = collection.records_schema

    def batches(self, columns: Sequence[str], records: Sequence[int] | None, check: Check) -> Iterator[pa.RecordBatch]:
        """Read columns."""
        assert records is None
        rows = np.arange(self._collection.manifest.records)
        for start in range(0, len(rows), _BATCH_ROWS):
            check()
            yield from self._collection.records(rows[start : start + _BATCH_ROWS], columns).to_batches()


class ReadSource:
    """Pixels, chips or points.

    Parameters
    ----------
    reads
        Who reads.
    caller
        For whom.
    message
        What is asked for, with all columns.
    meter
        Counts what is read.

    Raises
    ------
    ServiceError
        As the same request over Flight.
    """

    def __init__(self, reads: Reads, caller: Caller, message: ReadRequest, meter: Meter | None) -> None:
        self._reads = reads
        self._meter = meter
        self._caller = caller
        self._message = message
        request, collection = reads.request(pack(message), caller)
        self._is_points = request.points is not None
        self.schema: pa.Schema = reads.pixels(collection, request).schema
        self._records = _records(collection, request)

    @cached_property
    def facts(self) -> pa.RecordBatch:
        """Id, time and cloud cover of each record, as the rows have them."""
        known: dict[str, list[object]] = {
            "record_id": [one.id for one in self._records],
            "datetime": [one.datetime for one in self._records],
            "cloud_cover": [one.cloud_cover for one in self._records],
        }
        fields = [self.schema.field(name) for name in known if name in self.schema.names]
        return pa.RecordBatch.from_arrays([pa.array(known[f.name], f.type) for f in fields], schema=pa.schema(fields))

    def batches(self, columns: Sequence[str], records: Sequence[int] | None, check: Check) -> Iterator[pa.RecordBatch]:
        """Read: no band that is not among the columns, and no other records."""
        message = ReadRequest()
        message.CopyFrom(self._message)
        if not self._is_points:
            message.columns.extend(columns)
        if records is not None and len(records) < len(self.facts):
            if not records:
                return
            ids = self.facts["record_id"]
            message.filters.append(Filter(ids=[ids[position].as_py() for position in records]))
        request, collection = self._reads.request(pack(message), self._caller)
        with closing(self._reads.pixels(collection, request, None, self._meter).batches(check)) as batches:
            for batch, _ in batches:
                yield batch.select(columns)
                del batch


def _records(collection: Collection, request: Request) -> Sequence[Record]:
    """The records that a read takes part of."""
    if request.points is not None:
        return PointPlan(collection, request).records
    return [one.record for one in plan_read(collection, request).records]
