"""The CRS of coordinates: as people write it, as data says it, and what holds when both speak."""

import json
import numbers
from collections.abc import Mapping
from typing import Any, Final

from rasterflight.errors import CrsRequiredError

#: Let the input say its CRS: tables, frames and GeoArrow do, everything else is lon/lat.
AUTO: Final = "auto"
LON_LAT: Final = "OGC:CRS84"


def crs_text(crs: Any) -> str:
    """Write a CRS as text: an EPSG number as ``"EPSG:n"``, text as it is, a pyproj CRS as WKT.

    Raises
    ------
    TypeError
        It is none of these.
    """
    if isinstance(crs, numbers.Integral) and not isinstance(crs, bool):
        return f"EPSG:{crs}"
    if isinstance(crs, str) and crs:
        return crs
    if hasattr(crs, "to_wkt"):
        return str(crs.to_wkt())
    raise TypeError(f"{crs!r} is no CRS: expected an EPSG number, text, or an object with to_wkt()")


def is_auto(crs: Any) -> bool:
    """Whether ``geometry_crs`` leaves it to the input."""
    return isinstance(crs, str) and crs == AUTO


def untold_crs(explicit: Any) -> str:
    """CRS of an input that has no place to say it: the explicit one, or lon/lat."""
    return LON_LAT if is_auto(explicit) else crs_text(explicit)


def told_crs(own: str | None, explicit: Any, what: str) -> str:
    """CRS of an input that has a place to say it.

    Parameters
    ----------
    own
        What it says; None: nothing.
    explicit
        ``geometry_crs`` as the caller gave it.
    what
        Field of the request, and what errors call the input: ``"geometries"`` or ``"points"``.

    Raises
    ------
    CrsRequiredError
        Neither says anything, or they contradict each other.
    """
    if is_auto(explicit):
        if own is None:
            raise CrsRequiredError(
                f"the {what} have no CRS",
                field=f"{what}.crs",
                hint='pass geometry_crs=, for example "OGC:CRS84" for lon/lat or "EPSG:32618"',
            )
        return own
    text = crs_text(explicit)
    if own is not None and not _same(own, text):
        raise CrsRequiredError(
            f"geometry_crs is {_short(text)}, but the {what} say that they are in {_short(own)}",
            field=f"{what}.crs",
            hint="leave geometry_crs= out, or transform the coordinates first",
        )
    return text


def projjson_text(crs: Mapping[str, Any]) -> str:
    """Write PROJJSON as the authority's code, where it has one: short, and readable in errors."""
    match crs.get("id"):
        case {"authority": str(authority), "code": str() | int() as code}:
            return f"{authority}:{code}"
    return json.dumps(crs)


def _same(one: str, other: str) -> bool:
    """Whether x and y mean the same in both; without pyproj, whether they are written the same."""
    if one.casefold() == other.casefold():
        return True
    try:
        from pyproj import CRS
        from pyproj.exceptions import CRSError
    except ImportError:
        return False
    try:
        return bool(CRS.from_user_input(one).equals(CRS.from_user_input(other), ignore_axis_order=True))
    except CRSError:
        return False


def _short(crs: str) -> str:
    limit = 60
    return crs if len(crs) <= limit else f"{crs[:limit]}..."
