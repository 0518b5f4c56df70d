"""Coordinates of points out of the columns of a table."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from rasterflight._arrow import storage_of, without_views
from rasterflight._columns import column_index, column_shapes, geometry_column_of, without
from rasterflight._geoarrow import Encoding
from rasterflight._native import DEPTH, UnreadableError, floats, unnest
from rasterflight._shapes import point_coordinates
from rasterflight.errors import BadGeometryError, BadRequestError

_MAYBE_POINTS: Final = ("geometry", "multipoint", "point", "wkb", "wkt")


class PointColumns:
    """Where a table keeps its points.

    Parameters
    ----------
    schema
        Of the table.
    geometry, x, y
        Names of columns as the caller gave them.

    Raises
    ------
    BadRequestError
        They are not there, or contradict each other.
    CrsRequiredError
        The geometry column says its CRS in a way that cannot be read.
    """

    def __init__(self, schema: pa.Schema, geometry: str | None, x: str | None, y: str | None) -> None:
        self._schema = schema
        self._encoding: Encoding | None = None
        if x is None and y is None:
            column = geometry_column_of(schema, geometry)
            self._encoding = column.encoding
            self._used = [column.index]
        elif x is None or y is None:
            raise BadRequestError("x_column and y_column go together, and only one is given", field="x_column")
        elif geometry is not None:
            raise BadRequestError(
                "geometry_column is given beside x_column and y_column, expected one or the other",
                field="geometry_column",
            )
        else:
            self._used = [column_index(schema, x, "x_column"), column_index(schema, y, "y_column")]
            for index, keyword in zip(self._used, ("x_column", "y_column"), strict=True):
                _check_numbers(schema.field(index), keyword)
        self._others = without(schema, self._used)

    @property
    def crs(self) -> str | None:
        """What the table says."""
        return None if self._encoding is None else self._encoding.crs

    def coordinates(self, batch: pa.RecordBatch, first: int) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates of a batch, float64; ``first`` is the number of its first point, for errors."""
        columns = [batch.column(index) for index in self._used]
        if self._encoding is None:
            return floats(columns[0]), floats(columns[1])
        xy = column_coordinates(columns, self._encoding, first)
        return np.ascontiguousarray(xy[:, 0]), np.ascontiguousarray(xy[:, 1])

    def others(self, batches: Sequence[pa.RecordBatch]) -> pa.Table | None:
        """The columns that do not hold the points; None: there are none."""
        if not self._others:
            return None
        schema = pa.schema([self._schema.field(index) for index in self._others])
        parts = [batch.select(self._others).replace_schema_metadata(None) for batch in batches]
        return without_views(pa.Table.from_batches(parts, schema))


def column_coordinates(chunks: Sequence[pa.Array], encoding: Encoding, first: int) -> np.ndarray:
    """Coordinates of a geometry column, shape (n, 2).

    Parameters
    ----------
    chunks, encoding
        The pieces of the column, and how to read them.
    first
        Number of the first point, for errors.

    Raises
    ------
    BadGeometryError
        A row is missing, empty, or no point; names it.
    """
    if encoding.name not in _MAYBE_POINTS:
        raise BadGeometryError(
            f"points is a column of geoarrow.{encoding.name}, which holds no points",
            field="points",
            hint="pixels of areas are what get_gdf and get_numpy are for",
        )
    if encoding.name != "point":
        return point_coordinates(column_shapes(map(storage_of, chunks), encoding, "point", first), first)
    pieces = [np.empty((0, 2))]
    for storage in map(storage_of, chunks):
        if storage.null_count:
            index = int(np.argmin(storage.is_valid().to_numpy(zero_copy_only=False)))
            raise BadGeometryError(f"point {first + index} is missing", field="points")
        try:
            pieces.append(unnest(storage, DEPTH["point"])[1])
        except UnreadableError as error:
            raise BadGeometryError(f"the geoarrow.point column cannot be read: {error}", field="points") from None
        first += len(storage)
    return np.concatenate(pieces)


def _check_numbers(field: pa.Field, keyword: str) -> None:
    kind = field.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise BadRequestError(f"the column {field.name!r} is {kind}, expected numbers", field=keyword)
