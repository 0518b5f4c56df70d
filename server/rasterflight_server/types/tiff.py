"""What the index knows about a TIFF file: enough to read any tile without its header."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from rasterflight_protocol import Categories, Colormap
from rasterflight_server.types.grid import Grid

_UNCOMPRESSED = 1
_NO_PREDICTOR = 1

#: ``BandMeta.nodata`` of a band that has none, whatever its files say.
NO_NODATA: Final = "none"


@dataclass(frozen=True, slots=True)
class YCbCr:
    """How colours are stored as brightness and two differences; values of the TIFF tags of these names."""

    #: Pixels (across, down) that share one pair of differences.
    subsampling: tuple[int, int] = (2, 2)
    #: YCbCrCoefficients.
    luma: tuple[float, ...] = (0.299, 0.587, 0.114)
    #: ReferenceBlackWhite.
    reference: tuple[float, ...] = (0.0, 255.0, 128.0, 255.0, 128.0, 255.0)


@dataclass(frozen=True, slots=True)
class Level:
    """One IFD with pixels of the image: full resolution or an overview."""

    width: int
    height: int
    tile_width: int
    tile_height: int
    #: NumPy name in native byte order: ``"uint16"``.
    dtype: str
    #: Byte order of samples whose compression is undone.
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
    #: How samples are stored where not as ``dtype``: "uint12" (bits without gaps), "float16", "float24", "complex_int16".
    stored: str | None = None
    #: Tiles are strips: as wide as the image, and the last of a plane is as high as what is left of the image.
    striped: bool = False
    #: FillOrder says that the bits of each byte are in reverse order.
    bits_reversed: bool = False
    #: What a codec is told besides: the second of LercParameters, T4Options.
    option: int = 0
    #: Pixels are stored as YCbCr without JPEG, and given as RGB.
    ycbcr: YCbCr | None = None

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

    @property
    def stored_as_pixels(self) -> bool:
        """Whether stored bytes are pixels as they are."""
        return self.compression == _UNCOMPRESSED and self.predictor == _NO_PREDICTOR and self.stored is None

    @property
    def stored_bits(self) -> int:
        """Bits of one stored sample."""
        if self.stored is None:
            return np.dtype(self.dtype).itemsize * 8
        bits = int(self.stored.lstrip("abcdefghijklmnopqrstuvwxyz_"))
        return 2 * bits if self.stored.startswith("complex") else bits

    def stored_nbytes(self, rows: int) -> int:
        """Bytes of some rows of a tile when its compression is undone; each row begins on a byte."""
        _, cols, samples = self.tile_shape
        if self.ycbcr is not None:
            across, down = self.ycbcr.subsampling
            return -(-cols // across) * -(-rows // down) * (across * down + 2)
        return rows * -(-cols * samples * self.stored_bits // 8)

    def rows_inside(self, tile: int) -> int:
        """Rows of a tile that lie in the image; 0-based number of the tile in the file."""
        row = tile // self.tiles_across % self.tiles_down
        return min(self.tile_height, self.height - row * self.tile_height)


@dataclass(frozen=True, slots=True)
class BandMeta:
    """What the file says about one of its samples."""

    scale: float | None = None
    offset: float | None = None
    unit: str | None = None
    description: str | None = None
    #: In the words of rasterio: "gray", "red", "palette", "alpha", "undefined" ...
    colorinterp: str | None = None
    #: Names of pixel values, from the catalog.
    categories: Categories | None = None
    # What the configuration of the collection says instead of the file; not in the index.
    #: As ``Profile.nodata``, or "none": the band has none.
    nodata: str | None = None
    #: Values are names rather than amounts.
    classes: bool | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """What many files of a collection have in common; stored once for all of them."""

    #: Full resolution first, then overviews from fine to coarse.
    levels: tuple[Level, ...]
    #: One per sample.
    bands: tuple[BandMeta, ...]
    #: GDAL_NODATA as ``nodata_pixel`` takes it (``"0"``, ``"nan"``), None: the file has none, or one that lies outside its dtype.
    nodata: str | None
    #: What tiles that are not stored hold, where that is neither nodata nor, without nodata, 0.
    fill: str | None = None
    #: The mask of the file at full resolution, then its overviews; their tiles follow those of ``levels``.
    masks: tuple[Level, ...] = ()
    #: NODATA_VALUES: a pixel is invalid where each band holds its value; one per sample.
    nodata_values: tuple[str, ...] | None = None
    #: Colour table of the first sample.
    colormap: Colormap | None = None

    def nodata_of(self, sample: int) -> str | None:
        """Nodata of a sample, as ``nodata_pixel`` takes it: by the configuration, else by the file; None: it has none."""
        said = self.bands[sample].nodata
        return self.nodata if said is None else None if said == NO_NODATA else said

    def level(self, number: int) -> Level:
        """Level by number, the masks counted after the levels of the image."""
        own = len(self.levels)
        return self.levels[number] if number < own else self.masks[number - own]


class TileRanges(NamedTuple):
    """Where the tiles of one level lie in the file; row-major, plane after plane."""

    offsets: npt.NDArray[np.int64]
    #: 0: the tile is not stored (sparse), all its pixels are nodata.
    counts: npt.NDArray[np.int64]


class Identity(NamedTuple):
    """How to notice that a file is no longer the one that was indexed."""

    size: int
    #: Modification time of a local file, and of a remote one that has no strong ETag.
    mtime_ns: int | None = None
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of a record, with everything the index knows about it."""

    #: STAC asset key.
    key: str
    #: Absolute path or URL.
    href: str
    #: None: not known; reads are then held against nothing.
    identity: Identity | None
    profile: Profile
    grid: Grid
    #: Level number, as ``Profile.level`` counts -> where its tiles are; looked up when asked for.
    tile_ranges: Callable[[int], TileRanges]
    #: GDAL_METADATA as JSON, see ``ingest.gdal``; "": none.
    tags: str = ""
