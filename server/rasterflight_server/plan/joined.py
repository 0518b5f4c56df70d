"""The bands of a record on one grid, though the files have them on several: their pixels share rows."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Self

import numpy as np

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.plan.cutouts import BandSource, GridCut
from rasterflight_server.plan.warpedcut import WarpedCut
from rasterflight_server.types import Grid

#: Pixels of two grids are the same when their corners are this close, in pixels.
_TOLERANCE: Final = 1e-6


@dataclass(frozen=True, eq=False)
class JoinedCut(GridCut):
    """Bands that are made of the pixels of several grids, or in several ways, on one and the same grid."""

    made: tuple[WarpedCut, ...]

    @cached_property
    def parts(self) -> Sequence[GridCut]:
        """What the pixels are made of, one by one."""
        return tuple(replace(one, numbers=self.numbers, windows=self.windows, uncut=self.uncut) for one in self.made)

    def reading(self, columns: Container[int]) -> Self:
        """The same with only some of its bands to be read."""
        read = super().reading(columns)
        made = [one.reading(columns) for one in self.made]
        return replace(self, bands=read.bands, unread=read.unread, made=tuple(one for one in made if one.bands))


def join(cuts: Sequence[GridCut], names: Sequence[str]) -> GridCut:
    """Bring the bands of a record together.

    Parameters
    ----------
    cuts
        At least one, each with windows.
    names
        Of all bands, by column.

    Raises
    ------
    RequestError
        BAD_REQUEST: they are on different grids.
    """
    first, *others = cuts
    if not others:
        return first
    placed = [_placed(one, first.grid) for one in cuts]
    made = tuple(one for one in placed if one is not None)
    if len(made) < len(cuts):
        raise _different(cuts, names)
    found = np.concatenate([one.numbers for one in made])
    order = np.argsort(found, kind="stable")
    numbers, starts = np.unique(found[order], return_index=True)
    windows = np.concatenate([one.windows for one in made])[order]
    left_top = np.minimum.reduceat(windows[:, :2], starts)
    right_bottom = np.maximum.reduceat(windows[:, :2] + windows[:, 2:], starts)
    bands = sorted((band for one in made for band in one.bands), key=lambda band: band.column)
    return JoinedCut(first.grid, tuple(bands), numbers, np.hstack([left_top, right_bottom - left_top]), made)


def _placed(cut: GridCut, grid: Grid) -> WarpedCut | None:
    """The same pixels, counted from where a grid begins; None: they are no pixels of it."""
    if not isinstance(cut, WarpedCut) or cut.grid.crs != grid.crs:
        return None
    inverse = ~grid.transform
    col, row = inverse * (cut.grid.transform.c, cut.grid.transform.f)
    end_col, end_row = inverse * (cut.grid.transform * (cut.grid.width, cut.grid.height))
    sizes = end_col - col - cut.grid.width, end_row - row - cut.grid.height
    if max(map(abs, (col - round(col), row - round(row), *sizes))) > _TOLERANCE:
        return None
    cols, rows = round(col), round(row)
    return replace(
        cut,
        grid=grid,
        windows=cut.windows + np.array([cols, rows, 0, 0]),
        col_off=cut.col_off + cols,
        row_off=cut.row_off + rows,
    )


def _different(cuts: Sequence[GridCut], names: Sequence[str]) -> RequestError:
    def told(bands: Sequence[BandSource], grid: Grid) -> str:
        listed = ", ".join(repr(names[band.column]) for band in bands)
        return f"{listed} on {grid.width} x {grid.height} pixels from ({grid.transform.c:g}, {grid.transform.f:g})"

    return RequestError(
        ErrorCode.BAD_REQUEST,
        f"the bands are on different grids, and a row is one pixel of all of them: "
        f"{'; '.join(told(cut.bands, cut.grid) for cut in cuts)}",
        field="bands",
        hint="say one grid for all: resolution=, target_crs= or like= (grid.common and grid.resolution in a ticket); or "
        "read bands of each grid by themselves",
    )
