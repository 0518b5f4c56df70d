"""Masks of a request's areas on the grids of its records, made once for records that share a grid."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from rasterflight_server.plan.areas import Areas
from rasterflight_server.plan.spans import Spans, polygon_spans
from rasterflight_server.types import Grid, Window

#: Masks that are remembered: records of a time series often share one grid.
_REMEMBERED = 1024


class Masks:
    """Which pixels of a window are inside an area."""

    def __init__(self, areas: Areas, *, all_touched: bool) -> None:
        self._areas = areas
        self._all_touched = all_touched
        # A cache of this object's own, so that it goes with the request.
        self.spans = lru_cache(maxsize=_REMEMBERED)(self._spans)
        self.tiles = lru_cache(maxsize=_REMEMBERED)(self._tiles)

    def _spans(self, area: int, grid: Grid, window: Window) -> Spans:
        """Runs of pixels inside, relative to the window.

        Parameters
        ----------
        area
            0-based number of the area.
        grid
            With a CRS.
        """
        geometry = self._areas.to_crs(grid.crs or "")[area]
        return polygon_spans(
            geometry,
            grid.window_transform(window),
            window.width,
            window.height,
            all_touched=self._all_touched,
        )

    def _tiles(self, area: int, grid: Grid, window: Window, tile_width: int, tile_height: int) -> npt.NDArray[np.bool_]:
        """Which of the tiles under a window hold a pixel that is inside, shape (tile rows, tile columns)."""
        return self.spans(area, grid, window).tiles(tile_width, tile_height, window.col_off, window.row_off)
