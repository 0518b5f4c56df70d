"""Where pixels are."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from affine import Affine


class Window(NamedTuple):
    """A rectangle of pixels, as ``rasterio.windows.Window`` names its parts."""

    col_off: int
    row_off: int
    width: int
    height: int

    def intersection(self, other: "Window") -> "Window | None":
        """The common part; None when there is not one pixel."""
        left, top = max(self.col_off, other.col_off), max(self.row_off, other.row_off)
        right = min(self.col_off + self.width, other.col_off + other.width)
        bottom = min(self.row_off + self.height, other.row_off + other.height)
        if right <= left or bottom <= top:
            return None
        return Window(left, top, right - left, bottom - top)


@dataclass(frozen=True, slots=True)
class Grid:
    """The pixel grid of a raster: shape, georeference, CRS. Grids that are equal can share windows and masks."""

    width: int
    height: int
    #: Pixel corner (col, row) -> (x, y), PixelIsArea.
    transform: Affine
    #: "EPSG:32618", or WKT2 where no authority code says it; None: not known.
    crs: str | None

    @property
    def window(self) -> Window:
        """The whole raster."""
        return Window(0, 0, self.width, self.height)

    @property
    def coefficients(self) -> tuple[float, float, float, float, float, float]:
        """The transform as numbers."""
        transform = self.transform
        return transform.a, transform.b, transform.c, transform.d, transform.e, transform.f

    @property
    def located(self) -> bool:
        """The raster says where its pixels are: it has a CRS, and a transform that is not just pixel numbers."""
        return self.crs is not None and self.transform != Affine.identity()

    @property
    def axis_aligned(self) -> bool:
        """Rows and columns run along the axes of the CRS: neither rotated nor sheared."""
        return self.transform.b == 0.0 and self.transform.d == 0.0

    def part(self, window: Window) -> "Grid":
        """The grid of the pixels in a window, which may reach out of this one."""
        if window == self.window:
            return self
        [transform] = self.window_transforms(np.array([window]))
        return Grid(window.width, window.height, Affine(*transform.tolist()), self.crs)

    def window_transforms(self, windows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Transforms of the pixels inside windows, as ``DatasetReader.window_transform`` computes them.

        Parameters
        ----------
        windows
            Shape (n, 4): col_off, row_off, width, height.

        Returns
        -------
        ndarray
            Shape (n, 6), each row as ``affine.Affine`` has them: a, b, c, d, e, f.
        """
        a, b, c, d, e, f = self.transform[:6]
        col_off, row_off = windows[:, 0], windows[:, 1]
        x = col_off * a + row_off * b + c
        y = col_off * d + row_off * e + f
        result = np.empty((len(windows), 6))
        result[:] = self.transform[:6]
        # There and back again in floating point, since rasterio composes a translation with the transform.
        result[:, 2] = c + (x - c)
        result[:, 5] = f + (y - f)
        return result
