"""Items of the shape that well-known archives give them, written by hand; their files lie where a test puts them."""

from typing import Any

COG = "image/tiff; application=geotiff; profile=cloud-optimized"


def square(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    ring = [[west, south], [west, north], [east, north], [east, south], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def item(
    name: str, bounds: tuple[float, float, float, float], properties: dict, assets: dict, **more
) -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "bbox": list(bounds),
        "geometry": square(*bounds),
        "properties": properties,
        "assets": assets,
        "links": [],
        **more,
    }


def earth_search_s2(href: str, tci: str, bounds: Any, *, baseline: str = "05.10", applied: bool | None = True) -> dict:
    """Earth Search v1, sentinel-2-l2a: named by colours, JPEG 2000 beside, an offset in all items since 2022."""
    raster = {"nodata": 0, "data_type": "uint16", "bits_per_sample": 15, "spatial_resolution": 10}

    def band(name: str, number: str) -> dict:
        return {
            "href": href,
            "type": COG,
            "title": f"{name} (band {number})",
            "eo:bands": [{"name": name, "common_name": name, "center_wavelength": 0.49}],
            "raster:bands": [raster | {"scale": 0.0001, "offset": -0.1 if baseline >= "04" else 0}],
            "roles": ["data", "reflectance"],
        }

    colours = [{"name": name, "common_name": name} for name in ("red", "green", "blue")]
    assets = {
        "aot": {
            "href": href,
            "type": COG,
            "raster:bands": [raster | {"scale": 0.001, "offset": 0}],
            "roles": ["data", "reflectance"],
        },
        "blue": band("blue", "2"),
        "nir08": band("nir08", "8A"),
        "scl": {
            "href": tci,
            "type": COG,
            "raster:bands": [{"nodata": 0, "data_type": "uint8"}],
            "roles": ["data", "reflectance"],
        },
        "visual": {"href": tci, "type": COG, "eo:bands": colours, "roles": ["visual"]},
        "preview": {"href": tci, "type": COG, "eo:bands": colours, "roles": ["overview"]},
        "thumbnail": {"href": "https://h/preview.jpg", "type": "image/jpeg", "roles": ["thumbnail"]},
        "granule_metadata": {"href": "https://h/metadata.xml", "type": "application/xml", "roles": ["metadata"]},
        "blue-jp2": band("blue", "2") | {"href": "s3://sentinel-s2-l2a/B02.jp2", "type": "image/jp2"},
    }
    properties = {
        "created": "2023-07-02T01:49:17.191Z",
        "platform": "sentinel-2a",
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "eo:cloud_cover": 12.5,
        "proj:epsg": 32634,
        "mgrs:utm_zone": 34,
        "grid:code": "MGRS-34SGA",
        "s2:processing_baseline": baseline,
        "datetime": "2023-07-01T10:46:30.262000Z",
        "processing:software": {"sentinel2-to-stac": "0.1.0"},
    }
    if applied is not None:
        properties["earthsearch:boa_offset_applied"] = applied
    return item("S2A_34SGA_20230701_0_L2A", bounds, properties, assets, collection="sentinel-2-l2a")


def planetary_s2(href: str, tci: str, bounds: Any, *, baseline: str = "05.10") -> dict:
    """Planetary Computer, sentinel-2-l2a: no scale, no offset; an overview among the TIFFs that calls itself a thumbnail."""

    def band(name: str, common: str | None) -> dict:
        return {
            "href": href,
            "type": COG,
            "gsd": 10,
            "eo:bands": [{"name": name, "description": f"Band {name}"} | ({"common_name": common} if common else {})],
            "proj:bbox": [699960.0, 3490200.0, 809760.0, 3600000.0],
            "roles": ["data"],
        }

    colours = [
        {"name": name, "common_name": common} for name, common in (("B04", "red"), ("B03", "green"), ("B02", "blue"))
    ]
    assets = {
        "AOT": {"href": href, "type": COG, "roles": ["data"]},
        "B02": band("B02", "blue"),
        "B05": band("B05", "rededge"),
        "B06": band("B06", "rededge"),
        "B09": band("B09", None),
        "visual": {"href": tci, "type": COG, "eo:bands": colours, "roles": ["data"]},
        "preview": {"href": "https://h/preview.tif", "type": COG, "roles": ["thumbnail"]},
        "safe-manifest": {"href": "https://h/manifest.safe", "type": "application/xml", "roles": ["metadata"]},
        "tilejson": {"href": "https://h/tilejson.json", "type": "application/json", "roles": ["tiles"]},
    }
    properties = {
        "datetime": "2023-07-01T10:46:30.262000Z",
        "platform": "Sentinel-2A",
        "proj:epsg": 32634,
        "eo:cloud_cover": 3.0,
        "s2:mgrs_tile": "34SGA",
        "s2:processing_baseline": baseline,
        "s2:product_type": "S2MSI2A",
    }
    name = f"S2A_MSIL2A_N{baseline.replace('.', '')}"
    return item(name, bounds, properties, assets, collection="sentinel-2-l2a")


def landsat(href: str, bounds: Any, shape: list[int], transform: list[float], *, requester_pays: bool) -> dict:
    """Landsat Collection 2 Level 2: Earth Search (s3, alternates) or the Planetary Computer (https); the shape stands at the item."""
    where = {"href": href}
    if requester_pays:
        where = {"href": "s3://usgs-landsat/x.TIF", "alternate": {"https": {"href": href, "alternate:name": "HTTPS"}}}

    def band(common: str, number: str) -> dict:
        return {
            **where,
            "type": "image/vnd.stac.geotiff; cloud-optimized=true" if requester_pays else COG,
            "eo:bands": [{"name": f"OLI_{number}", "common_name": common, "center_wavelength": 0.65}],
            "raster:bands": [
                {"unit": "reflectance", "scale": 2.75e-05, "nodata": 0, "offset": -0.2, "data_type": "uint16"}
            ],
            "roles": ["data", "reflectance"],
        }

    quality = {"raster:bands": [{"unit": "bit index", "nodata": 1, "data_type": "uint16"}]}
    assets = {
        "thumbnail": {"href": "https://h/thumb.jpeg", "type": "image/jpeg", "roles": ["thumbnail"]},
        "red": band("red", "B4"),
        "nir08": band("nir08", "B5"),
        "qa_pixel": {**where, "type": COG, **quality, "roles": ["cloud", "cloud-shadow", "snow-ice", "water-mask"]},
        "mtl.json": {"href": "https://h/MTL.json", "type": "application/json", "roles": ["metadata"]},
        "ang": {"href": "https://h/ANG.txt", "type": "text/plain", "roles": ["metadata"]},
    }
    properties = {
        "datetime": "2016-05-03T16:00:42.123456Z",
        "platform": "landsat-8",
        "instruments": ["oli", "tirs"],
        "proj:epsg": 32617,
        "proj:shape": shape,
        "proj:transform": transform,
        "landsat:wrs_path": "017",
        "eo:cloud_cover": 0.4,
        "view:off_nadir": 0,
    }
    return item("LC08_L2SP_017037_20160503_02_T1", bounds, properties, assets, collection="landsat-c2-l2")


def naip(href: str, bounds: Any) -> dict:
    """Planetary Computer, naip: one file of four bands, and no name for the item's pixels but the key."""
    names = [("Red", "red"), ("Green", "green"), ("Blue", "blue"), ("NIR", "nir")]
    assets = {
        "image": {
            "href": href,
            "type": COG,
            "eo:bands": [{"name": name, "common_name": common} for name, common in names],
            "roles": ["data"],
        },
        "metadata": {"href": "https://h/m.txt", "type": "text/plain", "roles": ["metadata"]},
        "thumbnail": {"href": "https://h/m.200.jpg", "type": "image/jpeg", "roles": ["thumbnail"]},
    }
    properties = {
        "gsd": 0.6,
        "datetime": "2019-09-04T16:00:00Z",
        "naip:year": "2019",
        "proj:epsg": 26914,
        "naip:state": "nd",
    }
    return item("nd_m_4709963_se_14_060_20190904", bounds, properties, assets, collection="naip")


def copernicus_dem(href: str, bounds: Any) -> dict:
    """Copernicus DEM GLO-30: one file, heights, no bands at all."""
    assets = {"data": {"href": href, "type": COG, "title": "N38_00_W078_00", "roles": ["data"]}}
    properties = {
        "gsd": 30,
        "datetime": "2021-04-22T00:00:00Z",
        "platform": "TanDEM-X",
        "proj:epsg": 4326,
        "proj:shape": [3600, 3600],
        "proj:transform": [
            0.0002777777777777778,
            0.0,
            -78.00013888888888,
            0.0,
            -0.0002777777777777778,
            39.00013888888889,
        ],
    }
    return item("Copernicus_DSM_COG_10_N38_00_W078_00_DEM", bounds, properties, assets, collection="cop-dem-glo-30")


def stac_1_1(href: str, bounds: Any) -> dict:
    """STAC 1.1 as Earth Search v2 and the Copernicus Data Space write it: ``bands``, and what they share said by the asset."""
    assets = {
        "B04_10m": {
            "href": "s3://eodata/B04_10m.tif",
            "alternate": {"https": {"href": href}},
            "type": COG,
            "bands": [{"name": "B04", "eo:common_name": "red", "eo:center_wavelength": 0.665}],
            "nodata": 0,
            "data_type": "uint16",
            "proj:code": "EPSG:32634",
            "raster:scale": 0.0001,
            "raster:offset": -0.1,
            "roles": ["data", "reflectance", "sampling:original", "gsd:10m"],
        }
    }
    properties = {
        "datetime": "2025-03-30T10:00:51.024000Z",
        "start_datetime": "2025-03-30T10:00:51.024000Z",
        "end_datetime": "2025-03-30T10:00:51.024000Z",
        "processing:version": "05.11",
    }
    return item("S2C_MSIL2A_20250330", bounds, properties, assets, stac_version="1.1.0", collection="sentinel-2-l2a")
