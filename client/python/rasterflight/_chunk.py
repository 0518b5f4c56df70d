"""One chunk of a cube that is read later."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from rasterflight._chips import new_arrays, read_chips
from rasterflight._combine import Combine
from rasterflight._cube import Cell, fill
from rasterflight._lattice import Lattice, Place
from rasterflight._rows import Chip
from rasterflight._source import Source
from rasterflight._stream import Stream
from rasterflight.errors import NoDataFound
from rasterflight_protocol import BandField


@dataclass(frozen=True, slots=True)
class Chunk:
    """What a process has to know to make the pixels of one band, of some steps of time and one area."""

    #: None: nothing lies here.
    ticket: bytes | None
    #: Facts about the band in the whole cube.
    band: BandField
    #: Record id to its position along time.
    steps: Mapping[str, int]
    #: Number of these positions.
    times: int
    lattice: Lattice
    #: Place of the chunk, and of the whole cube.
    extent: Place
    origin: Place
    combine: Combine
    #: Pixels are made anew: float, and NaN where there is none.
    is_made: bool


def read_chunk(source: Source, chunk: Chunk) -> tuple[np.ndarray, np.ndarray | None]:
    """Read a chunk: pixels ``[time, 1, height, width]``, and which are invalid; None when the read is not masked.

    Raises
    ------
    RasterflightError
        As the read of the whole does.
    """
    cells: list[Cell] = []
    if chunk.ticket is not None:
        # chips may reach here by other bands
        with suppress(NoDataFound), source.open(chunk.ticket) as stream:
            cells = list(_cells(stream, chunk))
    shape = (chunk.times, 1, chunk.extent.height, chunk.extent.width)
    return fill(chunk.band, shape, chunk.extent, cells, combine=chunk.combine, origin=chunk.origin)


def _cells(stream: Stream, chunk: Chunk) -> Iterator[Cell]:
    for chip in read_chips(stream, stream.schema, new_arrays):
        yield chunk.steps[chip.record_id], 0, chunk.lattice.place(chip, chip.pixels), _as_in_the_cube(chip, chunk)


def _as_in_the_cube(chip: Chip, chunk: Chunk) -> Chip:
    """Bring a chip to what it is in a read of all.

    Rasters that are on the grid already come as they are in the file when nobody else in the read has to be resampled; the
    rest of the cube may be different.
    """
    if not chunk.is_made:
        return chip
    name = chunk.band.name
    pixels = chip.pixels[name].astype(chunk.band.dtype, copy=False)
    pixels[chip.masks[name]] = chunk.band.fill_value()
    return replace(chip, pixels={name: pixels}, masks=chip.masks if chunk.band.masked else {})
