"""From pixels of the target to places in the source, each projected by itself, in GDAL's order of arithmetic."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from affine import Affine

from rasterflight_server.types import Grid

F64: TypeAlias = npt.NDArray[np.float64]
#: Coordinates (x, y) in one CRS to coordinates in another, element by element; what has no place there becomes infinite or NaN.
Projection: TypeAlias = Callable[[F64, F64], tuple[F64, F64]]


@dataclass(frozen=True, slots=True)
class Transformer:
    """Pixel coordinates of a target to those of a source; (0, 0) is the outer corner of the first pixel, x goes right and y down."""

    source: Affine
    target: Affine
    #: From the CRS of the target to that of the source; None: they are the same.
    to_source: Projection | None
    #: By how many source pixels (dx + dy) a place may be off where it is approximated.
    tolerance: float = 0.125
    #: Longitude in degrees that lies in the middle of the source: places are sought within half a turn of it. None: x is no longitude.
    meridian: float | None = None

    @property
    def separable(self) -> bool:
        """Places in x depend on the column alone, and in y on the row."""
        return self.to_source is None and not (self.source.b or self.source.d or self.target.b or self.target.d)

    @property
    def whole_pixels(self) -> bool:
        """Target pixels are source pixels: the grids differ by whole rows and columns alone (within 1e-6 of a pixel)."""
        one, other = self.source, self.target
        if self.to_source is not None or (one.a, one.b, one.d, one.e) != (other.a, other.b, other.d, other.e):
            return False
        offsets = np.asarray(_to_pixels(self.source, np.array(other.c), np.array(other.f)))
        return bool((np.abs(offsets - np.round(offsets)) <= 1e-6).all())  # noqa: PLR2004

    def exact(self, x: F64, y: F64) -> tuple[F64, F64]:
        """Places in the source, each projected by itself.

        Parameters
        ----------
        x, y
            Pixel coordinates in the target, of shapes that broadcast.

        Returns
        -------
        tuple
            Pixel coordinates x, y in the source, NaN where a place does not project.
        """
        t = self.target
        x, y = t.c + x * t.a + y * t.b, t.f + x * t.d + y * t.e
        if self.to_source is not None:
            shape = x.shape
            x, y = self.to_source(x.ravel(), y.ravel())
            lost = ~(np.isfinite(x) & np.isfinite(y))
            if lost.any():
                x, y = np.where(lost, np.nan, x), np.where(lost, np.nan, y)
            if self.meridian is not None:
                x = np.where(x < self.meridian - 180, x + 360, np.where(x > self.meridian + 180, x - 360, x))
            x, y = x.reshape(shape), y.reshape(shape)
        return _to_pixels(self.source, x, y)


def _to_pixels(transform: Affine, x: F64, y: F64) -> tuple[F64, F64]:
    """Coordinates to pixels, by the arithmetic of ``GDALInvGeoTransform``."""
    a, b, c, d, e, f = transform[:6]
    if b == 0.0 and d == 0.0:
        return -c / a + x * (1.0 / a), -f / e + y * (1.0 / e)
    per_determinant = 1.0 / (a * e - b * d)
    column = (b * f - c * e) * per_determinant
    row = (-a * f + c * d) * per_determinant
    return (
        column + x * (e * per_determinant) + y * (-b * per_determinant),
        row + x * (-d * per_determinant) + y * (a * per_determinant),
    )


def middle_meridian(source: Grid) -> float | None:
    """Longitude in the middle of a source in degrees, as ``InsertCenterLong`` has it; None: the source goes round the world and on."""
    t = source.transform
    corners = [t.c + col * t.a + row * t.b for col in (0, source.width) for row in (0, source.height)]
    west, east = min(corners), max(corners)
    if east - west > 360 + max(abs(t.a), abs(t.b)) * 1.05:
        return None
    # GDAL passes it on as text.
    return float(f"{(east + west) / 2:g}")
