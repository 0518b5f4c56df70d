"""Results of a kernel as pixels: rounded, clamped, and told apart from nodata."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rasterflight_server.warp.patch import Mask, Pixels


def store(
    values: Pixels, valid: Mask | None, dtype: npt.DTypeLike, nodata: float | None, *, apart: bool = True
) -> tuple[Pixels, Mask]:
    """Make pixels of values.

    Parameters
    ----------
    values
        Of the type of the pixels, or float64.
    valid
        Same shape; None: all are.
    dtype
        Type of the pixels: integers are rounded (halves go up) and clamped.
    nodata
        What invalid pixels become; None: 0.
    apart
        Keep valid integers apart from nodata: one that happens to be just that becomes one less, or more where there is no less.

    Returns
    -------
    tuple
        Pixels, and which of them are valid.
    """
    dtype = np.dtype(dtype)
    pixels = values if values.dtype == dtype else _converted(values, dtype)
    if apart and nodata is not None and np.issubdtype(dtype, np.integer):
        pixels = _told_apart(pixels, nodata)
    if valid is None or valid.all():
        return pixels, np.ones(pixels.shape, np.bool_)
    fill = np.zeros((), dtype) if nodata is None else np.asarray(nodata).astype(dtype)
    return np.where(valid, pixels, fill), np.asarray(valid)


def _converted(values: Pixels, dtype: np.dtype[Any]) -> Pixels:
    if not np.issubdtype(dtype, np.integer):
        with np.errstate(over="ignore"):
            return values.astype(dtype)
    limits = np.iinfo(dtype)
    rounded = values + 0.5
    np.floor(rounded, out=rounded)
    if dtype.itemsize < 8:  # noqa: PLR2004 - bytes that a float64 cannot hold
        return np.clip(rounded, limits.min, limits.max, out=rounded).astype(dtype)
    pixels = np.where(rounded >= float(limits.max), 0.0, np.maximum(rounded, float(limits.min))).astype(dtype)
    return np.where(rounded >= float(limits.max), limits.max, pixels)


def _told_apart(pixels: Pixels, nodata: float) -> Pixels:
    same = pixels == nodata
    if not same.any():
        return pixels
    lowest = np.iinfo(pixels.dtype).min
    return np.where(same, pixels.dtype.type(lowest + 1 if nodata == lowest else int(nodata) - 1), pixels)
