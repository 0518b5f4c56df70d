"""The parse tree of a statement: checked node by node, and its tables replaced by those that stand for them."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import pyarrow as pa

from rasterflight_server.sql.refusals import bad_statement, cleaned

Node = dict[str, Any]

#: Functions of FROM that only make rows of what they are given; all others read files, settings or the catalog.
TABLE_FUNCTIONS: Final = frozenset(["generate_series", "json_each", "json_tree", "range", "unnest"])
#: Functions that tell of the server or change it, sleep, run statements of their own, or trust what bytes say of themselves.
REFUSED_FUNCTIONS: Final = frozenset(
    [
        "combine",
        "current_connection_id",
        "current_query",
        "current_query_id",
        "current_setting",
        "current_transaction_id",
        "currval",
        "finalize",
        "get_block_size",
        "getenv",
        "getvariable",
        "json_execute_serialized_sql",
        "json_serialize_plan",
        "nextval",
        "parse_duckdb_log_message",
        "pg_conf_load_time",
        "pg_get_constraintdef",
        "pg_get_viewdef",
        "pg_postmaster_start_time",
        "pg_sleep",
        "query",
        "query_table",
        "setseed",
        "setval",
        "sleep_ms",
        "to_aggregate_state",
        "txid_current",
        "variant_bytes_to_variant",
        "write_log",
    ]
)
_INTERNAL: Final = "__internal"
_QUERY_NODES: Final = frozenset(["SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"])
_READ_ONLY: Final = "this service is read-only and takes one SELECT at a time"

#: Names the source of a table, by its path.
FindTable = Callable[[Sequence[str]], str]
#: Names the source of a function with its arguments; None: it is no function that reads.
FindRead = Callable[[str, Sequence[Node]], str | None]


def read_tree(payload: pa.Buffer) -> Node:
    """The one statement that DuckDB parsed, from what ``json_serialize_sql`` says.

    Raises
    ------
    RequestError
        BAD_REQUEST: it is no SQL, not a SELECT, or not one statement; or it is nested too deeply.
    """
    try:
        parsed: Node = json.loads(payload.to_pybytes())
    except RecursionError:
        raise bad_statement("the statement is nested too deeply") from None
    if parsed["error"]:
        if "Only SELECT" in parsed["error_message"]:
            raise bad_statement("the statement is not a SELECT", hint=_READ_ONLY)
        position = parsed.get("position")
        raise bad_statement(cleaned(parsed["error_message"]), position=None if position is None else int(position))
    if len(parsed.get("statements", [])) != 1:
        raise bad_statement(f"there are {len(parsed.get('statements', []))} statements", hint=_READ_ONLY)
    return parsed


def selecting(expressions: Sequence[Node]) -> Node:
    """A tree that selects expressions, from nothing."""
    plain = [{**expression, "alias": f"_{number}"} for number, expression in enumerate(expressions)]
    node = {
        "type": "SELECT_NODE",
        "cte_map": {},
        "select_list": plain,
        "from_table": {"type": "EMPTY"},
        "aggregate_handling": "STANDARD_HANDLING",
    }
    return {"error": False, "statements": [{"node": node}]}


def nodes(tree: Any) -> Iterator[Node]:
    """All nodes of a part of a tree, however deep, in no order."""
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def parameters_of(tree: Any) -> set[str]:
    """Names of the parameters in a part of a tree; those by position are "1", "2" and so on."""
    return {str(node["identifier"]) for node in nodes(tree) if node.get("type") == "VALUE_PARAMETER"}


def is_constant(tree: Any) -> bool:
    """Whether an expression has the same value whatever the rows are."""
    return all(node.get("class") not in ("COLUMN_REF", "SUBQUERY", "STAR", "WINDOW") for node in nodes(tree))


class Rewriting:
    """Goes through a tree, refuses what statements may not do, and puts names of sources in the place of tables.

    Parameters
    ----------
    find_table, find_read
        Name the sources.
    """

    def __init__(self, find_table: FindTable, find_read: FindRead) -> None:
        self._find_table = find_table
        self._find_read = find_read

    def rewrite(self, tree: Node) -> None:
        """Change a tree into that which is run.

        Raises
        ------
        RequestError
            Of what is refused, or of the sources.
        """
        # No recursion: how deep a statement may be is for DuckDB to say. Names of queries in WITH are seen where they hold.
        waiting: list[tuple[Any, frozenset[str]]] = [(tree, frozenset())]
        while waiting:
            part, ctes = waiting.pop()
            if isinstance(part, list):
                waiting.extend((one, ctes) for one in reversed(part))
            elif isinstance(part, dict):
                self._change(part, ctes)
                named, ctes = _ctes(part, ctes)
                waiting.extend((value, ctes) for key, value in part.items() if key != "cte_map")
                waiting.extend(named)

    def _change(self, node: Node, ctes: frozenset[str]) -> None:
        kind = str(node.get("type", ""))
        _check_function(node)
        if kind == "BASE_TABLE":
            path: list[str] = node["qualified_name"]["path"]
            if len(path) > 1 or path[0].casefold() not in ctes:
                _replace(node, self._find_table(path), path[-1])
        elif kind == "TABLE_FUNCTION":
            self._change_function(node)
        elif kind == "SHOW_REF" and "query" not in node:
            hint = "information_schema.tables and information_schema.columns tell what there is"
            raise bad_statement("SHOW is not answered here", hint=hint)
        elif kind.endswith("_NODE") and kind not in _QUERY_NODES:
            raise bad_statement("the statement changes something", hint=_READ_ONLY)

    def _change_function(self, node: Node) -> None:
        function = node["function"]
        name = function["function_name"].casefold()
        arguments = function.get("arguments", [])
        for part in nodes(arguments):
            _check_function(part)
        source = self._find_read(name, arguments)
        if source is not None:
            _replace(node, source, name)
        elif name not in TABLE_FUNCTIONS:
            raise bad_statement(
                f"there is no table function {name[:100]!r}",
                position=node.get("query_location"),
                hint="read_pixels, read_points and read_chips read; rows are made by "
                + ", ".join(sorted(TABLE_FUNCTIONS)),
            )


def _ctes(node: Node, ctes: frozenset[str]) -> tuple[list[tuple[Any, frozenset[str]]], frozenset[str]]:
    """The queries of a WITH with the names that each sees, those before it, and all names that are seen after it."""
    found: list[tuple[Any, frozenset[str]]] = []
    for entry in node.get("cte_map", {}).get("map", []):
        name, value = entry["key"].casefold(), entry["value"]
        recursive = value["query_node"]["type"] == "RECURSIVE_CTE_NODE"
        found.append((value, ctes | {name} if recursive else ctes))
        ctes |= {name}
    return found, ctes


def _replace(node: Node, source: str, name: str) -> None:
    """Make a table of a source out of a table or function; what is said about its rows and columns stays.

    Raises
    ------
    RequestError
        BAD_REQUEST: something is said that a source does not have.
    """
    for key, said in (("at_clause", "AT"), ("with_ordinality", "WITH ORDINALITY")):
        if key in node:
            raise bad_statement(f"{name} has no {said}", position=node.get("query_location"))
    kept = ("alias", "query_location", "query_location_length", "sample", "column_name_alias")
    told = {key: node[key] for key in kept if key in node}
    node.clear()
    node.update(
        {"alias": name, **told, "type": "BASE_TABLE", "table_name": source, "qualified_name": {"path": [source]}}
    )


def _check_function(node: Node) -> None:
    name = str(node.get("function_name", "")).casefold()
    if name in REFUSED_FUNCTIONS or name.startswith(_INTERNAL):
        raise bad_statement(f"the function {name!r} is not answered here", position=node.get("query_location"))
