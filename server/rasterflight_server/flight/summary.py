"""What listings tell of a collection, as JSON."""

from dataclasses import asdict
from typing import Any, Final

from rasterflight_server.catalog import BandEntry, Collection, CrsEntry

#: Of each band so many widths of pixels are told.
_RESOLUTIONS: Final = 10


def summary(collection: Collection) -> dict[str, Any]:
    """Describe a collection to people and programs.

    Returns
    -------
    dict
        name, snapshot, records, bands (each with name, aliases, dtype, nodata, scale, offset, unit, description, colorinterp,
        categories, classes, resolution), crs (names), extent, time; title, description, license, attribution, providers
        as STAC has them; crs_counts and months: numbers of records; crs_units.
    """
    manifest, overview, configured = collection.manifest, collection.overview, collection.configuration
    return {
        "name": collection.name,
        "snapshot": collection.snapshot,
        "title": configured.title,
        "description": configured.description,
        "license": configured.license,
        "attribution": configured.attribution,
        "providers": [asdict(provider) for provider in configured.providers],
        "records": manifest.records,
        "bands": [_band(collection, band) for band in manifest.bands],
        "crs": [crs.name for crs in manifest.crs],
        "crs_counts": overview.crs,
        "crs_units": {crs.name: _unit(crs) for crs in manifest.crs},
        "extent": manifest.extent,
        "time": manifest.time_range,
        "months": overview.months,
    }


def _band(collection: Collection, band: BandEntry) -> dict[str, Any]:
    said = collection.configuration.bands.get(band.name)
    classes = said.classes if said is not None else None
    return {
        "name": band.name,
        "aliases": band.aliases,
        "dtype": band.dtypes[0],
        "nodata": band.nodatas[0],
        "scale": band.scale,
        "offset": band.offset,
        "unit": band.unit,
        "description": band.description,
        "colorinterp": band.colorinterp,
        "categories": band.categories,
        "classes": band.categories is not None or band.colorinterp == "palette" if classes is None else classes,
        "resolution": collection.overview.resolutions[band.name][:_RESOLUTIONS],
    }


def _unit(crs: CrsEntry) -> str | None:
    """Unit of the first axis: "metre", "degree" ..."""
    document = crs.projjson
    while "coordinate_system" not in document and "source_crs" in document:
        document = document["source_crs"]  # a bound CRS
    axes = document.get("coordinate_system", {}).get("axis", [])
    unit = axes[0].get("unit") if axes else None
    return str(unit["name"]) if isinstance(unit, dict) else unit
