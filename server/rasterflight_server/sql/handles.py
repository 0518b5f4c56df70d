"""Handles of statements: all that is needed to run one, so that any process of a server answers it and nothing is kept."""

from typing import Final, NamedTuple

import pyarrow as pa

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.sql.refusals import bad_statement

#: Handles travel in tickets, which are bounded like all messages.
MAX_HANDLE_BYTES: Final = 2 << 20
_QUERY: Final = b"query"


class Handle(NamedTuple):
    """A statement, and the values of its parameters; None: they are not bound."""

    query: str
    values: pa.RecordBatch | None = None

    def pack(self) -> bytes:
        """Make bytes of it: a stream of Arrow whose schema carries the statement.

        Raises
        ------
        RequestError
            LIMIT_EXCEEDED: the statement and its values are too long.
        """
        schema = pa.schema([]) if self.values is None else self.values.schema
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, schema.with_metadata({_QUERY: self.query.encode()})) as writer:
            if self.values is not None:
                writer.write_batch(self.values.replace_schema_metadata())
        packed: bytes = sink.getvalue().to_pybytes()
        if len(packed) > MAX_HANDLE_BYTES:
            raise RequestError(
                ErrorCode.LIMIT_EXCEEDED,
                f"the statement and its parameters take {len(packed)} bytes, more than {MAX_HANDLE_BYTES}",
                field="query",
                hint="simplify its geometries, or read them by tickets, which take areas of any size",
            )
        return packed


def unpack_handle(packed: bytes) -> Handle:
    """Read a handle.

    Raises
    ------
    RequestError
        BAD_REQUEST: it is none.
    """
    try:
        with pa.ipc.open_stream(packed) as reader:
            query = (reader.schema.metadata or {})[_QUERY].decode()
            found = [batch.replace_schema_metadata() for batch in reader]
        for batch in found:
            batch.validate(full=True)
    except (pa.ArrowException, KeyError, UnicodeDecodeError, OSError):
        raise bad_statement("the handle is none of a statement", hint="prepare the statement again") from None
    return Handle(query, found[0] if found else None)


def only_row(table: pa.Table) -> pa.RecordBatch:
    """Values of parameters as one batch, whatever they came in.

    Raises
    ------
    RequestError
        BAD_REQUEST: they are damaged.
    """
    try:
        table.validate(full=True)
    except pa.ArrowException:
        raise bad_statement("the values of the parameters are damaged") from None
    return pa.RecordBatch.from_arrays([_whole(column) for column in table.columns], names=table.column_names)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    joined = column.combine_chunks()
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined
