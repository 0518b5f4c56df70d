"""Undoing the compression of a tile: one function for each codec that TIFF files use."""

import lzma
from collections.abc import Callable
from typing import Any, Final

import imagecodecs
import numpy as np
from isal import isal_zlib

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.read.imagetiles import decode_ccitt, decode_image, decode_jpeg, decode_lerc
from rasterflight_server.read.scratch import Bytes, Scratch
from rasterflight_server.types import Level

# Its stubs do not know that `out` takes and returns arrays.
_codecs: Any = imagecodecs
# Its stubs take its error for an instance.
_isal: Any = isal_zlib

NONE: Final = 1
JPEG: Final = 7
#: A codec: level, stored bytes, rows that are wanted, room for the output -> bytes, at best as many as the rows take.
Codec = Callable[[Level, Any, int, Scratch], Bytes]

_REVERSED: Final = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)[:, ::-1], axis=1)[:, 0]
# imagecodecs raises what derives from RuntimeError or ValueError; liblzma and ISA-L have errors of their own.
_DAMAGED: Final = (RuntimeError, ValueError, lzma.LZMAError, EOFError, _isal.IsalError)
#: The byte of PackBits that stands for nothing.
_NOTHING: Final = 128
_LZMA_MEMORY: Final = 128 << 20


def can_stop(level: Level) -> bool:
    """Whether the first rows of a tile can be had for less than the whole tile."""
    return level.compression in _STOPPING and not level.jpeg_tables


def inflate(level: Level, raw: Any, rows: int, scratch: Scratch, *, stop: bool = False) -> Bytes:
    """Undo the compression.

    Parameters
    ----------
    level, raw
        Of the tile.
    rows
        Rows of the tile that are wanted, from its first on; all that lie in the image, unless ``stop``.
    stop
        Go no further than these rows, which `can_stop`. What comes after them is not looked at, a checksum at the end neither.

    Returns
    -------
    ndarray
        uint8, as long as these rows; a view of ``scratch``, of ``raw`` when it is not compressed, or new.

    Raises
    ------
    SourceError
        SOURCE_CORRUPT: the bytes do not decode, or to too few.
    """
    wanted = level.stored_nbytes(rows)
    if level.bits_reversed and level.compression != JPEG:
        raw = _REVERSED[np.frombuffer(raw, np.uint8)]
    if level.compression == NONE:
        data: Bytes = np.frombuffer(raw, np.uint8)
    else:
        name, decode = CODECS[level.compression]
        if stop:
            decode = _STOPPING[level.compression]
        try:
            data = decode(level, raw, rows, scratch)
        except _DAMAGED as error:
            raise SourceError(ErrorCode.SOURCE_CORRUPT, f"a tile does not decode as {name}") from error
    if data.size < wanted:
        raise SourceError(ErrorCode.SOURCE_CORRUPT, f"a tile decodes to {data.size} bytes instead of {wanted}")
    return data[:wanted]


def missing_codec(compression: int) -> str | None:
    """Name of a compression that cannot be undone here; None: it can."""
    if compression in CODECS:
        return None
    return _OTHERS.get(compression, "unknown")


def _plain(name: str) -> Codec:
    function = getattr(imagecodecs, name)

    def decode(level: Level, raw: Any, _rows: int, scratch: Scratch) -> Bytes:
        return _bytes(function(raw, out=scratch.inflated(level.stored_nbytes(level.tile_height))))

    return decode


def _bytes(decoded: Any) -> Bytes:
    data: Bytes = decoded
    return data


def _packbits(level: Level, raw: Any, rows: int, scratch: Scratch) -> Bytes:
    """PackBits, also where there is more than belongs to a tile: padding is common."""
    try:
        return _plain("packbits_decode")(level, raw, rows, scratch)
    except RuntimeError:
        wanted = level.stored_nbytes(rows)
        stop, found = _packbits_end(bytes(raw), wanted)
        return _bytes(_codecs.packbits_decode(raw[:stop], out=np.empty(found, np.uint8)))


def _packbits_end(raw: bytes, wanted: int) -> tuple[int, int]:
    """Where the run ends that reaches as many bytes, and how many there are then."""
    at = found = 0
    while at < len(raw) and found < wanted:
        head = raw[at]
        if head < _NOTHING:
            at, found = at + head + 2, found + head + 1
        elif head > _NOTHING:
            at, found = at + 2, found + 257 - head
        else:
            at += 1
    return at, found


def _zstd(level: Level, raw: Any, rows: int, scratch: Scratch) -> Bytes:
    """ZSTD, also where a tile holds somewhat too much."""
    try:
        return _plain("zstd_decode")(level, raw, rows, scratch)
    except RuntimeError:
        room = 2 * level.stored_nbytes(level.tile_height) + 4096
        return _bytes(_codecs.zstd_decode(raw, out=np.empty(room, np.uint8)))


def _lzma(level: Level, raw: Any, _rows: int, scratch: Scratch) -> Bytes:
    return _first_of_lzma(level, raw, level.tile_height, scratch)


def _first_of_lzma(level: Level, raw: Any, rows: int, _scratch: Scratch) -> Bytes:
    # Not by imagecodecs: a stream can ask for a dictionary of gigabytes, and here that has a limit.
    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LZMA_MEMORY)
    return np.frombuffer(decoder.decompress(raw, level.stored_nbytes(rows)), np.uint8)


def _first_of_deflate(level: Level, raw: Any, rows: int, _scratch: Scratch) -> Bytes:
    # libdeflate has no way to stop; ISA-L has, and takes no longer for each byte.
    return np.frombuffer(isal_zlib.decompressobj().decompress(raw, level.stored_nbytes(rows)), np.uint8)


def _first_of_lzw(level: Level, raw: Any, rows: int, scratch: Scratch) -> Bytes:
    return _bytes(_codecs.lzw_decode(raw, out=scratch.inflated(level.stored_nbytes(rows))))


def _first_as_stored(_level: Level, raw: Any, _rows: int, _scratch: Scratch) -> Bytes:
    return np.frombuffer(raw, np.uint8)


#: The codecs that can be stopped when the rows that are wanted are there.
_STOPPING: Final[dict[int, Codec]] = {
    NONE: _first_as_stored,
    5: _first_of_lzw,
    8: _first_of_deflate,
    32946: _first_of_deflate,
    34925: _first_of_lzma,
}


def _table() -> dict[int, tuple[str, Codec]]:
    """Codecs that this build of imagecodecs has, by TIFF compression code."""
    known: dict[int, tuple[str, str, Codec]] = {
        2: ("CCITT RLE", "CCITTRLE", decode_ccitt),
        3: ("CCITT fax 3", "CCITTFAX3", decode_ccitt),
        4: ("CCITT fax 4", "CCITTFAX4", decode_ccitt),
        5: ("LZW", "LZW", _plain("lzw_decode")),
        JPEG: ("JPEG", "JPEG8", decode_jpeg),
        8: ("deflate", "DEFLATE", _plain("deflate_decode")),
        32773: ("PackBits", "PACKBITS", _packbits),
        32946: ("deflate", "DEFLATE", _plain("deflate_decode")),
        34712: ("JPEG 2000", "JPEG2K", decode_image),
        34887: ("LERC", "LERC", decode_lerc),
        34925: ("LZMA", "NONE", _lzma),
        50000: ("ZSTD", "ZSTD", _zstd),
        50001: ("WebP", "WEBP", decode_image),
        50002: ("JPEG XL", "JPEGXL", decode_image),
        52546: ("JPEG XL", "JPEGXL", decode_image),
    }
    return {
        code: (name, codec) for code, (name, library, codec) in known.items() if getattr(imagecodecs, library).available
    }


#: TIFF compression code -> its name and how it is undone.
CODECS: Final = {NONE: ("none", _plain("none_decode")), **_table()}
_OTHERS: Final = {
    2: "CCITT RLE", 3: "CCITT fax 3", 4: "CCITT fax 4", 6: "old-style JPEG", 7: "JPEG", 32766: "NeXT", 32771: "CCITT RLEW",
    32773: "PackBits", 32809: "ThunderScan", 34661: "JBIG", 34676: "SGI LogLuv", 34677: "SGI LogLuv24",
    34712: "JPEG 2000", 34887: "LERC", 34925: "LZMA", 50000: "ZSTD", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip
