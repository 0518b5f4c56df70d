"""Coordinate reference systems and the way from one to another, by PROJ; x comes before y everywhere.

All of PROJ runs in one thread of its own: pyproj keeps its contexts per thread, and the threads that Flight calls come on
are made and ended by gRPC, which leaves pyproj's objects with contexts that are gone.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.plan.crsfiles import names_file, uses_file
from rasterflight_server.types.going import GoOn, for_ever

#: Longitude, latitude in degrees: the CRS of footprints and of GeoJSON.
LONLAT = "OGC:CRS84"

#: Less than this, in percent, and a code may stand for another datum than the definition.
_SURE = 90

#: Points that are transformed at once: a few hundredths of a second, after which it is the turn of others.
_TOGETHER = 1 << 16

_P = ParamSpec("_P")
_R = TypeVar("_R")
_proj = ThreadPoolExecutor(max_workers=1, thread_name_prefix="proj")


@dataclass(frozen=True, slots=True)
class Definition:
    """A CRS as text."""

    #: "EPSG:32618", or WKT2 where no authority code says it.
    name: str
    projjson: str
    wkt: str
    #: Its code; None: no EPSG code says it. OGC:CRS84 is 4326 here, where x always comes before y.
    epsg: int | None


def parse_crs(text: str, field: str) -> Definition:
    """Understand what a caller wrote.

    Raises
    ------
    RequestError
        CRS_REQUIRED: nothing was written, or nothing that PROJ knows. BAD_REQUEST: it names a file, which PROJ would open.
    """
    hint = 'pass a CRS such as "EPSG:32618", or "OGC:CRS84" for longitude and latitude'
    if not text:
        raise RequestError(ErrorCode.CRS_REQUIRED, "the coordinates come without a CRS", field=field, hint=hint)
    if names_file(text) or _uses_file(text):
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            "a CRS may not name files, such as grids of shifts",
            field=field,
            hint="give its code instead: PROJ finds the grids that it has for it by itself",
        )
    definition = _define(text)
    if definition is None:
        raise RequestError(
            ErrorCode.CRS_REQUIRED, f"{text[:100]!r} is not a CRS that PROJ knows", field=field, hint=hint
        )
    return definition


def transform_geometries(
    geometries: npt.NDArray[np.object_], source: str, target: str, go_on: GoOn = for_ever
) -> npt.NDArray[np.object_]:
    """Transform the vertices, not the edges between them (as ``rasterio.warp.transform_geom``); Z is dropped.

    A vertex that the target cannot express becomes infinite. ``go_on`` as for ``transform_points``.
    """
    if same_crs(source, target):
        return shapely.force_2d(geometries) if shapely.has_z(geometries).any() else geometries
    coordinates = transform_points(shapely.get_coordinates(geometries), source, target, go_on)
    return shapely.transform(geometries, lambda _: coordinates, include_z=False)


def epsg_code(text: str) -> int | None:
    """EPSG code of a CRS; None: it has none, or is no CRS."""
    definition = _define(text)
    return None if definition is None else definition.epsg


def _in_proj_thread(function: Callable[_P, _R]) -> Callable[_P, _R]:
    @wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        return _proj.submit(function, *args, **kwargs).result()

    return call


@lru_cache(maxsize=1024)
@_in_proj_thread
def same_crs(one: str, other: str) -> bool:
    """Whether coordinates (x, y) mean the same in both; a text that is no CRS is the same as nothing."""
    try:
        return one == other or _crs(one).equals(_crs(other), ignore_axis_order=True)
    except CRSError:
        return False


@lru_cache(maxsize=1024)
@_in_proj_thread
def in_degrees(crs: str) -> bool:
    """Whether x is a longitude in degrees."""
    found = _crs(crs)
    return bool(found.is_geographic and math.isclose(found.axis_info[0].unit_conversion_factor, math.pi / 180))


def transform_points(
    coordinates: npt.NDArray[np.float64], source: str, target: str, go_on: GoOn = for_ever
) -> npt.NDArray[np.float64]:
    """Transform coordinates, shape (n, 2); what the target cannot express becomes infinite.

    ``go_on`` is called now and then, and raises when this is to end.
    """
    if same_crs(source, target):
        return coordinates
    found = np.empty((len(coordinates), 2))
    for start in range(0, len(coordinates), _TOGETHER):
        go_on()
        part = slice(start, start + _TOGETHER)
        found[part] = _transform(coordinates[part], source, target)
    return found


@lru_cache(maxsize=1024)
@_in_proj_thread
def _uses_file(text: str) -> bool:
    try:
        return uses_file(_crs(text).to_json_dict())
    except (CRSError, RecursionError):
        return False


@lru_cache(maxsize=1024)
@_in_proj_thread
def _define(text: str) -> Definition | None:
    try:
        crs = _crs(text)
    except (CRSError, RecursionError):
        return None
    epsg = 4326 if crs.to_string() == LONLAT else crs.to_epsg(min_confidence=_SURE)
    return Definition(crs.to_string(), crs.to_json(), crs.to_wkt(), epsg)


@_in_proj_thread
def _transform(coordinates: npt.NDArray[np.float64], source: str, target: str) -> npt.NDArray[np.float64]:
    x, y = _transformer(source, target).transform(coordinates[:, 0], coordinates[:, 1])
    return np.column_stack([x, y])


@lru_cache(maxsize=256)
def _crs(text: str) -> CRS:
    return CRS.from_user_input(text)


@lru_cache(maxsize=256)
def _transformer(source: str, target: str) -> Transformer:
    return Transformer.from_crs(_crs(source), _crs(target), always_xy=True)
