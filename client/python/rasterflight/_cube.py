"""The chips of a read as dense cubes, one per band."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rasterflight._axes import Assembly, Axes, axes_of, lattice_of
from rasterflight._chips import new_arrays, read_chips
from rasterflight._combine import Combine, Layer
from rasterflight._commongrid import common_grid
from rasterflight._lattice import Place
from rasterflight._rows import Chip
from rasterflight._stack import Stack
from rasterflight._stream import Stream, nothing_read
from rasterflight.errors import TooSparseError
from rasterflight_protocol import BandField

#: Position along time and geometry, place on the lattice, and the pixels.
Cell = tuple[int, int, Place, Chip]

#: Cubes below this are always built; larger ones when enough of their pixels were read.
_SMALL_BYTES = 1 << 30
_SPARSE = 100


@dataclass(frozen=True, slots=True)
class Cubes:
    """Chips of one lattice, sorted into time and area."""

    #: Band name to ``[time, geometry, y, x]``.
    arrays: Mapping[str, Any]
    #: The same of invalid pixels; empty when the read is not masked.
    masks: Mapping[str, Any]
    axes: Axes


def read_cubes(stream: Stream, bands: Sequence[BandField], assembly: Assembly) -> Cubes:
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
    axes = axes_of(placed, collector.lattice, collector.grid, assembly)
    if collector.is_cube(placed, axes):
        return Cubes(*collector.stacked(chips), axes)
    cells = [(*axes.cell(chip), place, chip) for place, chip in placed]
    return Cubes(*_fill(bands, axes, cells, assembly.combine), axes)


class _Collector:
    """Writes chips of one shape where they will stay, in the hope that they make up a cube as they come."""

    def __init__(self, stream: Stream, bands: Sequence[BandField]) -> None:
        self._stream = stream
        self._bands = bands
        self._index: dict[tuple[str, int | None], int] = {}
        self._stacks: dict[str, Stack] = {}
        self._masks: dict[str, Stack] = {}
        self._all_stacked = True
        self._shape = (0, 0)
        self.grid = common_grid(stream.schema)

    def allocate(self, chip: Chip, dtypes: Mapping[str, np.dtype[Any]]) -> dict[str, np.ndarray]:
        if not self._stacks:
            self._start(chip, tuple(dtypes))
        self.lattice.place(chip, dtypes)  # ends the read early when it cannot become a cube
        if (chip.height, chip.width) != self._shape:
            self._all_stacked = False
            return new_arrays(chip, dtypes)
        index = self._index.setdefault((chip.record_id, chip.geometry_id), len(self._index))
        return {band: self._stacks[band].item(index) for band in dtypes}

    def allocate_masks(self, chip: Chip, dtypes: Mapping[str, np.dtype[Any]]) -> dict[str, np.ndarray]:
        if (chip.height, chip.width) != self._shape:
            return new_arrays(chip, dtypes)
        index = self._index[chip.record_id, chip.geometry_id]
        for band, dtype in dtypes.items():
            if band not in self._masks:
                self._masks[band] = self._stacks[band].like(dtype)
        return {band: self._masks[band].item(index) for band in dtypes}

    def is_cube(self, placed: Sequence[tuple[Place, Chip]], axes: Axes) -> bool:
        """Say whether the chips, as they came, are the layers of a cube of one area."""
        keys = {(chip.record_id, chip.geometry_id) for _, chip in placed}
        steps = [axes.steps.index[chip.record_id] for _, chip in placed]
        return (
            self._all_stacked
            and len(axes.geometry_ids) == 1
            and len(axes.steps.times) == len(keys)
            and steps == sorted(steps)
            and all(place == axes.extent for place, _ in placed)
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
        self.lattice = lattice_of(chip, names, self.grid)
        self._shape = (chip.height, chip.width)
        layer_bytes = chip.height * chip.width * sum(np.dtype(band.dtype).itemsize for band in self._bands)
        expected = self._stream.bytes_total // layer_bytes
        self._stacks = {band.name: Stack(self._shape, np.dtype(band.dtype), expected) for band in self._bands}


def _fill(
    bands: Sequence[BandField], axes: Axes, cells: Sequence[Cell], combine: Combine
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    _check_density(bands, axes.shape, cells)
    arrays, masks = {}, {}
    for band in bands:
        arrays[band.name], mask = fill(band, axes.shape, axes.extent, cells, combine=combine)
        if mask is not None:
            masks[band.name] = mask
    return arrays, masks


def fill(
    band: BandField,
    shape: tuple[int, ...],
    extent: Place,
    cells: Iterable[Cell],
    *,
    combine: Combine,
    origin: Place | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Lay the chips of one band into a cube.

    Parameters
    ----------
    band
        The band.
    shape
        Of the cube: time, geometry, y, x.
    extent
        Where it is on the lattice.
    cells
        Chips, and where they belong.
    combine
        How those of one time and area are laid over one another.
    origin
        The extent of the whole result, when this is a part.

    Returns
    -------
    tuple
        The cube, and the same of invalid pixels; None when the read is not masked.
    """
    array = np.full(shape, band.fill_value(), band.dtype)
    masks = np.ones(shape, np.bool_) if band.masked else None
    layers: dict[tuple[int, int], Layer] = {}
    for time, area, place, chip in cells:
        if band.name in chip.pixels:
            if (time, area) not in layers:
                mask = None if masks is None else masks[time, area]
                layers[time, area] = Layer(array[time, area], mask, extent, band, combine=combine, origin=origin)
            layers[time, area].add(chip, place)
    return array, masks


def _check_density(bands: Sequence[BandField], shape: tuple[int, ...], cells: Sequence[Cell]) -> None:
    size = int(np.prod(shape, dtype=object)) * sum(np.dtype(band.dtype).itemsize for band in bands)
    read = sum(pixels.nbytes for *_, chip in cells for pixels in chip.pixels.values())
    if size > max(_SMALL_BYTES, _SPARSE * read):
        raise TooSparseError(
            f"dims (time, geometry, y, x) of {shape} take {size / 2**30:.1f} GiB for {read / 2**20:.1f} MiB of pixels",
            hint="read the areas one by one, or use get_gdf",
        )
