"""What Flight SQL tells of tables: catalogs, schemas, tables with their columns, and keys, of which there are none."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from rasterflight_server.sql.sqlinfo import sql_info, type_info
from rasterflight_server.sql.tables import CATALOG, INFORMATION, MAIN, TABLE, VIEW, Listed, Tables

_TEXT: Final = pa.utf8()


def _required(name: str, kind: pa.DataType = _TEXT) -> pa.Field:
    return pa.field(name, kind, nullable=False)


_CATALOGS: Final = pa.schema([_required("catalog_name")])
_SCHEMAS: Final = pa.schema([pa.field("catalog_name", _TEXT), _required("db_schema_name")])
_TABLES: Final = pa.schema(
    [
        pa.field("catalog_name", _TEXT),
        pa.field("db_schema_name", _TEXT),
        _required("table_name"),
        _required("table_type"),
    ]
)
_TABLE_TYPES: Final = pa.schema([_required("table_type")])
_PRIMARY_KEYS: Final = pa.schema(
    [
        pa.field("catalog_name", _TEXT),
        pa.field("db_schema_name", _TEXT),
        _required("table_name"),
        _required("column_name"),
        pa.field("key_name", _TEXT),
        _required("key_sequence", pa.int32()),
    ]
)
_FOREIGN_KEYS: Final = pa.schema(
    [
        pa.field("pk_catalog_name", _TEXT),
        pa.field("pk_db_schema_name", _TEXT),
        _required("pk_table_name"),
        _required("pk_column_name"),
        pa.field("fk_catalog_name", _TEXT),
        pa.field("fk_db_schema_name", _TEXT),
        _required("fk_table_name"),
        _required("fk_column_name"),
        _required("key_sequence", pa.int32()),
        pa.field("fk_key_name", _TEXT),
        pa.field("pk_key_name", _TEXT),
        _required("update_rule", pa.uint8()),
        _required("delete_rule", pa.uint8()),
    ]
)


def metadata(name: str, message: Any, tables: Tables) -> pa.Table | None:
    """Answer a question about tables; None: it is none."""
    answer = _ANSWERS.get(name)
    return None if answer is None else answer(message, tables)


def _catalogs(_message: Any, _tables: Tables) -> pa.Table:
    return pa.table([[CATALOG]], schema=_CATALOGS)


def _schemas(message: Any, _tables: Tables) -> pa.Table:
    found = [name for name in (INFORMATION, MAIN) if _in_place(message, name)]
    return pa.table([[CATALOG] * len(found), found], schema=_SCHEMAS)


def _table_types(_message: Any, _tables: Tables) -> pa.Table:
    return pa.table([[TABLE, VIEW]], schema=_TABLE_TYPES)


def _listed(message: Any, tables: Tables) -> pa.Table:
    found = list(_matching(message, tables))
    columns: list[Sequence[object]] = [
        [CATALOG] * len(found),
        [one.schema_name for one in found],
        [one.name for one in found],
        [one.kind for one in found],
    ]
    if not message.include_schema:
        return pa.table(columns, schema=_TABLES)
    columns.append([_described(one).serialize().to_pybytes() for one in found])
    return pa.table(columns, schema=_TABLES.append(_required("table_schema", pa.binary())))


def _matching(message: Any, tables: Tables) -> Iterator[Listed]:
    pattern = _like(message.table_name_filter_pattern) if message.HasField("table_name_filter_pattern") else None
    for one in tables.listed():
        if not _in_place(message, one.schema_name) or (message.table_types and one.kind not in message.table_types):
            continue
        if pattern is None or pattern.fullmatch(one.name):
            yield one


def _in_place(message: Any, schema_name: str) -> bool:
    if message.HasField("catalog") and message.catalog != CATALOG:
        return False
    if not message.HasField("db_schema_filter_pattern"):
        return True
    return _like(message.db_schema_filter_pattern).fullmatch(schema_name) is not None


def _like(pattern: str) -> re.Pattern[str]:
    """A pattern of SQL: % is any text, _ any character, and a backslash takes the meaning from either."""
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    meant = {"%": ".*", "_": "."}
    return re.compile("".join(meant.get(part) or re.escape(part[-1]) for part in parts), re.DOTALL | re.IGNORECASE)


def _described(table: Listed) -> pa.Schema:
    """The columns of a table, each told where it belongs."""
    place = {
        "ARROW:FLIGHT:SQL:CATALOG_NAME": CATALOG,
        "ARROW:FLIGHT:SQL:DB_SCHEMA_NAME": table.schema_name,
        "ARROW:FLIGHT:SQL:TABLE_NAME": table.name,
        "ARROW:FLIGHT:SQL:IS_READ_ONLY": "1",
        "ARROW:FLIGHT:SQL:IS_SEARCHABLE": "1",
    }
    return pa.schema([field.with_metadata({**(field.metadata or {}), **place}) for field in table.columns])


_ANSWERS: Final[Mapping[str, Callable[[Any, Tables], pa.Table]]] = {
    "CommandGetCatalogs": _catalogs,
    "CommandGetDbSchemas": _schemas,
    "CommandGetTables": _listed,
    "CommandGetTableTypes": _table_types,
    "CommandGetPrimaryKeys": lambda _message, _tables: _PRIMARY_KEYS.empty_table(),
    "CommandGetExportedKeys": lambda _message, _tables: _FOREIGN_KEYS.empty_table(),
    "CommandGetImportedKeys": lambda _message, _tables: _FOREIGN_KEYS.empty_table(),
    "CommandGetCrossReference": lambda _message, _tables: _FOREIGN_KEYS.empty_table(),
    "CommandGetSqlInfo": lambda message, _tables: sql_info(list(message.info)),
    "CommandGetXdbcTypeInfo": lambda message, _tables: type_info(
        message.data_type if message.HasField("data_type") else None
    ),
}
