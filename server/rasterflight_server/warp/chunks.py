"""Cutting a target into chunks as GDAL does, and what of the source each of them sees.

A chunk is more than a way to save memory: rows are approximated from end to end of their chunk, a kernel shrinks by one factor for all
of a chunk, and it does not see what lies outside the chunk's window of the source. To get GDAL's pixels takes GDAL's chunks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.types import Grid, Window
from rasterflight_server.warp.footing import footing, from_source
from rasterflight_server.warp.methods import NOT_SHRUNK, Resampling
from rasterflight_server.warp.transformer import F64, Projection, Transformer

#: ``GDALWarpOptions::dfWarpMemoryLimit`` where nothing is said.
MEMORY_LIMIT = 64 * 1024 * 1024
#: Targets up to this size are not cut for want of memory; those up to the other size not for having little of the source in them.
_SMALLEST, _SMALL = 2, 100
#: A target is cut when less than this part of what its kernel could see is in the source.
_HARDLY_FILLED = 0.5
#: Scales of the two axes that differ by more tell of a source torn apart.
_TORN = 100
#: Parts of a target that are looked at, each for less than a millisecond. Where a small raster is spread over a billion pixels, GDAL cuts along its edges about as often.
_MOST_LOOKS = 6_000
#: Factors that are this near to a whole number are taken for it, and places.
_NEARLY_WHOLE, _NEARLY_WHOLE_PLACE = 0.05, 1e-6


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of the target that GDAL would warp in one go."""

    #: Pixels of the target.
    target: Window
    #: Pixels of the source that its kernel sees; nothing else exists for it. May be empty.
    source: Window
    #: Target pixels per source pixel in x and in y; below 1 the target shrinks the source, and kernels widen.
    scale: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Layout:
    """What the chunks of a warp depend on."""

    source: Grid
    target: Grid
    transformer: Transformer
    resampling: Resampling
    #: From the CRS of the source to that of the target; None: they are the same.
    to_target: Projection | None
    #: Where the poles lie in the target's CRS, as far as they project.
    poles: Sequence[tuple[float, float]] = ()
    #: Bytes of a pixel.
    itemsize: int = 2
    #: Bytes that the pixels of a chunk may take.
    memory_limit: float = MEMORY_LIMIT

    def chunks(self) -> list[Chunk]:
        """The chunks of the whole target, from top to bottom, left to right.

        Raises
        ------
        RequestError
            LIMIT_EXCEEDED: there are too many.
        """
        if 0 in (self.source.width, self.source.height, self.target.width, self.target.height):
            return []
        if self.transformer.whole_pixels:
            return [Chunk(self.target.window, self.source.window, (1.0, 1.0))]
        found: list[Chunk] = []
        pending = [self.target.window]
        looks = 0
        while pending:
            window = pending.pop()
            looks += 1
            if looks > _MOST_LOOKS:
                raise self._too_many()
            reach = self._reach(window)
            if reach is None:
                continue
            source, raw, fill = reach
            if self._too_much(window, source, fill):
                pending.extend(_halves(window))
            else:
                found.append(Chunk(window, source, self._scale(window, source, raw)))
        return sorted(found, key=lambda chunk: (chunk.target.row_off, chunk.target.col_off))

    def _too_many(self) -> RequestError:
        return RequestError(
            ErrorCode.LIMIT_EXCEEDED,
            f"a raster of {self.source.width} x {self.source.height} pixels would become one of {self.target.width} x "
            f"{self.target.height} in too many pieces",
            field="grid.resolution",
            hint="take a coarser resolution, alike in x and y",
        )

    def _reach(self, window: Window) -> tuple[Window, tuple[float, float], float] | None:
        """What of the source lies under a window of the target.

        Returns
        -------
        tuple or None
            Window of the source with the margin of the kernel; its size in x and y without the margin; how much of what the kernel could
            have seen lies in the source. None: hardly any point of the window projects.
        """
        bounds = footing(self.transformer, window, lambda: self._from_source(window), everywhere=self._has_pole())
        if bounds is None:
            return None
        low, high, failed = bounds
        size = np.array([self.source.width, self.source.height])
        if (low > size).any() or (high < 0).any():
            return Window(0, 0, 0, 0), (0.0, 0.0), 0.0
        low, high = _settled(low), _settled(high)
        margin = self._margin(window, high - low) + (10 if failed else 0)
        begin = np.maximum(low, 0.0).astype(np.int64)
        end = np.minimum(np.ceil(high), size).astype(np.int64)
        raw = np.maximum(0.0, np.minimum(size - begin, high - low))
        # Nearly all of the width is taken for all of it, which helps where the source goes round the world.
        whole = end - begin > 0.9 * size
        offset = np.where(whole, 0, np.clip(begin - margin, 0, size))
        extent = np.where(whole, size, np.clip(end - offset + margin, 0, size - offset))
        fill = float(extent[0] * extent[1] / max(1.0, float(np.prod(high - low + 2 * margin))))
        return Window(*map(int, (*offset, *extent))), (float(raw[0]), float(raw[1])), fill

    def _has_pole(self) -> bool:
        for x, y in self.poles:
            column, row = ~self.target.transform * (x, y)
            if 0 <= column <= self.target.width and 0 <= row <= self.target.height:
                return True
        return False

    def _from_source(self, window: Window) -> F64:
        if self.to_target is None:
            return np.empty((2, 0))
        backward = Transformer(self.target.transform, self.source.transform, self.to_target)
        return from_source(backward, self.source, window)

    def _margin(self, window: Window, covered: F64) -> npt.NDArray[np.int64]:
        radius = self.resampling.radius
        with np.errstate(divide="ignore"):
            scale = np.maximum(1e-3, np.array([window.width, window.height]) / covered)
        return np.where(scale < NOT_SHRUNK, np.ceil(radius / scale), radius).astype(np.int64)

    def _too_much(self, window: Window, source: Window, fill: float) -> bool:
        bits = self.itemsize * 8 + 1
        used = bits * (source.width * source.height + window.width * window.height) / 8
        if used > self.memory_limit and max(window.width, window.height) > _SMALLEST:
            return True
        return 0 < fill < _HARDLY_FILLED and max(window.width, window.height) > _SMALL

    def _scale(self, window: Window, source: Window, raw: tuple[float, float]) -> tuple[float, float]:
        x = _axis_scale(window.width, source.width, raw[0])
        y = _axis_scale(window.height, source.height, raw[1])
        if x > 0 and y / x > _TORN:
            x = self._sampled_scale(window) or x
        return x, y

    def _sampled_scale(self, window: Window) -> float | None:
        """Scale in x where the source, seen from the target, is torn in two: the mean of places that are not at the tear."""
        columns, rows = (min(10, size) for size in (window.width, window.height))
        x, y = np.meshgrid(
            np.arange(columns) * window.width / max(1, columns - 1), np.arange(rows) * window.height / max(1, rows - 1)
        )
        right = np.where(np.arange(columns) == columns - 1, -1.0, 1.0)[None, :]
        down = np.where(np.arange(rows) == rows - 1, -1.0, 1.0)[:, None]
        here, _ = self.transformer.exact(x, y)
        beside, _ = self.transformer.exact(x + right, y)
        below, _ = self.transformer.exact(x, y + down)
        with np.errstate(divide="ignore"):
            scales = 1.0 / np.maximum(np.abs(beside - here), np.abs(below - here))
        scales = scales[np.isfinite(scales)]
        return float(scales[scales > scales.max() / 10].mean()) if scales.size else None


def _axis_scale(target: int, source: int, raw: float) -> float:
    """Scale of one axis: windows that differ by no more than the margin are taken for equal, nearly whole factors for whole."""
    if raw <= 0 or target <= source <= target + (source - raw):
        return 1.0
    scale = target / raw
    if scale < 1.0:
        factor = math.floor(1.0 / scale + 0.5)
        if abs(1.0 / scale - factor) < _NEARLY_WHOLE:
            return 1.0 / factor
    return scale


def _halves(window: Window) -> tuple[Window, Window]:
    col, row, width, height = window
    if width > height:
        half = width // 2
        return Window(col, row, half, height), Window(col + half, row, width - half, height)
    half = height // 2
    return Window(col, row, width, half), Window(col, row + half, width, height - half)


def _settled(values: F64) -> F64:
    """Nearly whole numbers made whole."""
    whole = np.round(values)
    return np.where(np.abs(whole - values) < _NEARLY_WHOLE_PLACE, whole, values)
