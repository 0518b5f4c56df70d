"""What to cut out of one record where its pixels are put on another grid."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rasterflight_server.plan.cutouts import GridCut
from rasterflight_server.types import Window
from rasterflight_server.warp import Warp

Ints = npt.NDArray[np.int64]
_NOTHING = (0, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class WarpedCut(GridCut):
    """Bands of a record that are made of the pixels of one other grid, in one way; ``windows`` may reach out of ``grid``."""

    warp: Warp

    def source_windows(self, windows: Ints) -> Ints:
        """The pixels that windows are made of, shape (n, 4); without size where there are none."""
        found = [self._source_window(Window(*window)) for window in windows.tolist()]
        return np.array(found, dtype=np.int64).reshape(-1, 4)

    @cached_property
    def _known(self) -> dict[Window, tuple[int, int, int, int]]:
        return {}

    def _source_window(self, window: Window) -> tuple[int, int, int, int]:
        # Asked for when tiles are counted, and again when they are read.
        if window not in self._known:
            parts = [block.source for block in self.warp.blocks(window)]
            self._known[window] = _around([part for part in parts if part is not None])
        return self._known[window]


def _around(parts: list[Window]) -> tuple[int, int, int, int]:
    if not parts:
        return _NOTHING
    left, top = min(part.col_off for part in parts), min(part.row_off for part in parts)
    right = max(part.col_off + part.width for part in parts)
    bottom = max(part.row_off + part.height for part in parts)
    return left, top, right - left, bottom - top
