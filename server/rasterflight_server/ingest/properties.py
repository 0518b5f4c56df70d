"""Properties of records as typed columns."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from rasterflight_protocol.schemas import RECORDS_COLUMNS

_PREFIX: Final = "properties:"
_OURS: Final = "rasterflight:"
_INT64: Final = range(-(2**63), 2**63)
_KINDS: Final = b"kinds"
_NUMBERS: Final = frozenset(["int", "float"])
#: Types of a column whose values are all of one kind.
_TYPES: Final = {"bool": pa.bool_(), "int": pa.int64(), "float": pa.float64(), "text": pa.utf8()}


class PropertyNames:
    """Names of columns for properties.

    A name that is taken, by a column of the records or, but for case, by another property, is prefixed with ``properties:``.

    Parameters
    ----------
    columns
        Names that were given out before.
    """

    def __init__(self, columns: Iterable[str] = ()) -> None:
        self._taken = {name.casefold() for name in (*RECORDS_COLUMNS, *columns)}
        self._names: dict[str, str] = {}
        for column in columns:
            self._names.setdefault(column.removeprefix(_PREFIX), column)

    def column(self, name: str) -> str:
        """Name of the column of a property."""
        if name not in self._names:
            column = free_name(clean_text(name), self._taken)
            self._taken.add(column.casefold())
            self._names[name] = column
        return self._names[name]


def property_columns(
    records: Sequence[Mapping[str, Any]], names: PropertyNames
) -> tuple[list[pa.Field], list[pa.Array]]:
    """Columns for all properties that occur in some records, in the order in which they do.

    A column keeps the values as they came as far as it can; ``final_type`` and ``convert`` join it with those of other records.
    """
    found = list(dict.fromkeys(name for record in records for name in record))
    fields, arrays = [], []
    for name in found:
        array, kinds = _array([record.get(name) for record in records])
        fields.append(pa.field(names.column(name), array.type, metadata={_KINDS: ",".join(kinds)}))
        arrays.append(array)
    return fields, arrays


def final_type(fields: Iterable[pa.Field]) -> pa.DataType:
    """Type that holds the values of all columns of a property.

    Whole numbers become int64, other numbers float64, truth values bool, texts utf8, lists and objects JSON text; mixed
    numbers become float64, any other mixture text.
    """
    kinds = frozenset().union(*map(_kinds, fields))
    if len(kinds) == 1:
        return _TYPES[next(iter(kinds))]
    return pa.float64() if kinds and kinds <= _NUMBERS else pa.utf8()


def convert(column: pa.ChunkedArray, field: pa.Field, target: pa.DataType) -> pa.ChunkedArray:
    """Values of a column in the type that ``final_type`` says."""
    if _kinds(field) == {"float"} and target == pa.utf8():
        return pa.chunked_array(
            [[None if value is None else json.dumps(value) for value in column.to_pylist()]], target
        )
    return column.cast(target)


def known_field(column: pa.ChunkedArray, field: pa.Field) -> pa.Field:
    """Field of a column of an index, as ``property_columns`` would have given it."""
    kinds = [kind for kind, dtype in _TYPES.items() if dtype == field.type and column.null_count < len(column)]
    return field.with_metadata({_KINDS: ",".join(kinds)})


def clean_text(text: str) -> str:
    """Text that UTF-8 can spell: JSON may hold halves of surrogate pairs."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def free_name(name: str, taken: set[str]) -> str:
    """The name of a column, or with a prefix where it is taken; ``taken`` is casefolded."""
    while name.casefold() in taken or name.casefold().startswith(_OURS):
        name = _PREFIX + name
    return name


def _kinds(field: pa.Field) -> frozenset[str]:
    return frozenset(filter(None, field.metadata[_KINDS].decode().split(",")))


def _array(values: list[Any]) -> tuple[pa.Array, list[str]]:
    kinds = sorted({_kind(value) for value in values if value is not None})
    match kinds:
        case []:
            return pa.nulls(len(values)), kinds
        case ["bool"] | ["int"] | ["float"]:
            return pa.array(values, _TYPES[kinds[0]]), kinds
    return _mapped(values, _text, pa.utf8()), kinds


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if value in _INT64 else "text"
    return "float" if isinstance(value, float) else "text"


def _mapped(values: list[Any], convert: Callable[[Any], Any], kind: pa.DataType) -> pa.Array:
    return pa.array([None if value is None else convert(value) for value in values], kind)


def _text(value: Any) -> str:
    return clean_text(value if isinstance(value, str) else json.dumps(value))
