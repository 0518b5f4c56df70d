"""A read as an xarray Dataset."""

import json
from typing import Any

import numpy as np

from rasterflight._attributes import attributes, check_names, mask_attributes, mask_name
from rasterflight._combine import Combine
from rasterflight._cube import Cubes, read_cubes
from rasterflight._extras import need
from rasterflight._stream import Stream
from rasterflight.errors import NodataVariesError
from rasterflight_protocol import band_fields
from rasterflight_protocol.schemas import CRS_KEY

_DIMS = ("time", "geometry", "y", "x")


def read_xarray(stream: Stream, combine: Combine, *, squeeze_geometry: bool) -> Any:
    """Read a stream of chips into a Dataset; see `Collection.get_xarray`."""
    xarray = need("xarray", "xarray")
    bands = band_fields(stream.schema)
    check_names(bands)
    if varying := [band.name for band in bands if band.nodata_varies and not band.masked]:
        raise NodataVariesError(
            f"the records differ in nodata of {', '.join(varying)}",
            hint="narrow the read by ids= or other filters, read with masked=True, or use get_gdf",
        )
    cubes = read_cubes(stream, bands, combine)
    dataset = xarray.Dataset(
        {
            **{band.name: (_DIMS, cubes.arrays[band.name], attributes(band)) for band in bands},
            **{mask_name(band): (_DIMS, mask, mask_attributes(band)) for band, mask in cubes.masks.items()},
        },
        coords=_coordinates(cubes, _crs_texts(stream, cubes.crs)),
    )
    for name in dataset.data_vars:
        dataset[name].encoding["grid_mapping"] = "spatial_ref"
    if stream.errors:
        dataset.attrs["rasterflight_errors"] = [str(error) for error in stream.errors]
    return dataset.squeeze("geometry") if squeeze_geometry and dataset.sizes["geometry"] == 1 else dataset


def _coordinates(cubes: Cubes, crs: dict[str, str]) -> dict[str, Any]:
    a, b, c, d, e, f = cubes.transform
    height, width = next(iter(cubes.arrays.values())).shape[2:]
    return {
        "time": ("time", cubes.times),
        "geometry": ("geometry", cubes.geometry_ids),
        # pixel centres, rounded as Affine does when rioxarray lists them
        "y": ("y", np.arange(height) * e + (e * 0.5 + f), {"axis": "Y"}),
        "x": ("x", np.arange(width) * a + (a * 0.5 + c), {"axis": "X"}),
        "record_id": ("time", cubes.record_ids),
        "spatial_ref": ((), 0, {**crs, "GeoTransform": " ".join(map(repr, (c, a, b, f, d, e)))}),
    }


def _crs_texts(stream: Stream, crs: str | None) -> dict[str, str]:
    """The CRS in the words of CF, GDAL and PROJ, from what the server sent along."""
    if crs is None:
        return {}
    told = json.loads((stream.schema.metadata or {}).get(CRS_KEY, b"{}")).get(crs, {})
    wkt = told.get("wkt", crs)
    texts = {"crs_wkt": wkt, "spatial_ref": wkt}
    if "projjson" in told:
        projjson = told["projjson"]
        texts["projjson"] = projjson if isinstance(projjson, str) else json.dumps(projjson)
    return texts
