"""The records layout: rows of the index."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

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

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows by (datetime, id)."""
        for start in range(0, len(self.rows), BATCH_ROWS):
            rows = self._collection.records(self.rows[start : start + BATCH_ROWS])
            yield from rows.select(self.schema.names).to_batches()
