"""What the filter expressions of pyarrow say, read from their Substrait form.

The form is a protobuf message (``substrait.ExtendedExpression``), read here field by field: whatever is not expected makes a condition
unknown.
"""

import datetime as dt
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from rasterflight._predicates import AllOf, AnyOf, Compare, IsIn, IsNull, Not, Operator, Path, Predicate, Unknown

_COMPARISONS: Final[dict[str, Operator]] = {
    "lt": "<",
    "lte": "<=",
    "gt": ">",
    "gte": ">=",
    "equal": "=",
    "not_equal": "<>",
}
_MIRRORED: Final[dict[Operator, Operator]] = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}
_UNSIGNED: Final = frozenset(["u8", "u16", "u32", "u64"])
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_DAY: Final = dt.timedelta(days=1)
_NULL: Final = object()


class _UnexpectedError(Exception):
    """Something in a message that is not understood."""


@dataclass
class ArrowFilter:
    """What an expression says."""

    predicate: Predicate = field(default_factory=Unknown)
    #: Names of the columns that it looks at; None: not known.
    columns: set[str] | None = None


def read_filter(expression: Any, schema: pa.Schema) -> ArrowFilter:
    """Read an expression.

    Parameters
    ----------
    expression
        A ``pyarrow.compute.Expression``.
    schema
        Of the rows that it is about.
    """
    try:
        message = bytes(expression.to_substrait(pa.schema(map(_told, schema))))
    except (pa.ArrowException, AttributeError):  # not all that Arrow has is in Substrait, and not all builds have it
        return ArrowFilter()
    try:
        reader = _Reader(message, schema)
        return ArrowFilter(reader.predicate(reader.root), reader.columns)
    except (_UnexpectedError, IndexError, KeyError, OverflowError, ValueError, struct.error):
        return ArrowFilter()


def _told(column: pa.Field) -> pa.Field:
    """A column as Substrait has it; types that it lacks are made others, so that it can tell of the other columns."""
    plain = [member.type for member in column.type] if pa.types.is_struct(column.type) else [column.type]
    if all(pa.types.is_primitive(one) or pa.types.is_string(one) or pa.types.is_large_string(one) for one in plain):
        return pa.field(column.name, column.type)
    return pa.field(column.name, pa.binary())


class _Reader:
    """Conditions in a message; `columns` is known once all of it was read."""

    def __init__(self, message: bytes, schema: pa.Schema) -> None:
        self._schema = schema
        self.columns: set[str] | None = set()
        self._functions: dict[int, str] = {}
        self._types: dict[int, str] = {}
        fields = _Fields(message)
        for declared in fields.messages(2):
            for number, known in ((3, self._functions), (1, self._types)):
                for one in declared.messages(number):
                    known[one.number(2)] = one.text(3)
        [reference] = fields.messages(3)
        [self.root] = reference.messages(1)

    def predicate(self, expression: "_Fields") -> Predicate:
        """Read a condition; one that is not understood may look at any column."""
        try:
            return self._predicate(expression)
        except _UnexpectedError:
            self.columns = None
            return Unknown()

    def _predicate(self, expression: "_Fields") -> Predicate:
        [kind] = expression.numbers()
        [inner] = expression.messages(kind)
        match kind:
            case 3:
                return self._function(inner)
            case 6:
                return self._if_then(inner)
            case 8:
                inner.only(1, 2)
                [value] = inner.messages(1)
                values = tuple(self._literal(option) for option in inner.messages(2))
                if any(value is _NULL for value in values):
                    raise _UnexpectedError
                return IsIn(self._path(value), values)
        raise _UnexpectedError

    def _function(self, call: "_Fields") -> Predicate:
        call.only(1, 3, 4)
        name = self._functions[call.number(1)]
        arguments = []
        for argument in call.messages(4):
            argument.only(3)
            arguments.extend(argument.messages(3))
        match name, arguments:
            case "and", parts if parts:
                return AllOf(tuple(map(self.predicate, parts)))
            case "or", parts if parts:
                return AnyOf(tuple(map(self.predicate, parts)))
            case "not", [part]:
                return Not(self.predicate(part))
            case "is_null", [column]:
                return IsNull(self._path(column))
            case "is_not_null", [column]:
                return Not(IsNull(self._path(column)))
            case _, [left, right] if name in _COMPARISONS:
                asked = _COMPARISONS[name]
                if left.numbers() == [1]:
                    left, right, asked = right, left, _MIRRORED[asked]
                value = self._literal(right)
                if value is _NULL:
                    raise _UnexpectedError
                return Compare(self._path(left), asked, value)
        raise _UnexpectedError

    def _if_then(self, choice: "_Fields") -> Predicate:
        """A condition that is null where another does not hold."""
        choice.only(1, 2)
        [[case], [other]] = choice.messages(1), choice.messages(2)
        case.only(1, 2)
        [[question], [then]] = case.messages(1), case.messages(2)
        if self._literal(other) is not _NULL:
            raise _UnexpectedError
        self.predicate(question)
        return self.predicate(then)

    def _path(self, expression: "_Fields") -> Path:
        expression.only(2)
        [reference] = expression.messages(2)
        reference.only(1, 4)
        segment: _Fields | None = reference.messages(1)[0]
        path: list[str] = []
        fields: Any = self._schema
        while segment is not None:
            segment.only(2)
            [member] = segment.messages(2)
            member.only(1, 2)
            found = fields.field(member.number(1))
            path.append(found.name)
            fields = found.type
            segment = next(iter(member.messages(2)), None)
        if self.columns is not None:
            self.columns.add(path[0])
        return tuple(path)

    def _literal(self, expression: "_Fields") -> Any:
        expression.only(1)
        [literal] = expression.messages(1)
        kinds = [number for number in literal.numbers() if number not in (50, 51)]
        if len(kinds) != 1:
            raise _UnexpectedError
        [kind] = kinds
        match kind:
            case 1:
                return bool(literal.number(1))
            case 2 | 3 | 5 | 7:
                return _signed(literal.number(kind))
            case 10 | 11:
                [packed] = literal.packed(kind)
                return struct.unpack("<f" if kind == 10 else "<d", packed)[0]  # noqa: PLR2004
            case 12:
                return literal.text(12)
            case 14 | 27:
                return _EPOCH + dt.timedelta(microseconds=_signed(literal.number(kind)))
            case 16:
                return (_EPOCH + _DAY * _signed(literal.number(16))).date()
            case 29:
                return _NULL
            case 33:
                return self._unsigned(literal)
        raise _UnexpectedError

    def _unsigned(self, literal: "_Fields") -> int:
        [wrapped] = literal.messages(33)
        wrapped.only(1, 2)
        [value] = wrapped.messages(2)
        if self._types.get(wrapped.number(1)) not in _UNSIGNED or not value.text(1).endswith("UInt64Value"):
            raise _UnexpectedError
        [inner] = value.messages(2) or [_Fields(b"")]
        inner.only(1)
        return inner.number(1)


class _Fields:
    """The fields of a protobuf message."""

    def __init__(self, message: bytes) -> None:
        self._fields: dict[int, list[int | bytes]] = {}
        for number, value in _fields(message):
            self._fields.setdefault(number, []).append(value)

    def numbers(self) -> list[int]:
        """Numbers of the fields that are there."""
        return list(self._fields)

    def only(self, *numbers: int) -> None:
        """Make sure that there are no other fields."""
        if not self._fields.keys() <= set(numbers):
            raise _UnexpectedError

    def packed(self, number: int) -> list[bytes]:
        """The values of a field that is text, a message, or a number of fixed size."""
        found = self._fields.get(number, [])
        if not all(isinstance(value, bytes) for value in found):
            raise _UnexpectedError
        return [value for value in found if isinstance(value, bytes)]

    def messages(self, number: int) -> list["_Fields"]:
        """The values of a field that is a message."""
        return [_Fields(value) for value in self.packed(number)]

    def text(self, number: int) -> str:
        """The value of a field that is text."""
        try:
            return b"".join(self.packed(number)[-1:]).decode()
        except UnicodeDecodeError:
            raise _UnexpectedError from None

    def number(self, number: int) -> int:
        """The value of a field that is a whole number; 0 is not written."""
        value = self._fields.get(number, [0])[-1]
        if not isinstance(value, int):
            raise _UnexpectedError
        return value


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        match key & 7:
            case 0:
                value, position = _varint(message, position)
                yield key >> 3, value
                continue
            case 1:
                size = 8
            case 2:
                size, position = _varint(message, position)
            case 5:
                size = 4
            case _:
                raise _UnexpectedError
        if position + size > len(message):
            raise _UnexpectedError
        yield key >> 3, message[position : position + size]
        position += size


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004
            return value, position


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
