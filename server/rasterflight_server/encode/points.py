"""The points layout: pixels of points as rows."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rasterflight_protocol import points_schema
from rasterflight_protocol.schemas import SNAPSHOT_KEY
from rasterflight_server.encode.pointsamples import BandSamples
from rasterflight_server.errors import ServiceError
from rasterflight_server.plan.pointplan import PointPlan

#: Stands for "no EPSG code".
NO_CODE = -1
#: About what a row takes besides its texts and the pixels around it.
_ROW_BYTES = 64


def plan_schema(plan: PointPlan) -> pa.Schema:
    """The exact schema of the stream that answers a plan."""
    return points_schema(
        with_neighbourhood=plan.points.sampling.keeps_windows,
        with_error=plan.request.skip_errors,
        metadata={SNAPSHOT_KEY: plan.collection.snapshot.encode()},
    )


class Sent(NamedTuple):
    """A batch, and where it ends."""

    batch: pa.RecordBatch
    #: Position in ``PointPlan.records`` of the record that its end belongs to, and how many rows of it are in the batch.
    record: int
    rows: int


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Some rows, column by column; arrays of one length."""

    #: Position in ``PointPlan.records``.
    record: npt.NDArray[np.int64]
    point: npt.NDArray[np.int64]
    #: Position among the bands asked for.
    band: npt.NDArray[np.int64]
    epsg: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    null: npt.NDArray[np.bool_]
    #: As ``Surroundings`` has them; no columns where none are asked for.
    around: npt.NDArray[np.float64]
    present: npt.NDArray[np.bool_]
    wanted: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.record)

    def take(self, which: slice | npt.NDArray[np.intp]) -> "Rows":
        """Some of the rows."""
        return Rows(*(getattr(self, column.name)[which] for column in fields(self)))

    @staticmethod
    def concat(parts: Sequence["Rows"]) -> "Rows":
        """All rows of several."""
        if len(parts) == 1:
            return parts[0]
        return Rows(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(Rows)))

    @staticmethod
    def of(position: int, samples: BandSamples) -> "Rows":
        """The rows of one band of one record, by point."""
        count = len(samples.points)
        around = samples.surroundings
        return Rows(
            np.full(count, position),
            samples.points,
            np.full(count, samples.column),
            np.full(count, NO_CODE if samples.epsg is None else samples.epsg),
            samples.values,
            samples.null,
            np.empty((count, 0)) if around is None else around.values,
            np.empty((count, 0), np.bool_) if around is None else around.present,
            np.zeros(count, np.bool_) if around is None else around.wanted,
        )

    def after(self, record: int, rows: int) -> "Rows":
        """What is left of them, in order, when records before one and so many rows of it are through."""
        first = int(np.searchsorted(self.record, record))
        return self.take(slice(first + rows, None))

    def ordered(self) -> "Rows":
        """The rows by record, point and band."""
        return self.take(np.lexsort((self.band, self.point, self.record)))


def batches(plan: PointPlan, schema: pa.Schema, parts: Iterable[Rows | tuple[int, ServiceError]]) -> Iterator[Sent]:
    """Make record batches of about the size asked for.

    Parameters
    ----------
    parts
        Rows in order, and in between the position of a record that could not be read, with its error.
    """
    limit = _batch_rows(plan)
    waiting: list[Rows] = []
    for part in parts:
        if isinstance(part, Rows):
            waiting.append(part)
            if sum(map(len, waiting)) < limit:
                continue
        yield from _cut(plan, schema, waiting, limit)
        waiting = []
        if not isinstance(part, Rows):
            yield Sent(_failed(plan, schema, *part), part[0] + 1, 0)
    yield from _cut(plan, schema, waiting, limit)


def _batch_rows(plan: PointPlan) -> int:
    ids = max((len(record.id) for record in plan.records), default=0)
    around = 8 * plan.points.sampling.window_pixels if plan.points.sampling.keeps_windows else 0
    size = _ROW_BYTES + ids + len(plan.collection.name) + max(map(len, plan.request.bands)) + around
    return max(1, plan.request.batch_bytes // size)


def _cut(plan: PointPlan, schema: pa.Schema, waiting: Sequence[Rows], limit: int) -> Iterator[Sent]:
    if not waiting:
        return
    rows = Rows.concat(waiting)
    for start in range(0, len(rows), limit):
        part = rows.take(slice(start, start + limit))
        last = int(part.record[-1])
        yield Sent(_batch(plan, schema, part), last, int((part.record == last).sum()))


def _batch(plan: PointPlan, schema: pa.Schema, rows: Rows) -> pa.RecordBatch:
    points, count = plan.points, len(rows)
    shown, record = np.unique(rows.record, return_inverse=True)
    records = [plan.records[position] for position in shown.tolist()]
    arrays = [
        pa.array(rows.point + points.first),
        pa.array(points.x[rows.point]),
        pa.array(points.y[rows.point]),
        pa.nulls(count, pa.int32()) if points.epsg is None else pa.repeat(pa.scalar(points.epsg, pa.int32()), count),
        pa.array([one.id for one in records], pa.utf8()).take(pa.array(record)),
        pa.array([one.datetime for one in records], pa.timestamp("us")).take(pa.array(record)),
        pa.repeat(plan.collection.name, count),
        pa.array(plan.request.bands, pa.utf8()).take(pa.array(rows.band)),
        pa.array(rows.value, mask=rows.null),
        pa.array(rows.epsg.astype(np.int32), mask=rows.epsg == NO_CODE),
    ]
    if plan.points.sampling.keeps_windows:
        arrays.append(_lists(rows))
    if plan.request.skip_errors:
        arrays.append(pa.nulls(count, pa.utf8()))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _lists(rows: Rows) -> pa.ListArray:
    length = rows.around.shape[1]
    offsets = np.concatenate([[0], np.cumsum(rows.wanted * length)]).astype(np.int32)
    values = pa.array(rows.around[rows.wanted].reshape(-1), mask=~rows.present[rows.wanted].reshape(-1))
    return pa.ListArray.from_arrays(pa.array(offsets), values, mask=pa.array(~rows.wanted))


def _failed(plan: PointPlan, schema: pa.Schema, position: int, error: ServiceError) -> pa.RecordBatch:
    row = dict.fromkeys(schema.names) | {"record_id": plan.records[position].id, "error": str(error)}
    return pa.RecordBatch.from_pylist([row], schema=schema)
