"""CQL2 as it came, parsed into a tree, within bounds.

The package ``cql2`` parses. Its parser recurses, so that a deep expression would end the process, and where it fails it reads the
inside of each pair of parentheses twice, so that a few dozen of them take for ever: the text is measured before. Its
``Expr.validate`` is not asked: it compiles a JSON schema for 0.1 s at each call, and takes minutes over a sum of a thousand
numbers. What it refuses the compiler refuses too, by name; the tests hold the two against each other.
"""

import re
from typing import Any, Final

import cql2

from rasterflight_server.catalog.cql2_terms import WhereError

#: Longest expression in characters.
MAX_LENGTH: Final = 1 << 20
#: Most operators and functions of an expression.
MAX_OPERATIONS: Final = 1000
# The parser was seen to run out of 2 MiB of stack at 4,000 ANDs and ORs in a row, at 780 other operators, at 370 parentheses.
_MAX_LOAD: Final = 400
_OPERATOR: Final = 4
_PARENTHESIS: Final = 8
# Characters, each counted once for every time that the parser may read it: about half a second.
_MAX_READINGS: Final = 1 << 21

_TOKEN: Final = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | [A-Za-z_]*\( | [),] | [<>=!]+ | [-+*/^%]
    | (?<![A-Za-z_:.]) (?:and|or|not|div|between|like|in|is) (?![\w:.])""",
    re.IGNORECASE | re.VERBOSE,
)
# These are read once.
_FUNCTION: Final = re.compile(
    r"(casei|accenti|date|timestamp|interval|bbox|[ast]_[a-z]+|(multi)?(point|linestring|polygon)|geometrycollection)\(",
    re.IGNORECASE,
)
# How the parser says where it stopped: line and column.
_PLACE: Final = re.compile(r"\s*--> (\d+):(\d+)")


def parse(text: str) -> Any:
    """Parse an expression: text, or JSON when it begins with ``{``.

    Returns
    -------
    Any
        The tree of the JSON form of CQL2; all numbers are float.

    Raises
    ------
    WhereError
        It is not CQL2, is too long or too deep.
    """
    if len(text) > MAX_LENGTH:
        raise WhereError(
            f"the expression has {len(text)} characters, the limit is {MAX_LENGTH}",
            "ask for many records with ids=, and for many areas with geometries=",
        )
    if text.lstrip().startswith("{"):
        tree = _parsed(cql2.parse_json, text, "CQL2 JSON")
    else:
        _measure(text)
        tree = _parsed(cql2.parse_text, text, "CQL2 text")
    _count(tree)
    return tree


def _parsed(parser: Any, text: str, language: str) -> Any:
    try:
        return parser(text).to_json()
    except Exception as error:  # noqa: BLE001 - the package raises plain Exception for geometries
        raise WhereError(_complaint(str(error), text, language), _HINT) from None


_HINT: Final = (
    "texts stand in single quotes, names that are no plain words in double quotes:"
    " \"eo:cloud_cover\" < 20 AND platform = 'sentinel-2a'"
)


def _complaint(said: str, text: str, language: str) -> str:
    place = _PLACE.match(said)
    if place is None:
        # JSON: the parser's own words, which do not repeat the input; some are about its own types.
        why = "" if "untagged enum" in said else f": {' '.join(said.split())[:100]}"
        return f"the expression is not {language}{why}"
    line, column = int(place[1]), int(place[2])
    lines = text.splitlines() or [""]
    rest = lines[line - 1][column - 1 :][:30] if line <= len(lines) else ""
    where = f"character {column}" if len(lines) == 1 else f"line {line}, character {column}"
    found = f"found {rest!r}" if rest else "it ends too early"
    return f"the expression is not {language}: at {where}, {found}"


def _measure(text: str) -> None:
    """Refuse what would run the parser out of stack or time."""
    stack: list[tuple[int, int, int]] = []
    outer = logic = chain = doublings = readings = position = 0
    for token in _TOKEN.finditer(text):
        readings += (token.end() - position) << doublings
        position = token.end()
        word = token[0].lower()
        match word[-1]:
            case "'" | '"':
                continue
            case "(":
                stack.append((logic, chain, doublings))
                outer += logic + chain + _PARENTHESIS
                logic = chain = 0
                doublings += not _FUNCTION.fullmatch(word)
            case ")":
                if stack:
                    logic, chain, doublings = stack.pop()
                    outer -= logic + chain + _PARENTHESIS
            case ",":
                logic = chain = 0
            case _ if word in {"and", "or"}:
                logic, chain = logic + 1, 0
            case _:
                chain += _OPERATOR
        if outer + logic + chain > _MAX_LOAD or readings > _MAX_READINGS:
            raise _too_deep()
    if readings + ((len(text) - position) << doublings) > _MAX_READINGS:
        raise _too_deep()


def _count(tree: Any) -> None:
    """Refuse more operations than a query should have."""
    operations, pending = 0, [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            operations += "op" in node
            pending.extend(node.get("args", ()))
        elif isinstance(node, list):
            pending.extend(item for item in node if isinstance(item, dict))
    if operations > MAX_OPERATIONS:
        raise WhereError(
            f"the expression has {operations} operations, the limit is {MAX_OPERATIONS}",
            "ask for one of many values with IN",
        )


def _too_deep() -> WhereError:
    return WhereError(
        "the expression is nested too deeply, or too long for its nesting",
        "leave out parentheses that are not needed, ask for one of many values with IN, or use several filters",
    )
