"""The rows of a batch by where their pixels come from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rasterflight_server.plan.blocks import Rows, strips
from rasterflight_server.plan.cutouts import GridCut, RecordCut

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Segment:
    """The rows of a batch that one grid of one record has pixels for.

    In each band of the grid their pixels lie one after the other, and they are consecutive lines of the grid's stacked
    chips: what is done to them is done in one go.
    """

    record: RecordCut
    cut: GridCut
    #: Rows of the batch.
    rows: Ints
    #: Of each row, as `Rows` has them.
    chip: Ints
    start: Ints
    stop: Ints

    @cached_property
    def windows(self) -> Ints:
        """The pixels of each row on the grid, shape (n, 4)."""
        return strips(self.cut, self.chip, self.start, self.stop)

    @cached_property
    def sizes(self) -> Ints:
        """Pixels of each row in one band."""
        return self.windows[:, 2] * self.windows[:, 3]

    @cached_property
    def pixels(self) -> int:
        """Pixels in one band."""
        return int(self.sizes.sum())

    @cached_property
    def edges(self) -> Ints:
        """The line of the grid's stacked chips that each row begins with."""
        return self.cut.stack.lines[self.chip] + self.start

    @property
    def lines(self) -> tuple[int, int]:
        """All lines of the stacked chips, half-open."""
        return int(self.edges[0]), int(self.edges[-1] + self.stop[-1] - self.start[-1])


def segments(batch: Sequence[Rows]) -> Iterator[Segment]:
    """The segments of a batch, by record, then by grid."""
    first = 0
    for rows in batch:
        for position, cut in enumerate(rows.record.cuts):
            here = np.flatnonzero(rows.cut == position)
            if len(here):
                yield Segment(rows.record, cut, first + here, rows.chip[here], rows.start[here], rows.stop[here])
        first += len(rows)
