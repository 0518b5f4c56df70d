"""A read under way."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
from google.protobuf.message import DecodeError

from rasterflight._ahead import ReadAhead
from rasterflight._chips import read_chips
from rasterflight._failures import translated
from rasterflight._progress import Bar
from rasterflight._rows import Chip
from rasterflight.errors import NoDataFound
from rasterflight_protocol.v1.plan_pb2 import Progress


@dataclass(frozen=True, slots=True)
class SkippedRecord:
    """A record that could not be read, in a read with ``on_error="skip"``."""

    record_id: str
    #: Why, in the words of the server.
    reason: str

    def __str__(self) -> str:
        return f"{self.record_id}: {self.reason}"


class Stream:
    """The rows of a read, batch by batch as they arrive; they can be taken once.

    Iterate for record batches, or call one of the methods. As a context manager, or by `close`, what has not been
    read is cancelled on the server; so is a stream that is dropped, and one that Ctrl-C interrupts. Anything that
    reads Arrow streams takes it as it is (``__arrow_c_stream__``): Polars, DuckDB, pandas, another pyarrow.

    A read with ``on_error="skip"`` that misses records says so in one RuntimeWarning at its end, and in `errors`.
    """

    def __init__(
        self, reader: Any, url: str, bar: Bar | None, owner: object, release: Callable[[], None] | None = None
    ) -> None:
        self._release = release  # what the server keeps for this read alone
        with translated(url):
            self.schema: pa.Schema = reader.schema
        self._ahead = ReadAhead(reader)
        self._url = url
        self._bar = bar
        self._owner = owner  # a private server lives as long as somebody reads from it
        self._finished = False
        self._skipped: dict[tuple[str, str], SkippedRecord] = {}
        self.bytes_total = 0
        """Bytes of pixels in all, as the server said with the last batch; 0: not known."""

    @property
    def errors(self) -> list[SkippedRecord]:
        """Records that could not be read, as far as the stream has been taken."""
        return list(self._skipped.values())

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self

    def __next__(self) -> pa.RecordBatch:
        try:
            with translated(self._url):
                chunk = self._ahead.next()
        except BaseException:
            self.close()  # also after Ctrl-C: the server must not go on for nobody
            raise
        if chunk is None:
            self._finish()
            raise StopIteration
        self._note(chunk)
        return chunk.data

    def to_reader(self) -> pa.RecordBatchReader:
        """Read as a ``pyarrow.RecordBatchReader``."""
        return pa.RecordBatchReader.from_batches(self.schema, self)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.to_reader().__arrow_c_stream__(requested_schema)

    def read_all(self) -> pa.Table:
        """Read everything that is left into one table."""
        return pa.Table.from_batches(self, self.schema)

    def chips(self) -> Iterator[Chip]:
        """Read as chips: the blocks of each are put together, records that failed are left out whole.

        Chips that came in one row are read-only views of the memory of their batch.

        Raises
        ------
        TypeError
            The rows are not in the layout "chips".
        """
        return read_chips(self, self.schema)

    def close(self) -> None:
        """Cancel what has not been read; nothing happens after the end."""
        self._ahead.close()
        if self._bar is not None:
            self._bar.close()
        if self._release is not None:
            self._release()

    cancel = close

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _note(self, chunk: Any) -> None:
        """Remember what a batch says besides its rows."""
        if chunk.app_metadata is not None:
            progress = Progress()
            with suppress(DecodeError):  # decoration: another server may say something else here
                progress.ParseFromString(chunk.app_metadata.to_pybytes())
            self.bytes_total = progress.bytes_total
            if self._bar is not None:
                self._bar.update(progress.bytes_done, progress.bytes_total)
        if "error" in self.schema.names:
            batch = chunk.data
            failed = batch.filter(batch.column("error").is_valid()).select(["record_id", "error"])
            for row in failed.to_pylist():
                key = (row["record_id"], row["error"])
                self._skipped.setdefault(key, SkippedRecord(*key))

    def _finish(self) -> None:
        if self._finished:
            return
        self._finished = True
        self.close()
        if self._skipped:
            missing = "; ".join(map(str, self.errors))
            warnings.warn(f"records are missing from the result: {missing}", RuntimeWarning, stacklevel=3)


def nothing_read(stream: Stream) -> NoDataFound:
    """Say that a stream held no chip."""
    failed = "; ".join(map(str, stream.errors))
    return NoDataFound(f"no record could be read: {failed}" if failed else "the result is empty")
