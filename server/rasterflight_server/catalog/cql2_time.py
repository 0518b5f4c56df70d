"""Times in a CQL2 expression: instants, days and intervals, and how they lie to one another.

Each is a period with a first and a last microsecond. An instant has both in one; a day, and the day at the end of an interval,
reaches from 00:00 to its last microsecond (UTC).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, Final

from rasterflight_server.catalog.cql2_terms import Kind, Term, WhereError, combine, converted, joined
from rasterflight_server.catalog.filters import Condition, parse_instant

_DATE: Final = r"\d\d\d\d-\d\d-\d\d"
_CLOCK: Final = r"[T ]\d\d:\d\d(:\d\d(\.\d+)?)?"
_ZONE: Final = r"([Zz]|[+-]\d\d(:?\d\d)?)"
# A text that is no ISO 8601 time is null. DuckDB drops the zone when it casts to TIMESTAMP, and takes that of the machine when it
# casts a text without one to TIMESTAMPTZ.
_FROM_TEXT: Final = (
    f"CASE WHEN regexp_full_match({{0}}, '{_DATE}{_CLOCK}{_ZONE}')"
    " THEN make_timestamp(epoch_us(TRY_CAST({0} AS TIMESTAMPTZ)))"
    f" WHEN regexp_full_match({{0}}, '{_DATE}({_CLOCK})?') THEN TRY_CAST({{0}} AS TIMESTAMP) END"
)


@dataclass(frozen=True, slots=True)
class Period:
    """Where a time begins and ends."""

    first: Condition
    last: Condition
    label: str
    #: It stands in the expression.
    fixed: bool = False
    interval: bool = False


def day(text: str) -> Term:
    """DATE(text): a whole day.

    Raises
    ------
    WhereError
        It is not an ISO 8601 date.
    """
    if not _is_date(text):
        raise WhereError(f"DATE({text[:50]!r}) is not a date", "write it like DATE('2024-01-31')")
    return _literal(text)


def instant(text: str) -> Term:
    """TIMESTAMP(text), or a text that is compared with a time; one without a zone is UTC, a date alone its whole day.

    Raises
    ------
    WhereError
        It is not ISO 8601.
    """
    try:
        return _literal(text)
    except ValueError:
        raise WhereError(f"{text[:50]!r} is not a date", "write it like 2024-01-31 or 2024-01-31T10:30:00Z") from None


def _literal(text: str) -> Term:
    limits = parse_instant(text, time.min), parse_instant(text, time.max)
    return Term(Kind.TIME, _bound(limits[0]), text[:50], limits)


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def period(term: Term) -> Period:
    """A term as a period; texts are read as ISO 8601, those of columns that are not are null.

    Raises
    ------
    WhereError
        It is no time.
    """
    if term.kind is Kind.TEXT and isinstance(term.literal, str):
        term = instant(term.literal)
    if isinstance(term.literal, tuple):
        first, last = term.literal
        return Period(_bound(first), _bound(last), term.label, fixed=True)
    term = converted(term, Kind.TEXT)
    if term.kind is Kind.TEXT:
        value = combine(_FROM_TEXT, term.value)
    elif term.kind is Kind.TIME:
        value = term.value
    else:
        raise WhereError(f"{term.label} is {term.kind}, not a time")
    return Period(value, value, term.label)


def interval(ends: Any, term: Callable[[Any], Term]) -> Period:
    """INTERVAL(start, end); ``'..'`` is no bound.

    Raises
    ------
    WhereError
        It has not two ends, they are no times, or the wrong way round.
    """
    if not isinstance(ends, list) or len(ends) != 2:  # noqa: PLR2004
        raise WhereError("an INTERVAL has a start and an end", "write '..' for an end that is open")
    open_ends = [end in ("..", "", None) for end in ends]
    parts = [None if is_open else period(term(end)) for end, is_open in zip(ends, open_ends, strict=True)]
    start, end = parts
    first = Condition("TIMESTAMP '-infinity'", ()) if start is None else start.first
    last = Condition("TIMESTAMP 'infinity'", ()) if end is None else end.last
    if start and end and start.fixed and end.fixed and first.parameters[0] > last.parameters[0]:
        raise WhereError(f"the INTERVAL is inverted: {start.label} is after {end.label}")
    fixed = all(part is None or part.fixed for part in parts)
    return Period(first, last, "the INTERVAL", fixed=fixed, interval=True)


_MIRRORED: Final = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def compare(op: str, one: Period, other: Period) -> Condition:
    """``=``, ``<>``, ``<``, ``<=``, ``>``, ``>=`` of instants; a day is compared as a day, as the database would compare dates."""
    if one.interval or other.interval:
        raise WhereError(f"{op} does not compare intervals", "use T_DURING, T_INTERSECTS, T_BEFORE or T_AFTER")
    if one.fixed:
        if other.fixed:
            raise WhereError(f"{one.label} and {other.label} are both fixed", "compare a time with a column")
        return compare(_MIRRORED[op], other, one)
    match op:
        case "=":
            return joined(
                "AND", [combine("{0} >= {1}", one.first, other.first), combine("{0} <= {1}", one.last, other.last)]
            )
        case "<>":
            return combine("NOT ({0})", compare("=", one, other))
        case "<" | ">=":
            return combine(f"{{0}} {op} {{1}}", one.first, other.first)
        case _:
            return combine(f"{{0}} {op} {{1}}", one.last, other.last)


# By the first and last moments a, b of the one and c, d of the other.
_RELATIONS: Final = {
    "t_after": ("a > d",),
    "t_before": ("b < c",),
    "t_contains": ("a < c", "b > d"),
    "t_during": ("a > c", "b < d"),
    "t_equals": ("a = c", "b = d"),
    "t_finishedBy": ("a < c", "b = d"),
    "t_finishes": ("a > c", "b = d"),
    "t_intersects": ("a <= d", "b >= c"),
    "t_meets": ("b = c",),
    "t_metBy": ("a = d",),
    "t_overlappedBy": ("a > c", "a < d", "b > d"),
    "t_overlaps": ("a < c", "b > c", "b < d"),
    "t_startedBy": ("a = c", "b > d"),
    "t_starts": ("a = c", "b < d"),
}
OPERATORS: Final = (*_RELATIONS, "t_disjoint")


def relate(op: str, one: Period, other: Period) -> Condition:
    """A temporal operator of CQL2. That an instant equals a day means that it is in it."""
    if op == "t_disjoint":
        return combine("NOT ({0})", relate("t_intersects", one, other))
    if op == "t_equals" and not (one.interval or other.interval):
        return compare("=", one, other)
    moments = {"a": one.first, "b": one.last, "c": other.first, "d": other.last}
    parts = [relation.split() for relation in _RELATIONS[op]]
    holds = joined("AND", [combine(f"{{0}} {sign} {{1}}", moments[x], moments[y]) for x, sign, y in parts])
    # An interval of which one end is null is null, also where the other end would decide.
    for part in (one, other):
        if part.interval and not part.fixed:
            holds = combine(
                "CASE WHEN ({0}) IS NOT NULL AND ({1}) IS NOT NULL THEN {2} END", part.first, part.last, holds
            )
    return holds


def _bound(instant: datetime) -> Condition:
    return Condition("?::TIMESTAMP", (instant,))
