"""The columns that came with areas, row by row as the result wants them."""

from typing import Any, Final

import numpy as np
import pyarrow as pa

from rasterflight._arrow import storage_of
from rasterflight._columns import column_shapes
from rasterflight._extras import need
from rasterflight._geoarrow import told_encoding
from rasterflight._native import DEPTH

_GEOMETRIES: Final = frozenset(["wkb", "wkt", "geometry", *DEPTH])


def own_rows(columns: Any, rows: np.ndarray) -> Any:
    """Take rows of columns into a pandas DataFrame.

    Parameters
    ----------
    columns
        A pandas DataFrame, whose types stay, or a pyarrow Table: whole numbers and booleans with nulls become the
        nullable types of pandas, geometries GeoSeries, the rest what ``to_pandas`` makes of it.
    rows
        Row numbers, in any order and as often as needed.
    """
    if not isinstance(columns, pa.Table):
        return columns.take(rows).reset_index(drop=True)
    pandas = need("pandas", "geo")
    taken = columns.take(pa.array(rows))
    # column by column, so that one name may stand for several
    series = [
        _series(field, column, nullable=whole.null_count > 0)
        for field, column, whole in zip(taken.schema, taken.columns, columns.columns, strict=True)
    ]
    return pandas.concat(series, axis=1, keys=taken.schema.names)


def _series(field: pa.Field, column: pa.ChunkedArray, *, nullable: bool) -> Any:
    encoding = told_encoding(field)
    if encoding is not None and encoding.name in _GEOMETRIES:
        shapes = column_shapes(map(storage_of, column.chunks), encoding, f"{field.name} of geometry", 1)
        return need("geopandas", "geo").GeoSeries(shapes, crs=encoding.crs)
    return column.to_pandas(types_mapper=_nullable().get if nullable else None)


def _nullable() -> dict[pa.DataType, Any]:
    pandas = need("pandas", "geo")
    kinds = {getattr(pa, name.lower())(): getattr(pandas, f"{name}Dtype")() for name in _WHOLE}
    return {**kinds, pa.bool_(): pandas.BooleanDtype()}


_WHOLE: Final = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
