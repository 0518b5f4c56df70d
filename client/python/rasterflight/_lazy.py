"""Cubes that are read later and in parts, with dask: a chunk is a ticket."""

import numbers
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, product
from operator import getitem
from typing import Any, Final

import numpy as np

from rasterflight._axes import Assembly, Axes, axes_of, lattice_of
from rasterflight._chunk import Chunk, read_chunk
from rasterflight._commongrid import CommonGrid, common_grid
from rasterflight._cube import Cubes
from rasterflight._extras import need
from rasterflight._lattice import Lattice, Place
from rasterflight._rows import Block, Chip, rows
from rasterflight._source import Source
from rasterflight._stream import Stream, nothing_read
from rasterflight._tickets import Tickets
from rasterflight.errors import BadRequestError
from rasterflight_protocol import BandField
from rasterflight_protocol.v1.read_pb2 import LAYOUT_OUTLINES, ON_ERROR_SKIP, ReadRequest

#: All along a dimension, as dask has it.
_WHOLE: Final = -1
#: Sizes of chunks along dimensions that are not named.
_DEFAULTS: Final = {"time": 1, "y": _WHOLE, "x": _WHOLE}
#: Ways to resample that take pixels as they are.
_KEPT: Final = ("nearest", "mode")

#: Numbers of a chunk along time, geometry, y and x.
Position = tuple[int, ...]
#: Sizes of the chunks along each dimension.
Sizes = tuple[tuple[int, ...], ...]
#: Tasks as dask takes them, by name and position.
Graph = dict[tuple[Any, ...], tuple[Any, ...]]


def check_lazy(request: ReadRequest, chunks: Any, *, progress: bool) -> None:
    """Refuse what cannot be read later.

    Raises
    ------
    BadRequestError
        ``chunks`` names a dimension that cannot be cut; records that fail are to be left out; a bar is asked for.
    TypeError
        ``chunks`` is no mapping.
    """
    if not isinstance(chunks, Mapping):
        raise TypeError(f"chunks is {chunks!r}, expected a dict such as {{'time': 1, 'y': 1024, 'x': 1024}}")
    if unknown := [name for name in chunks if name not in _DEFAULTS]:
        raise BadRequestError(
            f"chunks names {', '.join(map(repr, unknown))}, expected {', '.join(_DEFAULTS)}", field="chunks"
        )
    for name, size in chunks.items():
        parts = size if isinstance(size, tuple) else (size,)
        if any(isinstance(part, numbers.Integral) and part < 1 and part != _WHOLE for part in parts):
            raise BadRequestError(
                f"chunks has {size!r} for {name}, expected sizes from 1 on, or {_WHOLE} for the whole", field="chunks"
            )
    if request.on_error == ON_ERROR_SKIP:
        raise BadRequestError(
            "on_error='skip' does not go with chunks: what fails is not known before they are computed",
            field="on_error",
        )
    if progress:
        raise BadRequestError(
            "progress is about one read, and chunks are many",
            field="progress",
            hint="dask.diagnostics has bars for them",
        )


def outlines_of(request: ReadRequest) -> ReadRequest:
    """Ask where the chips of a request lie."""
    outlines = ReadRequest()
    outlines.CopyFrom(request)
    outlines.layout = LAYOUT_OUTLINES
    return outlines


def plan_cubes(
    stream: Stream, bands: Sequence[BandField], request: ReadRequest, assembly: Assembly, *, chunks: Any, source: Source
) -> Cubes:
    """Make cubes of dask arrays, the same as `read_cubes` makes of pixels.

    Parameters
    ----------
    stream
        The outlines of the chips.
    bands
        Of its schema.
    request
        For the chips.
    assembly
        How they become cubes.
    chunks
        See `Collection.get_xarray`.
    source
        Where chunks are read from.

    Raises
    ------
    BadRequestError
        The sizes of chunks are no sizes.
    GridMismatchError
        The chips are not on one lattice.
    """
    dask, tokenize = need("dask.array", "dask"), need("dask.base", "dask").tokenize
    grid = common_grid(stream.schema)
    chips = [row.chip for batch in stream for row in rows(batch, ()) if isinstance(row, Block)]
    if not chips:
        raise nothing_read(stream)
    names = tuple(band.name for band in bands)
    lattice = lattice_of(chips[0], names, grid)
    placed = [(lattice.place(chip, names), chip) for chip in chips]
    axes = axes_of(placed, lattice, grid, assembly)
    sizes = _sizes(dask, chunks, axes.shape, bands)
    tickets = Tickets(request, grid, stream.schema)
    layout = _Layout(axes, lattice, assembly, sizes, _members(placed, axes, sizes))
    token = tokenize(source.address.url, tickets.identity, sizes, axes.steps.members, assembly.combine)
    arrays, masks = {}, {}
    for band in bands:
        reads = layout.reads(band, f"rasterflight-{band.name}-{token}", tickets, source, is_made=_is_made(band, grid))
        arrays[band.name] = _array(dask, f"{band.name}-{token}", reads, 0, sizes=sizes, dtype=band.dtype)
        if band.masked:
            masks[band.name] = _array(dask, f"{band.name}_mask-{token}", reads, 1, sizes=sizes, dtype=np.bool_)
    return Cubes(arrays, masks, axes)


def _is_made(band: BandField, grid: CommonGrid | None) -> bool:
    """Whether pixels of a band do not stay what they are in the files."""
    return grid is not None and grid.resampling.get(band.name, _KEPT[0]) not in _KEPT


def _sizes(dask: Any, chunks: Mapping[str, Any], shape: tuple[int, ...], bands: Sequence[BandField]) -> Sizes:
    time, y, x = ({**_DEFAULTS, **chunks}[name] for name in _DEFAULTS)
    widest = max((np.dtype(band.dtype) for band in bands), key=lambda dtype: dtype.itemsize)
    try:
        # areas lie apart: each has chunks of its own
        sizes: Sizes = dask.core.normalize_chunks((time, 1, y, x), shape, dtype=widest)
    except (TypeError, ValueError) as error:
        raise BadRequestError(f"chunks cannot be {dict(chunks)}: {error}", field="chunks") from None
    return sizes


def _members(placed: Sequence[tuple[Place, Chip]], axes: Axes, sizes: Sizes) -> Mapping[Position, list[str]]:
    """Ids of the records that have pixels in each chunk, in their order; chunks without any are left out."""
    edges = [np.array(list(accumulate(parts, initial=0))) for parts in sizes]
    found: dict[Position, dict[str, None]] = defaultdict(dict)
    for place, chip in placed:
        time, area = axes.cell(chip)
        rows_, cols = place.within(axes.extent)
        spans = ((time, time + 1), (area, area + 1), (rows_.start, rows_.stop), (cols.start, cols.stop))
        touched = [_touched(edge, *span) for edge, span in zip(edges, spans, strict=True)]
        for position in product(*touched):
            found[position][chip.record_id] = None
    return {position: list(ids) for position, ids in found.items()}


def _touched(edges: np.ndarray, start: int, stop: int) -> range:
    """Numbers of the chunks that some pixels lie in."""
    first = int(np.searchsorted(edges, max(start, 0), side="right")) - 1
    last = int(np.searchsorted(edges, stop, side="left"))
    return range(first, min(last, len(edges) - 1))


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a cube is cut into chunks."""

    axes: Axes
    lattice: Lattice
    assembly: Assembly
    sizes: Sizes
    members: Mapping[Position, list[str]]

    def reads(self, band: BandField, name: str, tickets: Tickets, source: Source, *, is_made: bool) -> Graph:
        """Tasks that give pixels and masks of all chunks of a band."""
        spans = [list(pairwise(accumulate(parts, initial=0))) for parts in self.sizes]
        tasks: Graph = {}
        for position in product(*(range(len(parts)) for parts in self.sizes)):
            span = [along[number] for along, number in zip(spans, position, strict=True)]
            chunk = self._chunk(position, span, band, tickets, is_made=is_made)
            tasks[name, *position] = (read_chunk, source, chunk)
        return tasks

    def _chunk(
        self, position: Position, span: Sequence[tuple[int, int]], band: BandField, tickets: Tickets, *, is_made: bool
    ) -> Chunk:
        (first, last), (area, _), (top, bottom), (left, right) = span
        whole = self.axes.extent
        extent = Place(whole.row + top, whole.col + left, bottom - top, right - left)
        ids = self.members.get(position, [])
        # what is invalid has to be told also where it becomes NaN
        masked = band.masked or is_made
        number, part = self.axes.geometry_ids[area], self.lattice.bounds(extent)
        return Chunk(
            ticket=tickets.ticket(band.name, number, ids, part, masked=masked) if ids else None,
            band=band,
            steps={record: self.axes.steps.index[record] - first for record in ids},
            times=last - first,
            lattice=self.lattice,
            extent=extent,
            origin=whole,
            combine=self.assembly.combine,
            is_made=is_made,
        )


def _array(dask: Any, name: str, reads: Graph, part: int, *, sizes: Sizes, dtype: Any) -> Any:
    """The array of the pixels (part 0) or of the masks (1) that some tasks give."""
    below = next(iter(reads))[0]
    tasks = {(name, *key[1:]): (getitem, key, part) for key in reads}
    graph = need("dask.highlevelgraph", "dask").HighLevelGraph(
        {name: tasks, below: reads}, {name: {below}, below: set()}
    )
    return dask.Array(graph, name, sizes, dtype)
