"""The same geometries in every way in which Arrow data holds them."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import arro3.core
import geoarrow.rust.core
import geopandas as gpd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import shapely


def extension(name: str, storage: pa.Array, **metadata: Any) -> tuple[pa.Field, pa.Array]:
    """A GeoArrow column as libraries leave it that know no extension types."""
    told = {"ARROW:extension:name": f"geoarrow.{name}", "ARROW:extension:metadata": json.dumps(metadata)}
    return pa.field("geometry", storage.type, metadata=told), storage


def table(field: pa.Field, storage: pa.Array, **others: Any) -> pa.Table:
    """A table with a geometry column in the middle of others."""
    columns = {**others, "geometry": storage}
    fields = [
        field if name == "geometry" else pa.field(name, pa.array(values).type) for name, values in columns.items()
    ]
    return pa.Table.from_arrays([pa.array(values) for values in columns.values()], schema=pa.schema(fields))


@contextmanager
def registered_types() -> Iterator[None]:
    """With the extension types of geoarrow.pyarrow known to pyarrow, as for all who import it."""
    import geoarrow.pyarrow

    geoarrow.pyarrow.register_extension_types()
    try:
        yield
    finally:
        geoarrow.pyarrow.unregister_extension_types()


def nowhere(y: float) -> shapely.Polygon:
    """A polygon with a coordinate that is no number."""
    with np.errstate(invalid="ignore"):
        return shapely.Polygon([(0, 0), (1, y), (1, 1)])


def wkb(series: gpd.GeoSeries, kind: pa.DataType | None = None) -> pa.Array:
    """A plain array of WKB."""
    return pa.array(list(series.to_wkb()), kind or pa.binary())


def dense_union(*shapes: shapely.Geometry) -> pa.Array:
    """Storage of geoarrow.geometry, with a child for each type that occurs."""
    kinds = {"Point": 1, "Polygon": 3, "MultiPoint": 4, "MultiPolygon": 6}
    present = list(dict.fromkeys(shape.geom_type for shape in shapes))
    children, places = [], {}
    for kind in present:
        here = [index for index, shape in enumerate(shapes) if shape.geom_type == kind]
        places.update((index, place) for place, index in enumerate(here))
        children.append(
            pa.array(gpd.GeoSeries([shapes[index] for index in here]).to_arrow(geometry_encoding="geoarrow"))
        )
    ids = pa.array([kinds[shape.geom_type] for shape in shapes], pa.int8())
    offsets = pa.array([places[index] for index in range(len(shapes))], pa.int32())
    return pa.UnionArray.from_dense(ids, offsets, children, present, [kinds[kind] for kind in present])


#: Tables of a GeoDataFrame with the columns "name" and "geometry"; they say its CRS.
TABLES: dict[str, Callable[[gpd.GeoDataFrame], Any]] = {
    "geopandas wkb": lambda frame: frame.to_arrow(),
    "geopandas interleaved": lambda frame: frame.to_arrow(geometry_encoding="geoarrow", interleaved=True),
    "geopandas separated": lambda frame: frame.to_arrow(geometry_encoding="geoarrow", interleaved=False),
    "pyarrow": lambda frame: pa.table(frame.to_arrow(geometry_encoding="geoarrow")),
    "batch": lambda frame: pa.table(frame.to_arrow()).combine_chunks().to_batches()[0],
    "reader": lambda frame: pa.table(frame.to_arrow()).to_reader(max_chunksize=1),
    "chunks": lambda frame: pa.concat_tables(
        [
            pa.table(frame[:1].to_arrow(geometry_encoding="geoarrow")),
            pa.table(frame.to_arrow(geometry_encoding="geoarrow"))[1:],
        ]
    ),
    "wkt": lambda frame: table(
        *extension(
            "wkt", pa.array(frame.geometry.to_wkt(rounding_precision=-1)), crs=frame.crs.to_wkt(), crs_type="wkt2:2019"
        ),
        name=frame.name,
    ).select(["name", "geometry"]),
    "large wkb": lambda frame: table(
        *extension("wkb", wkb(frame.geometry, pa.large_binary()), crs=str(frame.crs.to_epsg()), crs_type="srid"),
        name=frame.name,
    ),
    "wkb view": lambda frame: table(
        *extension("wkb", wkb(frame.geometry, pa.binary_view()), crs=frame.crs.to_string(), crs_type="authority_code"),
        name=frame.name,
    ),
    "geoparquet": lambda frame: pa.table({"name": frame.name, "geometry": wkb(frame.geometry)}).replace_schema_metadata(
        {
            "geo": json.dumps(
                {
                    "primary_column": "geometry",
                    "columns": {"geometry": {"encoding": "WKB", "crs": frame.crs.to_json_dict()}},
                }
            )
        }
    ),
    "arro3": lambda frame: arro3.core.Table.from_arrow(pa.table(frame.to_arrow(geometry_encoding="geoarrow"))),
    "arro3 batch": lambda frame: arro3.core.RecordBatch.from_arrow(
        pa.table(frame.to_arrow()).combine_chunks().to_batches()[0]
    ),
}

#: Those that geoarrow.pyarrow cannot take: it knows no SRID.
UNKNOWN_WHEN_REGISTERED = {"large wkb"}

#: Tables with the same columns that cannot say a CRS; the geometry column has to be named.
PLAIN_TABLES: dict[str, Callable[[gpd.GeoDataFrame], Any]] = {
    "pyarrow": lambda frame: pa.table({"name": frame.name, "geometry": wkb(frame.geometry)}),
    "polars": lambda frame: pl.DataFrame({"name": list(frame.name), "geometry": list(frame.geometry.to_wkb())}),
    "pandas": lambda frame: pd.DataFrame(
        {"name": list(frame.name), "geometry": list(frame.geometry.to_wkb())}, index=[7] * len(frame)
    ),
}


def _rust(frame: gpd.GeoDataFrame) -> Any:
    return geoarrow.rust.core.from_shapely(frame.geometry.array.to_numpy(), crs=frame.crs.to_json_dict())


#: Arrays that say their CRS.
ARRAYS: dict[str, Callable[[gpd.GeoDataFrame], Any]] = {
    "geopandas": lambda frame: frame.geometry.to_arrow(geometry_encoding="geoarrow"),
    "rust": _rust,
    "rust chunks": lambda frame: geoarrow.rust.core.GeoChunkedArray.from_arrow(_rust(frame)),
    "rust wkb": lambda frame: geoarrow.rust.core.to_wkb(_rust(frame)),
    "arro3": lambda frame: arro3.core.Array.from_arrow(_rust(frame)),
    "arro3 chunks": lambda frame: arro3.core.Table.from_arrow(pa.table(frame.to_arrow()))["geometry"],
}

#: Arrays that cannot say a CRS.
PLAIN_ARRAYS: dict[str, Callable[[gpd.GeoSeries], Any]] = {
    "binary": wkb,
    "large binary": lambda series: wkb(series, pa.large_binary()),
    "binary view": lambda series: wkb(series, pa.binary_view()),
    "chunks": lambda series: pa.chunked_array([wkb(series[:1]), wkb(series[1:])]),
    "polars": lambda series: pl.Series(list(series.to_wkb())),
    "pandas": lambda series: pd.Series(list(series.to_wkb())),
    "ewkb": lambda series: pa.array(
        list(shapely.to_wkb(shapely.set_srid(series.array.to_numpy(), 2263), include_srid=True))
    ),
}
