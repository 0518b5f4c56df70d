"""The grid that a source is warped to: GDAL's choice where nothing is said, and grids that line up where something is."""

import math

from affine import Affine

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.types import Grid
from rasterflight_server.warp.outline import Outline
from rasterflight_server.warp.transformer import Projection


def default_target(
    source: Grid,
    crs: str | None,
    *,
    to_target: Projection | None = None,
    to_source: Projection | None = None,
    resolution: tuple[float, float] | None = None,
    degrees: bool = False,
    poles: tuple[tuple[float, float], ...] = (),
) -> Grid:
    """Choose a grid as ``rasterio.warp.calculate_default_transform`` does.

    It holds all of the source, its pixels are square, and as many lie on the diagonal of the source as in the source.

    Parameters
    ----------
    source
        The source; its transform may be rotated or have the south on top.
    crs
        Name of the target's CRS, for the grid that is returned.
    to_target, to_source
        From the CRS of the source to that of the target, and back; both None: they are the same.
    resolution
        Size of pixels (x, y) in units of the target's CRS, above 0; None: as above. The upper left corner stays.
    degrees
        The target's coordinates are longitude and latitude in degrees, those of the source are not.
    poles
        With ``degrees``: where the poles (0, -90) and (0, 90) lie in the CRS of the source, as x, y and as far as they project there
        and back.

    Raises
    ------
    RequestError
        BAD_REQUEST: hardly any of the source projects to the target; the resolution is not above 0.
    """
    if resolution is not None:
        _check_resolution(resolution)
    if to_target is None or to_source is None:
        to_target = to_source = None
    if to_target is None and source.axis_aligned:
        transform, width, height = _north_up(source.transform, source.height), source.width, source.height
    else:
        outline = Outline(source, to_target, to_source)
        transform, width, height = outline.grid(poles, degrees=degrees)
    if resolution is not None:
        across, down = resolution
        width, height = math.ceil(width * (transform.a / across)), math.ceil(height * (transform.e / -down))
        transform = Affine(across, 0.0, transform.c, 0.0, -down, transform.f)
    return Grid(width, height, transform, crs)


def aligned_target(
    bounds: tuple[float, float, float, float],
    resolution: tuple[float, float],
    crs: str | None,
    *,
    anchor: tuple[float, float] = (0.0, 0.0),
) -> Grid:
    """Take the pixels that bounds touch, of a lattice that goes through an anchor (``gdalwarp -tap``).

    Two targets of one lattice line up wherever they lie.

    Parameters
    ----------
    bounds
        Left, bottom, right, top. A side that lies within 1e-6 of a pixel of the lattice is taken to lie on it.
    resolution
        Size of pixels (x, y), above 0.
    crs
        Name of the CRS of all this.
    anchor
        A corner of pixels (x, y).

    Raises
    ------
    RequestError
        BAD_REQUEST: the resolution is not above 0; bounds are not finite, or hold nothing.
    """
    _check_resolution(resolution)
    if not all(map(math.isfinite, bounds)) or bounds[0] >= bounds[2] or bounds[1] >= bounds[3]:
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            f"bounds {', '.join(f'{side:g}' for side in bounds)} hold nothing",
            field="bounds",
            hint="give left, bottom, right, top, with left below right and bottom below top",
        )
    left, right = (_lines(bounds[side], resolution[0], anchor[0], side) for side in (0, 2))
    bottom, top = (_lines(bounds[side], resolution[1], anchor[1], side) for side in (1, 3))
    width, height = max(right - left, 1), max(top - bottom, 1)
    corner = anchor[0] + left * resolution[0], anchor[1] + top * resolution[1]
    return Grid(width, height, Affine(resolution[0], 0.0, corner[0], 0.0, -resolution[1], corner[1]), crs)


def bounds_of(grid: Grid) -> tuple[float, float, float, float]:
    """Left, bottom, right, top of a grid in its own CRS, also of one that is rotated."""
    x, y = zip(*(grid.transform * (col, row) for col in (0, grid.width) for row in (0, grid.height)), strict=True)
    return min(x), min(y), max(x), max(y)


def _check_resolution(resolution: tuple[float, float]) -> None:
    if not all(size > 0 and math.isfinite(size) for size in resolution):
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            f"pixels of {resolution[0]:g} x {resolution[1]:g} have no size",
            field="resolution",
            hint="give the size of a pixel in units of the target's CRS, above 0",
        )


def _lines(place: float, resolution: float, anchor: float, side: int) -> int:
    """Lines of the lattice from the anchor to one side of bounds, outwards."""
    lines = (place - anchor) / resolution
    if abs(lines - round(lines)) <= 1e-6:  # noqa: PLR2004
        return round(lines)
    return math.floor(lines) if side < 2 else math.ceil(lines)  # noqa: PLR2004 - left and bottom


def _north_up(t: Affine, height: int) -> Affine:
    return t if t.e < 0 else Affine(t.a, 0.0, t.c, 0.0, -t.e, t.f + height * t.e)
