"""GDAL_NODATA: one text for all bands, written by many programs in many ways, and read as GDAL reads it."""

import math
import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

# C's strtod and strtoll read as far as they can, and 0 where they cannot.
_FLOAT: Final = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_WHOLE: Final = re.compile(r"[+-]?\d+", re.ASCII)
_SPACE: Final = " \t\n\v\f\r"
# GDAL knows these spellings, by the whole text or, of those of old C libraries, by their beginning.
_SPECIAL: Final = {
    **dict.fromkeys(["nan", "NaN", "+nan", "+NaN"], math.nan),
    **dict.fromkeys(["inf", "Inf", "INF", "Infinity", "+inf", "+Inf", "+INF", "+Infinity"], math.inf),
    **dict.fromkeys(["-inf", "-Inf", "-INF", "-Infinity"], -math.inf),
}
_OLD: Final = {
    **dict.fromkeys(["-1.#QNAN", "-1.#IND", "1.#QNAN", "1.#SNAN"], math.nan),
    "-1.#INF": -math.inf,
    "1.#INF": math.inf,
}
_MAX_DIGITS: Final = 400
_FLOAT_MAX: Final = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class Nodata:
    """What a file says about pixels that hold nothing."""

    #: As ``nodata_pixel`` takes it; None: there is none, or one that no pixel can have.
    value: str | None = None
    #: What tiles that are not stored hold; None: nodata, or 0.
    fill: str | None = None


def parse_nodata(text: str, dtype: str) -> Nodata:
    """Read the tag GDAL_NODATA.

    Parameters
    ----------
    text
        The tag: ``"0"``, ``" -9999.0"``, ``"nan"``, ``"-1.#IND"``, ``"1e+20"`` ...
    dtype
        NumPy name of the pixel type.
    """
    if not text:
        return Nodata()
    text = text.lstrip(_SPACE)[:_MAX_DIGITS]
    kind = np.dtype(dtype)
    if kind in (np.int64, np.uint64):
        return Nodata(str(_whole(text, kind)))
    value = _number(text)
    if kind.kind in "fc":
        return Nodata(_spelled(value, kind))
    limits = np.iinfo(kind)
    if limits.min <= value <= limits.max:
        return Nodata(_spelled_whole(value), _fill(value, limits))
    return Nodata(None, _fill(value, limits))


def _number(text: str) -> float:
    if text in _SPECIAL:
        return _SPECIAL[text]
    old = next((value for start, value in _OLD.items() if text.startswith(start)), None)
    if old is not None:
        return old
    found = _FLOAT.match(text)
    return float(found[0].replace(",", ".")) if found else 0.0


def _whole(text: str, kind: np.dtype[Any]) -> int:
    """Whole numbers of 64 bits never pass through a float."""
    limits = np.iinfo(kind)
    found = _WHOLE.match(text)
    value = int(found[0]) if found else 0
    if kind == np.uint64 and -limits.max <= value < 0:
        return value + limits.max + 1  # what C makes of a minus sign
    return limits.max if abs(value) > limits.max and kind == np.uint64 else min(max(value, limits.min), limits.max)


def _spelled(value: float, kind: np.dtype[Any]) -> str:
    if kind not in (np.float32, np.complex64):
        return repr(value)
    # Many files say the lowest float32 with too few digits.
    if math.isfinite(value) and abs(abs(value) - _FLOAT_MAX) < 1e-10 * _FLOAT_MAX:
        value = math.copysign(_FLOAT_MAX, value)
    with np.errstate(over="ignore"):
        return repr(float(np.float32(value)))


def _spelled_whole(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def _fill(value: float, limits: Any) -> str | None:
    """Pixel that GDAL makes of nodata where it writes it: rounded, and brought into the range of the type."""
    if math.isnan(value):
        return None
    bounded = min(max(value, float(limits.min)), float(limits.max))
    pixel = math.floor(bounded + 0.5) if bounded >= 0 else math.ceil(bounded - 0.5)
    inside = limits.min <= value <= limits.max
    return None if pixel == (int(value) if inside else 0) else str(pixel)
