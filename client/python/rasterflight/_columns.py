"""Columns of a table: which one is meant, and what it holds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import pyarrow as pa

from rasterflight._geoarrow import Encoding, is_wkb, primary_column, told_encoding
from rasterflight._native import DEPTH, UnreadableError, native_shapes, union_shapes
from rasterflight._shapes import field_of, shapes_from_wkb, shapes_from_wkt
from rasterflight.errors import BadGeometryError, BadRequestError

_SOME = 8


@dataclass(frozen=True)
class GeometryColumn:
    """The geometry column of a table."""

    index: int
    encoding: Encoding


def geometry_column_of(schema: pa.Schema, name: str | None) -> GeometryColumn:
    """Find the geometry column of a table: the one named, or else the only one that says what it is.

    Raises
    ------
    BadRequestError
        There is no such column, it holds no geometries, or it is not clear which is meant.
    CrsRequiredError
        It says its CRS in a way that cannot be read.
    """
    if name is not None:
        return _named(schema, name)
    told = [
        GeometryColumn(index, encoding)
        for index, field in enumerate(schema)
        if (encoding := told_encoding(field, schema)) is not None
    ]
    if len(told) == 1:
        return told[0]
    names = [schema.field(column.index).name for column in told]
    if (primary := primary_column(schema)) is not None and primary in names:
        return told[names.index(primary)]
    if told:
        raise BadRequestError(
            f"the table has several geometry columns: {', '.join(names)}",
            field="geometry_column",
            hint="say which with geometry_column=",
        )
    raise BadRequestError(
        "the table has no column that says it holds geometries (GeoArrow, GeoParquet)",
        field="geometry_column",
        hint=f"name a column of WKB with geometry_column=; the columns are: {_listed(schema.names)}",
    )


def column_index(schema: pa.Schema, name: str, keyword: str) -> int:
    """Find a column by its name.

    Parameters
    ----------
    schema
        Of the table.
    name
        As the caller gave it.
    keyword
        The keyword that it came by, for errors.

    Raises
    ------
    BadRequestError
        There is none, or several.
    """
    found = [index for index, own in enumerate(schema.names) if own == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise BadRequestError(f"the table has {len(found)} columns named {name!r}", field=keyword, hint="rename them")
    raise BadRequestError(f"the table has no column {name!r}", field=keyword, hint=nearest_columns(name, schema.names))


def nearest_columns(name: str, columns: Iterable[Any]) -> str:
    """List columns for one who named another, the nearest first."""
    names = list(map(str, columns))
    near = get_close_matches(str(name), names, n=_SOME)
    return f"the columns are: {_listed([*near, *(own for own in names if own not in near)])}"


def column_shapes(storage: Iterable[pa.Array], encoding: Encoding, what: str, first: int) -> np.ndarray:
    """Decode a column into Shapely geometries, an object array; null is None.

    Parameters
    ----------
    storage, encoding
        The pieces of the column without their extension type, and how to read them.
    what, first
        What a row is called in errors, and the number of the first.

    Raises
    ------
    BadGeometryError
        A geometry cannot be read, or the encoding is not known.
    """
    pieces = [np.empty(0, object)]
    for array in storage:
        pieces.append(_decoded(array, encoding.name, what, first))
        first += len(array)
    return np.concatenate(pieces)


def _named(schema: pa.Schema, name: str) -> GeometryColumn:
    index = column_index(schema, name, "geometry_column")
    field = schema.field(index)
    encoding = told_encoding(field, schema)
    if encoding is None:
        if not is_wkb(field.type):
            raise BadRequestError(
                f"the column {name!r} is {field.type}, and says nothing about geometries",
                field="geometry_column",
                hint="expected WKB (binary), or a type of GeoArrow",
            )
        encoding = Encoding("wkb")
    return GeometryColumn(index, encoding)


def _decoded(storage: Any, encoding: str, what: str, first: int) -> np.ndarray:
    if encoding == "wkb":
        return shapes_from_wkb(storage.to_pylist(), what, first)
    if encoding == "wkt":
        return shapes_from_wkt(storage.to_pylist(), what, first)
    if encoding != "geometry" and encoding not in DEPTH:
        raise BadGeometryError(
            f"geoarrow.{encoding} is not read here", field=field_of(what), hint="write the column as geoarrow.wkb"
        )
    try:
        return _native(storage, encoding)
    except UnreadableError as error:
        index = first + _first_unreadable(storage, encoding)
        raise BadGeometryError(
            f"{what} {index} cannot be read as geoarrow.{encoding}: {error}", field=field_of(what)
        ) from None


def _native(storage: Any, encoding: str) -> np.ndarray:
    return union_shapes(storage) if encoding == "geometry" else native_shapes(encoding, storage)


def _first_unreadable(storage: Any, encoding: str) -> int:
    start, stop = 0, len(storage)
    while stop - start > 1:
        middle = (start + stop) // 2
        try:
            _native(storage.slice(start, middle - start), encoding)
            start = middle
        except UnreadableError:
            stop = middle
    return start


def without(schema: pa.Schema, indices: Sequence[int]) -> list[int]:
    """Numbers of the other columns."""
    return [index for index in range(len(schema)) if index not in indices]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SOME} more" if len(names) > _SOME else ""
    return ", ".join(names[:_SOME]) + more
