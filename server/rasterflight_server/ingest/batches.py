"""Record batches out of whatever holds a table: Parquet, Arrow files, queries, Arrow objects of any library."""

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.ingest.files import below, is_prefix
from rasterflight_server.ingest.folder import is_raster
from rasterflight_server.store import Source, Stores

_PARQUET: Final = (".parquet", ".geoparquet", ".pq")
_ARROW: Final = (".arrow", ".arrows", ".feather", ".ipc")
_PARQUET_MAGIC: Final = b"PAR1"
_ARROW_MAGIC: Final = b"ARROW1"
#: Tables of scenes have long rows: a batch is large enough for array operations, and small against memory.
_BATCH_ROWS: Final = 2_000
_NULL_PARTITION: Final = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True, slots=True)
class TablePart:
    """A part of a table whose batches have one schema."""

    #: Name for messages: of a file, or of what else the table came from.
    name: str
    #: Path or URL of a file; relative hrefs start from its folder.
    location: str
    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    #: Columns that stand in the names of folders alone (``year=2024``).
    partitions: tuple[str, ...] = ()


def is_table(name: str) -> bool:
    """Whether a file is called like a table, by path or URL."""
    path = name.partition("?")[0] if "://" in name else name
    return path.lower().endswith(_PARQUET + _ARROW)


def is_table_folder(folder: Path) -> bool:
    """Whether a folder holds tables, and no rasters."""
    return bool(table_files(folder)) and not any(is_raster(path) for path in folder.rglob("*"))


def table_files(folder: Path) -> list[Path]:
    """Tables in a folder and in the folders below it; hidden ones, and those that begin with "_", are not of them."""
    return sorted(
        path
        for path in folder.rglob("*")
        if is_table(path.name) and path.is_file() and not _is_hidden(path.relative_to(folder).as_posix())
    )


def count_rows(location: str) -> int | None:
    """Rows of a Parquet file on the local disk, or of those in a folder; None: only reading will tell."""
    path = Path(location)
    if "://" in location or not path.exists():
        return None
    files = table_files(path) if path.is_dir() else [path]
    if not files or not all(file.name.lower().endswith(_PARQUET) for file in files):
        return None
    try:
        return sum(int(pq.read_metadata(file).num_rows) for file in files)
    except (OSError, pa.ArrowException):  # reading will tell what is wrong
        return None


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "_")) for part in name.split("/"))


def file_parts(location: str, stores: Stores) -> Iterator[TablePart]:
    """Open a table by path or URL, or all tables of a folder or prefix; folders such as ``year=2024`` become columns.

    Raises
    ------
    RequestError
        A file is no table.
    SourceError
        A file cannot be read.
    """
    for name, path in _files(location, stores):
        # Relative hrefs of all files of a folder start at the folder.
        start = path if path == location else f"{location.rstrip('/')}/{PurePosixPath(name).name}"
        with _open(path, start, stores) as part:
            yield _with_partitions(part, name)


def _files(location: str, stores: Stores) -> list[tuple[str, str]]:
    """Path from the folder, and path or URL, of each file."""
    if is_prefix(location):
        return sorted((name, href) for name, href in below(location, stores) if is_table(name) and not _is_hidden(name))
    if "://" not in location and Path(location).is_dir():
        folder = Path(location)
        return [(path.relative_to(folder).as_posix(), str(path)) for path in table_files(folder)]
    return [(PurePosixPath(urlsplit(location).path if "://" in location else location).name, location)]


def query_parts(query: str) -> Iterator[TablePart]:
    """Run a DuckDB query on this machine; it may read any file that the user may.

    Raises
    ------
    RequestError
        The query cannot be run, or has no rows to give.
    """
    with duckdb.connect() as connection:
        try:
            relation: Any = connection.sql(query)
            reader = None if relation is None else relation.to_arrow_reader(_BATCH_ROWS)
        except duckdb.Error as error:
            raise _bad_query(str(error)) from None
        if reader is None:
            raise _bad_query("it gives no rows")
        yield TablePart("the query", _here(), reader.schema, _checked(_sliced(reader), _bad_query))


def object_parts(table: Any) -> Iterator[TablePart]:
    """Read a table of any Arrow library: what has ``__arrow_c_stream__``."""
    reader = pa.RecordBatchReader.from_stream(table)
    yield TablePart("the table", _here(), reader.schema, _sliced(reader))


def _here() -> str:
    return str(Path.cwd() / "table")


def _checked(batches: Iterator[pa.RecordBatch], refuse: Callable[[str], RequestError]) -> Iterator[pa.RecordBatch]:
    """What is wrong with a table may be found out late."""
    try:
        yield from batches
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        raise refuse(str(error)) from None


def _sliced(batches: Any) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for start in range(0, batch.num_rows, _BATCH_ROWS):
            yield batch.slice(start, _BATCH_ROWS)


@contextmanager
def _open(path: str, location: str, stores: Stores) -> Iterator[TablePart]:
    name = PurePosixPath(urlsplit(path).path if "://" in path else path).name
    with stores.open(path) as source, io.BufferedReader(_File(source)) as file:
        try:
            schema, batches = _read(bytes(source.read_prefix(len(_ARROW_MAGIC))), file)
        except (pa.ArrowException, OSError) as error:
            raise _no_table(name, str(error)) from None
        yield TablePart(name, location, schema, _checked(batches, partial(_no_table, name)))


def _read(magic: bytes, file: Any) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    if magic.startswith(_PARQUET_MAGIC):
        parquet: Any = pq.ParquetFile(file)
        return parquet.schema_arrow, parquet.iter_batches(_BATCH_ROWS)
    if magic == _ARROW_MAGIC:
        reader = pa.ipc.open_file(file)
        return reader.schema, _sliced(reader.get_batch(i) for i in range(reader.num_record_batches))
    stream = pa.ipc.open_stream(file)
    return stream.schema, _sliced(stream)


def _no_table(name: str, why: str) -> RequestError:
    return RequestError(
        ErrorCode.BAD_REQUEST,
        f"the source {name!r} is not a table: {why.strip().splitlines()[0]:.200}",
        field="source",
        hint="Parquet files, Arrow files and Arrow streams can be read",
    )


class _File(io.RawIOBase):
    """A source as a file of Python, for libraries that read files."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._size = source.identity().size
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = start + offset
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:
        length = max(0, min(len(buffer), self._size - self._place))
        buffer[:length] = self._source.read_range(self._place, length)
        self._place += length
        return length


def _with_partitions(part: TablePart, path: str) -> TablePart:
    """Add what the names of folders say, as columns."""
    pairs = (folder.partition("=") for folder in path.split("/")[:-1])
    found = {
        key: None if text == _NULL_PARTITION else unquote(text)
        for key, equals, text in pairs
        if equals and key not in part.schema.names
    }
    if not found:
        return part
    values = {key: int(text) if text and text.lstrip("-").isdigit() else text for key, text in found.items()}
    fields = [pa.field(key, pa.int64() if isinstance(value, int) else pa.utf8()) for key, value in values.items()]
    schema = pa.schema([*part.schema, *fields], part.schema.metadata)
    return TablePart(path, part.location, schema, _extended(part, schema, list(values.values())), tuple(values))


def _extended(part: TablePart, schema: pa.Schema, values: Sequence[Any]) -> Iterator[pa.RecordBatch]:
    for batch in part.batches:
        constants = [
            pa.repeat(pa.scalar(value, field.type), batch.num_rows)
            for value, field in zip(values, list(schema)[-len(values) :], strict=True)
        ]
        yield pa.RecordBatch.from_arrays([*batch.columns, *constants], schema=schema)


def _bad_query(why: str) -> RequestError:
    return RequestError(
        ErrorCode.BAD_REQUEST, f"the query cannot be run: {why.strip().splitlines()[0]:.300}", field="query"
    )
