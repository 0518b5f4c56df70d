"""What the samples of a TIFF are colours of, as GDAL understands it."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from rasterflight_protocol import Colormap
from rasterflight_server.ingest.ifd import Directory
from rasterflight_server.types import Level

_COLOR_MAP, _EXTRA_SAMPLES = 320, 338
#: All that colours depend on, but for the layout of the pixels.
COLOR_TAGS: Final = (_COLOR_MAP, _EXTRA_SAMPLES)
_WHITE, _BLACK, _RGB, _PALETTE, _SEPARATED, _YCBCR = 0, 1, 2, 3, 5, 6
_PRIMARY: Final = {
    _WHITE: ("palette",),
    _BLACK: ("gray",),
    _RGB: ("red", "green", "blue"),
    _PALETTE: ("palette",),
    _SEPARATED: ("cyan", "magenta", "yellow", "black"),
    _YCBCR: ("red", "green", "blue"),
}
#: Associated, unassociated, and what an old program wrote for the latter.
_ALPHA: Final = frozenset([1, 2, 999])
_MAX_COLORS: Final = 4096
_MAX_GRAY: Final = 256


def color_interpretation(page: Directory, level: Level) -> list[str]:
    """Colour of each sample, in the words of rasterio."""
    extra = page.array(_EXTRA_SAMPLES).tolist()
    primary: Sequence[str] = _PRIMARY.get(level.photometric, ["undefined"] * max(0, level.samples - len(extra)))
    if level.photometric == _WHITE and not _has_grays(level):
        primary = ["undefined"]
    if level.photometric == _BLACK and level.samples == 1 and level.stored_bits == 1:
        primary = ["palette"]
    further = ["alpha" if value in _ALPHA else "undefined" for value in extra]
    colors = [*primary, *further, *["undefined"] * level.samples]
    return colors[: level.samples]


def read_colormap(page: Directory, level: Level, nodata: int | None) -> Colormap | None:
    """Read the colour table of the first sample.

    An image whose 0 is white has a table of grays, as GDAL gives it one, and so has one of single bits. Tables of more than
    4096 colours are left out.

    Parameters
    ----------
    nodata
        Entry that is transparent, where there is a table in the file.
    """
    if level.photometric == _PALETTE:
        return _palette(page.array(_COLOR_MAP)[: 3 * (_MAX_COLORS + 1)], nodata)
    bits = level.stored_bits
    if level.photometric == _WHITE and _has_grays(level) and 2**bits <= _MAX_GRAY:
        return _grays([255 - 255 * value / (2**bits - 1) for value in range(2**bits)])
    return _grays([0, 255]) if level.photometric == _BLACK and bits == 1 and level.samples == 1 else None


def _has_grays(level: Level) -> bool:
    return np.dtype(level.dtype).kind in "iu" and level.stored_bits <= 16  # noqa: PLR2004 - as GDAL


def _palette(values: np.ndarray, nodata: int | None) -> Colormap | None:
    if not values.size or values.size % 3 or values.size > 3 * _MAX_COLORS or values.dtype.kind not in "ui":
        return None
    # TIFF has colours of 16 bits, but not every program knows.
    largest = int(values.max())
    step = 1 if largest <= 255 else 256 if not (values % 256).any() else 257  # noqa: PLR2004
    table = (values.reshape(3, -1).T // step).tolist()
    return tuple((red, green, blue, 0 if i == nodata else 255) for i, (red, green, blue) in enumerate(table))


def _grays(levels: Sequence[float]) -> Colormap:
    return tuple((int(level), int(level), int(level), 255) for level in levels)
