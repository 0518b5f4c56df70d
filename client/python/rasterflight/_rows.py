"""The rows of the layout "chips", one by one."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
# the fields of Chip after the first two, in order
_CHIP_COLUMNS = ("cloud_cover", "collection", "geometry_id", "crs", "transform", "chip_height", "chip_width")
#: Columns without which rows are no chips.
CHIP_COLUMNS = frozenset(["record_id", "datetime", *_CHIP_COLUMNS, "row_off", "height", "width"])


@dataclass(frozen=True, slots=True)
class Chip:
    """The pixels of one record under one area; bands on another grid make a chip of their own."""

    record_id: str
    #: Time of the record, UTC.
    datetime: dt.datetime | None
    #: The record's ``eo:cloud_cover``, 0 to 100.
    cloud_cover: float | None
    collection: str
    #: 1-based position of the area, or of the window, in the input; None: the whole record.
    geometry_id: int | None
    #: CRS of the pixels; None: not known.
    crs: str | None
    #: ``[a, b, c, d, e, f]`` as in ``affine.Affine``: corner (col, row) of a pixel to (x, y).
    transform: list[float] | None
    #: Shape of the pixels.
    height: int
    width: int
    #: Band name to ``[height, width]``, in the band's own dtype, in the order asked for.
    pixels: dict[str, np.ndarray] = field(default_factory=dict)
    #: Band name to bool ``[height, width]``, True where a pixel is invalid (as ``numpy.ma``); empty when not masked.
    masks: dict[str, np.ndarray] = field(default_factory=dict)


class Block(NamedTuple):
    """A row: strips of some bands of a chip, as wide as the chip."""

    #: The chip, still without pixels.
    chip: Chip
    row_off: int
    height: int
    #: Band name to ``[height, width]``, views of the batch.
    strips: dict[str, np.ndarray]
    #: The same of the invalid pixels; empty when the read is not masked.
    masks: dict[str, np.ndarray]


class Failed(NamedTuple):
    """A row that says why a record could not be read."""

    record_id: str


def _numbers(values: pa.Array) -> np.ndarray:
    """View an array of numbers, also what lies under nulls; complex numbers come as lists of their two parts.

    By its buffers: ``to_numpy`` imports pandas, which takes longer than many a read.
    """
    if not pa.types.is_fixed_size_list(values.type):
        dtype = np.dtype(values.type.to_pandas_dtype())
        return np.frombuffer(values.buffers()[1] or b"", dtype, len(values), values.offset * dtype.itemsize)
    parts = _numbers(values.values)
    return parts.view(np.complex64 if parts.itemsize == 4 else np.complex128)  # noqa: PLR2004


def _invalid(values: pa.Array) -> np.ndarray:
    """Say which values are null."""
    bitmap = values.buffers()[0] if values.null_count else None
    if bitmap is None:
        return np.zeros(len(values), np.bool_)
    bits = np.unpackbits(np.frombuffer(bitmap, np.uint8), count=values.offset + len(values), bitorder="little")
    return np.asarray(bits[values.offset :] == 0)


def _values(column: pa.Array) -> list[Any]:
    """Read a column as Python objects; what repeats is one object."""
    if pa.types.is_string(column.type):
        encoded = column.dictionary_encode()
        texts = encoded.dictionary.to_pylist()
        indices = encoded.indices.to_pylist() if column.null_count else _numbers(encoded.indices).tolist()
        return [None if index is None else texts[index] for index in indices]
    if column.null_count:
        return list(column.to_pylist())
    if pa.types.is_fixed_size_list(column.type):
        size = column.type.list_size
        return list(_numbers(column.flatten()).reshape(-1, size).tolist())
    return list(_numbers(column).tolist())


def _times(column: pa.Array) -> list[dt.datetime | None]:
    """Read times as UTC; those of one record are one object."""
    known: dict[int | None, dt.datetime | None] = {None: None}
    microseconds = _values(column.cast(pa.int64()))
    for value in set(microseconds).difference(known):
        known[value] = _EPOCH + dt.timedelta(microseconds=value)
    return [known[value] for value in microseconds]


class _Pixels:
    """A band's column of a batch."""

    def __init__(self, column: pa.ListArray) -> None:
        self.valid = column.is_valid().to_pylist() if column.null_count else [True] * len(column)
        self.offsets = column.offsets.to_pylist()
        self.numbers = _numbers(column.values)
        self.invalid = _invalid(column.values) if column.type.value_field.nullable else None


def rows(batch: pa.RecordBatch, bands: Sequence[str]) -> Iterator[Block | Failed]:
    """Read the rows of a batch; pixels are not copied."""

    def values(name: str) -> list[Any]:
        return _values(batch.column(name))

    columns = (values("record_id"), _times(batch.column("datetime")), *map(values, _CHIP_COLUMNS))
    chips: Iterator[Any] = zip(*columns, strict=True)
    places = zip(values("row_off"), values("height"), values("width"), strict=True)
    errors = values("error") if "error" in batch.schema.names else [None] * batch.num_rows
    pixels = [(band, _Pixels(batch.column(band))) for band in bands]
    for row, (fields, (row_off, height, width), error) in enumerate(zip(chips, places, errors, strict=True)):
        if error is not None:
            yield Failed(fields[0])
            continue
        strips, masks = {}, {}
        for band, column in pixels:
            if column.valid[row]:
                part = slice(column.offsets[row], column.offsets[row + 1])
                strips[band] = column.numbers[part].reshape(height, width)
                if column.invalid is not None:
                    masks[band] = column.invalid[part].reshape(height, width)
        yield Block(Chip(*fields), row_off, height, strips, masks)
