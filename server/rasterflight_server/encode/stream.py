"""The stream of pixels: batches are read ahead of the one that is sent, within bounds, and come in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rasterflight_protocol.v1.plan_pb2 import Progress
from rasterflight_protocol.v1.read_pb2 import LAYOUT_PIXELS
from rasterflight_server.encode.budget import StreamBudget
from rasterflight_server.encode.chips import ChipsBatch
from rasterflight_server.encode.layouts import Batches
from rasterflight_server.encode.position import Place, rows_left
from rasterflight_server.encode.schedule import GROUP_BYTES, Group, schedule
from rasterflight_server.encode.segments import Segment
from rasterflight_server.encode.warping import Assembling, assembly
from rasterflight_server.errors import ServiceError, SourceError
from rasterflight_server.plan.blocks import Rows, record_rows, strips
from rasterflight_server.plan.estimate import sources_needed
from rasterflight_server.plan.masks import Masks
from rasterflight_server.plan.planner import ReadPlan
from rasterflight_server.plan.warpedcut import WarpedCut
from rasterflight_server.read.reader import RETAINED_BYTES, Pending, Reader
from rasterflight_server.read.tiling import tiles_under
from rasterflight_server.read.workers import Workers
from rasterflight_server.telemetry import Meter
from rasterflight_server.types import Level

#: One stream works ahead by this many bytes of pixels at the most.
LOOKAHEAD_BYTES = 32 << 20


@dataclass(slots=True)
class _Started:
    batch: ChipsBatch
    rows: list[Rows]
    assemblies: list[Assembling]
    pending: Pending
    #: The assembly that each piece belongs to.
    owners: list[Assembling]
    #: Bytes taken from the shared budget.
    taken: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self.batch.nbytes + sum(one.nbytes for one in self.assemblies)


class ChipsStream:
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

    def __init__(self, plan: ReadPlan, workers: Workers, budget: StreamBudget, meter: Meter | None = None) -> None:
        self._batches = Batches(plan)
        self.schema: pa.Schema = self._batches.schema
        self._plan = plan
        self._budget = budget
        self._batches_ahead = LOOKAHEAD_BYTES // plan.request.batch_bytes
        # What is larger would push out all that others use, and then itself.
        self._reader = Reader(workers, keep=2 * plan.nbytes <= workers.cache.limit, meter=meter)
        areas = plan.request.areas
        self._masks = None if areas is None else Masks(areas, all_touched=plan.request.all_touched)

    def batches(self, check: Callable[[], None]) -> Generator[tuple[pa.RecordBatch, Progress]]:
        """Read; closing the iterator at any point frees everything.

        Parameters
        ----------
        check
            Called now and then; raises when the caller has gone.
        """
        started: deque[_Started] = deque()
        coming = self._groups()
        place = Place(self._plan, self._plan.request.batch_bytes)
        try:
            while True:
                self._fill(started, coming)
                if not started:
                    return
                current = started.popleft()
                self._budget.give_back(current.taken)
                sent = self._sent(self._complete(current, check), current.rows, current.batch.nbytes, place)
                del current
                yield from sent
                del sent
        finally:
            self._reader.close()
            for left in started:
                self._budget.give_back(left.taken)

    def _sent(
        self, made: Iterator[pa.RecordBatch], rows: Sequence[Rows], nbytes: int, place: Place
    ) -> Generator[tuple[pa.RecordBatch, Progress]]:
        """What is made of some rows, and where the stream stands after each batch."""
        request, total = self._plan.request, self._plan.nbytes
        if request.layout != LAYOUT_PIXELS:
            position = place.after(rows, nbytes)
            for batch in made:
                yield batch, Progress(bytes_done=position.bytes, bytes_total=total, next=position)
                del batch
            return
        # Where errors are rows, the rows that come later are not sure to be the same another time.
        told = None if request.skip_errors else place.position
        for batch in made:
            left = place.left_of(batch)
            del batch
            if len(left):
                yield left, Progress(bytes_done=place.position.bytes + nbytes, bytes_total=total, next=told)
            del left
        place.after(rows, nbytes)

    def _fill(self, started: deque[_Started], coming: "_Coming") -> None:
        """Start batches until enough are under way."""
        while (group := coming.next) is not None:
            share = self._plan.request.batch_bytes if started else 0
            if started and not (self._has_room(started, group) and self._budget.try_take(share)):
                return
            begun = self._start(group)
            begun[0].taken = share
            started.extend(begun)
            coming.advance()

    def _has_room(self, started: deque[_Started], group: Group) -> bool:
        """Whether memory allows to start a group while others are under way."""
        ahead = sum(item.nbytes for item in started)
        if len(group.batches) > 1:
            # In place of tiles that would be kept.
            return ahead + self._reader.retained_bytes + group.nbytes <= GROUP_BYTES
        if ahead >= LOOKAHEAD_BYTES or len(started) >= self._batches_ahead:
            return False
        return not group.keeps or self._reader.retained_bytes + group.keeps <= RETAINED_BYTES

    def _groups(self) -> "_Coming":
        target = self._plan.request.batch_bytes
        areas = self._plan.request.areas
        sizes = None if areas is None else areas.wkb_sizes
        return _Coming(schedule(self._announced(), target, sizes, self._batches_ahead))

    def _start(self, group: Group) -> list[_Started]:
        begun = []
        pieces = []
        for rows in group.batches:
            batch = self._batches.make(rows)
            parts = [replace(segment, cut=part) for segment in batch.segments for part in segment.cut.parts]
            assemblies = [assembly(batch, part) for part in parts]
            needed = [(one, piece) for one in assemblies for piece in one.pieces(self._wanted)]
            begun.append(_Started(batch, rows, assemblies, Pending(), [one for one, _ in needed]))
            pieces.append([piece for _, piece in needed])
        for item, pending in zip(begun, self._reader.start(pieces), strict=True):
            item.pending = pending
        return begun

    def _announced(self) -> Iterator[Rows]:
        """The rows of each record; before these, the reader is told which tiles will be asked for, and how often."""
        target = self._plan.request.batch_bytes
        for rows in rows_left(self._plan, lambda record: record_rows(record, target)):
            for position, cut in enumerate(rows.record.cuts):
                here = rows.cut == position
                windows = strips(cut, rows.chip[here], rows.start[here], rows.stop[here])
                for asset, level, samples, sources in sources_needed(cut, windows):
                    self._reader.expect(asset, level, samples, sources)
            yield rows

    def _wanted(self, segment: Segment, level: Level) -> npt.NDArray[np.bool_] | None:
        """Which parts of blocks hold pixels inside the area; None: all, or each block lies on one tile."""
        if (
            self._masks is None
            or isinstance(segment.cut, WarpedCut)
            # a chip that was cut off may have nothing of its area left
            or (segment.cut.uncut is None and (tiles_under(level, segment.windows).tiles == 1).all())
        ):
            return None
        wanted = self._masks.tiles(segment.cut, level, segment.windows, segment.edges)
        return None if wanted.all() else wanted

    def _complete(self, started: _Started, check: Callable[[], None]) -> Iterator[pa.RecordBatch]:
        failed: dict[int, ServiceError] = {}
        hasty = not self._plan.request.skip_errors
        for piece, windows, error in self._reader.wait(started.pending, check, hasty=hasty):
            for row in started.owners[piece].rows_of(windows).tolist():
                failed.setdefault(row, self._locate(error))
        if failed and not self._plan.request.skip_errors:
            raise failed[min(failed)]
        for one in started.assemblies:
            outside = self._outside(one.segment)
            one.finish(outside)
            started.batch.set_outside(one.segment, outside)
        return started.batch.finished(failed)

    def _locate(self, error: SourceError) -> ServiceError:
        error.collection = self._plan.collection.name
        return error

    def _outside(self, segment: Segment) -> npt.NDArray[np.bool_] | None:
        """Pixels of a segment outside the areas; None: there are none."""
        if self._masks is None:
            return None
        inside = self._masks.inside(segment.cut, *segment.lines)
        return None if inside.all() else ~inside


class _Coming:
    """Groups to be started, with a look at the next one."""

    def __init__(self, groups: Iterator[Group]) -> None:
        self._groups = groups
        self.next: Group | None = next(groups, None)

    def advance(self) -> None:
        """Go on to the group after the next one."""
        self.next = next(self._groups, None)
