"""Records from tables: stac-geoparquet and rasteret collections by their own columns, all others by a column map."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.ingest.batches import (
    TablePart,
    file_parts,
    is_table,
    is_table_folder,
    object_parts,
    query_parts,
)
from rasterflight_server.ingest.columnmap import ColumnMap, resolve_map
from rasterflight_server.ingest.columns import hrefs, properties, texts
from rasterflight_server.ingest.datetimecolumn import instants
from rasterflight_server.ingest.files import below, is_prefix
from rasterflight_server.ingest.folder import is_raster_name
from rasterflight_server.ingest.geometrycolumn import footprints
from rasterflight_server.ingest.rasteret import RasteretReader, is_rasteret
from rasterflight_server.ingest.rows import Rows
from rasterflight_server.ingest.sources import AssetSource, Failure, RecordSource
from rasterflight_server.ingest.stacassets import ALL_DATA, AssetChoice
from rasterflight_server.ingest.stacparquet import StacReader, is_stac_table
from rasterflight_server.store import Stores


@dataclass(frozen=True, slots=True)
class Query:
    """A DuckDB query in the place of a table; it runs here and now, and may read what the user may."""

    sql: str


def is_table_source(source: str, stores: Stores) -> bool:
    """Whether a path or URL is a table, or a folder of tables; below a prefix of an object store, the first file decides."""
    if is_prefix(source):
        names = (name for name, _ in below(source, stores))
        return is_table(next((name for name in names if is_table(name) or is_raster_name(name)), ""))
    return is_table(source) or ("://" not in source and Path(source).is_dir() and is_table_folder(Path(source)))


def read_table(
    source: Any,
    named: Mapping[str, str] | None = None,
    choice: AssetChoice = ALL_DATA,
    stores: Stores | None = None,
) -> Iterator[RecordSource | Failure]:
    """Find the records of a table: a row is a record.

    A table with the columns of stac-geoparquet or of a rasteret collection needs no map; of the latter no file is opened. With
    a map, every band is a column of hrefs, and columns that are not in the map become properties, but for binary ones. A row
    without id or href is a failure, and so is one whose datetime or geometry cannot be read.

    Parameters
    ----------
    source
        Path or URL of a Parquet or Arrow file, a folder or prefix of them (with columns from folders such as
        ``year=2024``), a ``Query``, or any object with ``__arrow_c_stream__``.
    named
        ``id``, ``datetime``, ``geometry`` or the name of a band -> column.
    choice
        For stac-geoparquet: which assets to take.
    stores
        Where files are opened; None: without options.

    Raises
    ------
    RequestError
        The source is no table, the query cannot be run, or the map does not fit.
    SourceError
        A file cannot be read.
    """
    first = 0
    for part in _parts(source, stores or Stores()):
        read = _reader(part, named, choice)
        for batch in part.batches:
            yield from read(batch).records(first)
            first += batch.num_rows


def _parts(source: Any, stores: Stores) -> Iterator[TablePart]:
    if isinstance(source, Query):
        return query_parts(source.sql)
    return object_parts(source) if hasattr(source, "__arrow_c_stream__") else file_parts(str(source), stores)


def _reader(part: TablePart, named: Mapping[str, str] | None, choice: AssetChoice) -> Callable[[pa.RecordBatch], Rows]:
    names = part.schema.names
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            f"{part.name} has two columns named {twice!r}",
            field="source",
            hint="a query can choose one",
        )
    if not named and is_rasteret(part.schema):
        return RasteretReader(part).rows
    if not named and is_stac_table(part.schema):
        return StacReader(part, choice).rows
    return _MappedReader(part, resolve_map(named or {}, names, part.name)).rows


class _MappedReader:
    """Rows of a table with a column map."""

    def __init__(self, part: TablePart, columns: ColumnMap) -> None:
        self._part = part
        self._map = columns
        self._properties = {name: name for name in part.schema.names if name not in columns.used}

    def rows(self, batch: pa.RecordBatch) -> Rows:
        """Values of a batch."""
        files = [
            [href and AssetSource(key=band, href=href, single=band, unnamed=f"{band}_") for href in links]
            for band, links in self._links(batch)
        ]
        return Rows(
            ids=texts(batch.column(self._map.id), self._map.id),
            assets=[tuple(filter(None, row)) for row in zip(*files, strict=True)],
            whens=instants(batch, self._map.datetime),
            footprints=footprints(batch, self._map.geometry, self._part.schema.metadata),
            properties=properties(batch, self._properties),
        )

    def _links(self, batch: pa.RecordBatch) -> Iterator[tuple[str, list[str | None]]]:
        for band, column in self._map.bands.items():
            yield band, hrefs(batch.column(column), column, self._part.location)
