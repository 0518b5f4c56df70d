"""Boxes ``(minx, miny, maxx, maxy)``; one across the antimeridian has minx > 0 > maxx."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from rasterflight._extras import need
from rasterflight.errors import BadGeometryError
from rasterflight_protocol.v1.read_pb2 import BBox, BBoxes

_SIZE: Final = 4
_HALF_TURN: Final = 180.0


def is_box(value: Any) -> bool:
    """Whether this is a sequence of four numbers."""
    return (
        isinstance(value, Sequence | np.ndarray)
        and not isinstance(value, str | bytes)
        and len(value) == _SIZE
        and all(isinstance(number, int | float | np.integer | np.floating) for number in value)
    )


def bbox_from(values: Any, field: str = "bbox") -> BBox:
    """Read ``(minx, miny, maxx, maxy)``; whether one can be across the antimeridian in its CRS, the server knows.

    Raises
    ------
    BadGeometryError
        Not four finite numbers, or inverted.
    """
    if not is_box(values):
        raise BadGeometryError(f"{field} is {values!r}, expected (minx, miny, maxx, maxy)", field=field)
    bounds = np.array([values], np.float64)
    _check(bounds, lambda _: field, field)
    return BBox(**dict(zip(("minx", "miny", "maxx", "maxy"), bounds[0].tolist(), strict=True)))


def boxes_message(bounds: np.ndarray, first: int = 1) -> BBoxes:
    """Write boxes, shape (n, 4), numbered from ``first`` in errors; raises as `bbox_from`."""
    _check(bounds, lambda index: f"geometry {first + index}: bbox", "geometries")
    return BBoxes(
        values=[BBox(minx=minx, miny=miny, maxx=maxx, maxy=maxy) for minx, miny, maxx, maxy in bounds.tolist()]
    )


def box_shapes(bounds: np.ndarray) -> np.ndarray:
    """Boxes as Shapely geometries; what crosses the antimeridian is a MultiPolygon of its two sides."""
    shapely = need("shapely", "geo")
    shapes = np.asarray(shapely.box(*bounds.T), object).reshape(-1)
    for index in np.flatnonzero(bounds[:, 0] > bounds[:, 2]):
        minx, miny, maxx, maxy = bounds[index]
        sides = [shapely.box(minx, miny, _HALF_TURN, maxy), shapely.box(-_HALF_TURN, miny, maxx, maxy)]
        shapes[index] = shapely.MultiPolygon([side for side in sides if side.area] or sides[:1])
    return shapes


def _check(bounds: np.ndarray, name: Callable[[int], str], field: str) -> None:
    """Refuse boxes that are not finite or inverted; ``name`` makes words of the index of one."""
    minx, miny, maxx, maxy = bounds.T
    across = (minx > 0) & (minx <= _HALF_TURN) & (maxx < 0) & (maxx >= -_HALF_TURN)
    wrong = ~np.isfinite(bounds).all(axis=1) | (miny > maxy) | ((minx > maxx) & ~across)
    if not wrong.any():
        return
    index = int(np.argmax(wrong))
    box = tuple(bounds[index].tolist())
    if np.isfinite(bounds[index]).all():
        raise BadGeometryError(f"{name(index)} {box} is inverted: expected (minx, miny, maxx, maxy)", field=field)
    raise BadGeometryError(f"{name(index)} {box} has a coordinate that is no number", field=field)
