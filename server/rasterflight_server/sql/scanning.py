"""A table of the server, as DuckDB scans it from its own process: columns and records that a query has no use for are not asked for."""

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from operator import and_
from typing import Any, Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import dataset, fs

#: Records beyond these are not held against the filter one by one: it would take longer than it saves.
_MAX_PRUNED: Final = 10_000


class Asks(Protocol):
    """Asks the server for rows."""

    def __call__(self, source: str, columns: Sequence[str], records: Sequence[int] | None) -> Iterator[pa.RecordBatch]:
        """Read columns of some records, by position; None: of all."""


class ServerTable(dataset.Dataset):
    """Rows that the server reads when they are scanned.

    Parameters
    ----------
    name
        What the server calls it.
    schema
        Of the rows.
    facts
        What is the same for all rows of a record, a row each; None: nothing is known.
    ask
        Asks the server.
    """

    def __init__(self, name: str, schema: pa.Schema, facts: pa.RecordBatch | None, ask: Asks) -> None:
        # not that of the base, which makes none
        self._name = name
        self._schema = schema
        self._facts = facts
        self._ask = ask

    @property
    def schema(self) -> pa.Schema:
        """Schema of the rows."""
        return self._schema

    def scanner(self, columns: Any = None, filter: Any = None, **_: Any) -> "_Scanner":  # noqa: A002 - pyarrow's name
        """Prepare a scan."""
        names = self._schema.names if columns is None else list(columns)
        needed = list(names) or self._schema.names[:1]
        if filter is not None:
            needed += [name for name in _columns_of(filter, self._schema) if name not in needed]
        records = None
        if filter is not None and self._facts is not None and len(self._facts) <= _MAX_PRUNED:
            records = possible_records(self._facts, self._schema, filter)
        return _Scanner(self._schema, names, filter, lambda: self._ask(self._name, needed, records))


class _Scanner:
    """A scan that was prepared."""

    def __init__(
        self, schema: pa.Schema, names: list[str], expression: Any, read: Callable[[], Iterator[pa.RecordBatch]]
    ) -> None:
        self.projected_schema = pa.schema([schema.field(name) for name in names])
        self._expression = expression
        self._read = read

    def to_reader(self) -> pa.RecordBatchReader:
        """Read the rows."""
        return pa.RecordBatchReader.from_batches(self.projected_schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        for batch in self._read():
            kept = batch if self._expression is None else batch.filter(self._expression)
            yield kept.select(self.projected_schema.names)


def _columns_of(expression: pc.Expression, schema: pa.Schema) -> list[str]:
    """The columns that an expression looks at: those without which it has no value."""
    empty = pa.RecordBatch.from_pylist([], schema)
    found = []
    for name in schema.names:
        try:
            empty.drop_columns([name]).filter(expression)
        except pa.ArrowInvalid:
            found.append(name)
    return found


def possible_records(facts: pa.RecordBatch, schema: pa.Schema, expression: pc.Expression) -> list[int]:
    """Positions of the records that may have rows for which an expression is true.

    Each record is shown to Arrow as a file of which the facts are known, and Arrow says which files have to be looked at.
    """
    files, made_of = fs.LocalFileSystem(), dataset.IpcFileFormat()
    fragments = [
        made_of.make_fragment(str(position), filesystem=files, partition_expression=_guarantee(facts.schema, row))
        for position, row in enumerate(zip(*facts.columns, strict=True))
    ]
    whole = dataset.FileSystemDataset(fragments, schema, made_of, files)
    return [int(fragment.path) for fragment in whole.get_fragments(filter=expression)]


def _guarantee(schema: pa.Schema, row: Sequence[pa.Scalar]) -> pc.Expression:
    return reduce(
        and_,
        [
            pc.field(name) == value if value.is_valid else pc.field(name).is_null()
            for name, value in zip(schema.names, row, strict=True)
        ],
    )
