"""Conditions on the rows of a table, as far as they are understood; and which records and areas may fulfil them.

Rows are those for which a condition is true, not null. What is said here of records is never too little: a record that has such a row is
among those that are asked for, and the reader of the table applies the condition itself.
"""

import datetime as dt
import json
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import pyarrow as pa

Operator = Literal["<", "<=", ">", ">=", "=", "<>"]
#: A column, or a member of one that is a struct.
Path: TypeAlias = tuple[str, ...]

#: A server takes 1000 operations of one request; the user's own conditions count too.
_MAX_OPERATIONS: Final = 400
_MAX_DEPTH: Final = 16
_MAX_LENGTH: Final = 1 << 18
#: Whole numbers up to here are the same as float.
_MAX_WHOLE: Final = 1 << 53

_NEGATED: Final[dict[Operator, Operator]] = {"<": ">=", ">=": "<", ">": "<=", "<=": ">", "=": "<>", "<>": "="}
_COMPARE: Final[dict[Operator, Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "<>": operator.ne,
}


@dataclass(frozen=True, slots=True)
class Unknown:
    """A condition that is not understood."""


@dataclass(frozen=True, slots=True)
class Compare:
    """A column against a value."""

    path: Path
    operator: Operator
    value: Any


@dataclass(frozen=True, slots=True)
class IsIn:
    """A column against a list of values, of which none is null. What is said of a null in the column is left open."""

    path: Path
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class IsNull:
    """A column without a value."""

    path: Path


@dataclass(frozen=True, slots=True)
class AllOf:
    """Conditions that all hold."""

    parts: tuple["Predicate", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Conditions of which one holds."""

    parts: tuple["Predicate", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The contrary; of null, null."""

    part: "Predicate"


Predicate: TypeAlias = Unknown | Compare | IsIn | IsNull | AllOf | AnyOf | Not


class Kind(Enum):
    """What the values of a column are."""

    WHOLE = "whole numbers"
    NUMBER = "numbers"
    TEXT = "text"
    TIME = "times"

    @classmethod
    def of(cls, type_: pa.DataType) -> "Kind | None":
        """The kind of an Arrow type; None: not one that conditions are passed on about."""
        if pa.types.is_integer(type_):
            return cls.WHOLE
        if pa.types.is_floating(type_):
            return cls.NUMBER
        if pa.types.is_string(type_) or pa.types.is_large_string(type_):
            return cls.TEXT
        if pa.types.is_date32(type_) or (pa.types.is_timestamp(type_) and type_.unit != "ns"):
            return cls.TIME
        return None


@dataclass(frozen=True, slots=True)
class Property:
    """What a column of a table is called in CQL2."""

    name: str
    kind: Kind


def records_where(predicate: Predicate, properties: Mapping[Path, Property]) -> str | None:
    """Say in CQL2 which records may have rows for which a condition is true.

    Parameters
    ----------
    properties
        By column. What is said of other columns is passed over.

    Returns
    -------
    str or None
        As JSON; None: all may.
    """
    found = _may_hold(predicate, properties, negated=False)
    text = None if found is None or _operations(found) > _MAX_OPERATIONS else json.dumps(found)
    return None if text is None or len(text) > _MAX_LENGTH else text


def numbers_where(predicate: Predicate, column: str, count: int) -> list[int] | None:
    """Say which areas may have rows for which a condition is true.

    Parameters
    ----------
    column
        The one that has the numbers of the areas.
    count
        They are numbered from 1 to this.

    Returns
    -------
    list of int or None
        None: all may.
    """
    numbers = np.arange(1, count + 1)
    found = _numbers(predicate, column, numbers, negated=False)
    return None if found.all() else list(numbers[found].tolist())


def _may_hold(predicate: Predicate, properties: Mapping[Path, Property], *, negated: bool) -> dict[str, Any] | None:
    match predicate:
        case Not(part):
            return _may_hold(part, properties, negated=not negated)
        case AllOf(parts) | AnyOf(parts):
            found = [_may_hold(part, properties, negated=negated) for part in parts]
            if isinstance(predicate, AllOf) is not negated:
                return _joined("and", [one for one in found if one is not None])
            return _joined("or", [one for one in found if one is not None]) if None not in found else None
        case Unknown():
            return None
    known = properties.get(predicate.path)
    return None if known is None else _leaf(predicate, known, negated=negated)


def _leaf(predicate: Compare | IsIn | IsNull, known: Property, *, negated: bool) -> dict[str, Any] | None:
    column = {"property": known.name}
    null = {"op": "isNull", "args": [column]}
    match predicate:
        case IsNull():
            if not negated:
                return null
            # NaN is a value to some, and none to CQL2
            return None if known.kind is Kind.NUMBER else {"op": "not", "args": [null]}
        case IsIn(values=values):
            literals = [_literal(value, known.kind) for value in values]
            if None in literals or not literals:
                return None
            found = {"op": "in", "args": [column, literals]}
            return {"op": "or", "args": [{"op": "not", "args": [found]}, null]} if negated else found
        case Compare(operator=asked, value=value):
            literal = _literal(value, known.kind)
            if literal is None:
                return None
            found = {"op": _NEGATED[asked] if negated else asked, "args": [column, literal]}
            # The same: some put NaN above all numbers, some say no to all that is asked of it.
            open_to_nan = known.kind is Kind.NUMBER and (negated or asked not in ("<", "<=", "="))
            return {"op": "or", "args": [found, null]} if open_to_nan else found


def _literal(value: Any, kind: Kind) -> Any:
    """A value in CQL2, if it can be held against values of a kind; else None."""
    match value:
        case bool():
            return None
        case int() | float() if kind in (Kind.WHOLE, Kind.NUMBER) and abs(value) <= _MAX_WHOLE:
            return value
        case str() if kind is Kind.TEXT and value.isprintable():
            return value
        case dt.datetime() if kind is Kind.TIME:
            at = value.astimezone(dt.UTC) if value.tzinfo else value
            return {"timestamp": f"{at.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"}
        case dt.date() if kind is Kind.TIME:
            return {"timestamp": f"{value.isoformat()}T00:00:00Z"}
    return None


def _joined(word: str, parts: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    flat = [inner for one in parts for inner in (one["args"] if one["op"] == word else [one])]
    if not flat:
        return None
    return flat[0] if len(flat) == 1 else {"op": word, "args": flat}


def _operations(expression: Any, depth: int = 0) -> int:
    """Operations of an expression; too many where it is too deep."""
    if not isinstance(expression, dict) or "op" not in expression:
        return 0
    if depth > _MAX_DEPTH:
        return _MAX_OPERATIONS + 1
    return 1 + sum(_operations(one, depth + 1) for one in expression["args"])


def _numbers(predicate: Predicate, column: str, numbers: np.ndarray, *, negated: bool) -> np.ndarray:
    """Which numbers may fulfil a condition."""
    match predicate:
        case Not(part):
            return _numbers(part, column, numbers, negated=not negated)
        case AllOf(parts) | AnyOf(parts):
            every = isinstance(predicate, AllOf) is not negated
            found = [_numbers(part, column, numbers, negated=negated) for part in parts]
            return np.asarray((np.logical_and if every else np.logical_or).reduce(found))
        case Compare((name,), asked, int() | float() as value) if name == column:
            return np.asarray(_COMPARE[_NEGATED[asked] if negated else asked](numbers, value))
        case IsIn((name,), values) if name == column and all(isinstance(value, int | float) for value in values):
            return np.isin(numbers, list(values), invert=negated)
    return np.ones(len(numbers), np.bool_)
