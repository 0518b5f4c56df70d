"""The stream of pixels: batches are read ahead of the one that is sent, within bounds, and come in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rasterflight_protocol.v1.plan_pb2 import Progress
from rasterflight_server.encode.assembly import Assembly
from rasterflight_server.encode.budget import LookaheadBudget
from rasterflight_server.encode.chips import ChipsBatch, Item, plan_schema
from rasterflight_server.errors import ServiceError, SourceError
from rasterflight_server.plan.blocks import Block, batches, block_windows
from rasterflight_server.plan.cutouts import RecordCut
from rasterflight_server.plan.estimate import samples_needed
from rasterflight_server.plan.masks import Masks
from rasterflight_server.plan.planner import ReadPlan
from rasterflight_server.read.reader import Pending, Reader
from rasterflight_server.read.tiling import tiles_under
from rasterflight_server.read.workers import Workers
from rasterflight_server.types import Level

#: One stream works ahead by this many bytes of pixels at the most.
LOOKAHEAD_BYTES = 32 << 20


@dataclass(slots=True)
class _Started:
    batch: ChipsBatch
    #: By row of the batch.
    assemblies: dict[int, Assembly]
    pending: Pending
    #: Row of the batch that each piece belongs to.
    rows: list[int]
    #: Bytes taken from the shared budget.
    taken: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self.batch.nbytes + sum(assembly.nbytes for assembly in self.assemblies.values())


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
    """

    def __init__(self, plan: ReadPlan, workers: Workers, budget: LookaheadBudget) -> None:
        self.schema: pa.Schema = plan_schema(plan)
        self._plan = plan
        self._budget = budget
        self._reader = Reader(workers)
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
        coming = self._starting()
        progress = Progress(bytes_total=self._plan.nbytes)
        try:
            while True:
                self._fill(started, coming)
                if not started:
                    return
                current = started.popleft()
                batch = self._complete(current, check)
                self._budget.give_back(current.taken)
                progress.bytes_done += current.batch.nbytes
                del current
                yield batch, progress
                del batch
        finally:
            self._reader.close()
            for left in started:
                self._budget.give_back(left.taken)

    def _fill(self, started: deque[_Started], coming: Iterator[_Started]) -> None:
        """Start batches until enough are under way."""
        ahead = sum(item.nbytes for item in started)
        while ahead < LOOKAHEAD_BYTES:
            share = self._plan.request.batch_bytes if started else 0
            if share and not self._budget.try_take(share):
                return
            item = next(coming, None)
            if item is None:
                self._budget.give_back(share)
                return
            item.taken = share
            ahead += item.nbytes
            started.append(item)

    def _starting(self) -> Iterator[_Started]:
        areas = self._plan.request.areas
        sizes = [] if areas is None else [len(wkb) for wkb in areas.wkb]
        for items in batches(self._announced(), self._plan.request.batch_bytes, sizes):
            batch = ChipsBatch(self._plan, self.schema, items)
            blocks = {row: item for row, item in enumerate(items) if isinstance(item, Block)}
            assemblies = {row: Assembly(batch, row, block) for row, block in blocks.items()}
            pieces = [(row, piece) for row in assemblies for piece in assemblies[row].pieces(self._wanted)]
            pending = self._reader.start([piece for _, piece in pieces])
            yield _Started(batch, assemblies, pending, [row for row, _ in pieces])

    def _announced(self) -> Iterator[RecordCut]:
        """The records; before each, the reader is told which tiles will be asked for, and how often."""
        for record in self._plan.records:
            for cut in record.cuts:
                windows = block_windows(cut, self._plan.request.batch_bytes)
                for asset, level, samples in samples_needed(cut):
                    self._reader.expect(asset, level, samples, windows)
            yield record

    def _wanted(self, block: Block, level: Level) -> npt.NDArray[np.bool_] | None:
        """Which tiles under a block hold pixels inside the area; None: all, or there is just one."""
        chip = block.chip
        under = tiles_under(level, block.window)
        if self._masks is None or under.tiles == 1:
            return None
        tiles = self._masks.tiles(chip.number, chip.cut.grid, chip.window, level.tile_width, level.tile_height)
        first = under.row_start - tiles_under(level, chip.window).row_start
        wanted = tiles[first : first + under.row_stop - under.row_start]
        return None if wanted.all() else wanted

    def _complete(self, started: _Started, check: Callable[[], None]) -> pa.RecordBatch:
        errors = self._reader.wait(started.pending, check)
        failed: dict[int, ServiceError] = {}
        for piece, error in sorted(errors.items()):
            failed.setdefault(started.rows[piece], self._locate(error))
        if failed and not self._plan.request.skip_errors:
            raise failed[min(failed)]
        for row, assembly in started.assemblies.items():
            if row not in failed:
                assembly.finish(self._outside(started.batch.items[row]))
        return started.batch.finish(failed)

    def _locate(self, error: SourceError) -> ServiceError:
        error.collection = self._plan.collection.name
        return error

    def _outside(self, item: Item) -> npt.NDArray[np.bool_] | None:
        """Pixels of a block outside the area; None: there are none."""
        if self._masks is None or not isinstance(item, Block):
            return None
        spans = self._masks.spans(item.chip.number, item.chip.cut.grid, item.chip.window)
        return None if spans.covers_all else ~spans.mask(item.row_start, item.row_stop)
