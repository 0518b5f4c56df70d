"""From inflated bytes to samples: packed bits, predictors, byte order, and types that NumPy does not have."""

import sys
from typing import Any, Final, Literal

import imagecodecs
import numpy as np
import numpy.typing as npt

from rasterflight_server.read.colours import ink_to_rgba, is_ink, ycbcr_to_rgb
from rasterflight_server.read.scratch import Bytes, Scratch
from rasterflight_server.types import Level

Pixels = npt.NDArray[Any]

HORIZONTAL: Final = 2
FLOATING: Final = 3
# NumPy types of what is stored, or of its two parts.
_PARTS: Final = {"float16": "float16", "complex_int16": "int16", "complex_int32": "int32"}
_WHOLE_BYTES: Final = 24
#: Exponent of infinities and NaN in 24 bits.
_INFINITE: Final = 0x7F


def restore(level: Level, data: Bytes, rows: slice, scratch: Scratch) -> Pixels:
    """Undo predictor, byte order and packing for some rows of a tile.

    Returns
    -------
    ndarray
        Shape (rows, tile width, samples), native byte order or the file's; a view of ``data`` or of ``scratch``, or new.
    """
    if level.ycbcr is not None:
        return ycbcr_to_rgb(data, level.tile_width, level.ycbcr)[rows]
    restored = (_restore_whole if level.stored is None else _restore_stored)(level, data, rows, scratch)
    return ink_to_rgba(restored) if is_ink(level) else restored


def undo_differences(stored: Pixels, out: Pixels) -> Pixels:
    """Undo the horizontal predictor along axis 1; ``out`` may have any strides."""
    # Differences are taken of the bits, also for floats.
    bits = np.dtype(f"u{stored.dtype.itemsize}")
    imagecodecs.delta_decode(stored.view(bits), axis=1, out=out.view(bits))
    return out


def add_sums(before: Pixels, out: Pixels) -> None:
    """Add to each row the differences to its left, which `undo_differences` did not see; cheaper than to undo these too."""
    bits = np.dtype(f"u{before.dtype.itemsize}")
    pixels = out.view(bits)
    pixels += np.add.reduce(before.view(bits), axis=1, dtype=bits, keepdims=True)


def _restore_whole(level: Level, data: Bytes, rows: slice, scratch: Scratch) -> Pixels:
    """Samples that are stored as what they are."""
    dtype = np.dtype(level.dtype)
    if level.predictor == FLOATING:
        return _float_bytes(level, data, dtype.itemsize, rows, scratch).view(dtype)[..., 0]
    return _restore_plain(level, data, rows, scratch, dtype=dtype)


def _restore_stored(level: Level, data: Bytes, rows: slice, scratch: Scratch) -> Pixels:
    """Samples that are stored as something else."""
    if level.stored == "float24":
        return _restore_float24(level, data, rows, scratch)
    if level.stored == "float16" and level.predictor == FLOATING:
        return _float_bytes(level, data, 2, rows, scratch).view(np.float16)[..., 0].astype(level.dtype)
    if level.stored in _PARTS:
        return _restore_converted(level, data, rows, scratch)
    return _unpack(level, data, rows)


def _restore_plain(
    level: Level, data: Bytes, rows: slice, scratch: Scratch, *, dtype: np.dtype[Any], parts: int = 1
) -> Pixels:
    """Undo byte order and horizontal differences of samples, or of the parts of samples."""
    shape = (-1, level.tile_width, level.tile_shape[2] * parts)
    order: Literal[">", "<"] = ">" if level.big_endian else "<"
    if level.predictor != HORIZONTAL:
        return data.view(dtype.newbyteorder(order)).reshape(shape)[rows]
    # libtiff takes the differences of complex numbers as of integers of that size: so goes the byte order.
    bits = np.dtype(f"u{dtype.itemsize}")
    stored = data.view(bits.newbyteorder(order)).reshape(shape)[rows]
    restored = scratch.restored(stored.nbytes).view(bits).reshape(stored.shape)
    if level.big_endian and dtype.itemsize > 1:
        np.copyto(restored, stored)
        stored = restored
    return undo_differences(stored, restored).view(dtype)


def _restore_converted(level: Level, data: Bytes, rows: slice, scratch: Scratch) -> Pixels:
    """Half floats as floats, complex integers as complex floats."""
    assert level.stored is not None
    part = np.dtype(_PARTS[level.stored])
    if part.kind == "f":
        return _restore_plain(level, data, rows, scratch, dtype=part).astype(level.dtype)
    if level.predictor == HORIZONTAL:
        whole = np.dtype(f"u{2 * part.itemsize}")
        pairs = _restore_plain(level, data, rows, scratch, dtype=whole).view(part)
    else:
        pairs = _restore_plain(level, data, rows, scratch, dtype=part, parts=2)
    return pairs.astype(np.float32).view(np.complex64)


def _float_bytes(level: Level, data: Bytes, size: int, rows: slice, scratch: Scratch) -> Bytes:
    """Floating point predictor (TIFF technical note 3): differences of bytes, most significant bytes of a row first.

    Returns
    -------
    ndarray
        Shape (rows, columns, samples, size), bytes of a sample in native order; a view of ``scratch``.
    """
    _, cols, samples = level.tile_shape
    stored = data.reshape(-1, cols * size, samples)[rows]
    count = stored.shape[0]
    room = scratch.restored(2 * stored.nbytes)
    planes = room[: stored.nbytes].reshape(count, size, cols * samples)
    imagecodecs.delta_decode(stored, axis=1, out=planes.reshape(stored.shape))
    pixels = room[stored.nbytes :].reshape(count, cols * samples, size)
    little = sys.byteorder == "little"
    for significance in range(size):
        pixels[:, :, size - 1 - significance if little else significance] = planes[:, significance]
    return pixels.reshape(count, cols, samples, size)


def _restore_float24(level: Level, data: Bytes, rows: slice, scratch: Scratch) -> Pixels:
    """Floats of 1 sign, 7 exponent and 16 mantissa bits."""
    _, cols, samples = level.tile_shape
    if level.predictor == FLOATING:
        triples = _float_bytes(level, data, 3, rows, scratch)
        low = sys.byteorder == "little"
    else:
        triples = data.reshape(-1, cols, samples, 3)[rows]
        low = not level.big_endian
    bits = _triples(triples, lowest_first=low)
    sign, exponent, mantissa = (bits >> 23) << 31, bits >> 16 & 0x7F, bits & 0xFFFF
    usual = (sign | np.where(exponent == _INFINITE, 0xFF, exponent + 64) << 23 | mantissa << 7).astype(np.uint32)
    # Below the smallest exponent there is no leading 1, but every such number has one as float32.
    small = mantissa.astype(np.float32) * np.float32(2.0**-78)
    small = np.where(sign > 0, -small, small)
    pixels: Pixels = np.where(exponent == 0, small, usual.view(np.float32))
    return pixels


def _unpack(level: Level, data: Bytes, rows: slice) -> Pixels:
    """Integers of 1 to 31 bits, unsigned whatever SampleFormat says."""
    _, cols, samples = level.tile_shape
    if level.stored_bits == _WHOLE_BYTES:
        # GDAL takes the three bytes for big-endian, after libtiff swapped those of big-endian files.
        triples = data.reshape(-1, cols, samples, 3)[rows]
        return _triples(triples, lowest_first=level.big_endian).astype(level.dtype)
    lines = np.ascontiguousarray(data.reshape(-1, level.stored_nbytes(1))[rows]).reshape(-1)
    codec: Any = imagecodecs.packints_decode  # its stubs do not know that it takes arrays
    unpacked: Pixels = codec(lines, level.dtype, level.stored_bits, runlen=cols * samples)
    return unpacked.reshape(-1, cols, samples)


def _triples(triples: Bytes, *, lowest_first: bool) -> npt.NDArray[np.uint32]:
    parts = triples.astype(np.uint32)
    first, middle, last = parts[..., 0], parts[..., 1], parts[..., 2]
    found: npt.NDArray[Any] = first | middle << 8 | last << 16 if lowest_first else first << 16 | middle << 8 | last
    return found.astype(np.uint32)
