"""What the index knows about a TIFF file: enough to read any tile without its header."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rasterflight_server.types.grid import Grid


@dataclass(frozen=True, slots=True)
class Level:
    """One IFD with pixels of the image: full resolution or an overview."""

    width: int
    height: int
    tile_width: int
    tile_height: int
    #: NumPy name in native byte order: ``"uint16"``.
    dtype: str
    big_endian: bool
    #: Values of the TIFF tags of the same names.
    compression: int
    predictor: int
    photometric: int
    #: SamplesPerPixel.
    samples: int
    #: PlanarConfiguration is "separate": each sample has tiles of its own, plane after plane.
    planar_separate: bool
    #: JPEGTables, where the codec needs them.
    jpeg_tables: bytes | None = None

    @property
    def tiles_across(self) -> int:
        """Tiles in a row of tiles."""
        return -(-self.width // self.tile_width)

    @property
    def tiles_down(self) -> int:
        """Rows of tiles."""
        return -(-self.height // self.tile_height)

    @property
    def planes(self) -> int:
        """How often the tile grid is repeated in the file, once per separate sample."""
        return self.samples if self.planar_separate else 1

    @property
    def tile_shape(self) -> tuple[int, int, int]:
        """Shape (rows, columns, samples) of one decoded tile."""
        return self.tile_height, self.tile_width, 1 if self.planar_separate else self.samples

    @property
    def tile_nbytes(self) -> int:
        """Size of one decoded tile."""
        rows, cols, samples = self.tile_shape
        return rows * cols * samples * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class BandMeta:
    """What the file says about one of its samples."""

    scale: float | None = None
    offset: float | None = None
    unit: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """What many files of a collection have in common; stored once for all of them."""

    #: Full resolution first, then overviews from fine to coarse.
    levels: tuple[Level, ...]
    #: One per sample.
    bands: tuple[BandMeta, ...]
    #: GDAL_NODATA as text that the dtype can parse (``"0"``, ``"nan"``), None: the file has none, or one its dtype cannot hold.
    nodata: str | None


@dataclass(frozen=True, slots=True)
class TileRanges:
    """Where the tiles of one level lie in the file; row-major, plane after plane."""

    offsets: npt.NDArray[np.int64]
    #: 0: the tile is not stored (sparse), all its pixels are nodata.
    counts: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Identity:
    """How to notice that a file is no longer the one that was indexed."""

    size: int
    #: Modification time of a local file.
    mtime_ns: int | None = None
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of a record, with everything the index knows about it."""

    #: STAC asset key.
    key: str
    #: Absolute path or URL.
    href: str
    identity: Identity
    profile: Profile
    grid: Grid
    #: Level number -> where its tiles are; looked up when asked for.
    tile_ranges: Callable[[int], TileRanges]
