"""CRS that a GeoTIFF defines by parameters instead of naming a code."""

from collections.abc import Mapping
from typing import Any, Final

from pyproj import CRS
from pyproj.crs import CoordinateOperation, Datum, GeographicCRS, ProjectedCRS  # type: ignore[attr-defined]
from pyproj.crs.datum import CustomDatum, CustomEllipsoid, CustomPrimeMeridian

_USER_DEFINED: Final = 32767
_MODEL, _MODEL_PROJECTED, _CITATION = 1024, 1, 1026
_GEOGRAPHIC, _DATUM = 2048, 2050
_SEMI_MAJOR, _SEMI_MINOR, _INVERSE_FLATTENING, _PRIME_MERIDIAN = 2057, 2058, 2059, 2061
_PROJECTION: Final = 3074
_METHOD: Final = 3075
_UNITS: Final = 3076
_UNIT_SIZE: Final = 3077

_Keys = tuple[int, ...]
_Parameters = dict[str, _Keys]

# GeoTIFF's number of a projection method -> PROJ's name of it, and the keys of its parameters. Several keys: files
# differ in which of them they use.
_LAT_0: Final[_Keys] = (3081, 3085, 3089)
_LON_0: Final[_Keys] = (3080, 3084, 3088)
_ORIGIN: Final[_Parameters] = {"x_0": (3082, 3086, 3090), "y_0": (3083, 3087, 3091)}
_TWO_PARALLELS: Final[_Parameters] = {"lat_1": (3078,), "lat_2": (3079,), "lat_0": _LAT_0, "lon_0": _LON_0, **_ORIGIN}
_CENTRE: Final[_Parameters] = {"lat_0": _LAT_0, "lon_0": _LON_0, **_ORIGIN}
_SCALED: Final[_Parameters] = {**_CENTRE, "k": (3092, 3093)}
_METHODS: Final[dict[int, tuple[str, _Parameters]]] = {
    1: ("tmerc", _SCALED),
    7: ("merc", {"lon_0": _LON_0, **_ORIGIN, "k": (3092, 3093)}),
    8: ("lcc", _TWO_PARALLELS),
    9: ("lcc", {"lat_1": _LAT_0, **_SCALED}),
    10: ("laea", _CENTRE),
    11: ("aea", _TWO_PARALLELS),
    12: ("aeqd", _CENTRE),
    13: ("eqdc", _TWO_PARALLELS),
    14: ("stere", _SCALED),
    15: ("stere", {"lat_ts": _LAT_0, "lon_0": (3095, *_LON_0), **_ORIGIN, "k": (3092, 3093)}),
    17: ("eqc", {"lat_ts": (3078,), **_CENTRE}),
    23: ("robin", {"lon_0": _LON_0, **_ORIGIN}),
    24: ("sinu", {"lon_0": _LON_0, **_ORIGIN}),
    28: ("cea", {"lat_ts": (3078,), "lon_0": _LON_0, **_ORIGIN}),
}
_POLAR: Final = 15
# EPSG codes of linear units -> metres.
_METRE: Final = 9001
_UNIT_NAMES: Final = {9001: ("metre", 1.0), 9002: ("foot", 0.3048), 9003: ("US survey foot", 0.304800609601219)}
_METRES: Final = {9001: 1.0, 9002: 0.3048, 9003: 1200 / 3937, 9036: 1000.0}


def geographic_crs(keys: Mapping[int, Any]) -> CRS:
    """CRS in degrees: by its code, its datum, or its ellipsoid. An ellipsoid beside a code takes the place of the code's own.

    Raises
    ------
    KeyError, pyproj.exceptions.CRSError
        The keys do not say enough.
    """
    code, datum = keys.get(_GEOGRAPHIC, _USER_DEFINED), keys.get(_DATUM, _USER_DEFINED)
    if code == _USER_DEFINED:
        known = Datum.from_epsg(datum) if datum != _USER_DEFINED else None
        return GeographicCRS(name="unknown", datum=known or _datum("unknown", keys))
    base = CRS.from_epsg(code)
    if base.datum is None or base.ellipsoid is None:
        raise KeyError(_GEOGRAPHIC)
    if keys.get(_SEMI_MAJOR, base.ellipsoid.semi_major_metre) == base.ellipsoid.semi_major_metre:
        return base
    return GeographicCRS(name=base.name, datum=_datum(base.datum.name.removesuffix(" ensemble"), keys))


def projected_crs(keys: Mapping[int, Any]) -> CRS:
    """CRS in a plane by its projection's parameters; angles in degrees.

    Raises
    ------
    KeyError, pyproj.exceptions.CRSError
        The method is not known here, or the keys do not say enough.
    """
    base = geographic_crs(keys)
    if keys.get(_PROJECTION, _USER_DEFINED) != _USER_DEFINED:
        return ProjectedCRS(CoordinateOperation.from_epsg(keys[_PROJECTION]), geodetic_crs=base)
    method, parameters = _METHODS[keys[_METHOD]]
    definition: dict[str, Any] = {"proj": method}
    for name, candidates in parameters.items():
        value = next((keys[key] for key in candidates if key in keys), None)
        if value is not None:
            definition[name] = value
    if keys[_METHOD] == _POLAR:
        definition["lat_0"] = 90 if definition["lat_ts"] > 0 else -90
    metres = keys[_UNIT_SIZE] if keys.get(_UNITS) == _USER_DEFINED else _METRES[keys.get(_UNITS, 9001)]
    for name in ("x_0", "y_0"):
        definition[name] = definition.get(name, 0) * metres
    shape = base.ellipsoid
    if shape is None:
        raise KeyError(_SEMI_MAJOR)
    plane = CRS.from_dict(
        {**definition, "a": shape.semi_major_metre, "b": shape.semi_minor_metre, "to_meter": metres, "type": "crs"}
    )
    document = plane.to_json_dict()
    document["base_crs"] = base.to_json_dict()
    return CRS.from_json_dict(document)


def local_crs(keys: Mapping[int, Any]) -> CRS:
    """CRS of a plane that lies nowhere on Earth."""
    unit = keys.get(_UNITS, _METRE if keys.get(_MODEL) == _MODEL_PROJECTED else _USER_DEFINED)
    name, size = _UNIT_NAMES.get(unit, ("unknown", keys.get(_UNIT_SIZE, 1.0)))
    title = str(keys.get(_CITATION) or "unnamed").replace('"', "'")
    return CRS.from_wkt(f'LOCAL_CS["{title}",UNIT["{name}",{size!r}],AXIS["Easting",EAST],AXIS["Northing",NORTH]]')


def _datum(name: str, keys: Mapping[int, Any]) -> CustomDatum:
    major, flattening = keys[_SEMI_MAJOR], keys.get(_INVERSE_FLATTENING, 0)
    minor = keys.get(_SEMI_MINOR, major)
    shape = {"inverse_flattening": flattening} if flattening else {"semi_minor_axis": minor}
    ellipsoid = CustomEllipsoid(name, semi_major_axis=major, **shape)
    meridian = keys.get(_PRIME_MERIDIAN, 0)
    return CustomDatum(
        name=name, ellipsoid=ellipsoid, prime_meridian=CustomPrimeMeridian(meridian) if meridian else "Greenwich"
    )
