"""Parts of a CQL2 expression as SQL: what they are, and how they are put together."""

import math
from dataclasses import dataclass
from enum import StrEnum
from string import Formatter
from typing import Any, Final

from rasterflight_server.catalog.filters import Condition

# Whole numbers from here on are not told apart by a double, which is how CQL2 numbers are read; a column reaches up to there.
_INEXACT: Final = 2.0**53
_LARGEST: Final = 2.0**64


class Kind(StrEnum):
    """What a term stands for; the value is how errors call it."""

    NUMBER = "a number"
    TEXT = "text"
    TRUTH = "true or false"
    TIME = "a time"
    LIST = "a list"
    FOOTPRINT = "a footprint"
    #: Inside a JSON document: of another type in each record. What does not have the type that is asked for is null.
    DOCUMENT = "JSON"


class WhereError(Exception):
    """The expression cannot be used; becomes BAD_REQUEST where the field is known."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Term:
    """A value: of a column, of a literal, or computed from these."""

    kind: Kind
    value: Condition
    #: What errors call it.
    label: str
    #: What it is, if it stands in the expression itself.
    literal: Any = None
    #: What the members of a list are.
    members: Kind | None = None
    #: A column of whole numbers.
    whole: bool = False
    #: A column of texts, of which some are JSON lists or objects.
    has_documents: bool = False


def combine(template: str, *parts: Condition) -> Condition:
    """Put conditions into a template, at ``{0}``, ``{1}``."""
    sql: list[str] = []
    parameters: list[Any] = []
    for text_before, place, _, _ in Formatter().parse(template):
        sql.append(text_before)
        if place is not None:
            sql.append(parts[int(place)].sql)
            parameters += parts[int(place)].parameters
    return Condition("".join(sql), tuple(parameters))


def joined(separator: str, parts: list[Condition]) -> Condition:
    """Join conditions by AND or OR."""
    return combine(f" {separator} ".join(f"({{{i}}})" for i in range(len(parts))), *parts)


def literal(value: bool | float | str) -> Term:  # noqa: FBT001 - a value among others
    """A value that stands in the expression.

    Raises
    ------
    WhereError
        It is not finite.
    """
    match value:
        case bool():
            return Term(Kind.TRUTH, Condition("?::BOOLEAN", (value,)), str(value).lower(), value)
        case str():
            return Term(Kind.TEXT, Condition("?::VARCHAR", (value,)), repr(value[:50]), value)
        case _ if math.isfinite(value):
            label = str(int(value)) if value.is_integer() else repr(value)
            return Term(Kind.NUMBER, Condition("?::DOUBLE", (value,)), label, value)
    raise WhereError("a number in the expression is too large")


def truth(sql: Condition, label: str) -> Term:
    """The outcome of a test."""
    return Term(Kind.TRUTH, sql, label)


# By what ``json_type`` says of a value.
_FROM_JSON: Final = {
    Kind.NUMBER: "CASE WHEN json_type({0}) IN ('DOUBLE', 'BIGINT', 'UBIGINT') THEN CAST({0} AS DOUBLE) END",
    Kind.TEXT: "CASE WHEN json_type({0}) = 'VARCHAR' THEN {0} ->> '$' END",
    Kind.TRUTH: "CASE WHEN json_type({0}) = 'BOOLEAN' THEN CAST({0} AS BOOLEAN) END",
}


def converted(term: Term, kind: Kind) -> Term:
    """What is JSON, as a value of a kind; null where it is of another. All else as it is."""
    if term.kind is not Kind.DOCUMENT or kind not in _FROM_JSON:
        return term
    return Term(kind, from_json(term.value, kind), term.label)


def from_json(value: Condition, kind: Kind) -> Condition:
    """A JSON value as a number, text or truth value; null where it is of another kind."""
    return combine(_FROM_JSON[kind], value)


def number(term: Term, of: str) -> Condition:
    """A term as a number to count with.

    Raises
    ------
    WhereError
        It is none.
    """
    term = converted(term, Kind.NUMBER)
    if term.kind is not Kind.NUMBER:
        raise WhereError(f"{of} takes numbers, but {term.label} is {term.kind}")
    return combine("CAST({0} AS DOUBLE)", term.value)


def text(term: Term, of: str) -> Condition:
    """A term as text.

    Raises
    ------
    WhereError
        It is none.
    """
    term = converted(term, Kind.TEXT)
    if term.kind is not Kind.TEXT:
        raise WhereError(f"{of} takes texts, but {term.label} is {term.kind}")
    return term.value


def check_exact(*terms: Term) -> None:
    """Refuse to compare a column of whole numbers with one so large that its neighbours look the same.

    Raises
    ------
    WhereError
        It is.
    """
    if any(term.whole for term in terms):
        for term in terms:
            if isinstance(term.literal, float) and _INEXACT <= abs(term.literal) <= _LARGEST:
                raise WhereError(
                    f"a number near {term.literal:g} is not told from its neighbours",
                    "whole numbers are exact up to 2^53 - 1",
                )
