"""Properties of records as typed columns."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from rasterflight_protocol.schemas import RECORDS_COLUMNS

_PREFIX: Final = "properties:"
_OURS: Final = "rasterflight:"
_INT64: Final = range(-(2**63), 2**63)


def property_columns(records: Sequence[Mapping[str, Any]]) -> tuple[list[pa.Field], list[pa.Array]]:
    """Columns for all properties that occur, in the order in which they do.

    Whole numbers become int64, other numbers float64, truth values bool, texts utf8, lists and objects JSON text; mixed
    numbers become float64, any other mixture text. A record without the property has null. A name that is taken, by a column of
    the records or, but for case, by another property, is prefixed with ``properties:``.
    """
    names = list(dict.fromkeys(name for record in records for name in record))
    taken = {name.casefold() for name in RECORDS_COLUMNS}
    fields, arrays = [], []
    for name in names:
        array = _array([record.get(name) for record in records])
        column = free_name(clean_text(name), taken)
        taken.add(column.casefold())
        fields.append(pa.field(column, array.type))
        arrays.append(array)
    return fields, arrays


def clean_text(text: str) -> str:
    """Text that UTF-8 can spell: JSON may hold halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode()


def free_name(name: str, taken: set[str]) -> str:
    """The name of a column, or with a prefix where it is taken; ``taken`` is casefolded."""
    while name.casefold() in taken or name.casefold().startswith(_OURS):
        name = _PREFIX + name
    return name


def _array(values: list[Any]) -> pa.Array:
    kinds = {_kind(value) for value in values if value is not None}
    if kinds == {"bool"}:
        return pa.array(values, pa.bool_())
    if kinds == {"int"}:
        return pa.array(values, pa.int64())
    if kinds and kinds <= {"int", "float"}:
        return _mapped(values, float, pa.float64())
    return _mapped(values, _text, pa.utf8())


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
