"""Colours that GDAL hands out as RGB whatever they are stored as, with the arithmetic of libtiff."""

from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from rasterflight_server.read.scratch import Bytes
from rasterflight_server.types import Level, YCbCr

_SEPARATED: Final = 5
_SHIFT: Final = 16
_HALF: Final = 1 << (_SHIFT - 1)
Integers = npt.NDArray[np.int64]


def is_ink(level: Level) -> bool:
    """Whether the pixels are cyan, magenta, yellow and black."""
    return level.photometric == _SEPARATED and level.samples == 4 and level.dtype == "uint8" and not level.stored  # noqa: PLR2004


def ink_to_rgba(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Cyan, magenta, yellow, black -> red, green, blue, 255; along the last axis."""
    white = 255 - pixels.astype(np.int32)
    colours = white[..., 3:] * white[..., :3] // 255
    found: npt.NDArray[Any] = np.concatenate([colours, np.full_like(white[..., :1], 255)], axis=-1).astype(np.uint8)
    return found


def ycbcr_to_rgb(data: Bytes, cols: int, ycbcr: YCbCr) -> Bytes:
    """YCbCr in groups of pixels that share one Cb and Cr -> RGB, shape (rows, columns, 3); rows beyond the tile are padding."""
    across, down = ycbcr.subsampling
    groups = data.reshape(-1, -(-cols // across), across * down + 2)
    count = len(groups)
    brightness = groups[..., :-2].reshape(count, -1, down, across).transpose(0, 2, 1, 3).reshape(count * down, -1)
    blue, red = (groups[..., index].repeat(down, axis=0).repeat(across, axis=1)[:, :cols] for index in (-2, -1))
    tables = _tables(ycbcr)
    y = tables.brightness[brightness[:, :cols]]
    rgb = [
        y + tables.red[red],
        y + ((tables.green_red[red] + tables.green_blue[blue]) >> _SHIFT),
        y + tables.blue[blue],
    ]
    found: Bytes = np.stack(rgb, axis=-1).clip(0, 255).astype(np.uint8)
    return found


class _Tables:
    """What each stored value adds to each colour, in fixed point as libtiff computes it."""

    def __init__(self, ycbcr: YCbCr) -> None:
        luma_red, luma_green, luma_blue = (np.float32(value) for value in ycbcr.luma)
        reference = [np.float32(value) for value in ycbcr.reference]
        two = np.float32(2)
        f1, f3 = two - two * luma_red, two - two * luma_blue
        d1, d3 = _fixed(f1), _fixed(f3)
        d2, d4 = -_fixed(luma_red * f1 / luma_green), -_fixed(luma_blue * f3 / luma_green)
        centred = np.arange(-128, 128)
        red = _scaled(centred, reference[4] - 128, reference[5] - 128, 127)
        blue = _scaled(centred, reference[2] - 128, reference[3] - 128, 127)
        self.red: Integers = (d1 * red + _HALF) >> _SHIFT
        self.blue: Integers = (d3 * blue + _HALF) >> _SHIFT
        self.green_red: Integers = d2 * red
        self.green_blue: Integers = d4 * blue + _HALF
        self.brightness: Integers = _scaled(centred + 128, reference[0], reference[1], 255)


@lru_cache(maxsize=16)
def _tables(ycbcr: YCbCr) -> _Tables:
    return _Tables(ycbcr)


def _fixed(value: np.float32) -> int:
    return int(min(max(float(value), 0.0), 2.0) * (1 << _SHIFT) + 0.5)


def _scaled(codes: npt.NDArray[Any], black: np.float32, white: np.float32, span: int) -> Integers:
    width = float(white - black) or 1.0
    values = (codes - int(black)).astype(np.float32) * np.float32(span) / np.float32(width)
    scaled: Integers = np.trunc(values.clip(-4096, 4096)).astype(np.int64)
    return scaled
