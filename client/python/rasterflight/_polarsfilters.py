"""What the predicates of Polars say.

Polars shows the inputs of an expression, but not what is done to them, and its serialized form changes from release to release. So
expressions are made anew out of the inputs, until one is equal.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import permutations
from typing import Any, Final

import polars as pl

from rasterflight._predicates import AllOf, AnyOf, Compare, IsIn, IsNull, Not, Operator, Path, Predicate, Unknown

_COMPARISONS: Final[dict[Operator, Callable[[pl.Expr, pl.Expr], pl.Expr]]] = {
    "<": pl.Expr.lt,
    "<=": pl.Expr.le,
    ">": pl.Expr.gt,
    ">=": pl.Expr.ge,
    "=": pl.Expr.eq,
    "<>": pl.Expr.ne,
}
_MIRRORED: Final[dict[Operator, Operator]] = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}
_DYNAMIC: Final = "dynamic_pred"


def read_predicate(expression: pl.Expr) -> Predicate:
    """Read an expression."""
    inputs = expression.meta.pop()
    if not inputs:
        return Unknown()
    for arranged in permutations(inputs):
        for found, same in _candidates(*arranged):
            if expression.meta.eq(same):
                return found()
    return Unknown()


def without_dynamic(expression: pl.Expr) -> pl.Expr | None:
    """Leave out what Polars adds for its own sake and cannot evaluate; None: nothing is left.

    It only narrows down rows that are sorted out later in any case.
    """
    inputs = expression.meta.pop()
    if not inputs and not expression.meta.is_column() and not expression.meta.is_literal():
        return None if _DYNAMIC in str(expression) else expression
    if len(inputs) == 2:  # noqa: PLR2004
        for left, right in permutations(inputs):
            if expression.meta.eq(left & right):
                kept = [one for one in map(without_dynamic, (left, right)) if one is not None]
                return None if not kept else kept[0] if len(kept) == 1 else kept[0] & kept[1]
    return expression


def _candidates(*inputs: pl.Expr) -> Iterator[tuple[Callable[[], Predicate], pl.Expr]]:
    """What expressions of some inputs may be, with these expressions."""
    match inputs:
        case (one,):
            yield lambda: Not(read_predicate(one)), one.not_()
            if one.meta.is_column():
                path = _path(one)
                yield lambda: IsNull(path), one.is_null()
                yield lambda: Not(IsNull(path)), one.is_not_null()
        case (left, right):
            yield lambda: AllOf((read_predicate(left), read_predicate(right))), left & right
            yield lambda: AnyOf((read_predicate(left), read_predicate(right))), left | right
            if left.meta.is_column() and right.meta.is_literal():
                for asked, same in _COMPARISONS.items():
                    yield partial(_compare, left, asked, right), same(left, right)
                    yield partial(_compare, left, _MIRRORED[asked], right), same(right, left)
                yield partial(_is_in, left, right), left.is_in(right)
        case (first, second, third):
            if first.meta.is_column() and second.meta.is_literal() and third.meta.is_literal():
                for closed, (low, high) in _CLOSED.items():
                    between = first.is_between(second, third, closed=closed)
                    yield partial(_between, first, (low, second), (high, third)), between
            if second.meta.is_literal() and _values(second) == [None]:
                yield lambda: read_predicate(third), pl.when(first).then(second).otherwise(third)


_CLOSED: Final[dict[Any, tuple[Operator, Operator]]] = {
    "both": (">=", "<="),
    "left": (">=", "<"),
    "right": (">", "<="),
    "none": (">", "<"),
}


def _compare(column: pl.Expr, asked: Operator, literal: pl.Expr) -> Predicate:
    values = _values(literal)
    return Compare(_path(column), asked, values[0]) if len(values) == 1 and values[0] is not None else Unknown()


def _between(column: pl.Expr, *sides: tuple[Operator, pl.Expr]) -> Predicate:
    return AllOf(tuple(_compare(column, asked, literal) for asked, literal in sides))


def _is_in(column: pl.Expr, literal: pl.Expr) -> Predicate:
    values = _values(literal)
    return Unknown() if None in values else IsIn(_path(column), tuple(values))


def _path(column: pl.Expr) -> Path:
    return (column.meta.output_name(),)


def _values(literal: pl.Expr) -> list[Any]:
    """The value of a literal, or its values; those whose Python form may not be all of them do not come."""
    found = pl.select(literal).to_series()
    if found.dtype in (pl.List, pl.Array):
        found = found.explode()
    if isinstance(found.dtype, pl.Datetime) and found.dtype.time_unit == "ns":
        return []
    try:
        return found.to_list()
    except (OverflowError, ValueError):  # times before the year 1
        return []
