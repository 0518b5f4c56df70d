"""The grids of objects that have one: xarray, GeoBox, rasterio, and dicts."""

import math
import numbers
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from rasterflight._crs import crs_text
from rasterflight.errors import BadRequestError
from rasterflight_protocol.v1.read_pb2 import TargetGrid

_KEYS: Final = ("crs", "transform", "width", "height")
_HAS_NO_CRS: Final = "like has no CRS"
#: Names of coordinates, as rioxarray looks for them.
_AXES: Final = (("x", "y"), ("longitude", "latitude"), ("lon", "lat"))
#: Coordinates count as even when they are this close, in pixels; those in float32 are seldom closer.
_EVEN: Final = 1e-3
_ROTATED: Final = "like has rows and columns that do not run along the axes of its CRS"


def target_grid(like: Any) -> TargetGrid:
    """Read the grid of an object.

    Raises
    ------
    BadRequestError
        It has no CRS or no extent, its pixels do not run along the axes of the CRS, or its coordinates are not even.
    TypeError
        It is of no kind that has a grid.
    """
    # a Dataset is a Mapping too
    if _is_xarray(like):
        return _of_xarray(like)
    if isinstance(like, Mapping):
        if set(like) != set(_KEYS):
            raise BadRequestError(
                f"like is a dict of {', '.join(map(str, like)) or 'nothing'}, expected {', '.join(_KEYS)}", field="like"
            )
        return _grid(like["crs"], like["transform"], like["width"], like["height"])
    transform = getattr(like, "affine", None)
    transform = getattr(like, "transform", None) if transform is None else transform
    shape = getattr(like, "shape", None)
    if transform is None or callable(transform) or shape is None or not hasattr(like, "crs"):
        raise TypeError(
            f"like is a {type(like).__name__}, expected an xarray object, a GeoBox, a rasterio dataset, or a dict of "
            f"{', '.join(_KEYS)}"
        )
    height, width = shape
    return _grid(like.crs, transform, width, height)


def coordinates_of(like: Any) -> dict[str, np.ndarray]:
    """Coordinates x and y of an xarray object that `target_grid` takes; empty for others."""
    if not _is_xarray(like):
        return {}
    return {axis: np.asarray(like.coords[name].values) for axis, name in zip(("x", "y"), _names(like), strict=True)}


def _is_xarray(like: Any) -> bool:
    return hasattr(like, "coords") and hasattr(like, "dims") and hasattr(like, "attrs")


def _grid(crs: Any, transform: Any, width: Any, height: Any) -> TargetGrid:
    if crs is None or crs == "":
        raise BadRequestError(_HAS_NO_CRS, field="like")
    for name, size in (("width", width), ("height", height)):
        if not isinstance(size, numbers.Integral) or size < 1:
            raise BadRequestError(f"like has a {name} of {size!r}, expected an integer from 1 on", field="like")
    values = list(transform) if isinstance(transform, Iterable) else []
    # an Affine has nine numbers, of which the last three are always the same
    coefficients = values[:6]
    if len(values) not in (6, 9) or not all(isinstance(v, numbers.Real) and math.isfinite(v) for v in coefficients):
        raise BadRequestError(
            f"like has the transform {transform!r}, expected a, b, c, d, e, f as in affine.Affine", field="like"
        )
    a, b, c, d, e, f = map(float, coefficients)
    if b != 0 or d != 0:
        raise BadRequestError(_ROTATED, field="like")
    if a == 0 or e == 0:
        raise BadRequestError("like has pixels without a size", field="like")
    return TargetGrid(crs=crs_text(crs), transform=[a, b, c, d, e, f], width=int(width), height=int(height))


def _of_xarray(like: Any) -> TargetGrid:
    names = _names(like)
    mapping = _grid_mapping(like)
    told = mapping.get("GeoTransform", "").split()
    # GDAL's order is c, a, b, f, d, e
    gdal = [float(number) for number in told] if len(told) == 6 else None  # noqa: PLR2004
    if gdal is not None and (gdal[2] != 0 or gdal[4] != 0):
        raise BadRequestError(_ROTATED, field="like")
    along_x, along_y = ((gdal[0], gdal[1]), (gdal[3], gdal[5])) if gdal else (None, None)
    (c, a), (f, e) = (
        _axis(np.asarray(like.coords[name].values), name, own)
        for name, own in zip(names, (along_x, along_y), strict=True)
    )
    width, height = (like.coords[name].size for name in names)
    return _grid(mapping.get("crs_wkt") or mapping.get("spatial_ref"), [a, 0.0, c, 0.0, e, f], width, height)


def _names(like: Any) -> tuple[str, str]:
    """Names of the coordinates along x and y."""
    for pair in _AXES:
        if all(name in like.coords for name in pair):
            return pair
    pairs = ", or ".join(" and ".join(pair) for pair in _AXES)
    raise BadRequestError(f"like has no coordinates {pairs}", field="like")


def _grid_mapping(like: Any) -> Mapping[str, Any]:
    """Attributes of the coordinate that holds the CRS."""
    variables = list(like.data_vars.values()) if hasattr(like, "data_vars") else [like]
    told = [place.get("grid_mapping") for one in variables for place in (one.encoding, one.attrs)]
    for name in [*filter(None, told), "spatial_ref", "crs"]:
        if name in like.coords:
            attributes: Mapping[str, Any] = like.coords[name].attrs
            return attributes
    raise BadRequestError(_HAS_NO_CRS, field="like", hint="write it with .rio.write_crs(...)")


def _axis(centres: np.ndarray, name: str, told: tuple[float, float] | None) -> tuple[float, float]:
    """Edge of the first pixel and signed size of all; as the object tells them, when that is about these centres."""
    if centres.ndim != 1 or not centres.size or not np.issubdtype(centres.dtype, np.number):
        raise BadRequestError(f"like has a coordinate {name} that is no list of numbers", field="like")
    centres = centres.astype(np.float64)
    if told is not None and told[1]:
        # a part of what was told about still has pixels of that size: exactly, not up to rounding
        edge, size = told
        edge += round((centres[0] - edge) / size - 0.5) * size
        if _is_even(centres, edge, size):
            return edge, size
    if centres.size == 1:
        raise BadRequestError(f"like has one pixel along {name}, and does not tell its size", field="like")
    size = (centres[-1] - centres[0]) / (centres.size - 1)
    edge = centres[0] - size / 2
    if not _is_even(centres, edge, size):
        raise BadRequestError(f"like has a coordinate {name} that is not even", field="like")
    return float(edge), float(size)


def _is_even(centres: np.ndarray, edge: float, size: float) -> bool:
    expected = edge + size * (np.arange(centres.size) + 0.5)
    return bool(size and (np.abs(centres - expected) <= _EVEN * abs(size)).all())
