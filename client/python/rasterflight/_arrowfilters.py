"""What the filter expressions of pyarrow say, read from their Substrait form.

The form is a protobuf message (``substrait.ExtendedExpression``), read here field by field: whatever is not expected makes a condition
unknown.
"""

import datetime as dt
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from rasterflight._fields import Fields, UnexpectedFieldError
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
    except (UnexpectedFieldError, IndexError, KeyError, OverflowError, ValueError, struct.error):
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
        fields = Fields(message)
        for declared in fields.messages(2):
            for number, known in ((3, self._functions), (1, self._types)):
                for one in declared.messages(number):
                    known[one.number(2)] = one.text(3)
        [reference] = fields.messages(3)
        [self.root] = reference.messages(1)

    def predicate(self, expression: Fields) -> Predicate:
        """Read a condition; one that is not understood may look at any column."""
        try:
            return self._predicate(expression)
        except UnexpectedFieldError:
            self.columns = None
            return Unknown()

    def _predicate(self, expression: Fields) -> Predicate:
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
                    raise UnexpectedFieldError
                return IsIn(self._path(value), values)
        raise UnexpectedFieldError

    def _function(self, call: Fields) -> Predicate:
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
                    raise UnexpectedFieldError
                return Compare(self._path(left), asked, value)
        raise UnexpectedFieldError

    def _if_then(self, choice: Fields) -> Predicate:
        """A condition that is null where another does not hold."""
        choice.only(1, 2)
        [[case], [other]] = choice.messages(1), choice.messages(2)
        case.only(1, 2)
        [[question], [then]] = case.messages(1), case.messages(2)
        if self._literal(other) is not _NULL:
            raise UnexpectedFieldError
        self.predicate(question)
        return self.predicate(then)

    def _path(self, expression: Fields) -> Path:
        expression.only(2)
        [reference] = expression.messages(2)
        reference.only(1, 4)
        segment: Fields | None = reference.messages(1)[0]
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

    def _literal(self, expression: Fields) -> Any:
        expression.only(1)
        [literal] = expression.messages(1)
        kinds = [number for number in literal.numbers() if number not in (50, 51)]
        if len(kinds) != 1:
            raise UnexpectedFieldError
        [kind] = kinds
        if kind == _UNSIGNED_LITERAL:
            return self._unsigned(literal)
        if kind not in _LITERALS:
            raise UnexpectedFieldError
        return _LITERALS[kind](literal, kind)

    def _unsigned(self, literal: Fields) -> int:
        [wrapped] = literal.messages(33)
        wrapped.only(1, 2)
        [value] = wrapped.messages(2)
        if self._types.get(wrapped.number(1)) not in _UNSIGNED or not value.text(1).endswith("UInt64Value"):
            raise UnexpectedFieldError
        [inner] = value.messages(2) or [Fields(b"")]
        inner.only(1)
        return inner.number(1)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


#: Fields of ``substrait.Expression.Literal``.
_UNSIGNED_LITERAL: Final = 33
_LITERALS: Final[dict[int, Callable[[Fields, int], Any]]] = {
    1: lambda literal, kind: bool(literal.number(kind)),
    **dict.fromkeys((2, 3, 5, 7), lambda literal, kind: _signed(literal.number(kind))),
    10: lambda literal, kind: struct.unpack("<f", literal.packed(kind)[0])[0],
    11: lambda literal, kind: struct.unpack("<d", literal.packed(kind)[0])[0],
    12: lambda literal, kind: literal.text(kind),
    **dict.fromkeys((14, 27), lambda literal, kind: _EPOCH + dt.timedelta(microseconds=_signed(literal.number(kind)))),
    16: lambda literal, kind: (_EPOCH + _DAY * _signed(literal.number(kind))).date(),
    29: lambda _literal, _kind: _NULL,
}
