"""A table of the server as a dataset of pyarrow, as DuckDB and others scan it."""

from collections.abc import Iterator
from typing import Any, Final, NoReturn

import pyarrow as pa
from pyarrow import dataset, fs

from rasterflight._arrowfilters import ArrowFilter, read_filter
from rasterflight._scan import Scan
from rasterflight.errors import BadRequestError

#: What is said where pyarrow looks for files.
_NOT_A_FILE: Final = "rows of a rasterflight server (this dataset has no files: read a table first, with to_table())"


class FlightDataset(dataset.FileSystemDataset):
    """Rows that a server reads when they are asked for; made by `Collection.to_dataset`.

    Each scan is a request of its own, for the columns, records and areas that the query needs. Has what ``pyarrow.dataset.Dataset`` has
    for reading; what is about files is not there, nor what pyarrow does inside of C++ (joins, ``sort_by``): read a table first.
    """

    def __init__(self, scan: Scan) -> None:
        # C++ knows nothing of the scans: what asks it, past this class, finds a file that is not there instead of a null pointer
        form = dataset.IpcFileFormat()
        nowhere = form.make_fragment(_NOT_A_FILE, fs.LocalFileSystem())
        super().__init__([nowhere], scan.schema, form)
        self._scan = scan

    @property
    def schema(self) -> pa.Schema:
        """Schema of the rows."""
        return self._scan.schema

    def scanner(self, columns: Any = None, filter: Any = None, **_: Any) -> "FlightScanner":  # noqa: A002 - pyarrow's name
        """Prepare a scan; the server is called when its rows are taken.

        Parameters
        ----------
        columns
            Names of columns; None: all.
        filter
            A ``pyarrow.compute.Expression``; only rows for which it is true come.

        Raises
        ------
        BadRequestError
            There is no such column, or one is an expression (a ValueError).
        """
        if columns is not None:
            columns = list(columns)
            for name in columns:
                if name not in self.schema.names:
                    raise BadRequestError(
                        f"there is no column {name!r}", field="columns", hint=f"columns: {', '.join(self.schema.names)}"
                    )
        return FlightScanner(self._scan, columns, filter)

    def count_rows(self, **keywords: Any) -> int:
        """Count the rows; they come for it, with one small column and those of the filter."""
        small = [field.name for field in self.schema if pa.types.is_primitive(field.type)]
        return self.scanner(small[:1], **keywords).count_rows()

    @property
    def files(self) -> list[str]:
        """None: rows are not in files."""
        return []

    @property
    def partition_expression(self) -> NoReturn:
        """Not there: rows are not in partitions."""
        raise _no_files("partitions")

    def get_fragments(self, filter: Any = None) -> NoReturn:  # noqa: A002, ARG002 - pyarrow's name
        """Not there: rows are not in files."""
        raise _no_files("fragments")

    def replace_schema(self, schema: pa.Schema) -> NoReturn:  # noqa: ARG002
        """Not there: the server says what the columns are."""
        raise _no_files("another schema")

    def filter(self, expression: Any) -> NoReturn:  # noqa: ARG002
        """Not there: give the filter to the scan, or narrow the collection."""
        raise _no_files("a filter of its own")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a dataset of rasterflight is bound to a connection, and cannot be pickled")


class FlightScanner:
    """A scan that was prepared; has what ``pyarrow.dataset.Scanner`` has."""

    def __init__(self, scan: Scan, columns: list[str] | None, expression: Any) -> None:
        self._scan = scan
        self._columns = columns
        self._expression = expression
        self.dataset_schema: pa.Schema = scan.schema
        self.projected_schema: pa.Schema = scan.part(columns)

    def to_batches(self) -> Iterator[pa.RecordBatch]:
        """Read the rows, batch by batch."""
        if self._expression is None:
            return self._scan.read(self._columns, ArrowFilter().predicate)
        return self._filtered()

    def _filtered(self) -> Iterator[pa.RecordBatch]:
        found = read_filter(self._expression, self._scan.schema)
        columns = None
        if self._columns is not None and found.columns is not None:  # else the filter may look at any
            columns = [*self._columns, *sorted(found.columns.difference(self._columns))]
        names = self.projected_schema.names
        for batch in self._scan.read(columns, found.predicate):
            kept = batch.filter(self._expression).select(names)
            if len(kept):
                yield kept

    def scan_batches(self) -> NoReturn:
        """Not there: batches do not belong to files."""
        raise _no_files("fragments")

    def to_reader(self) -> pa.RecordBatchReader:
        """Read the rows as a stream."""
        return pa.RecordBatchReader.from_batches(self.projected_schema, self.to_batches())

    def to_table(self) -> pa.Table:
        """Read the rows into one table."""
        return pa.Table.from_batches(self.to_batches(), self.projected_schema)

    def count_rows(self) -> int:
        """Count the rows."""
        return sum(len(batch) for batch in self.to_batches())

    def take(self, indices: Any) -> pa.Table:
        """Read some rows by their numbers; all are read for it."""
        return self.to_table().take(indices)

    def head(self, num_rows: int) -> pa.Table:
        """Read the first rows."""
        taken: list[pa.RecordBatch] = []
        left = num_rows
        batches = self.to_batches()
        while left > 0 and (batch := next(batches, None)) is not None:
            taken.append(batch.slice(0, left))
            left -= len(taken[-1])
        return pa.Table.from_batches(taken, self.projected_schema)


def _no_files(what: str) -> TypeError:
    return TypeError(f"this dataset is rows of a server, and has no {what}")
