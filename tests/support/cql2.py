"""CQL2 by brute force: a tree evaluated for one record after another, in plain Python."""

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from functools import partial
from typing import Any

import numpy as np
import shapely

_OPEN = (datetime(1, 1, 1), datetime(9999, 12, 31))  # noqa: DTZ001 - UTC, as in the database
Row = Mapping[str, Any]
Moments = tuple[datetime, datetime]
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
MIRROR = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
#: By first and last moment of either period, as OGC 21-065r2 has them.
TIMES: dict[str, Callable[[Any, Any, Any, Any], bool]] = {
    "t_after": lambda a, b, c, d: a > d,
    "t_before": lambda a, b, c, d: b < c,
    "t_contains": lambda a, b, c, d: a < c and b > d,
    "t_disjoint": lambda a, b, c, d: b < c or a > d,
    "t_during": lambda a, b, c, d: a > c and b < d,
    "t_equals": lambda a, b, c, d: a == c and b == d,
    "t_finishedBy": lambda a, b, c, d: a < c and b == d,
    "t_finishes": lambda a, b, c, d: a > c and b == d,
    "t_intersects": lambda a, b, c, d: not (b < c or a > d),
    "t_meets": lambda a, b, c, d: b == c,
    "t_metBy": lambda a, b, c, d: a == d,
    "t_overlappedBy": lambda a, b, c, d: c < a < d and b > d,
    "t_overlaps": lambda a, b, c, d: a < c < b < d,
    "t_startedBy": lambda a, b, c, d: a == c and b > d,
    "t_starts": lambda a, b, c, d: a == c and b < d,
}
SPACES = {
    "s_intersects": shapely.intersects,
    "s_disjoint": shapely.disjoint,
    "s_equals": shapely.equals,
    "s_touches": shapely.touches,
    "s_crosses": shapely.crosses,
    "s_overlaps": shapely.overlaps,
    "s_within": shapely.within,
    "s_contains": shapely.contains,
}
LISTS: dict[str, Callable[[list[Any], list[Any]], bool]] = {
    "a_equals": lambda a, b: None not in a and a == b,
    "a_contains": lambda a, b: None not in b and set(b) <= set(a),
    "a_containedBy": lambda a, b: None not in a and set(a) <= set(b),
    "a_overlaps": lambda a, b: bool((set(a) & set(b)) - {None}),
}


def matches(tree: Any, row: Row) -> bool | None:
    """Whether a record matches; None: it is not known."""
    return value(tree, row)


def value(node: Any, row: Row) -> Any:
    match node:
        case {"op": op, "args": args}:
            return _operation(op, args, row)
        case {"property": name}:
            found = row[name]
            return None if isinstance(found, float) and math.isnan(found) else found
        case {"date": text} | {"timestamp": text}:
            return moments(text)
    return node


def _operation(op: str, args: list[Any], row: Row) -> Any:  # noqa: PLR0911 - a case each
    match op:
        case "and" | "or":
            decides = op == "or"
            found = [value(arg, row) for arg in args]
            return decides if decides in found else None if None in found else not decides
        case "not":
            return _known(lambda a: not a, value(args[0], row))
        case "isNull":
            return value(args[0], row) is None
        case "between":
            return _operation("and", [{"op": ">=", "args": args[:2]}, {"op": "<=", "args": [args[0], args[2]]}], row)
        case "in":
            if not args[1]:
                return False
            return _operation("or", [{"op": "=", "args": [args[0], item]} for item in args[1]], row)
        case _ if op in TIMES:
            return _times(op, *(period(arg, row) for arg in args))
        case _ if op in SPACES:
            return _known(lambda a, b: bool(SPACES[op](a, b)), *(geometry(arg, row) for arg in args))
    return _known(_function(op), *(value(arg, row) for arg in args))


def _function(op: str) -> Callable[..., Any]:
    if op in COMPARE:
        return partial(_compare, op)
    return {
        **LISTS,
        "casei": str.lower,
        "accenti": lambda a: "".join(c for c in unicodedata.normalize("NFD", a) if not unicodedata.combining(c)),
        "like": lambda a, pattern: re.fullmatch(_regex(pattern), a, re.DOTALL) is not None,
    }.get(op, partial(_arithmetic, op))


def _known(function: Callable[..., Any], *args: Any) -> Any:
    return None if any(arg is None for arg in args) else function(*args)


def _compare(op: str, one: Any, other: Any) -> bool | None:
    if isinstance(one, tuple):
        return _compare(MIRROR[op], other, one)
    if isinstance(one, datetime) or isinstance(other, tuple | datetime):
        one, other = _instant(one), _instant(other)
        if one is None or other is None:
            return None
    if not isinstance(other, tuple):
        return COMPARE[op](one, other)
    first, last = other
    if op in ("=", "<>"):
        return (first <= one <= last) is (op == "=")
    return COMPARE[op](one, first if op in ("<", ">=") else last)


def _instant(found: Any) -> Any:
    """What a text in a column says: an instant; a day of a literal stays one."""
    if not isinstance(found, str):
        return found
    read = moments(found)
    return read and read[0]


def _times(op: str, one: Any, other: Any) -> bool | None:
    if one is None or other is None:
        return None
    (a, b), (c, d) = one, other
    return TIMES[op](a, b, c, d)


def period(node: Any, row: Row) -> Moments | None:
    if isinstance(node, dict) and "interval" in node:
        ends = [_OPEN[place] if end == ".." else _end(end, row, place) for place, end in enumerate(node["interval"])]
        return None if None in ends else (ends[0], ends[1])
    found = value(node, row)
    if isinstance(node, dict) and "property" in node:
        found = _instant(found)
        return found and (found, found)
    return moments(found) if isinstance(found, str) else found


def _end(node: Any, row: Row, place: int) -> datetime | None:
    found = period(node, row)
    return None if found is None else found[place]


def moments(text: str) -> Moments | None:
    """First and last moment of a date or a time, UTC; None: it is neither."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        day = date.fromisoformat(text)
        return datetime.combine(day, time.min), datetime.combine(day, time.max)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    instant = instant.astimezone(UTC).replace(tzinfo=None) if instant.tzinfo else instant
    return instant, instant


def geometry(node: Any, row: Row) -> Any:
    if "property" in node:
        return row[node["property"]]
    if "bbox" not in node:
        return shapely.geometry.shape(node)
    minx, miny, maxx, maxy = node["bbox"]
    if minx <= maxx:
        return shapely.box(minx, miny, maxx, maxy)
    return shapely.union(shapely.box(minx, miny, 180, maxy), shapely.box(-180, miny, maxx, maxy))


def _arithmetic(op: str, a: float, b: float) -> float | None:
    a, b = float(a), float(b)
    try:
        found = {
            "+": lambda: a + b,
            "-": lambda: a - b,
            "*": lambda: a * b,
            "/": lambda: a / b,
            "%": lambda: math.fmod(a, b),
            "div": lambda: float(np.trunc(a / b)),
            "^": lambda: _power(a, b),
        }[op]()
    except ZeroDivisionError:
        return None
    except ValueError:  # fmod of 0, or of infinity
        return None
    return None if math.isnan(found) else found


def _power(a: float, b: float) -> float:
    with np.errstate(all="ignore"):
        return float(np.power(a, b))


def _regex(pattern: str) -> str:
    parts = {"%": ".*", "_": "."}
    pieces = re.findall(r"\\.|.", pattern, re.DOTALL)
    return "".join(
        re.escape(piece[1]) if piece[0] == "\\" else parts.get(piece) or re.escape(piece) for piece in pieces
    )
