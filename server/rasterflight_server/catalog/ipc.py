"""Rows of a memory-mapped Arrow file, by number."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rasterflight_server.errors import BadIndexError

View = TypeVar("View")


class MappedRows(Generic[View]):
    """An uncompressed Arrow IPC file whose batches all have the same number of rows, but for the last.

    Nothing is loaded: what is looked up is paged in by the system.

    Parameters
    ----------
    path, schema
        The file, and what its schema must be.
    batch_rows
        Rows of a batch.
    view
        Makes of a batch what its rows are looked up in; called once for a batch.

    Raises
    ------
    BadIndexError
        The file is not there, damaged, or of another schema.
    """

    def __init__(self, path: Path, schema: pa.Schema, batch_rows: int, view: Callable[[pa.RecordBatch], View]) -> None:
        try:
            self._reader = pa.ipc.open_file(pa.memory_map(str(path)))
        except (OSError, pa.ArrowInvalid) as error:
            missing = isinstance(error, FileNotFoundError)
            raise BadIndexError(
                f"{path.name} of the index is {'missing' if missing else 'damaged'}", hint="build the index again"
            ) from None
        if not self._reader.schema.equals(schema):
            raise BadIndexError(f"{path.name} of the index has another layout", hint="build the index again")
        self._batch_rows = batch_rows
        self._view = view
        # Filled as batches are met. Two threads may fill a place twice, with equal values.
        self._views: list[View | None] = [None] * self._reader.num_record_batches

    def views(self) -> Iterator[View]:
        """Views of all batches, in order."""
        for number in range(len(self._views)):
            yield self.locate(number * self._batch_rows)[0]

    def locate(self, row: int) -> tuple[View, int]:
        """View of the batch that a row is in, and the row's number there."""
        number, inside = divmod(row, self._batch_rows)
        view = self._views[number]
        if view is None:
            view = self._views[number] = self._view(self._reader.get_batch(number))
        return view, inside


def values(array: pa.Array, dtype: type[np.generic]) -> npt.NDArray[Any]:
    """Values of a fixed-width array without a copy; what stands where it is null is arbitrary."""
    return np.frombuffer(array.buffers()[1], dtype, len(array), array.offset * np.dtype(dtype).itemsize)
