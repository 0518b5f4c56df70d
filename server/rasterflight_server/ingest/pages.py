"""What one directory of a TIFF file says about its pixels: shape, type, codec, layout."""

from functools import lru_cache
from typing import Final

import numpy as np

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.ingest.ifd import Directory, DirectoryPart, corrupt
from rasterflight_server.ingest.sampletypes import sample_type
from rasterflight_server.read.codecs import JPEG, NONE, missing_codec
from rasterflight_server.types import Level, YCbCr

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _SAMPLES = 256, 257, 258, 259, 262, 266, 277
_ROWS_PER_STRIP, _PLANAR, _T4_OPTIONS, _PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT = 278, 284, 292, 317, 322, 323
_JPEG_TABLES, _LUMA, _SUBSAMPLING, _REFERENCE, _LERC_PARAMETERS = 347, 529, 530, 532, 50674
_EXTRA_SAMPLES, _SAMPLE_FORMAT = 338, 339
#: All that the layout of pixels depends on.
_TAGS: Final = frozenset(
    [
        *(_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _SAMPLES, _ROWS_PER_STRIP, _PLANAR),
        *(_T4_OPTIONS, _PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT, _EXTRA_SAMPLES, _SAMPLE_FORMAT),
        *(_JPEG_TABLES, _LUMA, _SUBSAMPLING, _REFERENCE, _LERC_PARAMETERS),
    ]
)
#: Unspecified, premultiplied alpha, alpha; and what a well-known program wrote for the last.
_KINDS_OF_EXTRA: Final = frozenset([0, 1, 2, 999])
_CONTIGUOUS, _SEPARATE, _LSB_FIRST = 1, 2, 2
_SEPARATED, _YCBCR, _LAB, _LOGARITHMIC = 5, 6, 8, (32844, 32845)
_CCITT: Final = frozenset([2, 3, 4])
_LERC: Final = 34887
#: Codecs that know what a number is, and give it in the byte order of the machine.
_NATIVE: Final = frozenset([JPEG, 34712, 50001, 50002, 52546])
#: Codecs that work on numbers of 8 bits, and those that work on what LERC knows.
_BYTES_ONLY: Final = frozenset([50001])
#: Codecs that a predictor may precede; to the others libtiff does not apply it.
_WITH_PREDICTOR: Final = frozenset([5, 8, 32946, 34925, 50000])
_HORIZONTAL, _FLOATING = 2, 3

_MAX_SIDE: Final = 2**31 - 1
_MAX_SAMPLES: Final = 2**16 - 1
_MAX_TILE_BYTES: Final = 256 * 2**20
_MAX_STRIP_BYTES: Final = 2**30

TILE_IT: Final = "`gdal_translate -of COG IN OUT` or `rio cogeo create IN OUT` makes a tiled copy"
RECODE_IT: Final = "`gdal_translate -of COG -co COMPRESS=DEFLATE IN OUT` makes a copy that can be read"


def read_level(page: Directory) -> Level:
    """Read the layout of the pixels of a directory.

    Raises
    ------
    SourceError
        UNSUPPORTED_LAYOUT, UNSUPPORTED_CODEC, SOURCE_CORRUPT.
    """
    part = page.part(_TAGS)
    return _level(page) if part is None else _known_level(part)


@lru_cache(maxsize=4096)
def _known_level(part: DirectoryPart) -> Level:
    return _level(part)


def _level(page: Directory) -> Level:
    width, height = page.integer(_WIDTH), page.integer(_HEIGHT)
    if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE):
        raise corrupt(f"the image claims to have {width} x {height} pixels")
    samples = page.integer(_SAMPLES, 1)
    if not 0 < samples <= _MAX_SAMPLES:
        raise corrupt("the image claims to have no samples" if samples < 1 else f"it claims to have {samples} samples")
    planar = page.integer(_PLANAR, _CONTIGUOUS)
    if planar not in (_CONTIGUOUS, _SEPARATE):
        raise corrupt(f"the samples claim to be arranged in the unknown way {planar}")
    extra = page.array(_EXTRA_SAMPLES)
    if extra.size > samples or not set(extra.tolist()) <= _KINDS_OF_EXTRA:
        raise corrupt("the extra samples are of no kind that there is")
    dtype, stored = sample_type(page, samples)
    compression = _codec(page.integer(_COMPRESSION, NONE))
    if compression == JPEG and stored == "uint12":
        stored = None  # libjpeg gives each sample two bytes
    tile_width, tile_height, striped = _tile(page, width, height)
    level = Level(
        width=width,
        height=height,
        tile_width=tile_width,
        tile_height=tile_height,
        dtype=dtype,
        stored=stored,
        big_endian=page.big_endian and compression not in _NATIVE,
        compression=compression,
        predictor=_predictor(page, compression, dtype, stored),
        photometric=page.integer(_PHOTOMETRIC, 1),
        samples=samples,
        planar_separate=planar == _SEPARATE and samples > 1,
        striped=striped,
        bits_reversed=page.integer(_FILL_ORDER, 1) == _LSB_FIRST,
        option=_option(page, compression),
        jpeg_tables=page.array(_JPEG_TABLES).tobytes() or None if compression == JPEG else None,
        ycbcr=_ycbcr(page, compression, dtype),
    )
    _check(level)
    return level


def _tile(page: Directory, width: int, height: int) -> tuple[int, int, bool]:
    """Width and height of a tile, and whether it is a strip."""
    if _TILE_WIDTH in page or _TILE_HEIGHT in page:
        size = page.integer(_TILE_WIDTH), page.integer(_TILE_HEIGHT)
        if min(size) < 1:
            raise corrupt(f"the tiles claim to have {size[0]} x {size[1]} pixels")
        return *size, False
    rows = page.integer(_ROWS_PER_STRIP, height)
    if rows < 1:
        raise corrupt("the strips claim to have no rows")
    return width, min(rows, height), True


def _codec(compression: int) -> int:
    name = missing_codec(compression)
    if name is not None:
        raise SourceError(
            ErrorCode.UNSUPPORTED_CODEC, f"the codec {name} (compression {compression}) is not read", hint=RECODE_IT
        )
    return compression


def _predictor(page: Directory, compression: int, dtype: str, stored: str | None) -> int:
    predictor = page.integer(_PREDICTOR, 1) if compression in _WITH_PREDICTOR else 1
    packed = stored is not None and not stored.startswith(("float16", "complex"))
    fits = {
        1: True,
        _HORIZONTAL: not packed and dtype != "complex128",
        _FLOATING: np.dtype(dtype).kind == "f",
    }
    if not fits.get(predictor, False):
        raise SourceError(
            ErrorCode.UNSUPPORTED_CODEC,
            f"the predictor {predictor} is not read for {stored or dtype} pixels",
            hint=RECODE_IT,
        )
    return predictor


def _option(page: Directory, compression: int) -> int:
    if compression == _LERC:
        parameters = page.array(_LERC_PARAMETERS)
        return int(parameters[1]) if parameters.size > 1 and parameters.dtype.kind == "u" else 0
    return page.integer(_T4_OPTIONS, 0) if compression in _CCITT else 0


def _ycbcr(page: Directory, compression: int, dtype: str) -> YCbCr | None:
    if page.integer(_PHOTOMETRIC, 1) != _YCBCR or compression == JPEG:
        return None
    usual = YCbCr()
    across, down = (page.array(_SUBSAMPLING).tolist() or list(usual.subsampling))[:2]
    if dtype != "uint8" and (across, down) == (1, 1):
        return None  # as it is stored: GDAL converts bytes only
    luma, reference = page.numbers(_LUMA), page.numbers(_REFERENCE)
    return YCbCr(
        subsampling=(int(across), int(down)),
        luma=tuple(luma[:3]) if len(luma) >= len(usual.luma) else usual.luma,
        reference=tuple(reference[:6]) if len(reference) >= len(usual.reference) else usual.reference,
    )


def _check(level: Level) -> None:
    """Refuse what can be described but not read."""
    limit = _MAX_STRIP_BYTES if level.striped else _MAX_TILE_BYTES
    # Strips without compression are read by rows, whatever their height.
    if level.tile_nbytes > limit and not (level.striped and level.compression == NONE):
        kind = "strips" if level.striped else "tiles"
        raise layout_error(f"the {kind} are larger than {limit // 2**20} MiB", TILE_IT)
    bits = level.stored_bits
    if level.compression in _CCITT and (bits, level.tile_shape[2]) != (1, 1):
        raise layout_error("the pixels are coded as fax lines, but are not of one bit", RECODE_IT)
    if level.compression == _LERC and (level.stored or level.dtype in {"int64", "uint64"}):
        raise layout_error(f"the pixels are LERC of {level.stored or level.dtype}", RECODE_IT)
    if level.compression == JPEG and (level.stored or level.dtype) not in ("uint8", "uint16"):
        raise layout_error(f"the pixels are JPEG of {level.stored or level.dtype}", RECODE_IT)
    if level.compression in _BYTES_ONLY and (level.dtype != "uint8" or level.stored):
        raise layout_error(f"the pixels are WebP of {level.stored or level.dtype}", RECODE_IT)
    _check_colours(level)


def _check_colours(level: Level) -> None:
    """Colours that GDAL turns into RGB are turned here as well, or refused."""
    chunky = not level.planar_separate
    if level.ycbcr is not None:
        usual = level.predictor == 1 and set(level.ycbcr.subsampling) <= {1, 2, 4} and level.dtype == "uint8"
        if not (chunky and level.samples == len(level.ycbcr.luma) and level.stored is None and usual):
            raise layout_error("the pixels are YCbCr in a rare layout", RECODE_IT)
    if np.dtype(level.dtype).itemsize > 1 or level.stored == "uint1":
        return
    if level.photometric == _SEPARATED:
        if not (chunky and level.samples == 4 and level.stored is None):  # noqa: PLR2004
            raise layout_error("the pixels are inks other than four chunky ones", RECODE_IT)
    elif level.photometric == _LAB or level.photometric in _LOGARITHMIC:
        raise layout_error("the colours of the pixels are CIE L*a*b* or logarithmic", RECODE_IT)


def layout_error(message: str, hint: str) -> SourceError:
    """Error for a layout that is not read."""
    return SourceError(ErrorCode.UNSUPPORTED_LAYOUT, message, hint=hint)
