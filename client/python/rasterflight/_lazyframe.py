"""A table of the server as a LazyFrame of Polars."""

from collections.abc import Iterator
from typing import Any

import polars as pl
import pyarrow as pa
from polars.io.plugins import register_io_source

from rasterflight._polarsfilters import read_predicate, without_dynamic
from rasterflight._predicates import Unknown
from rasterflight._scan import Scan


def lazy_frame(scan: Scan) -> pl.LazyFrame:
    """Make a LazyFrame of a table; each time it is collected, the server is asked for what the query needs."""
    schema = _frame(pa.RecordBatch.from_pylist([], scan.schema)).schema

    def source(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        exact = None if predicate is None else without_dynamic(predicate)
        columns = with_columns
        if columns is not None and exact is not None:
            columns = list(dict.fromkeys([*columns, *exact.meta.root_names()]))
        # The first rows are counted before the predicate narrows them down.
        narrowing = Unknown() if exact is None or n_rows is not None else read_predicate(exact)
        left = n_rows
        for batch in scan.read(columns, narrowing):
            frame = _frame(batch)
            if left is not None:
                frame = frame.head(left)
                left -= len(frame)
            if exact is not None:
                frame = frame.filter(exact)
            yield frame if with_columns is None else frame.select(with_columns)
            if left == 0:
                return

    return register_io_source(source, schema=schema, is_pure=True)


def _frame(rows: Any) -> pl.DataFrame:
    """Rows as a frame; geometries are plain WKB, since not every Polars has extension types."""
    columns = [one.storage if isinstance(one.type, pa.BaseExtensionType) else one for one in rows.columns]
    frame = pl.from_arrow(pa.RecordBatch.from_arrays(columns, names=rows.schema.names))
    assert isinstance(frame, pl.DataFrame)
    return frame
