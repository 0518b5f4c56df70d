"""From a checked request to a plan: which records, which windows, in which order, of which types."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rasterflight_protocol import BandField, ErrorCode
from rasterflight_server.catalog import BandEntry, Collection
from rasterflight_server.errors import RequestError, ServiceError
from rasterflight_server.plan.areas import Areas
from rasterflight_server.plan.bandfields import band_fields
from rasterflight_server.plan.blocks import block_windows
from rasterflight_server.plan.bounds import vertex_bounds
from rasterflight_server.plan.crs import same_crs
from rasterflight_server.plan.cutouts import BandSource, GridCut, Record, RecordCut
from rasterflight_server.plan.nothing import no_pixels, no_records
from rasterflight_server.plan.request import Request
from rasterflight_server.plan.selection import Selection, select
from rasterflight_server.plan.validity import witnesses
from rasterflight_server.plan.windows import geometry_windows, part_windows
from rasterflight_server.types import Asset, Grid, Window

_NO_AREAS: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class ReadPlan:
    """Everything that a read of pixels will do; nothing has been fetched yet."""

    request: Request
    collection: Collection
    #: In the order of the result.
    records: Sequence[RecordCut]
    #: In the order asked for.
    bands: Sequence[BandField]

    @cached_property
    def nbytes(self) -> int:
        """Bytes of pixels."""
        return sum(record.nbytes for record in self.records)

    @cached_property
    def chips(self) -> int:
        """Pairs of record and area."""
        return sum(record.chips for record in self.records)

    @cached_property
    def rows(self) -> int:
        """Rows of the chips layout."""
        target = self.request.batch_bytes
        return sum(
            1 if record.error else sum(len(block_windows(cut, target)) for cut in record.cuts)
            for record in self.records
        )

    @cached_property
    def crs(self) -> list[str]:
        """CRS of the rasters that take part, in order of appearance."""
        found = (cut.grid.crs for record in self.records for cut in record.cuts)
        return list(dict.fromkeys(crs for crs in found if crs is not None))

    def shard(self) -> "ReadPlan":
        """The part of this plan that the request's shard asks for: whole records, about the same bytes in each part."""
        index, count = self.request.shard_index, self.request.shard_count
        if count == 1:
            return self
        sizes = np.array([record.nbytes for record in self.records], dtype=np.float64)
        # A record belongs to the part that the middle of its bytes falls into.
        middles = (np.cumsum(sizes) - sizes / 2) / max(sizes.sum(), 1.0)
        parts = np.minimum((middles * count).astype(np.int64), count - 1)
        chosen = [record for record, part in zip(self.records, parts.tolist(), strict=True) if part == index]
        return ReadPlan(self.request, self.collection, chosen, self.bands)


def plan_read(collection: Collection, request: Request) -> ReadPlan:
    """Plan a read of pixels.

    Raises
    ------
    RequestError
        A band, filter or geometry that does not fit the collection.
    NoDataError
        The answer would be empty; says which step emptied it.
    """
    entries = [collection.resolve_band(name) for name in request.bands]
    selection = select(collection, request)
    if not len(selection.hits):
        raise no_records(collection, request)
    records = list(_cut_records(collection, request, entries, selection))
    if not records:
        raise no_pixels(collection, request, entries, selection.hits)
    return ReadPlan(request, collection, records, band_fields(request, records))


def _cut_records(
    collection: Collection, request: Request, entries: Sequence[BandEntry], selection: Selection
) -> Iterator[RecordCut]:
    hits = selection.hits
    areas = [_NO_AREAS] * len(hits) if selection.areas is None else selection.areas
    times = hits["datetime"].cast(pa.int64()).to_pylist()
    columns = (hits["row"].to_pylist(), hits["id"].to_pylist(), times, hits["cloud_cover"].to_pylist())
    for position, facts in enumerate(zip(*columns, strict=True)):
        record = Record(*facts)
        try:
            grids = band_grids(collection, request, entries, record)
            cuts = [_cut(request, grid, bands, areas[position]) for grid, bands in grids.items()]
        except ServiceError as error:
            if not request.skip_errors:
                raise
            yield RecordCut(record, (), error)
            continue
        cuts = [cut for cut in cuts if len(cut.windows)]
        if cuts:
            yield RecordCut(record, cuts)


def band_grids(
    collection: Collection, request: Request, entries: Sequence[BandEntry], record: Record
) -> dict[Grid, list[BandSource]]:
    """The bands of a record by the grid that they are on."""
    slots = sorted({candidate.slot for entry in entries for candidate in entry.candidates})
    assets = dict(zip(slots, collection.assets(record.row, slots), strict=True))
    grids: dict[Grid, list[BandSource]] = {}
    for column, entry in enumerate(entries):
        found = next((candidate for candidate in entry.candidates if assets[candidate.slot]), None)
        asset = assets[found.slot] if found else None
        if found is None or asset is None:
            raise RequestError(
                ErrorCode.UNKNOWN_BAND,
                f"the record has no band {request.bands[column]!r}",
                collection=collection.name,
                record=record.id,
                field="bands",
                hint="leave the record out with ids= or another filter, or read with on_error='skip'",
            )
        _check_grid(request, asset.grid, record, asset.key)
        grids.setdefault(asset.grid, []).append(_source(request, column, asset, found.sample, record))
    return grids


def _source(request: Request, column: int, asset: Asset, sample: int, record: Record) -> BandSource:
    dtype = asset.profile.levels[0].dtype
    if request.scaled and np.dtype(dtype).kind == "c":
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            f"band {request.bands[column]!r} has complex numbers ({dtype}), which have no physical values",
            record=record.id,
            asset=asset.key,
            field="grid.values",
            hint="read the band as it is, with values='raw'",
        )
    found = witnesses(asset.profile, sample) if request.wants_validity else ()
    return BandSource(column, asset, sample, request.scaled, found)


def _check_grid(request: Request, grid: Grid, record: Record, asset: str) -> None:
    if request.target_crs and (grid.crs is None or not same_crs(request.target_crs, grid.crs)):
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            f"target_crs {request.target_crs!r} differs from the raster's CRS {grid.crs}: this server does not reproject",
            record=record.id,
            asset=asset,
            field="grid.target_crs",
            hint="leave target_crs out, and reproject the result",
        )
    placed = "points" if request.points is not None else "geometries"
    if request.areas is None and request.points is None:
        return
    if not grid.located:
        what = "CRS" if grid.crs is None else "transform"
        raise RequestError(
            ErrorCode.UNSUPPORTED_LAYOUT,
            f"the raster has no {what}, so {placed} cannot be placed on it",
            record=record.id,
            asset=asset,
            field=placed,
            hint="ask for pixel windows instead",
        )
    if not grid.axis_aligned:
        raise RequestError(
            ErrorCode.UNSUPPORTED_LAYOUT,
            f"the raster's grid is rotated, so {placed} cannot be placed on it",
            record=record.id,
            asset=asset,
            field=placed,
            hint="ask for pixel windows instead",
        )


def _cut(request: Request, grid: Grid, bands: list[BandSource], areas: npt.NDArray[np.int64]) -> GridCut:
    if request.areas is not None:
        windows = _windows(request.areas, areas, grid)
        overlap = (windows[:, 2] > 0) & (windows[:, 3] > 0)
        return GridCut(grid, tuple(bands), areas[overlap], windows[overlap])
    if request.windows is None:
        return GridCut(grid, tuple(bands), np.array([-1]), np.array([grid.window]))
    clipped: list[tuple[int, Window | None]] = [
        (number, window.intersection(grid.window)) for number, window in enumerate(request.windows)
    ]
    kept = [(number, window) for number, window in clipped if window is not None]
    return GridCut(
        grid,
        tuple(bands),
        np.array([number for number, _ in kept], dtype=np.int64),
        np.array([window for _, window in kept], dtype=np.int64).reshape(-1, 4),
    )


def _windows(areas: Areas, numbers: npt.NDArray[np.int64], grid: Grid) -> npt.NDArray[np.int64]:
    geometries = _placed(areas, numbers, grid)
    windows = geometry_windows(geometries, grid)
    crossing = areas.crossing[numbers]
    if crossing.any():
        # one side is on the raster, and the other would stretch the window to its edge
        windows[crossing] = part_windows(geometries[crossing], grid)
    return windows


def _placed(areas: Areas, numbers: npt.NDArray[np.int64], grid: Grid) -> npt.NDArray[np.object_]:
    geometries = areas.to_crs(grid.crs or "", numbers)
    finite = np.isfinite(vertex_bounds(geometries)).all(axis=1)
    if not finite.all():
        raise RequestError(
            ErrorCode.BAD_GEOMETRY,
            f"geometry {int(numbers[np.argmin(finite)]) + 1} reaches where {grid.crs} has no coordinates",
            field=areas.field,
            hint="clip it to the surroundings of the records",
        )
    return geometries
