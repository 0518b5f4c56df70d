"""The outlines layout: chips as rows, without their pixels."""

from collections.abc import Callable, Generator
from dataclasses import replace

import numpy as np
import pyarrow as pa

from rasterflight_protocol.v1.plan_pb2 import Progress
from rasterflight_server.encode.layouts import Batches
from rasterflight_server.encode.position import Place, rows_left
from rasterflight_server.plan.blocks import Rows, batches, record_rows
from rasterflight_server.plan.cutouts import RecordCut
from rasterflight_server.plan.planner import ReadPlan

_WHOLE = np.iinfo(np.int64).max


class OutlinesStream:
    """Record batches that tell where the chips of a plan lie; no file is read.

    Parameters
    ----------
    plan
        Of the chips.
    """

    def __init__(self, plan: ReadPlan) -> None:
        self._batches = Batches(plan)
        self.schema: pa.Schema = self._batches.schema
        self._plan = plan

    def batches(self, check: Callable[[], None]) -> Generator[tuple[pa.RecordBatch, Progress]]:
        """The rows, in the order of chips.

        Parameters
        ----------
        check
            Called before each batch; raises when the caller has gone.
        """
        areas = self._plan.request.areas
        sizes = None if areas is None else areas.wkb_sizes
        place = Place(self._plan)
        rows = rows_left(self._plan, outline_rows)
        for batch in batches(rows, self._plan.request.batch_bytes, sizes):
            check()
            position = place.after(batch)
            for made in self._batches.make(batch).finished({}):
                yield made, Progress(next=position)


def outline_rows(record: RecordCut) -> Rows:
    """Rows of a record, one for each chip, that are empty blocks."""
    rows = record_rows(record, _WHOLE)
    return replace(rows, stop=rows.start)
