"""Batches of a result, as large as they travel well: never so large that a client refuses them."""

from collections.abc import Iterable, Iterator
from typing import Final

import pyarrow as pa

#: Batches are gathered up to this size, and cut above twice as much.
_TARGET_BYTES: Final = 2 << 20
#: Clients in Go refuse messages above 16 MiB; a row cannot be cut.
MAX_ROW_BYTES: Final = 15 << 20
#: Rows that are taken from the engine at once, where a row may hold lists.
_NESTED_ROWS: Final = 16
_VECTOR_ROWS: Final = 2048


class RowTooLargeError(Exception):
    """A row takes more than ``MAX_ROW_BYTES``."""


def rows_at_once(schema: pa.Schema) -> int:
    """How many rows to take from the engine at once, by what they may take."""
    if any(pa.types.is_nested(field.type) for field in schema):
        return _NESTED_ROWS
    widths = [_width(field.type) for field in schema]
    if None in widths:
        return _VECTOR_ROWS
    return max(_VECTOR_ROWS, _TARGET_BYTES // max(1, sum(width or 0 for width in widths)))


def _width(kind: pa.DataType) -> int | None:
    try:
        return int(kind.bit_width + 7) // 8
    except ValueError:
        return None


def sized(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Gather small batches and cut large ones.

    Raises
    ------
    RowTooLargeError
        A row alone is too large.
    """
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(one.nbytes for one in waiting) >= _TARGET_BYTES:
            yield from _cut(_joined(waiting, schema))
            waiting = []
    if waiting:
        yield from _cut(_joined(waiting, schema))


def _joined(batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    rows = sum(map(len, batches))
    # One batch of all rows, also where there are no columns.
    return next(iter(pa.Table.from_batches(batches, schema).combine_chunks().to_batches(max_chunksize=max(rows, 1))))


def _cut(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    rows = len(batch)
    if batch.nbytes <= 2 * _TARGET_BYTES:
        yield batch
    elif rows > 1:
        yield from _cut(batch.slice(0, rows // 2))
        yield from _cut(batch.slice(rows // 2))
    elif batch.nbytes <= MAX_ROW_BYTES:
        yield batch
    else:
        raise RowTooLargeError
