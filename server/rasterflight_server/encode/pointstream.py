"""The stream of points: records are read ahead of the one that is sent, within bounds, and come in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from itertools import islice

import pyarrow as pa

from rasterflight_protocol.v1.plan_pb2 import Progress
from rasterflight_protocol.v1.read_pb2 import Position
from rasterflight_server.encode.budget import StreamBudget
from rasterflight_server.encode.latest import Latest
from rasterflight_server.encode.points import Rows, batches, plan_schema
from rasterflight_server.encode.pointsamples import BandSamples, CutSamples, Sampler
from rasterflight_server.errors import ServiceError, SourceError
from rasterflight_server.plan.pointplan import PointCut, PointPlan
from rasterflight_server.read.workers import REMOTE_REQUESTS, Workers
from rasterflight_server.telemetry import Meter

#: Records are read ahead by so many bytes of pixels, and by so many requests, at the most.
_AHEAD_BYTES = 32 << 20
_AHEAD_REQUESTS = 4 * REMOTE_REQUESTS
#: Records that are read at once when the newest ones had nothing for some points.
_MOST_AT_ONCE = 32

Failed = tuple[int, ServiceError]


class PointsStream:
    """Record batches that answer a plan.

    Parameters
    ----------
    plan
        What to read.
    workers
        Who reads.
    budget
        Shared by all streams of the process.
    meter
        Counts what is read; that of the workers if None.
    """

    def __init__(self, plan: PointPlan, workers: Workers, budget: StreamBudget, meter: Meter | None = None) -> None:
        self.schema: pa.Schema = plan_schema(plan)
        self._plan = plan
        self._budget = budget
        self._sampler = Sampler(plan.request, plan.points, workers, workers.meter if meter is None else meter)

    def batches(self, check: Callable[[], None]) -> Generator[tuple[pa.RecordBatch, Progress]]:
        """Read; closing the iterator at any point frees everything.

        Parameters
        ----------
        check
            Called now and then; raises when the caller has gone.
        """
        plan, start = self._plan, self._plan.request.start
        start.check(len(plan.records))
        latest = plan.points.sampling.latest
        position = Position(
            snapshot=plan.collection.snapshot,
            records=start.records,
            rows=start.rows,
            points=plan.points.first,
            bytes=start.nbytes,
        )
        for batch, record, rows in batches(plan, self.schema, (self._latest if latest else self._all)(check)):
            position.rows = rows if record > position.records else position.rows + rows
            position.records = record
            position.bytes += batch.nbytes
            progress = Progress(bytes_done=position.bytes)
            # Where a record failed, and does not do so again, other values would be the latest.
            if not (latest and plan.request.skip_errors):
                progress.next.CopyFrom(position)
            yield batch, progress

    def _all(self, check: Callable[[], None]) -> Iterator[Rows | Failed]:
        """Every record's rows, in the order of the result."""
        start = self._plan.request.start
        for cut, samples in self._read(self._plan.cuts(start.records), check):
            begun = start.rows if cut.position == start.records else 0
            if isinstance(samples, ServiceError):
                if begun:
                    raise samples  # some of its rows are there already
                yield cut.position, samples
            else:
                rows = Rows.concat([Rows.of(cut.position, one) for one in samples])
                rows = rows if len(samples) == 1 else rows.ordered()
                start.check(len(self._plan.records), len(rows) if begun else None)
                if begun < len(rows):
                    yield rows.take(slice(begun, None))

    def _latest(self, check: Callable[[], None]) -> Iterator[Rows | Failed]:
        """The newest valid value of each point and band.

        Records are read from the newest back, each once and only for the points that still lack a value; the longer the search,
        the more of them at once.
        """
        plan = self._plan
        latest = Latest(plan.points, len(plan.request.bands))
        failed: list[Failed] = []
        positions = iter(plan.newest_first())
        at_once = 1
        while not latest.complete:
            cuts = (plan.cut(position, latest.missing) for position in positions)
            wave = list(islice((cut for cut in cuts if cut is not None), at_once))
            if not wave:
                break
            for cut, samples in self._read(iter(wave), check):
                if isinstance(samples, ServiceError):
                    failed.append((cut.position, samples))
                else:
                    latest.offer(cut.position, samples)
            at_once = min(2 * at_once, _MOST_AT_ONCE)
        start = plan.request.start
        yield latest.rows().after(start.records, start.rows)
        yield from sorted(failed, key=lambda item: item[0])

    def _read(
        self, cuts: Iterator[PointCut], check: Callable[[], None]
    ) -> Iterator[tuple[PointCut, list[BandSamples] | ServiceError]]:
        """Read records in the order given, several at a time."""
        started: deque[CutSamples] = deque()
        ahead = _AHEAD_BYTES if self._budget.try_take(_AHEAD_BYTES) else 0
        try:
            while True:
                self._fill(started, cuts, ahead)
                if not started:
                    return
                current = started[0]
                current.outcome.wait(check, hasty=not self._plan.request.skip_errors)
                yield current.cut, self._finish(current)
                started.popleft()
        finally:
            self._budget.give_back(ahead)
            self._sampler.close()

    def _fill(self, started: deque[CutSamples], cuts: Iterator[PointCut], ahead: int) -> None:
        while not started or (
            sum(one.nbytes for one in started) < ahead and sum(one.outcome.left for one in started) < _AHEAD_REQUESTS
        ):
            cut = next(cuts, None)
            if cut is None:
                return
            started.append(self._sampler.start(cut))

    def _finish(self, samples: CutSamples) -> list[BandSamples] | ServiceError:
        error = samples.cut.error or samples.outcome.first_failure
        if error is None:
            return list(samples.finish())
        if isinstance(error, SourceError):
            error.collection = self._plan.collection.name
        if not self._plan.request.skip_errors:
            raise error
        return error
