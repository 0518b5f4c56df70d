"""The process that DuckDB runs in: without files, network and secrets, within bounds of memory, and ended when it takes too long.

Much of what a statement does cannot be bounded from within DuckDB: functions of text and lists allocate past its limit of memory, and some
cannot be interrupted. A process can be bounded and ended, whatever it does.
"""

import os
import re
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from rasterflight_server.sql import wire
from rasterflight_server.sql.batching import MAX_ROW_BYTES, RowTooLargeError, rows_at_once, sized
from rasterflight_server.sql.scanning import ServerTable

#: What the process may take beyond the memory of DuckDB: batches on their way, and what functions allocate.
_BESIDE_BYTES: Final = 256 << 20

#: What an error is about, where it says so.
_NAMED: Final = re.compile(r'(?:[Cc]olumn (?:named )?"|name )([^"\s]+)')

_LOCKDOWN: Final = (
    "SET GLOBAL TimeZone = 'UTC'",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET GLOBAL python_enable_replacements = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)


class Worker:
    """Answers a server.

    Parameters
    ----------
    connection
        To the server.
    memory, threads
        What DuckDB may take.
    """

    def __init__(self, connection: "Connection[Any, Any]", memory: int, threads: int) -> None:
        self._connection = connection
        # Threads of DuckDB ask for rows; an answer follows its question.
        self._lock = threading.Lock()
        self._scans = count()
        #: The statement that was parsed last, as its caller wrote it.
        self._query = ""
        self._database = duckdb.connect(
            ":memory:", config={"memory_limit": f"{memory}B", "threads": threads, "max_temp_directory_size": "0B"}
        )
        for statement in _LOCKDOWN:
            self._database.execute(statement)

    def serve(self) -> None:
        """Answer until the server has gone."""
        verbs: dict[str, Callable[..., None]] = {
            "parse": self._parse,
            "evaluate": self._evaluate,
            "describe": self._describe,
            "run": self._run,
        }
        self._send("done")
        while True:
            try:
                facts, payload = wire.receive(self._connection)
            except EOFError:
                return
            try:
                verbs[facts.pop("what")](payload, **facts)
            except RowTooLargeError:
                message = f"a row takes more than {MAX_ROW_BYTES >> 20} MiB, and rows cannot be cut"
                self._send("error", kind="RowTooLarge", message=message, position=None)
            except (duckdb.Error, MemoryError, pa.ArrowException) as error:
                position = _position(str(error), self._query)
                self._send("error", kind=type(error).__name__, message=str(error), position=position)

    def _parse(self, payload: pa.Buffer) -> None:
        self._query = payload.to_pybytes().decode()
        query = "SELECT json_serialize_sql($1::VARCHAR, skip_default := true, skip_empty := true, skip_null := true)"
        ((tree,),) = self._database.execute(query, [self._query]).fetchall()
        self._send("tree", tree.encode())

    def _evaluate(self, payload: pa.Buffer, *, sizes: Sequence[int]) -> None:
        with self._database.cursor() as cursor:
            tree, parameters = _parts(payload, sizes)
            rows = cursor.sql(_text(cursor, tree), params=_values(parameters)).to_arrow_table()
        self._send("row", wire.pack_batch(rows.combine_chunks().to_batches()[0]))

    def _describe(self, payload: pa.Buffer, *, sizes: Sequence[int], sources: Sequence[str]) -> None:
        with self._database.cursor() as cursor:
            relation = self._relation(cursor, _parts(payload, sizes), sources)
            self._send("schema", _schema(cursor, relation).serialize())

    def _run(self, payload: pa.Buffer, *, sizes: Sequence[int], sources: Sequence[str]) -> None:
        # It may have been parsed elsewhere.
        self._query = ""
        with self._database.cursor() as cursor:
            relation = self._relation(cursor, _parts(payload, sizes), sources)
            schema = _schema(cursor, relation)
            reader = relation.to_arrow_reader(rows_at_once(schema))
            for batch in sized((_plain(one, schema) for one in reader), schema):
                self._send("batch", batch.serialize())
            self._send("done")

    def _relation(
        self, cursor: duckdb.DuckDBPyConnection, parts: Iterator[pa.Buffer], sources: Sequence[str]
    ) -> duckdb.DuckDBPyRelation:
        """The statement, bound but not run."""
        tree, parameters = next(parts), next(parts)
        for name in sources:
            schema, facts = pa.ipc.read_schema(next(parts)), next(parts)
            known = wire.unpack_batch(facts) if len(facts) else None
            cursor.register(name, ServerTable(name, schema, known, self._ask))
        return cursor.sql(_text(cursor, tree), params=_values(parameters))

    def _ask(self, source: str, columns: Sequence[str], records: Sequence[int] | None) -> Iterator[pa.RecordBatch]:
        scan = next(self._scans)
        facts, payload = self._question("scan", scan=scan, source=source, columns=list(columns), records=records)
        schema = pa.ipc.read_schema(payload)
        while True:
            facts, payload = self._question("next", scan=scan)
            if facts["what"] == "end":
                return
            yield pa.ipc.read_record_batch(payload, schema)

    def _question(self, what: str, **facts: Any) -> tuple[dict[str, Any], pa.Buffer]:
        with self._lock:
            wire.send(self._connection, what, **facts)
            return wire.receive(self._connection)

    def _send(self, what: str, payload: bytes | pa.Buffer = b"", **facts: Any) -> None:
        with self._lock:
            wire.send(self._connection, what, payload, **facts)


def _position(message: str, query: str) -> int | None:
    """Where in a query an error is about: DuckDB names a column or function, which is looked for; None: it is not there just once."""
    named = _NAMED.search(message)
    found = list(re.finditer(rf"(?<!\w){re.escape(named[1])}(?!\w)", query)) if named else []
    return found[0].start() if len(found) == 1 else None


def _parts(payload: pa.Buffer, sizes: Sequence[int]) -> Iterator[pa.Buffer]:
    start = 0
    for size in sizes:
        yield payload.slice(start, size)
        start += size


def _text(cursor: duckdb.DuckDBPyConnection, tree: pa.Buffer) -> str:
    """The SQL of a tree."""
    ((text,),) = cursor.execute("SELECT json_deserialize_sql($1::JSON)", [tree.to_pybytes().decode()]).fetchall()
    return str(text)


def _values(payload: pa.Buffer) -> dict[str, Any] | None:
    return wire.unpack_row(payload) or None


def _schema(cursor: duckdb.DuckDBPyConnection, relation: duckdb.DuckDBPyRelation) -> pa.Schema:
    """Schema of the result, without running the statement; no dictionaries, which streams of Flight cannot send."""
    names = ('"' + name.replace('"', '""') + '"' for name in relation.columns)
    columns = (f"NULL::{kind} AS {name}" for kind, name in zip(relation.dtypes, names, strict=True))
    schema = cursor.sql(f"SELECT {', '.join(columns)}").to_arrow_table().schema
    return pa.schema([field.with_type(_plain_type(field.type)) for field in schema])


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _plain(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [one.dictionary_decode() if pa.types.is_dictionary(one.type) else one for one in batch.columns]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _confine(memory: int) -> None:
    """Take no more memory than this, write no file, and leave nothing behind."""
    limits = {resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0}
    taken = _data_bytes()
    if taken is not None:
        limits[resource.RLIMIT_DATA] = taken + memory + _BESIDE_BYTES
    for limit, amount in limits.items():
        _, most = resource.getrlimit(limit)
        bound = amount if most == resource.RLIM_INFINITY else min(amount, most)
        resource.setrlimit(limit, (bound, bound))


def _data_bytes() -> int | None:
    """Bytes that are taken already, as RLIMIT_DATA counts them; None where the system does not tell."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    return next(int(line.split()[1]) << 10 for line in status.read_text().splitlines() if line.startswith("VmData"))


def _end_with(parent: int) -> None:
    """End when the server has gone, whatever is being done."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def main() -> None:
    """Run; started by ``engine.Engine``."""
    descriptor, memory, threads = map(int, sys.argv[1:])
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    with Connection(descriptor) as connection:
        worker = Worker(connection, memory, threads)
        _confine(memory)
        worker.serve()
