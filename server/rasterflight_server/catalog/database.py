"""The records of an index in memory, as an Arrow table that DuckDB reads where it lies."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rasterflight_protocol import records_schema
from rasterflight_protocol.schemas import RECORDS_COLUMNS
from rasterflight_server.catalog.format import RECORDS
from rasterflight_server.errors import BadIndexError

#: Columns beside those of the records; ``ingest.properties`` gives no property such a name.
ROW: Final = "rasterflight:row"
BOUNDS: Final = ("rasterflight:xmin", "rasterflight:ymin", "rasterflight:xmax", "rasterflight:ymax")

# No files, no network, no extensions, and no way back.
_LOCKDOWN: Final = (
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)


class Database:
    """The table ``records``; any number of threads may query it at once.

    Its columns are those of ``records.parquet``, but for: the record's number (``ROW``), the parts of ``bbox`` (``BOUNDS``),
    ``datetime`` as naive UTC, ``geometry`` as a plain BLOB.

    Raises
    ------
    BadIndexError
        ``records.parquet`` is missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        table = _load(path)
        properties = [field for field in table.schema if field.name not in RECORDS_COLUMNS]
        #: Schema of ``records.parquet``.
        self.schema: pa.Schema = records_schema(properties)
        #: Columns of text in which some values are JSON lists or objects.
        self.documents: frozenset[str] = frozenset(field.name for field in properties if _has_documents(table, field))
        self.rows: int = table.num_rows
        #: The records in order of their numbers, with the columns that queries see.
        self.table: pa.Table = _flat(table)
        self._connection = duckdb.connect(":memory:")
        for statement in _LOCKDOWN:
            self._connection.execute(statement)

    def query(
        self,
        sql: str,
        parameters: Sequence[Any] | Mapping[str, Any] = (),
        rows: npt.NDArray[np.int64] | None = None,
    ) -> pa.Table:
        """Run one statement; values go in as parameters only.

        Parameters
        ----------
        rows
            Numbers of the records that ``records`` is to hold; None: all.
        """
        cursor = self._connection.cursor()
        try:
            # A view of this cursor alone.
            cursor.register("records", self.table if rows is None else self.table.take(pa.array(rows)))
            return cursor.sql(sql, params=parameters or None).to_arrow_table()
        finally:
            cursor.close()

    def records(self, rows: npt.NDArray[np.int64], columns: Sequence[str] | None = None) -> pa.Table:
        """Return records by number, in the order given, as in ``schema``; ``columns`` are those that come, None: all."""
        names = self.schema.names if columns is None else columns
        kept = dict.fromkeys(part for name in names for part in (BOUNDS if name == "bbox" else (name,)))
        table = self.table.select(list(kept)).take(pa.array(rows)).combine_chunks()
        found = [self._bbox(table) if name == "bbox" else table[name] for name in names]
        return pa.table(found, names=names).cast(pa.schema([self.schema.field(name) for name in names]))

    def _bbox(self, table: pa.Table) -> pa.StructArray:
        bounds = [table[name].combine_chunks() for name in BOUNDS]
        return pa.StructArray.from_arrays(bounds, fields=list(self.schema.field("bbox").type), mask=bounds[0].is_null())

    def close(self) -> None:
        """Refuse further queries."""
        self._connection.close()


def quoted(column: str) -> str:
    """Spell a column name as a SQL identifier."""
    return '"' + column.replace('"', '""') + '"'


def _load(path: Path) -> pa.Table:
    try:
        table = pq.ParquetFile(path).read()
    except FileNotFoundError:
        raise BadIndexError(f"{RECORDS} of the index is missing", hint="build the index again") from None
    except (OSError, pa.ArrowException):
        raise BadIndexError(f"{RECORDS} of the index is damaged", hint="build the index again") from None
    if table.schema.names[: len(RECORDS_COLUMNS)] != records_schema().names:
        raise BadIndexError(f"{RECORDS} of the index has other columns", hint="build the index again")
    return table


def _has_documents(table: pa.Table, field: pa.Field) -> bool:
    if not (pa.types.is_string(field.type) or pa.types.is_large_string(field.type)):
        return False
    values = table.column(field.name)
    return any(pc.any(pc.starts_with(values, opening)).as_py() for opening in "[{")


def _flat(table: pa.Table) -> pa.Table:
    """Columns that DuckDB takes as they are: no extension type, no struct, no time zone."""
    bbox = table.column("bbox")
    columns = {ROW: pa.array(np.arange(table.num_rows))}
    columns |= {name: pc.struct_field(bbox, name.rpartition(":")[2]) for name in BOUNDS}
    for name in table.column_names:
        match name:
            case "bbox":
                continue
            case "datetime":
                columns[name] = table.column(name).cast(pa.timestamp("us"))
            case "geometry":
                columns[name] = table.column(name).cast(pa.binary())
            case _:
                columns[name] = table.column(name)
    return pa.table(columns)
