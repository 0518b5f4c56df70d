"""Handles of statements: all that is needed to run one, so that any process of a server answers it and nothing is kept."""

from collections.abc import Iterable
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
            raise _too_long(len(packed))
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


def only_row(batches: Iterable[pa.RecordBatch]) -> pa.RecordBatch:
    """The one row of values of parameters, in whatever batches it comes; no more is taken in than a handle may hold.

    Raises
    ------
    RequestError
        BAD_REQUEST: they are damaged, more than one row or none. LIMIT_EXCEEDED: they are too long.
    """
    found: pa.RecordBatch | None = None
    for batch in batches:
        if batch.nbytes > MAX_HANDLE_BYTES:
            raise _too_long(batch.nbytes)
        if not len(batch):
            continue
        if found is not None or len(batch) > 1:
            raise bad_statement(
                "there are several rows of parameters", hint="bind one row; a statement gives one result"
            )
        try:
            batch.validate(full=True)
        except pa.ArrowException:
            raise bad_statement("the values of the parameters are damaged") from None
        found = batch
    if found is None:
        raise bad_statement("there is no row of parameters", hint="bind one row")
    return found


def _too_long(nbytes: int) -> RequestError:
    return RequestError(
        ErrorCode.LIMIT_EXCEEDED,
        f"the statement and its parameters take {nbytes} bytes, more than {MAX_HANDLE_BYTES}",
        field="query",
        hint="simplify its geometries, or read them by tickets, which take areas of any size",
    )
