"""Results of a kernel as pixels: rounded, clamped, and told apart from nodata."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rasterflight_server.warp.patch import Mask, Pixels


def store(values: Pixels, valid: Mask | None, dtype: npt.DTypeLike, nodata: float | None) -> tuple[Pixels, Mask]:
    """Make pixels of values.

    Parameters
    ----------
    values
        Of the type of the pixels, or float64.
    valid
        Same shape; None: all are.
    dtype
        Type of the pixels.
    nodata
        What invalid pixels become; None: 0. A valid pixel that happens to be just this moves by the least there is: down by one,
        up where it is the lowest of an integer type or not an integer.

    Returns
    -------
    tuple
        Pixels, and which of them are valid.
    """
    dtype = np.dtype(dtype)
    pixels = values if values.dtype == dtype else _converted(values, dtype)
    mask = np.ones(pixels.shape, np.bool_) if valid is None else np.broadcast_to(valid, pixels.shape)
    if nodata is not None:
        pixels = _told_apart(pixels, dtype, nodata)
    if valid is not None and not valid.all():
        fill = np.zeros((), dtype) if nodata is None else np.asarray(nodata).astype(dtype)
        pixels = np.where(mask, pixels, fill)
    return pixels, mask


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


def _told_apart(pixels: Pixels, dtype: np.dtype[Any], nodata: float) -> Pixels:
    same = pixels == nodata
    if not same.any():
        return pixels
    pixels = pixels.copy()
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        pixels[same] = limits.min + 1 if nodata == limits.min else int(nodata) - 1
    elif np.issubdtype(dtype, np.floating):
        highest = np.finfo(dtype).max
        pixels[same] = np.nextafter(dtype.type(nodata), dtype.type(0) if nodata == highest else highest)
    return pixels
