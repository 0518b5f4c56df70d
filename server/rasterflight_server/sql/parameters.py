"""Parameters of a statement: their order, the types that are told of them, and the values that they are given."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from rasterflight_server.sql.functions import FUNCTIONS
from rasterflight_server.sql.refusals import bad_statement
from rasterflight_server.sql.tree import Node, nodes, parameters_of

#: What a parameter is told to be when nothing is known of it: DuckDB makes of texts what it needs.
_UNKNOWN: Final = pa.utf8()


#: Types by the names that people cast to.
_CASTS: Final = {
    "BIGINT": pa.int64(),
    "BLOB": pa.binary(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "DOUBLE": pa.float64(),
    "FLOAT": pa.float32(),
    "INTEGER": pa.int32(),
    "TIMESTAMP": pa.timestamp("us"),
}


def names_of(tree: Node) -> list[str]:
    """Names in the order in which values come."""
    told = tree["statements"][0].get("named_param_map", [])
    return [str(one["key"]) for one in sorted(told, key=lambda one: one["value"])]


def schema_of(names: Sequence[str], types: Mapping[str, pa.DataType]) -> pa.Schema:
    """What a client is told of the parameters."""
    return pa.schema([pa.field(name, types.get(name, _UNKNOWN)) for name in names])


def argument_types(tree: Node) -> dict[str, pa.DataType]:
    """Types of parameters that are arguments of functions that read."""
    found = {}
    for node in nodes(tree):
        function = FUNCTIONS.get(str(node.get("function_name", "")).casefold())
        if function is None:
            continue
        for argument in node.get("arguments", []):
            kind = function.arguments.get(argument.get("name") or "collection")
            name = _parameter(argument["expression"])
            if name is not None and kind is not None:
                found[name] = kind
    return found


def used_types(tree: Node, schemas: Sequence[pa.Schema]) -> dict[str, pa.DataType]:
    """Types of parameters that are cast, limit rows, or are held against a column, where all columns of that name agree."""
    found: dict[str, pa.DataType] = {}
    for node in nodes(tree):
        cast = _CASTS.get(str(node.get("type_expr", {}).get("type_name")).upper())
        if cast is not None and (name := _parameter(node.get("child"))) is not None:
            found[name] = cast
        if node.get("type") == "LIMIT_MODIFIER":
            found |= dict.fromkeys(parameters_of([node.get("limit"), node.get("offset")]), pa.int64())
        if node.get("class") not in ("COMPARISON", "BETWEEN", "OPERATOR"):
            continue
        parts = [part for value in node.values() for part in (value if isinstance(value, list) else [value])]
        kinds = {_column_type(part, schemas) for part in parts} - {None}
        if len(kinds) == 1:
            kind = kinds.pop()
            found |= {name: kind for part in parts if (name := _parameter(part)) is not None}
    return found


def bound(names: Sequence[str], values: pa.RecordBatch) -> dict[str, pa.Array]:
    """Values by the names of their parameters; by position, unless the columns have these very names.

    Raises
    ------
    RequestError
        BAD_REQUEST: there are more or fewer.
    """
    if values.num_columns != len(names):
        raise bad_statement(f"there are {values.num_columns} values for {len(names)} parameters")
    if set(values.schema.names) == set(names):
        return {name: values.column(name) for name in names}
    return dict(zip(names, values.columns, strict=True))


def _parameter(node: Any) -> str | None:
    is_one = isinstance(node, dict) and node.get("type") == "VALUE_PARAMETER"
    return str(node["identifier"]) if is_one else None


def _column_type(node: Any, schemas: Sequence[pa.Schema]) -> pa.DataType | None:
    if not isinstance(node, dict) or node.get("class") != "COLUMN_REF":
        return None
    name = node["column_names"][-1].casefold()
    kinds = {field.type for schema in schemas for field in schema if field.name.casefold() == name}
    kind = kinds.pop() if len(kinds) == 1 else None
    return None if kind is None or pa.types.is_nested(kind) else kind
