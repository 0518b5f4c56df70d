"""What to cut out of one record: windows on each of its grids."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from rasterflight_protocol import nodata_pixel
from rasterflight_server.errors import ServiceError
from rasterflight_server.plan.physical import physical_dtype
from rasterflight_server.plan.stack import Stack
from rasterflight_server.plan.validity import Witness
from rasterflight_server.types import Asset, BandMeta, Grid, Level


@dataclass(frozen=True, slots=True)
class Record:
    """The facts about a record that travel with its pixels."""

    row: int
    id: str
    #: Microseconds since 1970 (UTC).
    datetime: int | None
    cloud_cover: float | None


@dataclass(frozen=True, slots=True)
class BandSource:
    """Where a record keeps a band."""

    #: Position among the bands asked for.
    column: int
    asset: Asset
    #: 0-based sample of the asset.
    sample: int
    #: Pixels are to be physical values.
    scaled: bool = False
    #: Who tells which pixels are invalid; empty too when nobody asks.
    witnesses: tuple[Witness, ...] = ()
    #: Number of the level that is read: 0 is the full resolution.
    number: int = 0
    #: NumPy name of the type that resampling makes; None: that of the file.
    made: str | None = None

    @property
    def level(self) -> Level:
        """The level that is read."""
        return self.asset.profile.levels[self.number]

    @property
    def is_classes(self) -> bool:
        """Values are names rather than amounts, so that there is nothing between two of them."""
        if np.dtype(self.level.dtype).kind == "c":
            return True
        if self.meta.classes is not None:
            return self.meta.classes
        paletted = self.sample == 0 and self.asset.profile.colormap is not None
        return paletted or self.meta.categories is not None

    @property
    def meta(self) -> BandMeta:
        """What the file, or the configuration of the collection, says about the band."""
        return self.asset.profile.bands[self.sample]

    @property
    def warped_nodata(self) -> Any:
        """What pixels without a valid one become when they are resampled, in that type; None: 0."""
        if self.made:
            return np.nan
        nodata = self.asset.profile.nodata_of(self.sample)
        return None if nodata is None else nodata_pixel(nodata, self.level.dtype)

    @property
    def dtype(self) -> str:
        """NumPy name of the type of the result."""
        return physical_dtype(self.level.dtype) if self.scaled else self.warped_dtype

    @property
    def warped_dtype(self) -> str:
        """NumPy name of the type of pixels that are not scaled yet."""
        return self.made or self.level.dtype

    @property
    def fill(self) -> Any:
        """What pixels of the result hold that are outside: nodata, or 0 where there is none."""
        return np.dtype(self.dtype).type(0) if self.nodata is None else nodata_pixel(self.nodata, self.dtype)

    @property
    def nodata(self) -> str | None:
        """Nodata of the result, as ``nodata_pixel`` takes it; None: it has none."""
        return "nan" if self.scaled or self.made else self.asset.profile.nodata_of(self.sample)

    @property
    def itemsize(self) -> int:
        """Bytes of a pixel of the result."""
        return np.dtype(self.dtype).itemsize


def unstored(asset: Asset, level: int) -> Any:
    """What the pixels of tiles hold that are not stored: as GDAL fills them; in masks, 0."""
    profile = asset.profile
    if level >= len(profile.levels):
        return 0
    text = profile.nodata if profile.fill is None else profile.fill
    dtype = profile.levels[level].dtype
    return np.dtype(dtype).type(0) if text is None else nodata_pixel(text, dtype)


@dataclass(frozen=True, eq=False)
class GridCut:
    """The bands of a record that share one grid, and the windows to cut out of them."""

    grid: Grid
    bands: tuple[BandSource, ...]
    #: 0-based number of the area or window of each row of ``windows``, ascending; -1: the whole record.
    numbers: npt.NDArray[np.int64]
    #: Shape (n, 4): col_off, row_off, width, height, inside the grid and not empty.
    windows: npt.NDArray[np.int64]
    #: What ``windows`` were before they were cut off at a part of the grid; None: they were not.
    uncut: npt.NDArray[np.int64] | None = field(default=None, kw_only=True)
    #: Further bands of the grid, of which no pixel is wanted; rows are what they would be with them.
    unread: tuple[BandSource, ...] = field(default=(), kw_only=True)

    @property
    def parts(self) -> Sequence["GridCut"]:
        """What the pixels are made of, one by one: here just this."""
        return (self,)

    def reading(self, columns: Container[int]) -> Self:
        """The same with only some of its bands to be read."""
        return replace(
            self,
            bands=tuple(band for band in self.bands if band.column in columns),
            unread=tuple(band for band in self.bands if band.column not in columns),
        )

    @cached_property
    def whole(self) -> "GridCut":
        """The same with the windows before they were cut off."""
        return self if self.uncut is None else replace(self, windows=self.uncut, uncut=None)

    @cached_property
    def stack(self) -> Stack:
        """The windows, one below the other."""
        return Stack(self.windows[:, 2], self.windows[:, 3])

    def source_windows(self, windows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The pixels of the files that windows are made of, shape (n, 4): here the same."""
        return windows

    @property
    def pixel_bytes(self) -> int:
        """Bytes of one pixel in all bands that are read."""
        return sum(band.itemsize for band in self.bands)

    @property
    def block_bytes(self) -> int:
        """Bytes of one pixel by which chips are cut into blocks."""
        return sum(band.itemsize for band in (*self.bands, *self.unread))

    @property
    def block_rows(self) -> int:
        """Rows of a tile, at which chips are cut into blocks."""
        return max(band.level.tile_height for band in (*self.bands, *self.unread))

    @property
    def pixels(self) -> int:
        """Pixels of all windows, in one band."""
        return int((self.windows[:, 2] * self.windows[:, 3]).sum())

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels in all windows."""
        return self.pixels * self.pixel_bytes


@dataclass(frozen=True, slots=True, eq=False)
class RecordCut:
    """Everything to cut out of one record, or why that is not possible."""

    record: Record
    cuts: Sequence[GridCut]
    error: ServiceError | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels."""
        return sum(cut.nbytes for cut in self.cuts)

    @property
    def chips(self) -> int:
        """Number of pairs of this record and an area that overlap."""
        if not self.cuts:
            return 0
        return len(np.unique(np.concatenate([cut.numbers for cut in self.cuts])))
