"""Expressions in CQL2 as SQL; values are bound, never written into it.

A null never matches, and neither does its negation: AND, OR and NOT are those of SQL, and ``IS NULL`` asks. NaN is null, and so
is a division by zero.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from rasterflight_protocol import ErrorCode
from rasterflight_server.catalog import cql2_lists, cql2_spatial, cql2_time
from rasterflight_server.catalog.cql2_columns import Columns
from rasterflight_server.catalog.cql2_parse import MAX_OPERATIONS, parse
from rasterflight_server.catalog.cql2_spatial import Footprints
from rasterflight_server.catalog.cql2_terms import (
    Kind,
    Term,
    WhereError,
    check_exact,
    combine,
    converted,
    joined,
    literal,
    number,
    text,
    truth,
)
from rasterflight_server.catalog.cql2_time import Period
from rasterflight_server.catalog.filters import Condition
from rasterflight_server.errors import RequestError

# A member that a nullif of its own would name twice, so that nested operators would double it at each level.
_ONCE: Final = "list_transform([{0}], lambda v: nullif(v, {1}::DOUBLE))[1]"
_NONZERO: Final = _ONCE.format("{1}", 0)
# Numbers are doubles.
_ARITHMETIC: Final = {
    "+": "{0} + {1}",
    "-": "{0} - {1}",
    "*": "{0} * {1}",
    "/": f"{{0}} / {_NONZERO}",
    "%": f"{{0}} % {_NONZERO}",
    "div": f"trunc({{0}} / {_NONZERO})",
    "^": "pow({0}, {1})",
}
_COMPARISONS: Final = ("=", "<>", "<", "<=", ">", ">=")
_BACKSLASH: Final = "\\"
# Each looks at footprints by itself.
_MAX_SPATIAL: Final = 32


def where_condition(expression: str, columns: Columns, footprints: Footprints, field: str) -> Condition:
    """Compile an expression.

    Parameters
    ----------
    expression
        CQL2: text, or JSON when it begins with ``{``.
    columns
        What its names may mean.
    footprints
        What its spatial operators look at; they are answered here, so that the condition holds for these records only.
    field
        Field of the ticket that it came in.

    Returns
    -------
    Condition
        On the table of a ``Database``.

    Raises
    ------
    RequestError
        BAD_REQUEST: it is not CQL2, names a column that is not there, or compares what cannot be compared.
    """
    try:
        return _Compiler(columns, footprints).condition(parse(expression))
    except WhereError as error:
        raise RequestError(ErrorCode.BAD_REQUEST, error.message, field=field, hint=error.hint) from None


class _Compiler:
    """From the JSON form of an expression to SQL, node by node."""

    def __init__(self, columns: Columns, footprints: Footprints) -> None:
        self._columns = columns
        self._footprints = footprints
        self._spatial_tests = 0
        #: By operator: how many arguments it takes (0: any number), and what makes a term of them.
        self._operators: dict[str, tuple[int, Callable[[str, Sequence[Any]], Term]]] = {
            "and": (0, self._logic),
            "or": (0, self._logic),
            "not": (1, self._not),
            **dict.fromkeys(_COMPARISONS, (2, self._comparison)),
            "between": (3, self._between),
            "in": (2, self._in),
            "like": (2, self._like),
            "isNull": (1, self._is_null),
            "casei": (1, self._folded),
            "accenti": (1, self._folded),
            **dict.fromkeys(_ARITHMETIC, (2, self._arithmetic)),
            **dict.fromkeys(cql2_time.OPERATORS, (2, self._temporal)),
            **dict.fromkeys(cql2_lists.OPERATORS, (2, self._lists)),
            **dict.fromkeys(cql2_spatial.OPERATORS, (2, self._spatial)),
        }

    def condition(self, node: Any) -> Condition:
        """A node that is true or false."""
        term = converted(self._term(node), Kind.TRUTH)
        if term.kind is not Kind.TRUTH:
            raise WhereError(f"{term.label} is {term.kind}, not a condition", "compare it with something")
        return term.value

    def _term(self, node: Any) -> Term:
        match node:
            case bool() | float() | str():
                return literal(node)
            case None:
                raise WhereError("NULL cannot be compared", "ask with IS NULL or IS NOT NULL")
            case {"op": str(op), "args": list(args)}:
                return self._operation(op, args)
            case {"property": str(name)}:
                return self._columns.resolve(name)
            case {"date": str(day)}:
                return cql2_time.day(day)
            case {"timestamp": str(instant)}:
                return cql2_time.instant(instant)
            case {"interval": _}:
                raise WhereError(
                    "an INTERVAL stands here where a single value belongs", "use it with T_DURING and its kin"
                )
            case list():
                raise WhereError(
                    "a list stands here where a single value belongs", "ask with IN, or with A_CONTAINS and its kin"
                )
            case _ if cql2_spatial.is_geometry(node):
                raise WhereError(
                    "a geometry stands here where a single value belongs", "use it with S_INTERSECTS and its kin"
                )
        raise WhereError("the expression has a part that is not CQL2")

    def _operation(self, op: str, args: Sequence[Any]) -> Term:
        if op not in self._operators:
            known = ", ".join(self._operators)
            raise WhereError(f"there is no operator or function {op[:50]!r}", f"there are: {known}")
        wanted, make = self._operators[op]
        if len(args) != wanted and (wanted or len(args) < 2):  # noqa: PLR2004 - AND and OR join at least two
            raise WhereError(f"{op.upper()} takes {wanted or 'two or more'} arguments, got {len(args)}")
        return make(op, args)

    def _logic(self, op: str, args: Sequence[Any]) -> Term:
        return truth(joined(op.upper(), [self.condition(arg) for arg in args]), f"the {op.upper()}")

    def _not(self, _: str, args: Sequence[Any]) -> Term:
        return truth(combine("NOT ({0})", self.condition(args[0])), "the NOT")

    def _comparison(self, op: str, args: Sequence[Any]) -> Term:
        one, other = map(self._term, args)
        return truth(_compare(op, one, other), f"the comparison by {op}")

    def _between(self, _: str, args: Sequence[Any]) -> Term:
        value, low, high = map(self._term, args)
        return truth(joined("AND", [_compare(">=", value, low), _compare("<=", value, high)]), "the BETWEEN")

    def _in(self, _: str, args: Sequence[Any]) -> Term:
        value = self._term(args[0])
        if not isinstance(args[1], list):
            raise WhereError("IN takes a list")
        found = cql2_lists.one_of(value, cql2_lists.list_of(args[1])) if cql2_lists.is_plain(args[1]) else None
        if found is None:
            found = self._each(value, args[1])
        return truth(found, "the IN")

    def _each(self, value: Term, items: Sequence[Any]) -> Condition:
        if value.kind is Kind.TRUTH:
            raise WhereError(
                "IN takes texts, numbers or times, and compares nothing true or false with what is computed"
            )
        if len(items) > MAX_OPERATIONS:
            raise WhereError(
                f"the list of IN has {len(items)} members that have to be compared one by one, the limit is {MAX_OPERATIONS}"
            )
        return joined("OR", [_compare("=", value, self._term(item)) for item in items])

    def _like(self, _: str, args: Sequence[Any]) -> Term:
        _check_pattern(args[1])
        value, pattern = (text(self._term(arg), "LIKE") for arg in args)
        return truth(combine("{0} LIKE {1} ESCAPE '\\'", value, pattern), "the LIKE")

    def _is_null(self, _: str, args: Sequence[Any]) -> Term:
        return truth(combine("({0}) IS NULL", self._term(args[0]).value), "the IS NULL")

    def _folded(self, op: str, args: Sequence[Any]) -> Term:
        function = "lower" if op == "casei" else "strip_accents"
        term = self._term(args[0])
        return Term(Kind.TEXT, combine(f"{function}({{0}})", text(term, op.upper())), f"{op.upper()} of {term.label}")

    def _arithmetic(self, op: str, args: Sequence[Any]) -> Term:
        numbers = [number(self._term(arg), f"the operator {op}") for arg in args]
        # What is no number, as infinity less infinity, is null; DuckDB would take it for the largest of all.
        sql = combine(_ONCE.format(_ARITHMETIC[op], "'NaN'"), *numbers)
        return Term(Kind.NUMBER, sql, f"what {op} gives")

    def _temporal(self, op: str, args: Sequence[Any]) -> Term:
        return truth(cql2_time.relate(op, *map(self._period, args)), op.upper())

    def _period(self, node: Any) -> Period:
        if isinstance(node, dict) and "interval" in node:
            return cql2_time.interval(node["interval"], self._term)
        return cql2_time.period(self._term(node))

    def _lists(self, op: str, args: Sequence[Any]) -> Term:
        one, other = (cql2_lists.list_of(arg) if isinstance(arg, list) else self._term(arg) for arg in args)
        return truth(cql2_lists.relate_lists(op, one, other), op.upper())

    def _spatial(self, op: str, args: Sequence[Any]) -> Term:
        self._spatial_tests += 1
        if self._spatial_tests > _MAX_SPATIAL:
            raise WhereError(
                f"the expression has more than {_MAX_SPATIAL} spatial operators",
                "put the geometries together into one, or ask with geometries=",
            )
        one, other = (arg if cql2_spatial.is_geometry(arg) else self._term(arg) for arg in args)
        return truth(cql2_spatial.relate(op, one, other, self._footprints), op.upper())


def _compare(op: str, one: Term, other: Term) -> Condition:
    if Kind.TIME in (one.kind, other.kind):
        return cql2_time.compare(op, cql2_time.period(one), cql2_time.period(other))
    one, other = converted(one, other.kind), converted(other, one.kind)
    if Kind.DOCUMENT in (one.kind, other.kind):
        raise WhereError(
            f"{one.label} and {other.label} are inside JSON, so what they are is not known",
            "compare each with a literal",
        )
    if one.kind is not other.kind:
        raise WhereError(
            f"{one.label} is {one.kind} and {other.label} is {other.kind}: they cannot be compared",
            "texts stand in single quotes, numbers and true or false do not",
        )
    if one.kind in (Kind.LIST, Kind.FOOTPRINT):
        kin = "A_EQUALS and its kin" if one.kind is Kind.LIST else "S_INTERSECTS and its kin"
        raise WhereError(f"{one.label} is {one.kind}, which {op} does not compare", f"use {kin}")
    if one.kind is Kind.TRUTH and op not in ("=", "<>"):
        raise WhereError(f"{one.label} is {one.kind}, which has no order")
    check_exact(one, other)
    return combine(f"({{0}}) {op} ({{1}})", one.value, other.value)


def _check_pattern(node: Any) -> None:
    """Refuse what DuckDB takes for no pattern: a last backslash that escapes nothing."""
    while isinstance(node, dict) and node.get("op") in ("casei", "accenti") and node.get("args"):
        node = node["args"][0]
    if not isinstance(node, str):
        raise WhereError("the pattern of LIKE is not a text in single quotes")
    backslashes = len(node) - len(node.rstrip(_BACKSLASH))
    if backslashes % 2:
        raise WhereError(
            "the pattern of LIKE ends in a backslash that escapes nothing", "a backslash itself is written twice"
        )
