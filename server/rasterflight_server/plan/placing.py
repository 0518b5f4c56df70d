"""Windows of the areas, or of the windows, of a request on the grids of its records."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from rasterflight_protocol import ErrorCode
from rasterflight_protocol.v1.read_pb2 import LAYOUT_PIXELS
from rasterflight_server.errors import RequestError
from rasterflight_server.plan.areas import Areas
from rasterflight_server.plan.bounds import vertex_bounds
from rasterflight_server.plan.cutouts import GridCut
from rasterflight_server.plan.joined import join
from rasterflight_server.plan.request import Request
from rasterflight_server.plan.windows import geometry_windows, part_windows
from rasterflight_server.types import Grid, Window
from rasterflight_server.types.lonlat import Box

Ints = npt.NDArray[np.int64]


def cut_out(request: Request, whole: Sequence[GridCut], areas: Ints) -> list[GridCut]:
    """Cut out of a record what a request asks for; grids without a pixel of it are left out.

    Parameters
    ----------
    whole
        The bands of each grid, with one window that holds all that there is of the record, or none.
    areas
        0-based numbers of the areas that the record may have pixels of.

    Raises
    ------
    RequestError
        BAD_GEOMETRY: an area has no place on a grid. BAD_REQUEST: rows are pixels of all bands, and these are on different
        grids.
    """
    cuts = _with_pixels(whole)
    if request.areas is not None or request.windows is not None:
        cuts = _with_pixels([_cut_areas(request, cut, areas) for cut in cuts])
    if request.layout == LAYOUT_PIXELS and cuts:
        cuts = [join(cuts, request.bands)]
    part = request.target.part
    return cuts if part is None else _with_pixels([_cut_off(cut, part) for cut in cuts])


def _with_pixels(cuts: Sequence[GridCut]) -> list[GridCut]:
    return [cut for cut in cuts if len(cut.windows)]


def _cut_areas(request: Request, whole: GridCut, areas: Ints) -> GridCut:
    if request.areas is not None:
        numbers, windows = areas, _windows(request.areas, areas, whole.grid, beyond=request.target.whole_areas)
    else:
        windows = np.array(request.windows, dtype=np.int64).reshape(-1, 4)
        numbers = np.arange(len(windows)) if request.numbers is None else np.array(request.numbers)
        windows = windows[numbers]
    common = _intersections(windows, whole.windows[0])
    overlap = _has_pixels(common)
    return replace(
        whole, numbers=numbers[overlap], windows=(windows if request.target.whole_areas else common)[overlap]
    )


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


def _intersections(windows: Ints, limit: Ints) -> Ints:
    """The parts of windows inside of one window, which may be without size."""
    start = np.maximum(windows[:, :2], limit[:2])
    stop = np.minimum(windows[:, :2] + windows[:, 2:], limit[:2] + limit[2:])
    return np.hstack([start, np.maximum(stop - start, 0)])


def _windows(areas: Areas, numbers: Ints, grid: Grid, *, beyond: bool) -> Ints:
    """Windows of areas; ``beyond`` says that these may go on where the grid ends."""
    geometries = _placed(areas, numbers, grid)
    left = top = 0
    if beyond:
        grid, left, top = _enlarged(grid, vertex_bounds(geometries))
    windows = geometry_windows(geometries, grid)
    crossing = areas.crossing[numbers]
    if crossing.any():
        # one side is on the raster, and the other would stretch the window to its edge
        windows[crossing] = part_windows(geometries[crossing], grid)
    return windows - (left, top, 0, 0)


def _enlarged(grid: Grid, bounds: npt.NDArray[np.float64]) -> tuple[Grid, int, int]:
    """The same pixels, going on as far as there are bounds; and how many columns and rows were added before the first."""
    inverse = ~grid.transform
    cols = bounds[:, 0::2] * inverse.a + inverse.c
    rows = bounds[:, 1::2] * inverse.e + inverse.f
    left, top = (max(0, 1 - int(np.floor(values.min(initial=0)))) for values in (cols, rows))
    right = max(grid.width, 1 + int(np.ceil(cols.max(initial=0))))
    bottom = max(grid.height, 1 + int(np.ceil(rows.max(initial=0))))
    return grid.part(Window(-left, -top, left + right, top + bottom)), left, top


def _placed(areas: Areas, numbers: npt.NDArray[np.int64], grid: Grid) -> npt.NDArray[np.object_]:
    geometries = areas.to_crs(grid.crs or "", numbers)
    finite = np.isfinite(vertex_bounds(geometries)).all(axis=1)
    if not finite.all():
        raise RequestError(
            ErrorCode.BAD_GEOMETRY,
            f"geometry {int(numbers[np.argmin(finite)]) + 1} reaches where {grid.crs} has no coordinates",
            field=areas.field,
            hint="clip it to the surroundings of the records",
        )
    return geometries
