"""What to cut out of one record where its pixels are put on another grid."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from rasterflight_server.plan.cutouts import GridCut
from rasterflight_server.types import Window
from rasterflight_server.types.going import GoOn
from rasterflight_server.warp import Block, Warp

#: Pixels whose ways from grid to grid are remembered, some 64 bytes each: records of a time series go the same ways.
_REMEMBERED_PIXELS: Final = 1 << 20
_NOTHING: Final = (0, 0, 0, 0)

Ints = npt.NDArray[np.int64]
Place = tuple[int, int, int, int]


class Ways:
    """How windows of a read are made of pixels of its files; belongs to the thread that drives the read.

    Parameters
    ----------
    go_on
        Called before each block; raises when the read is to end.
    """

    def __init__(self, go_on: GoOn) -> None:
        self._go_on = go_on
        self._blocks: OrderedDict[tuple[int, Window], tuple[Warp, Sequence[Block]]] = OrderedDict()
        self._pixels = 0
        self._sources: dict[tuple[int, Window], Place] = {}

    def blocks(self, warp: Warp, window: Window) -> Iterator[Block]:
        """The blocks of a window, see ``Warp.blocks``."""
        for block in self._all_blocks(warp, window):
            self._go_on()
            yield block

    def _all_blocks(self, warp: Warp, window: Window) -> Sequence[Block]:
        key = id(warp), window
        if key in self._blocks:
            self._blocks.move_to_end(key)
            return self._blocks[key][1]
        blocks = list(warp.blocks(window))
        if window.width * window.height <= _REMEMBERED_PIXELS:
            # The warp is kept with its blocks, so that no other one gets its id.
            self._blocks[key] = warp, blocks
            self._pixels += window.width * window.height
            while self._pixels > _REMEMBERED_PIXELS:
                (_, gone), _ = self._blocks.popitem(last=False)
                self._pixels -= gone.width * gone.height
        return blocks

    def source(self, warp: Warp, window: Window) -> Place:
        """The pixels that a window is made of; without size where there are none."""
        # Asked for when tiles are counted, and again when they are read.
        key = id(warp), window
        if key not in self._sources:
            parts = [block.source for block in self.blocks(warp, window)]
            self._sources[key] = _around([part for part in parts if part is not None])
        return self._sources[key]


@dataclass(frozen=True, eq=False)
class WarpedCut(GridCut):
    """Bands of a record that are made of the pixels of one other grid, in one way; ``windows`` may reach out of ``grid``."""

    warp: Warp
    ways: Ways
    #: Where on ``grid`` the target of the warp lies.
    col_off: int = 0
    row_off: int = 0

    def moved(self, window: Window) -> Window:
        """A window as the warp counts it."""
        return Window(window.col_off - self.col_off, window.row_off - self.row_off, window.width, window.height)

    def source_windows(self, windows: Ints) -> Ints:
        """The pixels that windows are made of, shape (n, 4); without size where there are none."""
        found = [self.ways.source(self.warp, self.moved(Window(*window))) for window in windows.tolist()]
        return np.array(found, dtype=np.int64).reshape(-1, 4)

    def blocks(self, window: Window) -> Iterator[Block]:
        """The blocks of a window; their targets are as the warp counts."""
        return self.ways.blocks(self.warp, self.moved(window))


def _around(parts: Sequence[Window]) -> Place:
    if not parts:
        return _NOTHING
    left, top = min(part.col_off for part in parts), min(part.row_off for part in parts)
    right = max(part.col_off + part.width for part in parts)
    bottom = max(part.row_off + part.height for part in parts)
    return left, top, right - left, bottom - top
