"""Values of JSON documents that others wrote: what they should be, or None."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


def mapping(value: Any) -> Mapping[str, Any]:
    """Return an object as it is; anything else is an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> Sequence[Any]:
    """Return a list as it is; anything else is an empty one."""
    return value if isinstance(value, list) else ()


def text(value: Any) -> str | None:
    """Return a text that is not empty."""
    return value if isinstance(value, str) and value else None


def number(value: Any) -> float | None:
    """Return a finite number."""
    usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable else None


def numbers(value: Any, count: int) -> list[float] | None:
    """Return the first ``count`` values of a list, if all of them are finite numbers."""
    found = [each for item in sequence(value)[:count] if (each := number(item)) is not None]
    return found if len(found) == count else None
