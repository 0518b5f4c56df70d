"""Lists in a CQL2 expression: one value of many, and columns that hold lists."""

import math
from collections.abc import Sequence
from typing import Any, Final

from rasterflight_server.catalog.cql2_terms import (
    Kind,
    Term,
    WhereError,
    check_exact,
    combine,
    converted,
    from_json,
    literal,
)
from rasterflight_server.catalog.filters import Condition

_TYPES: Final = {Kind.NUMBER: "DOUBLE", Kind.TEXT: "VARCHAR", Kind.TRUTH: "BOOLEAN"}
_KINDS: Final[dict[type, Kind]] = {float: Kind.NUMBER, str: Kind.TEXT, bool: Kind.TRUTH}
# A null is a member like any other, and equal to none: it is never contained in anything.
_RELATIONS: Final = {
    "a_equals": "({0} = {1} AND len({0}) = list_count({0}))",
    "a_contains": "(list_has_all({0}, {1}) AND len({1}) = list_count({1}))",
    "a_containedBy": "(list_has_all({1}, {0}) AND len({0}) = list_count({0}))",
    "a_overlaps": "list_has_any({0}, {1})",
}
OPERATORS: Final = tuple(_RELATIONS)


def one_of(value: Term, values: Term) -> Condition | None:
    """Whether a value is one of a list of literals; None where they are of another kind, so that each is to be compared."""
    if values.members is None:
        return Condition("false", ())
    value = converted(value, values.members)
    if value.kind is not values.members:
        return None
    check_exact(value, *(literal(number) for number in values.literal if value.whole))
    return combine("({0}) IN (SELECT unnest({1}))", value.value, values.value)


def relate_lists(op: str, one: Term, other: Term) -> Condition:
    """An array operator of CQL2.

    Raises
    ------
    WhereError
        One is not a list, or they hold different kinds of members.
    """
    kind = one.members or other.members
    if kind is None:
        raise WhereError(f"{op.upper()} takes a list, but {one.label} and {other.label} hold none of a known kind")
    sides = [_as_list(term, kind, op) for term in (one, other)]
    return combine(_RELATIONS[op], *sides)


def is_plain(values: Sequence[Any]) -> bool:
    """Whether values are literals of one kind, or there is none."""
    kinds = {_KINDS.get(type(value)) for value in values}
    return len(kinds) <= 1 and None not in kinds


def list_of(values: Sequence[Any]) -> Term:
    """A list that stands in the expression.

    Raises
    ------
    WhereError
        Its members are not literals of one kind.
    """
    kinds = {_KINDS.get(type(value)) for value in values}
    if None in kinds:
        raise WhereError("a list holds texts, numbers, or true and false, nothing computed")
    if len(kinds) > 1:
        raise WhereError(
            "the members of a list are of different kinds", "compare texts, numbers and truth values apart"
        )
    kind = kinds.pop() if kinds else None
    if kind is Kind.NUMBER and not all(map(math.isfinite, values)):
        raise WhereError("a number in the expression is too large")
    cast = f"?::{_TYPES[kind or Kind.TEXT]}[]"
    return Term(Kind.LIST, Condition(cast, (list(values),)), "the list", list(values), members=kind)


def _as_list(term: Term, kind: Kind, op: str) -> Condition:
    if term.kind is Kind.LIST:
        if term.literal == []:
            return Condition(f"[]::{_TYPES[kind]}[]", ())
        if term.members is not kind:
            raise WhereError(f"{term.label} holds {_plural(term.members)}, and is compared with {_plural(kind)}")
        return term.value
    if term.kind is Kind.DOCUMENT:
        document = term.value
    elif term.has_documents:
        document = combine("CASE WHEN json_valid({0}) THEN CAST({0} AS JSON) END", term.value)
    else:
        raise WhereError(f"{op.upper()} takes lists, but {term.label} is {term.kind}")
    member = from_json(Condition("x", ()), kind)
    listed = combine("CASE WHEN json_type({0}) = 'ARRAY' THEN CAST({0} AS JSON[]) END", document)
    return combine(f"list_transform({{0}}, lambda x: {member.sql})", listed)


def _plural(kind: Kind | None) -> str:
    return {Kind.NUMBER: "numbers", Kind.TEXT: "texts", Kind.TRUTH: "truth values"}.get(kind or Kind.TEXT, "texts")
