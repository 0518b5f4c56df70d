"""From the stored bytes of one tile to its pixels."""

import sys
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.read.scratch import Bytes, Scratch
from rasterflight_server.types import Level

Pixels = npt.NDArray[Any]

#: TIFF compression codes that are read, and their names.
CODECS = {1: "none", 5: "LZW", 8: "deflate", 32946: "deflate", 50000: "ZSTD"}
#: TIFF predictors that are read: none, horizontal differences, floating point.
PREDICTORS = (1, 2, 3)

# The stubs of imagecodecs do not know that `out` takes and returns arrays.
_DECODERS: dict[int, Any] = {
    5: imagecodecs.lzw_decode,
    8: imagecodecs.deflate_decode,
    32946: imagecodecs.deflate_decode,
    50000: imagecodecs.zstd_decode,
}


@dataclass(frozen=True, slots=True)
class Placement:
    """A part of a tile and where its pixels go."""

    row_start: int
    row_stop: int
    col_start: int
    col_stop: int
    #: Sample inside the tile; 0 when samples are stored in separate planes.
    sample: int
    #: Shape (rows, columns), any strides, native byte order.
    out: Pixels


def inflate(level: Level, raw: Any, scratch: Scratch) -> Bytes:
    """Undo the compression.

    Returns
    -------
    ndarray
        uint8, ``level.tile_nbytes`` long; a view of ``scratch``, or of ``raw`` when it is not compressed.

    Raises
    ------
    SourceError
        SOURCE_CORRUPT: the bytes do not decode, or not to the size of a tile.
    """
    wanted = level.tile_nbytes
    if level.compression == 1:
        data: Bytes = np.frombuffer(raw, np.uint8)
    else:
        try:
            data = _DECODERS[level.compression](raw, out=scratch.inflated(wanted))
        except (RuntimeError, ValueError) as error:
            raise SourceError(
                ErrorCode.SOURCE_CORRUPT, f"a tile does not decode as {CODECS[level.compression]}"
            ) from error
    if data.size < wanted:
        raise SourceError(ErrorCode.SOURCE_CORRUPT, f"a tile decodes to {data.size} bytes instead of {wanted}")
    return data[:wanted]


def restore(level: Level, data: Bytes, rows: slice, scratch: Scratch) -> Pixels:
    """Undo predictor and byte order for some rows of a tile.

    Returns
    -------
    ndarray
        Shape (rows, tile width, samples), native byte order or the file's; a view of ``data`` or of ``scratch``.
    """
    _, cols, samples = level.tile_shape
    dtype = np.dtype(level.dtype)
    if level.predictor == 3:  # noqa: PLR2004 - TIFF tag value
        return _restore_float(data, (level.tile_height, cols, samples), dtype, rows, scratch)
    stored = data.view(dtype.newbyteorder(">" if level.big_endian else "<")).reshape(level.tile_shape)[rows]
    if level.predictor == 1:
        return stored
    restored = scratch.restored(stored.nbytes).view(dtype).reshape(stored.shape)
    if level.big_endian and dtype.itemsize > 1:
        np.copyto(restored, stored)
        stored = restored
    return _undo_differences(stored, restored)


def place(level: Level, data: Bytes, placements: list[Placement], scratch: Scratch) -> None:
    """Write parts of an inflated tile to where they go."""
    if len(placements) == 1 and _place_directly(level, data, placements[0]):
        return
    rows = slice(min(part.row_start for part in placements), max(part.row_stop for part in placements))
    pixels = restore(level, data, rows, scratch)
    for part in placements:
        source = pixels[part.row_start - rows.start : part.row_stop - rows.start, part.col_start : part.col_stop]
        np.copyto(part.out, source[:, :, part.sample])


def _place_directly(level: Level, data: Bytes, part: Placement) -> bool:
    """Undo horizontal differences straight into the destination: predictor and copy in one pass."""
    dtype = np.dtype(level.dtype)
    swapped = level.big_endian and dtype.itemsize > 1
    if level.predictor != 2 or level.tile_shape[2] != 1 or part.col_start or swapped:  # noqa: PLR2004 - TIFF tag value
        return False
    stored = data.view(dtype).reshape(level.tile_height, level.tile_width)
    _undo_differences(stored[part.row_start : part.row_stop, : part.col_stop], part.out)
    return True


def _undo_differences(stored: Pixels, out: Pixels) -> Pixels:
    # Differences are taken of the bits, also for floats.
    bits = np.dtype(f"u{stored.dtype.itemsize}")
    imagecodecs.delta_decode(stored.view(bits), axis=1, out=out.view(bits))
    return out


def _restore_float(
    data: Bytes, shape: tuple[int, int, int], dtype: np.dtype[Any], rows: slice, scratch: Scratch
) -> Pixels:
    """Floating point predictor (TIFF technical note 3): differences of bytes, most significant bytes of a row first."""
    height, cols, samples = shape
    size = dtype.itemsize
    stored = data.reshape(height, cols * size, samples)[rows]
    count = stored.shape[0]
    room = scratch.restored(2 * stored.nbytes)
    planes = room[: stored.nbytes].reshape(count, size, cols * samples)
    imagecodecs.delta_decode(stored, axis=1, out=planes.reshape(stored.shape))
    pixels = room[stored.nbytes :].reshape(count, cols * samples, size)
    little = sys.byteorder == "little"
    for significance in range(size):
        pixels[:, :, size - 1 - significance if little else significance] = planes[:, significance]
    return pixels.reshape(-1).view(dtype).reshape(count, cols, samples)
