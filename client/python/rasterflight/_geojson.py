"""GeoJSON dicts, taken apart."""

from collections.abc import Mapping
from typing import Any

from rasterflight._crs import crs_text
from rasterflight._extras import need
from rasterflight.errors import BadGeometryError, CrsRequiredError


def geojson_shapes(item: Mapping[str, Any], field: str) -> list[Any]:
    """Shapely geometries of a GeoJSON geometry, Feature or FeatureCollection, in order.

    Raises
    ------
    BadGeometryError
        It is none of these, or a geometry cannot be read.
    """
    kind = item.get("type")
    if kind == "FeatureCollection":
        return [shape for feature in item.get("features") or () for shape in geojson_shapes(feature, field)]
    if kind == "Feature":
        return geojson_shapes(item.get("geometry") or {}, field)
    if kind is None:
        raise BadGeometryError("a GeoJSON dict has no type, or a Feature has no geometry", field=field)
    shapely = need("shapely", "geo")
    try:
        return [shapely.geometry.shape(item)]
    except (LookupError, TypeError, ValueError, shapely.errors.ShapelyError) as error:
        raise BadGeometryError(f"a GeoJSON {kind} cannot be read: {error}", field=field) from None


def geojson_crs(item: Any) -> str | None:
    """What a GeoJSON of before RFC 7946 says about its CRS; GDAL and geopandas still write it.

    Raises
    ------
    CrsRequiredError
        It says something that cannot be read.
    """
    member = item.get("crs") if isinstance(item, Mapping) else None
    if member is None:
        return None
    try:
        return crs_text(member["properties"]["name"])
    except (KeyError, TypeError):
        raise CrsRequiredError(
            "the crs member of the GeoJSON cannot be read", field="geometry_crs", hint="pass geometry_crs="
        ) from None
