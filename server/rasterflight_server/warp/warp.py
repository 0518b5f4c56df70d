"""Warping pixels from one grid to another: what is to be read for which part of the target, and what becomes of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.types import Grid, Window
from rasterflight_server.warp.area import Average, Mode
from rasterflight_server.warp.chunks import MEMORY_LIMIT, Chunk, Layout
from rasterflight_server.warp.extents import areas
from rasterflight_server.warp.kernels import Bilinear, Cubic, Kernel, Nearest
from rasterflight_server.warp.methods import NOT_SHRUNK, Resampling
from rasterflight_server.warp.patch import Mask, Pixels, cut
from rasterflight_server.warp.places import Scan, centres
from rasterflight_server.warp.store import store
from rasterflight_server.warp.transformer import Projection, Transformer, middle_meridian
from rasterflight_server.warp.widened import Widened

#: Pixels of a block: its coordinates and weights stay in the cache of a core.
BLOCK_PIXELS = 1 << 15
#: Pixels of the source under a block, about: where a target pixel is made of very many, a block would take seconds.
_SOURCE_PIXELS = 1 << 23


class Block:
    """A part of the target that is made in one go, and what it takes."""

    def __init__(self, warp: "Warp", scan: Scan, target: Window) -> None:
        self._warp = warp
        self._scan = scan
        #: Pixels of the target.
        self.target = target

    @property
    def source(self) -> Window | None:
        """Pixels of the source that it takes; None: none, the block is all nodata."""
        if self._kernel is None:
            return None
        seen, reach = self._scan.chunk.source, self._kernel.reach
        moved = Window(reach.col_off + seen.col_off, reach.row_off + seen.row_off, reach.width, reach.height)
        return moved.intersection(seen)

    def resample(
        self,
        pixels: Pixels,
        have: Window,
        *,
        valid: Mask | None = None,
        nodata: float | None = None,
        dtype: npt.DTypeLike | None = None,
    ) -> tuple[Pixels, Mask]:
        """Make the pixels of the block; may be called for one band after another.

        Parameters
        ----------
        pixels
            Of the source, one band, shape (rows, columns).
        have
            Where in the source these lie: all of ``source``, or more.
        valid
            Of the same shape: which pixels count; None: all.
        nodata
            What pixels without any valid pixel become; None: 0.
        dtype
            Type of the result; None: that of the source.

        Returns
        -------
        tuple
            Pixels, and which of them are valid, both of the shape of ``target``.

        Raises
        ------
        RequestError
            BAD_REQUEST: the pixels are complex, and the method is not nearest.
        """
        shape = self.target.height, self.target.width
        dtype = np.dtype(pixels.dtype if dtype is None else dtype)
        kernel = self._kernel
        if kernel is None:
            return store(np.zeros(shape, dtype), np.zeros(shape, np.bool_), dtype, nodata)
        if np.iscomplexobj(pixels) and not isinstance(kernel, Nearest):
            raise RequestError(
                ErrorCode.BAD_REQUEST,
                f"complex pixels cannot be resampled by {self._warp.resampling}",
                field="resampling",
                hint='ask for "nearest"',
            )
        patch = cut(pixels, valid, have, self._scan.chunk.source, kernel.reach)
        values, found = kernel(patch)
        # Where it copies pixels of up to 16 bits, GDAL does not look for nodata.
        apart = not self._warp.copies or dtype.itemsize > 2  # noqa: PLR2004
        return store(values, found, dtype, nodata, apart=apart)

    @cached_property
    def _kernel(self) -> Kernel | None:
        return self._warp.kernel(self._scan, self.target)


@dataclass(frozen=True)
class Warp:
    """How the pixels of one grid become those of another; the same pixels as ``rasterio.warp.reproject`` makes."""

    source: Grid
    target: Grid
    resampling: Resampling
    transformer: Transformer
    chunks: tuple[Chunk, ...]

    @property
    def copies(self) -> bool:
        """Target pixels are source pixels, unchanged."""
        return self.resampling is Resampling.NEAREST or self.transformer.whole_pixels

    def blocks(self, window: Window | None = None, *, max_pixels: int = BLOCK_PIXELS) -> Iterator[Block]:
        """Cut a window of the target into blocks of rows.

        What a pixel becomes does not depend on the window nor on the size of blocks. Parts of the target that no chunk covers, because
        nothing there projects, come in no block.
        """
        wanted = self.target.window if window is None else window
        for chunk in self.chunks:
            common = chunk.target.intersection(wanted)
            if common is None or chunk.source.width == 0 or chunk.source.height == 0:
                continue
            scan = Scan(self.transformer, chunk, common.row_off, common.height)
            shrinks = min(chunk.scale[0], 1.0) * min(chunk.scale[1], 1.0)
            rows = max(1, int(min(max_pixels, _SOURCE_PIXELS * shrinks)) // common.width)
            for row in range(common.row_off, common.row_off + common.height, rows):
                height = min(rows, common.row_off + common.height - row)
                yield Block(self, scan, Window(common.col_off, row, common.width, height))

    def kernel(self, scan: Scan, window: Window) -> Kernel | None:
        """The kernel for a window of a scan; None: no source pixel comes to lie in it."""
        method, chunk = self.resampling, scan.chunk
        if method.by_area and not self.copies:
            area = areas(scan, window)
            return None if area is None else (Average if method is Resampling.AVERAGE else Mode)(area)
        places = centres(scan, window)
        if places is None:
            return None
        if self.copies or 1 in chunk.source[2:]:
            return Nearest(places)
        if min(chunk.scale) < NOT_SHRUNK:
            return Widened(places, method, chunk.scale)
        return (Bilinear if method is Resampling.BILINEAR else Cubic)(places)


def plan_warp(
    source: Grid,
    target: Grid,
    resampling: Resampling,
    *,
    to_source: Projection | None = None,
    to_target: Projection | None = None,
    poles: Sequence[tuple[float, float]] = (),
    source_degrees: bool = False,
    itemsize: int = 2,
    memory_limit: float = MEMORY_LIMIT,
) -> Warp:
    """Plan how the pixels of a target are made of those of a source.

    Parameters
    ----------
    source, target
        The grids. The CRS that they name are not looked at.
    resampling
        How a pixel is made of others.
    to_source, to_target
        From the CRS of the target to that of the source, and back; both None: they are the same.
    poles
        Where the poles lie in the target's CRS, as far as they project: x, y.
    source_degrees
        The source's coordinates are longitude and latitude in degrees: a turn more or less is the same longitude.
    itemsize
        Bytes of a pixel. With ``memory_limit`` it decides where GDAL cuts large targets into chunks.
    memory_limit
        Bytes; GDAL's WARP_MEM_LIMIT.
    """
    meridian = middle_meridian(source) if source_degrees else None
    transformer = Transformer(source.transform, target.transform, to_source, meridian=meridian)
    layout = Layout(source, target, transformer, resampling, to_target, poles, itemsize, memory_limit)
    return Warp(source, target, resampling, transformer, tuple(layout.chunks()))


def reproject(
    pixels: Pixels,
    warp: Warp,
    *,
    valid: Mask | None = None,
    nodata: float | None = None,
    dtype: npt.DTypeLike | None = None,
) -> tuple[Pixels, Mask]:
    """Warp all pixels of a source.

    Parameters
    ----------
    pixels
        The whole source, one band, shape (rows, columns).
    warp
        Plan.
    valid
        Of the same shape: which pixels count; None: all.
    nodata
        What pixels without any valid pixel become; None: 0.
    dtype
        Type of the result; None: that of the source.

    Returns
    -------
    tuple
        Pixels of the whole target, and which of them are valid.
    """
    shape = warp.target.height, warp.target.width
    out = np.full(shape, 0 if nodata is None else nodata, pixels.dtype if dtype is None else dtype)
    mask = np.zeros(shape, np.bool_)
    for block in warp.blocks():
        col, row, width, height = block.target
        there = slice(row, row + height), slice(col, col + width)
        out[there], mask[there] = block.resample(pixels, warp.source.window, valid=valid, nodata=nodata, dtype=dtype)
    return out, mask
