"""Areas out of a geometry column."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from rasterflight._arrow import storage_of
from rasterflight._columns import column_shapes
from rasterflight._geoarrow import Encoding
from rasterflight._native import floats
from rasterflight.errors import BadGeometryError

_NO_AREAS: Final = frozenset(["point", "linestring", "multipoint", "multilinestring"])
_BOUNDS: Final = ("xmin", "ymin", "xmax", "ymax")


def column_areas(chunks: Sequence[pa.Array], encoding: Encoding) -> list[Any] | np.ndarray:
    """Areas of a column: WKB as it is, boxes of shape (n, 4), or Shapely geometries; numbered from 1 in errors.

    Raises
    ------
    BadGeometryError
        A row is missing, the column holds no areas or cannot be read, or its edges are not straight.
    """
    if not encoding.planar:
        raise BadGeometryError(
            f"the edges of the geometries are {encoding.edges}, and areas have straight edges",
            field="geometries",
            hint="put vertices along the edges, then leave the edges out of the metadata",
        )
    if encoding.name in _NO_AREAS:
        raise BadGeometryError(
            f"geometries is a column of geoarrow.{encoding.name}, and areas are Polygons or MultiPolygons",
            field="geometries",
            hint="values at points are what sample_points is for",
        )
    storage = [storage_of(chunk) for chunk in chunks]
    _check_nulls(storage)
    if encoding.name == "wkb":
        return [value for chunk in storage for value in chunk.to_pylist()]
    if encoding.name == "box":
        return np.concatenate([np.empty((0, len(_BOUNDS))), *map(_bounds, storage)])
    return column_shapes(storage, encoding, "geometry", 1)


def _check_nulls(storage: Sequence[pa.Array]) -> None:
    first = 1
    for chunk in storage:
        if chunk.null_count:
            index = int(np.argmin(chunk.is_valid().to_numpy(zero_copy_only=False)))
            raise BadGeometryError(f"geometry {first + index} is missing", field="geometries")
        first += len(chunk)


def _bounds(storage: Any) -> np.ndarray:
    if not pa.types.is_struct(storage.type) or not set(_BOUNDS) <= {field.name for field in storage.type}:
        raise BadGeometryError(f"the geoarrow.box column cannot be read: {storage.type}", field="geometries")
    return np.column_stack([floats(storage.field(name)) for name in _BOUNDS])
