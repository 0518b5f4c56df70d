"""What pixels stand for: pixel * scale + offset."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rasterflight_server.types import BandMeta

Pixels = npt.NDArray[Any]
_SMALL = 2


def physical_dtype(dtype: str) -> str:
    """Type that holds physical values: float32 for whole numbers of up to 16 bits and for float32, else float64."""
    kind = np.dtype(dtype)
    small = kind.itemsize <= _SMALL or kind == np.float32
    return "float32" if small else "float64"


def to_physical(pixels: Pixels, meta: BandMeta, out: Pixels) -> None:
    """Write ``pixels.astype(t) * t(scale) + t(offset)``, where ``t`` is the type of ``out``.

    That is three steps, each rounded to ``t``: the pixel, the product, the sum. A file that says no scale has 1, one that says
    no offset has 0.

    Parameters
    ----------
    out
        Of the shape of ``pixels``; may be the same array.
    """
    scale, offset = 1.0 if meta.scale is None else meta.scale, meta.offset or 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        np.copyto(out, pixels)
        np.multiply(out, out.dtype.type(scale), out=out)
        np.add(out, out.dtype.type(offset), out=out)
