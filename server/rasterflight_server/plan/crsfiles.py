"""Definitions of a CRS that name a file: PROJ opens it, wherever it lies, and callers name no files of the server."""

import re
from collections.abc import Iterator
from typing import Any, Final

#: Parameters of PROJ whose values are files; "@null" stands for none, as in many definitions of web Mercator.
_PARAMETER: Final = re.compile(
    r'(?:init|grids|file|model|catalog)\s*=(?!\s*@null(?:[\s"]|$))|PROJ4_GRIDS', re.IGNORECASE
)


def names_file(text: str) -> bool:
    """Whether a text must not even be parsed."""
    return _PARAMETER.search(text) is not None


def uses_file(projjson: Any) -> bool:
    """Whether a CRS, parsed, has a parameter that is a file or one that PROJ may take for it; as PROJJSON, decoded."""
    return any(
        isinstance(value, str) and (names_file(value) or (key == "value" and within == "parameters"))
        for within, key, value in _walk(projjson, "")
    )


def _walk(node: Any, within: str) -> Iterator[tuple[str, str, Any]]:
    """Each value with its key, and the key of the list that its object is in."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield within, key, value
            yield from _walk(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from _walk(value, within)
