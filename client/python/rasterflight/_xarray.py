"""Cubes as an xarray Dataset."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from rasterflight._attributes import attributes, check_names, mask_attributes, mask_name
from rasterflight._axes import Assembly, Axes
from rasterflight._commongrid import common_grid
from rasterflight._cube import Cubes, read_cubes
from rasterflight._extras import need
from rasterflight._lazy import plan_cubes
from rasterflight._source import Source
from rasterflight._stream import Stream
from rasterflight.errors import NodataVariesError
from rasterflight_protocol import BandField, band_fields
from rasterflight_protocol.schemas import CRS_KEY
from rasterflight_protocol.v1.read_pb2 import ReadRequest

_DIMS = ("time", "geometry", "y", "x")


def read_xarray(stream: Stream, assembly: Assembly) -> Any:
    """Read a stream of chips into a Dataset; see `Collection.get_xarray`."""
    need("xarray", "xarray")
    cubes = read_cubes(stream, checked_bands(stream.schema), assembly)
    dataset = to_dataset(cubes, stream.schema)
    if stream.errors:
        dataset.attrs["rasterflight_errors"] = [str(error) for error in stream.errors]
    return dataset


def plan_xarray(stream: Stream, request: ReadRequest, assembly: Assembly, *, chunks: Any, source: Source) -> Any:
    """Make the same Dataset of outlines, for pixels to be read later."""
    need("xarray", "xarray")
    bands = checked_bands(stream.schema)
    cubes = plan_cubes(stream, bands, request, assembly, chunks=chunks, source=source)
    return to_dataset(cubes, stream.schema)


def checked_bands(schema: pa.Schema) -> Sequence[BandField]:
    """The bands of a read, if a Dataset can hold them.

    Raises
    ------
    ColumnCollisionError
        See `check_names`.
    NodataVariesError
        The records differ in nodata.
    """
    bands = band_fields(schema)
    check_names(bands)
    if varying := [band.name for band in bands if band.nodata_varies and not band.masked]:
        raise NodataVariesError(
            f"the records differ in nodata of {', '.join(varying)}",
            hint="narrow the read by ids= or other filters, read with masked=True, or use get_gdf",
        )
    return bands


def to_dataset(cubes: Cubes, schema: pa.Schema) -> Any:
    """Put cubes into a Dataset, with what the schema of their stream says about them."""
    xarray, grid = need("xarray", "xarray"), common_grid(schema)
    variables = {}
    for band in band_fields(schema):
        told = {} if grid is None else grid.attributes(band.name)
        variables[band.name] = (_DIMS, cubes.arrays[band.name], {**attributes(band), **told})
    for band_name, mask in cubes.masks.items():
        variables[mask_name(band_name)] = (_DIMS, mask, mask_attributes(band_name))
    dataset = xarray.Dataset(variables, coords=_coordinates(cubes.axes, _crs_texts(schema, cubes.axes.crs)))
    for name in dataset.data_vars:
        dataset[name].encoding["grid_mapping"] = "spatial_ref"
    return dataset


def _coordinates(axes: Axes, crs: dict[str, str]) -> dict[str, Any]:
    a, b, c, d, e, f = axes.transform
    *_, height, width = axes.shape
    # pixel centres, rounded as Affine does when rioxarray lists them
    y, x = np.arange(height) * e + (e * 0.5 + f), np.arange(width) * a + (a * 0.5 + c)
    return {
        "time": ("time", axes.steps.times),
        "geometry": ("geometry", np.array(axes.geometry_ids, np.int64)),
        "y": ("y", axes.coordinates.get("y", y), {"axis": "Y"}),
        "x": ("x", axes.coordinates.get("x", x), {"axis": "X"}),
        "record_id": ("time", axes.steps.labels),
        "spatial_ref": ((), 0, {**crs, "GeoTransform": " ".join(map(repr, (c, a, b, f, d, e)))}),
    }


def _crs_texts(schema: pa.Schema, crs: str | None) -> dict[str, str]:
    """The CRS in the words of CF, GDAL and PROJ, from what the server sent along."""
    if crs is None:
        return {}
    told = json.loads((schema.metadata or {}).get(CRS_KEY, b"{}")).get(crs, {})
    wkt = told.get("wkt", crs)
    texts = {"crs_wkt": wkt, "spatial_ref": wkt}
    if "projjson" in told:
        projjson = told["projjson"]
        texts["projjson"] = projjson if isinstance(projjson, str) else json.dumps(projjson)
    return texts
