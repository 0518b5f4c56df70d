"""Ways to resample, and what GDAL's kernel for each reaches for."""

from enum import StrEnum

#: Target pixels per source pixel from which on a kernel is not widened.
NOT_SHRUNK = 0.95


class Resampling(StrEnum):
    """How a pixel of the target is made of pixels of the source; names of ``rasterio.enums.Resampling``."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"
    CUBIC = "cubic"
    AVERAGE = "average"
    MODE = "mode"

    @property
    def radius(self) -> int:
        """Source pixels to each side that the kernel reaches for when it does not shrink."""
        return {Resampling.BILINEAR: 1, Resampling.CUBIC: 2}.get(self, 0)

    @property
    def by_area(self) -> bool:
        """All source pixels under a target pixel count, instead of those around its centre."""
        return self in {Resampling.AVERAGE, Resampling.MODE}
