"""Which pixels count, as GDAL decides it: by a mask in the file, by nodata, or by the alpha band."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from rasterflight_protocol import nodata_pixel
from rasterflight_server.plan.levels import mask_of
from rasterflight_server.types import Profile

Pixels = npt.NDArray[Any]
#: Files of so many samples may have an alpha band, the last; GDAL looks for it in these types only.
_WITH_ALPHA: Final = (2, 4)
_ALPHA_DTYPES: Final = ("uint8", "uint16")


class Witness(NamedTuple):
    """A sample of a file that tells which pixels are invalid: those where it holds a value."""

    #: As ``Profile.level`` counts.
    level: int
    sample: int
    value: Any


def witnesses(profile: Profile, sample: int, number: int = 0) -> tuple[Witness, ...]:
    """Who tells which pixels of a sample are invalid: those where all witnesses agree.

    Parameters
    ----------
    number
        Of the level, which has a mask if the full resolution has one.

    Returns
    -------
    tuple of Witness
        Empty: all pixels are valid.
    """
    dtype = profile.levels[0].dtype
    nodata = profile.nodata_of(sample)
    if nodata is not None and nodata == profile.bands[sample].nodata:
        # The configuration has the last word.
        return (Witness(number, sample, nodata_pixel(nodata, dtype)),)
    if profile.masks:
        mask = mask_of(profile, number) if number else len(profile.levels)
        assert mask is not None
        return (Witness(mask, sample if profile.level(mask).samples > 1 else 0, np.uint8(0)),)
    if profile.nodata_values is not None:
        values = enumerate(profile.nodata_values)
        return tuple(Witness(number, other, nodata_pixel(value, dtype)) for other, value in values)
    if nodata is not None:
        return (Witness(number, sample, nodata_pixel(nodata, dtype)),)
    last = len(profile.bands) - 1
    has_alpha = last + 1 in _WITH_ALPHA and profile.bands[last].colorinterp == "alpha" and dtype in _ALPHA_DTYPES
    return (Witness(number, last, np.dtype(dtype).type(0)),) if has_alpha and sample != last else ()


def invalid(found: Sequence[tuple[Pixels, Any]]) -> npt.NDArray[np.bool_]:
    """Say where all arrays hold their value; at least one array, all of one shape."""
    (pixels, value), *others = found
    result = _holds(pixels, value)
    for pixels, value in others:
        result &= _holds(pixels, value)
    return result


def _holds(pixels: Pixels, value: Any) -> npt.NDArray[np.bool_]:
    if pixels.dtype.kind == "c":
        pixels, value = pixels.real, value.real
    if pixels.dtype.kind != "f":
        return np.asarray(pixels == value)
    if np.isnan(value):
        return np.isnan(pixels)
    # GDAL's ARE_REAL_EQUAL, in the type of the pixels: beyond half of the type's range its sum overflows, and everything
    # of the same sign counts as equal that overflows too.
    with np.errstate(over="ignore", invalid="ignore"):
        tolerance = np.abs(pixels + value) * (2 * np.finfo(pixels.dtype).eps)
        return np.asarray((pixels == value) | (np.abs(pixels - value) < tolerance))
