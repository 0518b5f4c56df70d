"""Windows of the areas, or of the windows, of a request on the grids of its records."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from rasterflight_protocol import ErrorCode
from rasterflight_protocol.v1.read_pb2 import LAYOUT_PIXELS
from rasterflight_server.errors import RequestError, ServiceError
from rasterflight_server.plan.areas import Areas
from rasterflight_server.plan.cutouts import GridCut, RecordCut
from rasterflight_server.plan.joined import join
from rasterflight_server.plan.request import Request
from rasterflight_server.plan.stack import running_total
from rasterflight_server.plan.windows import bounds_windows, part_windows
from rasterflight_server.types import Grid, Window
from rasterflight_server.types.lonlat import Box

#: Pairs of grid and area that are placed in one go; more where one record has more of them.
_TOGETHER: Final = 1 << 14

Ints = npt.NDArray[np.int64]


def cut_out(request: Request, records: Iterable[RecordCut], areas: Iterable[Ints]) -> Iterator[RecordCut]:
    """Cut out of records what a request asks for; grids without a pixel of it are left out.

    Parameters
    ----------
    records
        The bands of each grid, with one window that holds all that there is of the record, or none.
    areas
        For each record the 0-based numbers of the areas that it may have pixels of.

    Returns
    -------
    iterator of RecordCut
        In the same order. Errors are BAD_GEOMETRY: an area has no place on a grid; BAD_REQUEST: rows are pixels of all bands, and
        these are on different grids.
    """
    together: list[tuple[RecordCut, Ints]] = []
    pairs = 0
    for record, numbers in zip(records, areas, strict=True):
        if request.windows is not None:
            numbers = np.arange(len(request.windows)) if request.numbers is None else np.array(request.numbers)  # noqa: PLW2901
        together.append((record, numbers))
        pairs += len(record.cuts) * max(1, len(numbers))
        # Where an error ends it all, nothing behind it is worked out.
        if pairs >= _TOGETHER or (record.error is not None and not request.skip_errors):
            yield from _cut_together(request, together)
            together, pairs = [], 0
    yield from _cut_together(request, together)


def _cut_together(request: Request, records: Sequence[tuple[RecordCut, Ints]]) -> Iterator[RecordCut]:
    """Cut out of records, of which each has the numbers of areas or windows beside it."""
    try:
        found = _cut(request, records)
    except ServiceError as error:
        if len(records) == 1:
            yield replace(records[0][0], cuts=(), error=error)
            return
        for one in records:
            yield from _cut_together(request, [one])
    else:
        yield from found


def _cut(request: Request, records: Sequence[tuple[RecordCut, Ints]]) -> list[RecordCut]:
    whole = [(cut, numbers) for record, numbers in records for cut in record.cuts if len(cut.windows)]
    asked = request.areas is not None or request.windows is not None
    cuts = iter(_cut_areas(request, whole) if asked and whole else [cut for cut, _ in whole])
    found = []
    for record, _ in records:
        of_record = _with_pixels([next(cuts) for cut in record.cuts if len(cut.windows)])
        if request.layout == LAYOUT_PIXELS and of_record:
            of_record = [join(of_record, request.bands)]
        if request.target.part is not None:
            of_record = _with_pixels([_cut_off(cut, request.target.part) for cut in of_record])
        found.append(replace(record, cuts=of_record))
    return found


def _with_pixels(cuts: Sequence[GridCut]) -> list[GridCut]:
    return [cut for cut in cuts if len(cut.windows)]


def _cut_areas(request: Request, whole: Sequence[tuple[GridCut, Ints]]) -> list[GridCut]:
    """The same cuts with windows of what is asked for, where there are pixels of it."""
    cuts = [cut for cut, _ in whole]
    numbers = np.concatenate([numbers for _, numbers in whole])
    edges = running_total(np.array([len(numbers) for _, numbers in whole]))
    which = np.repeat(np.arange(len(cuts)), np.diff(edges))
    if request.areas is not None:
        windows = _windows(request.areas, numbers, [cut.grid for cut in cuts], which, beyond=request.target.whole_areas)
    else:
        windows = np.array(request.windows, dtype=np.int64).reshape(-1, 4)[numbers]
    common = _intersections(windows, np.concatenate([cut.windows for cut in cuts])[which])
    overlap = _has_pixels(common)
    numbers, windows = numbers[overlap], (windows if request.target.whole_areas else common)[overlap]
    edges = running_total(overlap.astype(np.int64))[edges]
    return [
        replace(cut, numbers=numbers[start:stop], windows=windows[start:stop])
        for cut, (start, stop) in zip(cuts, pairwise(edges.tolist()), strict=True)
    ]


def _cut_off(cut: GridCut, part: Box) -> GridCut:
    """Leave only what lies in an extent."""
    inverse = ~cut.grid.transform
    cols = sorted(round(inverse.a * x + inverse.c) for x in part[0::2])
    rows = sorted(round(inverse.e * y + inverse.f) for y in part[1::2])
    limit = np.array([cols[0], rows[0], cols[1] - cols[0], rows[1] - rows[0]], dtype=np.int64)
    windows = _intersections(cut.windows, limit)
    inside = _has_pixels(windows)
    return replace(cut, numbers=cut.numbers[inside], windows=windows[inside], uncut=cut.windows[inside])


def _has_pixels(windows: Ints) -> npt.NDArray[np.bool_]:
    return np.asarray((windows[:, 2] > 0) & (windows[:, 3] > 0))


def _intersections(windows: Ints, limits: Ints) -> Ints:
    """The parts of windows inside of others, or of one other; they may be without size."""
    start = np.maximum(windows[:, :2], limits[..., :2])
    stop = np.minimum(windows[:, :2] + windows[:, 2:], limits[..., :2] + limits[..., 2:])
    return np.hstack([start, np.maximum(stop - start, 0)])


def _windows(areas: Areas, numbers: Ints, grids: Sequence[Grid], which: Ints, *, beyond: bool) -> Ints:
    """Windows of areas, each on one of the grids; ``beyond`` says that these may go on where the grid ends."""
    bounds = np.empty((len(numbers), 4))
    for crs, here in _by_crs(grids, which):
        bounds[here] = areas.bounds(crs, numbers[here])
    _check_finite(areas, numbers, grids, which, bounds)
    moved = np.zeros((len(grids), 4), dtype=np.int64)
    if beyond:
        edges = np.searchsorted(which, np.arange(1, len(grids)))
        enlarged = [_enlarged(grid, around) for grid, around in zip(grids, np.split(bounds, edges), strict=True)]
        grids, moved[:, 0], moved[:, 1] = zip(*enlarged, strict=True)
    windows = bounds_windows(bounds, grids, which)
    if areas.crossing[numbers].any():
        # one side is on the raster, and the other would stretch the window to its edge
        for crs, here in _by_crs(grids, which):
            crossing = here[areas.crossing[numbers[here]]]
            windows[crossing] = part_windows(areas.to_crs(crs, numbers[crossing]), grids, which[crossing])
    return windows - moved[which]


def _by_crs(grids: Sequence[Grid], which: Ints) -> Iterator[tuple[str, Ints]]:
    """Each CRS of some grids, and where ``which`` names one that is in it."""
    numbers: dict[str, int] = {}
    of_each = np.array([numbers.setdefault(grid.crs or "", len(numbers)) for grid in grids])[which]
    for crs, number in numbers.items():
        yield crs, np.flatnonzero(of_each == number)


def _enlarged(grid: Grid, bounds: npt.NDArray[np.float64]) -> tuple[Grid, int, int]:
    """The same pixels, going on as far as there are bounds; and how many columns and rows were added before the first."""
    inverse = ~grid.transform
    cols = bounds[:, 0::2] * inverse.a + inverse.c
    rows = bounds[:, 1::2] * inverse.e + inverse.f
    left, top = (max(0, 1 - int(np.floor(values.min(initial=0)))) for values in (cols, rows))
    right = max(grid.width, 1 + int(np.ceil(cols.max(initial=0))))
    bottom = max(grid.height, 1 + int(np.ceil(rows.max(initial=0))))
    return grid.part(Window(-left, -top, left + right, top + bottom)), left, top


def _check_finite(
    areas: Areas, numbers: Ints, grids: Sequence[Grid], which: Ints, bounds: npt.NDArray[np.float64]
) -> None:
    finite = np.isfinite(bounds).all(axis=1)
    if not finite.all():
        first = int(np.argmin(finite))
        raise RequestError(
            ErrorCode.BAD_GEOMETRY,
            f"geometry {int(numbers[first]) + 1} reaches where {grids[which[first]].crs} has no coordinates",
            field=areas.field,
            hint="clip it to the surroundings of the records",
        )
