"""The chips of a read as dense cubes, one per band."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rasterflight._chips import new_arrays, read_chips
from rasterflight._combine import Combine, Layer
from rasterflight._lattice import Lattice, Place, union
from rasterflight._rows import Chip
from rasterflight._stack import Stack
from rasterflight._stream import Stream, nothing_read
from rasterflight.errors import TooSparseError
from rasterflight_protocol import BandField

#: Cubes below this are always built; larger ones when enough of their pixels were read.
_SMALL_BYTES = 1 << 30
_SPARSE = 100


@dataclass(frozen=True, slots=True)
class Cubes:
    """Chips of one lattice, sorted into time and area."""

    #: Band name to ``[time, geometry, y, x]``.
    arrays: dict[str, np.ndarray]
    #: The same of invalid pixels; empty when the read is not masked.
    masks: dict[str, np.ndarray]
    #: ``datetime64[ns]``, UTC, ascending and unique; records without a time are together at the end (NaT).
    times: np.ndarray
    #: Ids of the areas that have pixels, ascending; 1 for whole records.
    geometry_ids: np.ndarray
    #: Ids of the records of each time, joined by commas.
    record_ids: np.ndarray
    transform: tuple[float, ...]
    crs: str | None


def read_cubes(stream: Stream, bands: Sequence[BandField], combine: Combine) -> Cubes:
    """Read a stream of chips into one dense array per band, over the extent of them all.

    Raises
    ------
    GridMismatchError
        The chips are not on one lattice; the rest of the stream is not read.
    MergeConflictError
        See `Layer.add`.
    NoDataFound
        Every record failed (``on_error="skip"``).
    TooSparseError
        The cubes would be large, and almost empty.
    """
    collector = _Collector(stream, bands)
    chips = list(read_chips(stream, stream.schema, collector.allocate, collector.allocate_masks))
    if not chips:
        raise nothing_read(stream)
    # bands that came apart are found one by one: a chip has a place whichever bands it carries
    placed = [(collector.lattice.place(chip, chip.pixels), chip) for chip in chips]
    extent = union(place for place, _ in placed)
    times = {time: index for index, time in enumerate(sorted({chip.datetime for chip in chips}, key=_time_order))}
    ids = {area: index for index, area in enumerate(sorted({chip.geometry_id or 1 for chip in chips}))}
    if collector.is_cube(placed, extent, len(times), len(ids)):
        arrays, masks = collector.stacked(chips)
    else:
        cells = [(times[chip.datetime], ids[chip.geometry_id or 1], place, chip) for place, chip in placed]
        arrays, masks = _fill(bands, (len(times), len(ids)), extent, cells, combine)
    records: list[dict[str, None]] = [{} for _ in times]
    for chip in chips:
        records[times[chip.datetime]][chip.record_id] = None
    return Cubes(
        arrays=arrays,
        masks=masks,
        times=np.array([None if time is None else time.replace(tzinfo=None) for time in times], "datetime64[ns]"),
        geometry_ids=np.array(list(ids), np.int64),
        record_ids=np.array([",".join(names) for names in records], object),
        transform=collector.lattice.transform(extent, placed),
        crs=chips[0].crs,
    )


class _Collector:
    """Writes chips of one shape where they will stay, in the hope that they make up a cube as they come."""

    def __init__(self, stream: Stream, bands: Sequence[BandField]) -> None:
        self._stream = stream
        self._bands = bands
        self._index: dict[tuple[str, int | None], int] = {}
        self._stacks: dict[str, Stack] = {}
        self._masks: dict[str, Stack] = {}
        self._all_stacked = True

    def allocate(self, chip: Chip, dtypes: Mapping[str, np.dtype[Any]]) -> dict[str, np.ndarray]:
        if not self._stacks:
            self._start(chip, tuple(dtypes))
        self.lattice.place(chip, dtypes)  # ends the read early when it cannot become a cube
        if (chip.height, chip.width) != (self.lattice.first.height, self.lattice.first.width):
            self._all_stacked = False
            return new_arrays(chip, dtypes)
        index = self._index.setdefault((chip.record_id, chip.geometry_id), len(self._index))
        return {band: self._stacks[band].item(index) for band in dtypes}

    def allocate_masks(self, chip: Chip, dtypes: Mapping[str, np.dtype[Any]]) -> dict[str, np.ndarray]:
        if (chip.height, chip.width) != (self.lattice.first.height, self.lattice.first.width):
            return new_arrays(chip, dtypes)
        index = self._index[chip.record_id, chip.geometry_id]
        for band, dtype in dtypes.items():
            if band not in self._masks:
                self._masks[band] = self._stacks[band].like(dtype)
        return {band: self._masks[band].item(index) for band in dtypes}

    def is_cube(self, placed: Sequence[tuple[Place, Chip]], extent: Place, times: int, areas: int) -> bool:
        """Say whether the chips, as they came, are the layers of a cube of one area."""
        keys = {(chip.record_id, chip.geometry_id) for _, chip in placed}
        as_they_came = [chip.datetime for _, chip in placed]
        return (
            self._all_stacked
            and areas == 1
            and times == len(keys)
            and as_they_came == sorted(as_they_came, key=_time_order)
            and all(place == extent for place, _ in placed)
            and sum(len(chip.pixels) for _, chip in placed) == len(keys) * len(self._bands)
        )

    def stacked(self, chips: Sequence[Chip]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Give the cubes of one area: pixels and masks by band."""
        keys = dict.fromkeys((chip.record_id, chip.geometry_id) for chip in chips)
        order = [self._index[key] for key in keys]

        def cubes(stacks: Mapping[str, Stack]) -> dict[str, np.ndarray]:
            return {band: stack.array(order)[:, np.newaxis] for band, stack in stacks.items()}

        return cubes(self._stacks), cubes(self._masks)

    def _start(self, chip: Chip, names: tuple[str, ...]) -> None:
        self.lattice = Lattice(chip, names)
        shape = (chip.height, chip.width)
        layer_bytes = chip.height * chip.width * sum(np.dtype(band.dtype).itemsize for band in self._bands)
        expected = self._stream.bytes_total // layer_bytes
        self._stacks = {band.name: Stack(shape, np.dtype(band.dtype), expected) for band in self._bands}


def _time_order(time: dt.datetime | None) -> tuple[bool, dt.datetime]:
    return time is None, time or dt.datetime.max.replace(tzinfo=dt.UTC)


def _fill(
    bands: Sequence[BandField],
    shape: tuple[int, int],
    extent: Place,
    cells: Sequence[tuple[int, int, Place, Chip]],
    combine: Combine,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    full_shape = (*shape, extent.height, extent.width)
    _check_density(bands, full_shape, cells)
    arrays, masks = {}, {}
    for band in bands:
        array = np.full(full_shape, band.fill_value(), band.dtype)
        if band.masked:
            masks[band.name] = np.ones(full_shape, np.bool_)
        layers: dict[tuple[int, int], Layer] = {}
        for time, area, place, chip in cells:
            if band.name in chip.pixels:
                mask = masks[band.name][time, area] if band.masked else None
                layer = layers.setdefault((time, area), Layer(array[time, area], mask, extent, band, combine))
                layer.add(chip, place)
        arrays[band.name] = array
    return arrays, masks


def _check_density(
    bands: Sequence[BandField], shape: tuple[int, ...], cells: Sequence[tuple[int, int, Place, Chip]]
) -> None:
    size = int(np.prod(shape, dtype=object)) * sum(np.dtype(band.dtype).itemsize for band in bands)
    read = sum(pixels.nbytes for *_, chip in cells for pixels in chip.pixels.values())
    if size > max(_SMALL_BYTES, _SPARSE * read):
        raise TooSparseError(
            f"dims (time, geometry, y, x) of {shape} take {size / 2**30:.1f} GiB for {read / 2**20:.1f} MiB of pixels",
            hint="read the areas one by one, or use get_gdf",
        )
