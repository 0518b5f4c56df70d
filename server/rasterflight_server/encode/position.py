"""Where a stream stands between two batches, and what is left of it there."""

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from rasterflight_protocol.v1.read_pb2 import Position
from rasterflight_server.plan.blocks import Rows
from rasterflight_server.plan.cutouts import RecordCut
from rasterflight_server.plan.planner import ReadPlan


class Place:
    """Where a stream of chips, or of their outlines, stands.

    Parameters
    ----------
    plan
        Of the stream; its request says where it begins.
    batch_bytes
        What the rows depend on; 0: nothing.
    """

    def __init__(self, plan: ReadPlan, batch_bytes: int = 0) -> None:
        start = plan.request.start
        start.check(len(plan.records))
        self._plan = plan
        self._coming = iter(plan.records[start.records :])
        self._record = next(self._coming, None)
        #: Of the pixels that come next, as many are not to be sent.
        self._known = start.pixels
        #: Between the batch that was sent last and the one to come.
        self.position = Position(
            snapshot=plan.collection.snapshot,
            batch_bytes=batch_bytes,
            records=start.records,
            rows=start.rows,
            bytes=start.nbytes,
        )

    def left_of(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """What of a batch of pixels has not been sent; with it, all of them are through."""
        known = min(self._known, len(batch))
        self._known -= known
        self.position.pixels += len(batch)
        return batch.slice(known)

    def after(self, batch: Sequence[Rows], nbytes: int = 0) -> Position:
        """Go on to the end of a batch.

        Parameters
        ----------
        nbytes
            Its pixels.
        """
        position = self.position
        self._plan.request.start.check_pixels(self._known)
        position.pixels = 0
        for rows in batch:
            while rows.record is not self._record:
                self._record = next(self._coming)
                position.records, position.rows = position.records + 1, 0
            position.rows += len(rows)
        position.bytes += nbytes
        return position


def rows_left(plan: ReadPlan, cut: Callable[[RecordCut], Rows]) -> Iterator[Rows]:
    """The rows of each record, from where the request begins.

    Parameters
    ----------
    cut
        Cuts a record into rows.
    """
    start = plan.request.start
    skipped = start.rows
    for record in plan.records[start.records :]:
        rows = cut(record)
        if skipped:
            start.check(len(plan.records), len(rows))
            rows = rows.part(skipped, len(rows))
            skipped = 0
        if len(rows):
            yield rows
