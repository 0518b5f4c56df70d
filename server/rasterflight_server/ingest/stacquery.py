"""What is asked of a STAC API: parsed and checked before anything is sent."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import shapely

from rasterflight_protocol import ErrorCode
from rasterflight_server.catalog.cql2_parse import parse
from rasterflight_server.catalog.cql2_terms import WhereError
from rasterflight_server.errors import RequestError

_PAGE: Final = 100
_INSTANT: Final = re.compile(r"\d{4}(-\d\d(-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?)?)?", re.IGNORECASE)
_OPEN: Final = ("", "..")
_COMPARISON: Final = re.compile(r"(.+?)(>=|<=|<>|!=|=|<|>)(.*)", re.DOTALL)
_OPERATORS: Final = {">=": "gte", "<=": "lte", "<>": "neq", "!=": "neq", "=": "eq", "<": "lt", ">": "gt"}
_LISTS: Final = ("collections", "ids", "sortby", "bbox")
_BBOX: Final = (4, 6)


@dataclass(frozen=True, slots=True)
class StacQuery:
    """A search in a STAC API, by the parameters of its specification. Made by ``StacQuery.of``."""

    collections: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    #: (west, south, east, north), or with heights in between; in lon/lat.
    bbox: tuple[float, ...] | None = None
    #: GeoJSON geometry.
    intersects: Mapping[str, Any] | None = None
    #: An instant, or two with a slash between; parts of dates stand for all that they hold.
    datetime: str | None = None
    #: Of the extension of this name: ``{"eo:cloud_cover": {"lt": 20}}``.
    query: Mapping[str, Mapping[str, Any]] | None = None
    #: CQL2 as JSON.
    filter: Mapping[str, Any] | None = None
    #: Names of properties; "-" before one turns the order round.
    sortby: tuple[str, ...] = ()
    #: Most items in all.
    max_items: int | None = None
    #: Items a page.
    limit: int = _PAGE
    #: "GET" or "POST"; None: what the API offers.
    method: str | None = None

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> "StacQuery":
        """Check parameters given as Python values.

        Raises
        ------
        RequestError
            BAD_REQUEST naming the parameter.
        """
        known = [field.name for field in fields(cls)]
        for name in parameters:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                raise _bad(name, "there is no such parameter", f"did you mean {near[0]}?" if near else ", ".join(known))
        return cls(**{name: _CHECKS[name](value) for name, value in parameters.items() if value is not None})


def read_words(words: Iterable[str]) -> dict[str, Any]:
    """Read ``NAME=VALUE`` as it is typed: lists with commas, GeoJSON and CQL2 as text, ``@FILE`` for what a file holds.

    Returns
    -------
    dict
        As ``StacQuery.of`` takes it.

    Raises
    ------
    RequestError
        BAD_REQUEST: a word is not of that form.
    """
    found: dict[str, Any] = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not separator:
            raise _bad(name[:40], "it is not of the form NAME=VALUE", "for example collections=sentinel-2-l2a")
        value = _from_file(name, value[1:]) if value.startswith("@") else value
        if name == "query":
            found.setdefault(name, []).append(value)
        elif name in _LISTS:
            found.setdefault(name, []).extend(filter(None, re.split(r"[,\s]+", value)))
        elif name in found:
            raise _bad(name, "it is given twice")
        else:
            found[name] = value
    return found


def _from_file(name: str, path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise _bad(name, f"the file {Path(path).name!r} cannot be read: {why}") from None


def _bad(name: str, why: str, hint: str = "") -> RequestError:
    return RequestError(ErrorCode.BAD_REQUEST, f"search {name}: {why}", field="search", hint=hint)


def _texts(name: str, value: Any) -> tuple[str, ...]:
    found = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Sequence) else ()
    if not found or not all(isinstance(item, str) and item for item in found):
        raise _bad(name, f"it is a list of names, got {value!r:.60}")
    return found


def _bbox(value: Any) -> tuple[float, ...]:
    try:
        found = tuple(map(float, value.split(",") if isinstance(value, str) else value))
    except (TypeError, ValueError):
        found = ()
    if len(found) not in _BBOX:
        raise _bad("bbox", f"it is west,south,east,north in degrees, got {value!r:.60}")
    half = len(found) // 2
    south, north = found[1], found[half + 1]
    if not -90 <= south <= north <= 90 or not all(-180 <= lon <= 180 for lon in (found[0], found[half])):  # noqa: PLR2004
        raise _bad(
            "bbox", f"it does not lie on earth: {', '.join(f'{number:g}' for number in found)}", "longitude comes first"
        )
    return found


def _intersects(value: Any) -> Mapping[str, Any]:
    """Take GeoJSON, as text too, or anything with ``__geo_interface__``; of several features the union."""
    try:
        document = json.loads(value) if isinstance(value, str) else getattr(value, "__geo_interface__", value)
        parts = shapely.get_parts(shapely.from_geojson(json.dumps(document)))
        geometry = parts[0] if len(parts) == 1 else shapely.union_all(parts)
        found: dict[str, Any] = json.loads(shapely.to_geojson(geometry))
    except (shapely.errors.GEOSException, TypeError, ValueError) as error:
        raise _bad("intersects", f"it is not GeoJSON: {error!s:.100}") from None
    if geometry.is_empty:
        raise _bad("intersects", "it is empty")
    return found


def _datetime(value: Any) -> str:
    found = value if isinstance(value, str) else "/".join(".." if end is None else str(end) for end in value)
    ends = found.split("/")
    instants = [end for end in ends if end not in _OPEN]
    if len(ends) > 2 or not instants or not all(map(_INSTANT.fullmatch, instants)):  # noqa: PLR2004
        raise _bad(
            "datetime", f"{found!r:.60} is neither a date nor two", "for example 2024-01/2024-02, or 2024-06-01/.."
        )
    return "/".join(end or ".." for end in ends)


def _query(value: Any) -> Mapping[str, Mapping[str, Any]]:
    if isinstance(value, Mapping):
        return value
    found: dict[str, dict[str, Any]] = {}
    for text in [value] if isinstance(value, str) else value:
        document = _json(text)
        parts = _COMPARISON.fullmatch(text)
        if isinstance(document, dict):
            for name, conditions in document.items():
                found.setdefault(name, {}).update(conditions)
        elif parts:
            name, operator, literal = (part.strip() for part in parts.groups())
            constant = _json(literal)
            found.setdefault(name, {})[_OPERATORS[operator]] = literal if constant is None else constant
        else:
            raise _bad("query", f"{text!r:.60} is neither a comparison nor JSON", "for example eo:cloud_cover<20")
    return found


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _filter(value: Any) -> Mapping[str, Any]:
    try:
        tree: Mapping[str, Any] = parse(value if isinstance(value, str) else json.dumps(value))
    except WhereError as error:
        raise _bad("filter", str(error), error.hint) from None
    return tree


def _count(name: str, value: Any) -> int:
    try:
        found = int(value)
    except (TypeError, ValueError):
        found = 0
    if found < 1:
        raise _bad(name, f"it is a number from 1 on, got {value!r:.60}")
    return found


def _method(value: Any) -> str:
    if str(value).upper() not in ("GET", "POST"):
        raise _bad("method", f"it is GET or POST, got {value!r:.60}")
    return str(value).upper()


_CHECKS: Final[Mapping[str, Any]] = {
    "collections": lambda value: _texts("collections", value),
    "ids": lambda value: _texts("ids", value),
    "bbox": _bbox,
    "intersects": _intersects,
    "datetime": _datetime,
    "query": _query,
    "filter": _filter,
    "sortby": lambda value: _texts("sortby", value),
    "max_items": lambda value: _count("max_items", value),
    "limit": lambda value: _count("limit", value),
    "method": _method,
}
