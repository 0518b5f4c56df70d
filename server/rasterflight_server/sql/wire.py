"""What a server and its SQL engines say to each other: facts as JSON, and bytes of Arrow beside them."""

import json
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any, Final

import pyarrow as pa

#: What the other side may say at once; a batch is much smaller.
_MAX_BYTES: Final = 256 << 20


def send(connection: "Connection[Any, Any]", what: str, payload: bytes | pa.Buffer = b"", **facts: Any) -> None:
    """Say something."""
    connection.send_bytes(json.dumps({"what": what, **facts}).encode())
    connection.send_bytes(memoryview(payload))


def receive(connection: "Connection[Any, Any]") -> tuple[dict[str, Any], pa.Buffer]:
    """Hear something; EOFError: the other side has gone."""
    facts = json.loads(connection.recv_bytes(_MAX_BYTES))
    return facts, pa.py_buffer(connection.recv_bytes(_MAX_BYTES))


def pack_row(values: Mapping[str, pa.Array]) -> pa.Buffer:
    """Serialise named values, each an array of one."""
    return pack_batch(pa.record_batch(dict(values) or {"": pa.nulls(1)}))


def unpack_row(payload: pa.Buffer) -> dict[str, Any]:
    """Read named values."""
    row: dict[str, Any] = unpack_batch(payload).to_pylist()[0]
    return {name: value for name, value in row.items() if name}


def pack_batch(batch: pa.RecordBatch) -> pa.Buffer:
    """Serialise a batch with its schema."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def unpack_batch(payload: pa.Buffer) -> pa.RecordBatch:
    """Read a batch with its schema; pa.ArrowInvalid: it is damaged."""
    with pa.ipc.open_stream(payload) as reader:
        batch = reader.read_next_batch()
    batch.validate(full=True)
    return batch
