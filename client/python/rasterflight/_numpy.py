"""A read as one NumPy array."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from rasterflight._chips import read_chips
from rasterflight._rows import Chip
from rasterflight._stack import Stack
from rasterflight._stream import Stream, nothing_read
from rasterflight.errors import MixedDtypesError, RaggedShapesError, ResultError
from rasterflight_protocol import BandField, band_fields

_Key = tuple[str, int | None]


def read_numpy(stream: Stream, bands: Sequence[str]) -> np.ndarray:
    """Read a stream of chips into ``[N, H, W]``, or ``[N, C, H, W]`` for several bands; a masked array when it is masked.

    Raises
    ------
    MixedDtypesError
        The bands differ in dtype.
    RaggedShapesError
        The windows differ in shape; the rest of the stream is not read.
    ResultError
        A sample lacks a band.
    NoDataFound
        Every record failed (``on_error="skip"``).
    """
    samples = _Samples(stream, bands, _common_dtype(stream.schema))
    present: dict[_Key, list[str]] = {}
    for chip in read_chips(stream, stream.schema, samples.allocate, samples.allocate_masks):
        present.setdefault(_key(chip), []).extend(chip.pixels)
    if not present:
        raise nothing_read(stream)
    for (record_id, _), names in present.items():
        if missing := [band for band in bands if band not in names]:
            raise ResultError(
                f"no pixels of {', '.join(missing)}", record=record_id, hint="get_gdf returns what each record has"
            )
    array = samples.array(present)
    return array[:, 0] if len(bands) == 1 else array


def masked_array(pixels: np.ndarray, mask: np.ndarray, bands: Iterable[BandField]) -> np.ndarray:
    """Join pixels and mask; `filled` puts into the holes what pixels outside hold, if the bands agree on that."""
    fills = {band.fill_value().tobytes(): band.fill_value() for band in bands}
    return np.ma.MaskedArray(pixels, mask, fill_value=fills.popitem()[1] if len(fills) == 1 else None)


class _Samples:
    """Samples in the order in which they come; chips are written straight into the result."""

    def __init__(self, stream: Stream, bands: Sequence[str], dtype: np.dtype[Any]) -> None:
        self._stream = stream
        self._channel = {band: channel for channel, band in enumerate(bands)}
        self._dtype = dtype
        self._index: dict[_Key, int] = {}
        self._first: Chip | None = None
        self._masks: Stack | None = None

    def allocate(self, chip: Chip, dtypes: Mapping[str, np.dtype[Any]]) -> dict[str, np.ndarray]:
        if self._first is None:
            self._first = chip
            shape = (len(self._channel), chip.height, chip.width)
            sample_bytes = int(np.prod(shape)) * self._dtype.itemsize
            # all samples are of one size or there will be an error, so the bytes tell their number
            self._stack = Stack(shape, self._dtype, self._stream.bytes_total // sample_bytes)
        elif (chip.height, chip.width) != (self._first.height, self._first.width):
            raise RaggedShapesError(
                f"the windows differ in shape: {_shape(self._first)} and {_shape(chip, dtypes)}",
                hint="get_gdf returns arrays of any shape",
            )
        sample = self._stack.item(self._index.setdefault(_key(chip), len(self._index)))
        return {band: sample[self._channel[band]] for band in dtypes}

    def allocate_masks(self, chip: Chip, dtypes: Mapping[str, np.dtype[Any]]) -> dict[str, np.ndarray]:
        if self._masks is None:
            self._masks = self._stack.like(np.dtype(np.bool_))
        sample = self._masks.item(self._index[_key(chip)])
        return {band: sample[self._channel[band]] for band in dtypes}

    def array(self, keys: Mapping[_Key, object]) -> np.ndarray:
        indices = [self._index[key] for key in keys]
        pixels = self._stack.array(indices)
        if self._masks is None:
            return pixels
        return masked_array(pixels, self._masks.array(indices), band_fields(self._stream.schema))


def _key(chip: Chip) -> _Key:
    return chip.record_id, chip.geometry_id


def _shape(chip: Chip, bands: Mapping[str, object] | None = None) -> str:
    where = "" if chip.geometry_id is None else f", geometry {chip.geometry_id}"
    return f"{(chip.height, chip.width)} (record {chip.record_id}{where}, {', '.join(bands or chip.pixels)})"


def _common_dtype(schema: pa.Schema) -> np.dtype[Any]:
    bands = band_fields(schema)
    if len({band.dtype for band in bands}) != 1:
        listed = ", ".join(f"{band.name} is {band.dtype}" for band in bands)
        raise MixedDtypesError(
            f"the bands differ in dtype: {listed}", hint="read them one by one, or with get_gdf or get_xarray"
        )
    return np.dtype(bands[0].dtype)
