"""The records layout: rows of the index."""

from collections.abc import Callable, Generator

import numpy as np
import pyarrow as pa

from rasterflight_protocol.v1.plan_pb2 import Progress
from rasterflight_protocol.v1.read_pb2 import Position
from rasterflight_server.catalog import Collection
from rasterflight_server.encode.projection import projected
from rasterflight_server.plan.request import Request
from rasterflight_server.plan.selection import select

#: Rows of a batch; footprints of a kilobyte make it about a megabyte.
BATCH_ROWS = 1024


class RecordsStream:
    """Record batches with the rows of the index that match a request.

    Parameters
    ----------
    collection
        Where to look.
    request
        Its filters and areas count; a shard is a part of the rows.
    """

    def __init__(self, collection: Collection, request: Request) -> None:
        self.schema: pa.Schema = projected(collection.records_schema, request.columns)
        rows = select(collection, request).hits["row"].to_numpy()
        self._collection = collection
        self.rows = np.array_split(rows, request.shard_count)[request.shard_index]
        request.start.check(len(self.rows))
        self._first = request.start.records

    def batches(self, check: Callable[[], None]) -> Generator[tuple[pa.RecordBatch, Progress]]:
        """The rows by (datetime, id).

        Parameters
        ----------
        check
            Called before each batch; raises when the caller has gone.
        """
        position = Position(snapshot=self._collection.snapshot, records=self._first)
        for start in range(self._first, len(self.rows), BATCH_ROWS):
            check()
            rows = self._collection.records(self.rows[start : start + BATCH_ROWS])
            for batch in rows.select(self.schema.names).to_batches():
                position.records += len(batch)
                yield batch, Progress(next=position)
