"""Codecs whose streams are images of their own: JPEG, WebP, JPEG XL, JPEG 2000, LERC, CCITT fax."""

from collections.abc import Callable
from typing import Any, Final

import imagecodecs
import numpy as np

from rasterflight_server.read.samples import Pixels
from rasterflight_server.read.scratch import Bytes, Scratch
from rasterflight_server.types import Level

# Its stubs do not know that `out` takes and returns arrays.
_codecs: Any = imagecodecs
_YCBCR: Final = 6
_RGBA_SAMPLES: Final = 4
_MASK_DEFLATE, _MASK_ZSTD = 1, 2
# Colour spaces as imagecodecs names them for JPEG; by number of samples, and the same on both sides: no conversion.
_UNCONVERTED: Final = {1: "MINISBLACK", 3: "RGB", 4: "SEPARATED"}


def decode_jpeg(level: Level, raw: Any, rows: int, _scratch: Scratch) -> Bytes:
    """JPEG of 8 or 12 bits. Stored YCbCr becomes RGB and nothing else is converted, whatever markers the stream has."""
    samples = level.tile_shape[2]
    if level.photometric == _YCBCR and samples == 3:  # noqa: PLR2004
        spaces = {"colorspace": "YCBCR", "outcolorspace": "RGB"}
    else:
        space = _UNCONVERTED.get(samples)
        spaces = {"colorspace": space, "outcolorspace": space} if space else {}

    def decode(out: Pixels) -> Pixels:
        pixels: Pixels = _codecs.jpeg8_decode(raw, tables=level.jpeg_tables, out=out, **spaces)
        return pixels

    return _fitting(level, rows, decode)


def decode_image(level: Level, raw: Any, rows: int, _scratch: Scratch) -> Bytes:
    """WebP, JPEG XL, JPEG 2000."""

    def decode(out: Pixels) -> Pixels:
        pixels: Pixels
        match level.compression:
            case 50001:
                alpha = level.tile_shape[2] == _RGBA_SAMPLES
                pixels = imagecodecs.webp_decode(raw, hasalpha=alpha, out=out)
            case 34712:
                pixels = imagecodecs.jpeg2k_decode(raw, out=out)
            case _:
                pixels = imagecodecs.jpegxl_decode(raw, out=out)
        return pixels

    return _fitting(level, rows, decode)


def _fitting(level: Level, rows: int, decode: Callable[[Pixels], Pixels]) -> Bytes:
    """Decode into an array of a shape that is expected, so that no stream decides how much memory it takes.

    A last strip may hold more rows than the image has left.
    """
    _, cols, samples = level.tile_shape
    heights = [rows, level.tile_height] if level.striped else [level.tile_height]
    failure: Exception | None = None
    for height in dict.fromkeys(heights):
        shape = (height, cols) if samples == 1 else (height, cols, samples)
        try:
            return decode(np.empty(shape, level.dtype)).reshape(-1).view(np.uint8)
        except (RuntimeError, ValueError) as error:
            failure = failure or error
    assert failure is not None
    raise failure


def decode_lerc(level: Level, raw: Any, rows: int, scratch: Scratch) -> Bytes:
    """LERC, with deflate or ZSTD around it where LercParameters says so.

    Invalid pixels of floats are NaN. An alpha band of 0 and 255 is stored as the validity of the others.
    """
    if level.option == _MASK_DEFLATE:
        raw = _codecs.deflate_decode(raw, out=scratch.inflated(2 * level.tile_nbytes + 4096))
    elif level.option == _MASK_ZSTD:
        raw = _codecs.zstd_decode(raw, out=scratch.inflated(2 * level.tile_nbytes + 4096))
    height, cols, samples = level.tile_shape
    if level.striped:
        height = rows
    dtype = np.dtype(level.dtype)
    pixels: Pixels
    shapes: list[tuple[int, ...]] = (
        [(height, cols)] if samples == 1 else [(height, cols, samples), (samples, height, cols)]
    )
    if samples == _RGBA_SAMPLES or samples == 2:  # noqa: PLR1714, PLR2004
        shapes.append((height, cols, samples - 1) if samples > 2 else (height, cols))  # noqa: PLR2004
    failure: Exception | None = None
    for shape in shapes:
        try:
            pixels, mask = _codecs.lerc_decode(raw, masks=True, out=np.empty(shape, dtype))
        except (RuntimeError, ValueError) as error:
            failure = failure or error
            continue
        return _masked(pixels, mask, (height, cols, samples)).reshape(-1).view(np.uint8)
    assert failure is not None
    raise failure


def _masked(pixels: Pixels, mask: Pixels | None, shape: tuple[int, int, int]) -> Pixels:
    height, cols, samples = shape
    if pixels.shape == (samples, height, cols) and samples > 1:
        pixels = np.ascontiguousarray(np.moveaxis(pixels, 0, 2))
        if mask is not None and mask.ndim == 3:  # noqa: PLR2004
            mask = np.moveaxis(mask, 0, 2)
    pixels = pixels.reshape(height, cols, -1)
    if pixels.shape[2] < samples:
        alpha = np.full((height, cols, 1), 255, pixels.dtype) if mask is None else mask.reshape(height, cols, 1) * 255
        return np.concatenate([pixels, alpha.astype(pixels.dtype)], axis=2)
    if mask is not None and pixels.dtype.kind == "f":
        invalid = mask == 0
        pixels[np.broadcast_to(invalid if invalid.ndim == 3 else invalid[..., None], pixels.shape)] = np.nan  # noqa: PLR2004
    return pixels


def decode_ccitt(level: Level, raw: Any, rows: int, _scratch: Scratch) -> Bytes:
    """Bilevel fax codes; one bit per pixel comes out."""
    height = rows if level.striped else level.tile_height
    match level.compression:
        case 2:
            lines = imagecodecs.ccittrle_decode(raw, height, level.tile_width)
        case 3:
            lines = imagecodecs.ccittfax3_decode(raw, height, level.tile_width, t4options=level.option)
        case _:
            lines = imagecodecs.ccittfax4_decode(raw, height, level.tile_width)
    return np.packbits(np.asarray(lines).reshape(height, level.tile_width) != 0, axis=1).reshape(-1)
