"""Columns of a table as values of records: a batch at a time by array operations, since tables are long."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.ingest.stacassets import resolve_href
from rasterflight_server.store import is_remote


def texts(array: pa.Array, name: str) -> list[str | None]:
    """Values of a column as text: ids may be numbers.

    Raises
    ------
    RequestError
        Values of this type are no text.
    """
    simple = plain(array)
    try:
        return values(simple if pa.types.is_string(simple.type) else simple.cast(pa.utf8()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            f"the column {name!r} is no text, its type is {simple.type!s:.60}",
            field="map",
            hint="a query can take the text out of it",
        ) from None


def hrefs(array: pa.Array, name: str, location: str) -> list[str | None]:
    """Values of a column as absolute paths and URLs; relative ones start from where the table lies.

    Raises
    ------
    RequestError
        As ``texts``.
    """
    return [href if not href or is_remote(href) else resolve_href(href, location) for href in texts(array, name)]


def properties(batch: pa.RecordBatch, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Columns, by their names, as properties, by theirs, of each record, in words that JSON has: dates as ISO 8601, decimals as floats.

    Binary columns are left out.
    """
    named = [(name, plain(batch.column(column))) for column, name in names.items()]
    kept = [(name, _simple(array)) for name, array in named if not is_binary(array.type)]
    if not kept:
        return [{} for _ in range(batch.num_rows)]
    keys = [name for name, _ in kept]
    return [dict(zip(keys, row, strict=True)) for row in zip(*(values(array) for _, array in kept), strict=True)]


def field_of(struct: pa.StructArray, name: str) -> pa.Array:
    """Child of a struct, null where the struct is."""
    return pc.struct_field(struct, name)


def plain(array: pa.Array) -> pa.Array:
    """Values without dictionaries, extension types, and the variants of text."""
    if isinstance(array.type, pa.ExtensionType):
        array = array.storage
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type):
        return array.cast(pa.utf8())
    if pa.types.is_large_binary(array.type) or pa.types.is_binary_view(array.type):
        return array.cast(pa.binary())
    return array


def is_binary(kind: pa.DataType) -> bool:
    """Whether values are bytes."""
    return bool(pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind))


def values(array: pa.Array) -> list[Any]:
    """Values as Python has them."""
    return list(array.to_pylist())


def _simple(array: pa.Array) -> pa.Array:
    kind = array.type
    if pa.types.is_timestamp(kind):
        if kind.tz is not None:
            array = array.cast(pa.timestamp(kind.unit, "UTC"))
        moments = array.cast(pa.timestamp("us"), safe=False)
        return pc.replace_substring(pc.strftime(moments, "%Y-%m-%dT%H:%M:%SZ"), ".000000Z", "Z")
    if pa.types.is_decimal(kind):
        return array.cast(pa.float64())
    if pa.types.is_temporal(kind):
        return array.cast(pa.utf8())
    return array


def unknown_column(name: str, given: Iterable[str], what: str, field: str) -> RequestError:
    """Error for a column that a table does not have; names the nearest one."""
    given = list(given)
    near = difflib.get_close_matches(name, given, n=1, cutoff=0.5) or [
        column for column in given if column.casefold() == name.casefold()
    ]
    listed = ", ".join(map(repr, given[:20])) + (" ..." if len(given) > 20 else "")  # noqa: PLR2004
    return RequestError(
        ErrorCode.BAD_REQUEST,
        f"{what} has no column {name!r}",
        field=field,
        hint=f"did you mean {near[0]!r}? It has {listed}" if near else f"it has {listed}",
    )
