"""The header of a GeoTIFF, as far as reading its tiles needs it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from affine import Affine

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.ingest.gdal import parse_metadata, parse_nodata
from rasterflight_server.ingest.geokeys import read_crs, read_geokeys, read_transform
from rasterflight_server.ingest.ifd import Directory, corrupt, read_directories
from rasterflight_server.read.decode import CODECS, PREDICTORS
from rasterflight_server.store import ReadAhead, Source
from rasterflight_server.types import Grid, Identity, Level, Profile, TileRanges

_SUBFILE, _OLD_SUBFILE = 254, 255
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_SAMPLES, _PLANAR, _PREDICTOR = 277, 284, 317
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS, _SAMPLE_FORMAT = 322, 323, 324, 325, 339
_GDAL_METADATA, _GDAL_NODATA = 42112, 42113

_REDUCED, _MASK = 1, 4
_OLD_REDUCED: Final = 2
_SEPARATE: Final = 2
_YCBCR: Final = 6

_CODEC_NAMES: Final = {
    2: "CCITT RLE", 3: "CCITT fax 3", 4: "CCITT fax 4", 6: "old-style JPEG", 7: "JPEG", 32773: "PackBits",
    34712: "JPEG 2000", 34887: "LERC", 34925: "LZMA", 50001: "WebP", 50002: "JPEG XL",
}  # fmt: skip
_NO_COMPRESSION: Final = 1
_FLOAT_PREDICTOR: Final = 3
# (SampleFormat, bits) -> dtype. Format 4 is "undefined", which GDAL takes for unsigned.
_DTYPES: Final = {
    **{(kind, bits): f"uint{bits}" for kind in (1, 4) for bits in (8, 16, 32, 64)},
    **{(2, bits): f"int{bits}" for bits in (8, 16, 32, 64)},
    **{(3, bits): f"float{bits}" for bits in (16, 32, 64)},
}
_COMPLEX: Final = frozenset([5, 6])

_MAX_HEADER_BYTES: Final = 64 * 2**20
_MAX_TILE_BYTES: Final = 256 * 2**20
_MAX_SIDE: Final = 2**31 - 1

_TILE_IT: Final = "`gdal_translate -of COG IN OUT` or `rio cogeo create IN OUT` makes a tiled copy"
_RECODE_IT: Final = "`gdal_translate -of COG -co COMPRESS=DEFLATE IN OUT` makes a copy that can be read"


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says about itself."""

    identity: Identity
    profile: Profile
    #: The transform is the identity where the file has none.
    grid: Grid
    #: The file says where its pixels are.
    located: bool
    #: One for each level of the profile.
    tiles: tuple[TileRanges, ...]


def read_header(source: Source) -> Header:
    """Read the header of a tiled GeoTIFF: its image, the overviews of it, and where all their tiles lie.

    Masks, thumbnails and further images in the file are passed over, and so are overviews that cannot be read.

    Raises
    ------
    SourceError
        UNSUPPORTED_LAYOUT (striped, odd bit depth, complex ...), UNSUPPORTED_CODEC, SOURCE_CORRUPT (not a TIFF, damaged,
        truncated), or as the source.
    """
    file = ReadAhead(source, _MAX_HEADER_BYTES)
    image, *others = read_directories(file)
    full = _level(image)
    pages = [(full, image)]
    for page in others:
        level = _overview(page, pages[-1][0])
        if level is not None:
            pages.append((level, page))
    keys = read_geokeys(image)
    transform = read_transform(image, keys)
    return Header(
        identity=source.identity(),
        profile=Profile(
            levels=tuple(level for level, _ in pages),
            bands=parse_metadata(image.text(_GDAL_METADATA), full.samples),
            nodata=parse_nodata(image.text(_GDAL_NODATA), full.dtype),
        ),
        grid=Grid(
            width=full.width,
            height=full.height,
            transform=transform or Affine.identity(),
            crs=read_crs(keys) if transform else None,
        ),
        located=transform is not None,
        tiles=tuple(_tile_ranges(page, level, file.size) for level, page in pages),
    )


def _level(page: Directory) -> Level:
    width, height = page.integer(_WIDTH), page.integer(_HEIGHT)
    if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE):
        raise corrupt(f"the image claims to have {width} x {height} pixels")
    samples = page.integer(_SAMPLES, 1)
    if samples < 1:
        raise corrupt("the image claims to have no samples")
    dtype = _dtype(page, samples)
    if _TILE_WIDTH not in page or _TILE_OFFSETS not in page:
        raise _layout("the file is striped, only tiled TIFFs are read", _TILE_IT)
    compression = page.integer(_COMPRESSION, 1)
    level = Level(
        width=width,
        height=height,
        tile_width=page.integer(_TILE_WIDTH),
        tile_height=page.integer(_TILE_HEIGHT),
        dtype=dtype,
        big_endian=page.big_endian,
        compression=compression,
        predictor=_predictor(page, compression, dtype),
        photometric=page.integer(_PHOTOMETRIC, 1),
        samples=samples,
        planar_separate=page.integer(_PLANAR, 1) == _SEPARATE,
    )
    if level.tile_width < 1 or level.tile_height < 1:
        raise corrupt(f"the tiles claim to have {level.tile_width} x {level.tile_height} pixels")
    if level.tile_nbytes > _MAX_TILE_BYTES:
        raise _layout(f"the tiles are larger than {_MAX_TILE_BYTES // 2**20} MiB", _TILE_IT)
    if level.photometric == _YCBCR or page.integer(_FILL_ORDER, 1) != 1:
        raise _layout("the pixels are YCbCr, or their bits are in reverse order", _RECODE_IT)
    return level


def _dtype(page: Directory, samples: int) -> str:
    bits = set(page.array(_BITS)[:samples].tolist()) or {1}
    formats = set(page.array(_SAMPLE_FORMAT)[:samples].tolist()) or {1}
    if len(bits) > 1 or len(formats) > 1:
        raise _layout("the samples of the file differ in type", _RECODE_IT)
    bit, sample_format = bits.pop(), formats.pop()
    if sample_format in _COMPLEX:
        raise _layout("the pixels are complex numbers", "split them into real and imaginary bands")
    dtype = _DTYPES.get((sample_format, bit))
    if dtype is None:
        raise _layout(f"the pixels have {bit} bits (sample format {sample_format})", _RECODE_IT)
    return dtype


def _predictor(page: Directory, compression: int, dtype: str) -> int:
    if compression not in CODECS:
        name = _CODEC_NAMES.get(compression, "unknown")
        raise SourceError(
            ErrorCode.UNSUPPORTED_CODEC, f"the codec {name} (compression {compression}) is not read", hint=_RECODE_IT
        )
    # A predictor belongs to a codec: libtiff does not look at it in files without one.
    predictor = 1 if compression == _NO_COMPRESSION else page.integer(_PREDICTOR, 1)
    if predictor not in PREDICTORS or (predictor == _FLOAT_PREDICTOR and np.dtype(dtype).kind != "f"):
        raise SourceError(
            ErrorCode.UNSUPPORTED_CODEC, f"the predictor {predictor} is not read for {dtype} pixels", hint=_RECODE_IT
        )
    return predictor


def _overview(page: Directory, before: Level) -> Level | None:
    """Read a page as the overview after ``before``; None when it is not one, or one that cannot be read."""
    subfile = page.integer(_SUBFILE, 0)
    reduced = subfile & _REDUCED or page.integer(_OLD_SUBFILE, 0) == _OLD_REDUCED
    if not reduced or subfile & _MASK:
        return None
    try:
        level = _level(page)
    except SourceError as error:
        if error.code is ErrorCode.SOURCE_CORRUPT:
            raise
        return None
    alike = (level.samples, level.dtype) == (before.samples, before.dtype)
    smaller = level.width <= before.width and level.height <= before.height
    return level if alike and smaller and (level.width, level.height) != (before.width, before.height) else None


def _tile_ranges(page: Directory, level: Level, size: int) -> TileRanges:
    expected = level.tiles_across * level.tiles_down * level.planes
    offsets, counts = page.array(_TILE_OFFSETS), page.array(_TILE_COUNTS)
    if len(offsets) < expected or len(counts) < expected or {offsets.dtype.kind, counts.dtype.kind} != {"u"}:
        raise corrupt(f"the file has {min(len(offsets), len(counts))} of {expected} tiles in its list of tiles")
    offsets, counts = offsets[:expected].astype(np.uint64), counts[:expected].astype(np.uint64)
    # A tile without bytes or without a place is sparse.
    counts[offsets == 0] = 0
    # Compared this way round since a sum could overflow.
    outside = (counts > 0) & ((counts > size) | (offsets > size - np.minimum(counts, size)))
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        end = int(offsets[first]) + int(counts[first])
        raise corrupt(f"truncated: tile {first} ends at byte {end}, the file has {size}")
    offsets[counts == 0] = 0
    if (counts > np.iinfo(np.uint32).max).any():
        raise corrupt("a tile claims to have more than 4 GiB")
    return TileRanges(offsets.astype(np.int64), counts.astype(np.int64))


def _layout(message: str, hint: str) -> SourceError:
    return SourceError(ErrorCode.UNSUPPORTED_LAYOUT, message, hint=hint)
