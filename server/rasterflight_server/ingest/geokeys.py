"""Georeference of a GeoTIFF: the transform by its model tags, the CRS by its GeoKeys."""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from affine import Affine
from pyproj import CRS
from pyproj.exceptions import CRSError

from rasterflight_server.ingest.ifd import Directory, DirectoryPart
from rasterflight_server.ingest.projections import geographic_crs, local_crs, projected_crs

_PIXEL_SCALE: Final = 33550
_TIEPOINT: Final = 33922
_TRANSFORMATION: Final = 34264
_KEYS: Final = 34735
_DOUBLES: Final = 34736
_ASCII: Final = 34737
_TAGS: Final = frozenset([_KEYS, _DOUBLES, _ASCII])

_MODEL: Final = 1024
_MODEL_GEOGRAPHIC: Final = 2
_RASTER_TYPE: Final = 1025
_POINT: Final = 2
_GEOGRAPHIC: Final = 2048
_PROJECTED: Final = 3072
_USER_DEFINED: Final = 32767
#: Keys that may hold the WKT of ESRI software.
_CITATIONS: Final = (3073, 2049, 1026)
_ESRI: Final = "ESRI PE String = "
_MAX_VALUES: Final = 4096

GeoKeys = Mapping[int, Any]


def read_geokeys(directory: Directory) -> GeoKeys:
    """GeoKeys as {key: int, float or text}; empty when there are none. Entries that make no sense are left out."""
    part = directory.part(_TAGS)
    return _geokeys(directory) if part is None else _known_geokeys(part)


@lru_cache(maxsize=1024)
def _known_geokeys(part: DirectoryPart) -> GeoKeys:
    return _geokeys(part)


def _geokeys(directory: Directory) -> GeoKeys:
    header = directory.array(_KEYS)[:_MAX_VALUES].tolist()
    doubles, text = directory.array(_DOUBLES)[:_MAX_VALUES].tolist(), directory.text(_ASCII)
    keys: dict[int, Any] = {}
    for i in range(4, len(header) - 3, 4):
        key, location, count, value = header[i : i + 4]
        if location == 0:
            keys[key] = value
        elif location == _ASCII:
            keys[key] = text[value : value + count].rstrip("|")
        elif location == _DOUBLES and value < len(doubles):
            keys[key] = doubles[value]
    return keys


def read_transform(directory: Directory, keys: GeoKeys) -> Affine | None:
    """Pixel corner -> CRS, PixelIsArea, computed as GDAL does.

    None: the file does not say (control points do not count), or says what cannot be. A negative vertical scale is taken
    for a positive one; south-up grids come as ModelTransformation.
    """
    scale = directory.array(_PIXEL_SCALE)[:3].tolist()
    tie = directory.array(_TIEPOINT)[:6].tolist()
    matrix = directory.array(_TRANSFORMATION)[:16].tolist()
    if len(scale) >= 2 and scale[0] and scale[1]:  # noqa: PLR2004
        a, b, d, e = scale[0], 0.0, 0.0, -abs(scale[1])
        if len(tie) < 6:  # noqa: PLR2004
            return Affine(a, b, 0.0, d, e, 0.0)
        c, f = tie[3] - tie[0] * a, tie[4] - tie[1] * e
    elif len(matrix) == 16:  # noqa: PLR2004
        a, b, c, d, e, f = matrix[0], matrix[1], matrix[3], matrix[4], matrix[5], matrix[7]
    else:
        return None
    if not all(map(math.isfinite, (a, b, c, d, e, f))) or a * e == b * d:
        return None
    if keys.get(_RASTER_TYPE) == _POINT:
        c, f = c - (a * 0.5 + b * 0.5), f - (d * 0.5 + e * 0.5)
    return Affine(a, b, c, d, e, f)


def has_control_points(directory: Directory) -> bool:
    """Whether tie points without a scale say where some of the pixels are; the CRS is then theirs, not that of the raster."""
    return directory.array(_TIEPOINT).size >= 6  # noqa: PLR2004


def read_crs(keys: GeoKeys) -> str | None:
    """Name of the CRS: "EPSG:32618", or WKT2 where the keys define one of their own; None: they do not say.

    Vertical parts are left out: pixels lie in the plane.
    """
    try:
        return _crs(keys)
    except (CRSError, KeyError, TypeError, ValueError):
        # Keys that PROJ cannot make sense of: the STAC item may know better, else the raster has no CRS.
        return None


def crs_name(crs: CRS) -> str:
    """Shortest text that says all about a CRS: an authority code if one says the same, else WKT2."""
    authority = crs.to_authority(min_confidence=100)
    return ":".join(authority) if authority else crs.to_wkt()


def _crs(keys: GeoKeys) -> str | None:
    for citation in _CITATIONS:
        text = keys.get(citation)
        if isinstance(text, str) and text.startswith(_ESRI):
            return crs_name(CRS.from_wkt(text.removeprefix(_ESRI)))
    model, projected, geographic = keys.get(_MODEL), keys.get(_PROJECTED), keys.get(_GEOGRAPHIC)
    if model == _MODEL_GEOGRAPHIC:
        if geographic == _USER_DEFINED:
            return crs_name(geographic_crs(keys))
        return _epsg(geographic) if geographic else None
    if projected == _USER_DEFINED:
        return crs_name(projected_crs(keys))
    if projected:
        return _epsg(projected)
    # GDAL makes this of all other keys, whatever they say.
    return local_crs(keys).to_wkt() if keys else None


@lru_cache(maxsize=1024)
def _epsg(code: int) -> str:
    CRS.from_epsg(code)  # raises for a code that PROJ does not know
    return f"EPSG:{code}"
