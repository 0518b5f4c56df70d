"""From a checked request to a plan: which records, which windows, in which order, of which types."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rasterflight_protocol import BandField, ErrorCode
from rasterflight_protocol.v1.read_pb2 import LAYOUT_PIXELS
from rasterflight_server.catalog import BandEntry, Collection
from rasterflight_server.errors import RequestError, ServiceError
from rasterflight_server.plan.bandfields import band_fields
from rasterflight_server.plan.blocks import block_windows
from rasterflight_server.plan.cutouts import BandSource, Record, RecordCut
from rasterflight_server.plan.nothing import no_pixels, no_records
from rasterflight_server.plan.placing import cut_out
from rasterflight_server.plan.regrid import Regrid, whole_cuts
from rasterflight_server.plan.request import Request
from rasterflight_server.plan.selection import select
from rasterflight_server.plan.validity import witnesses
from rasterflight_server.types import Asset, Grid

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
    #: The one grid that all chips are on, as JSON for the schema; None: there is none.
    grid_facts: bytes | None = None
    #: The levels that resampled bands are read from.
    levels: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @cached_property
    def nbytes(self) -> int:
        """Bytes of pixels."""
        return sum(record.nbytes for record in self.records)

    @cached_property
    def pixels(self) -> int:
        """Pixels in all bands."""
        return sum(cut.pixels * len(cut.bands) for record in self.records for cut in record.cuts)

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

    def in_batches(self, batch_bytes: int) -> "ReadPlan":
        """The same plan with batches of another size."""
        return replace(self, request=replace(self.request, batch_bytes=batch_bytes))

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
        return replace(self, records=chosen)


def plan_read(collection: Collection, request: Request) -> ReadPlan:
    """Plan a read of pixels.

    Raises
    ------
    RequestError
        A band, filter or geometry that does not fit the collection. LIMIT_EXCEEDED: more than the server or the collection gives
        at a time.
    NoDataError
        The answer would be empty; says which step emptied it.
    """
    entries = [collection.resolve_band(name) for name in request.bands]
    allowance = request.allowance
    selection = select(collection, request)
    if not len(selection.hits):
        raise no_records(collection, request)
    allowance.check("records", len(selection.hits))
    if request.windows is not None:
        allowance.check("chips", len(selection.hits) * len(request.windows))
    found = list(_find_bands(collection, request, entries, selection.hits))
    regrid = _regrid(request, found)
    areas = [_NO_AREAS] * len(found) if selection.areas is None else selection.areas
    records = list(_cut_records(request, found, areas, regrid))
    if not records:
        raise no_pixels(collection, request, entries, selection.hits)
    facts, levels = (None, {}) if regrid is None else (regrid.facts(), regrid.levels())
    fields = band_fields(request, records)
    plan = ReadPlan(request, collection, _read_only(request, records), fields, facts, levels)
    allowance.check("chips", plan.chips)
    if request.with_pixels:
        allowance.check("pixels", plan.pixels)
        allowance.check("bytes", plan.nbytes)
    return plan


@dataclass(frozen=True, slots=True)
class _Found:
    """The bands of a record by the grid that they are on, or why there are none."""

    record: Record
    grids: dict[Grid, list[BandSource]]
    error: ServiceError | None = None


def _find_bands(
    collection: Collection, request: Request, entries: Sequence[BandEntry], hits: pa.Table
) -> Iterator[_Found]:
    times = hits["datetime"].cast(pa.int64()).to_pylist()
    columns = (hits["row"].to_pylist(), hits["id"].to_pylist(), times, hits["cloud_cover"].to_pylist())
    for facts in zip(*columns, strict=True):
        request.allowance.go_on()
        record = Record(*facts)
        try:
            yield _Found(record, band_grids(collection, request, entries, record))
        except ServiceError as error:
            if not request.skip_errors:
                raise
            yield _Found(record, {}, error)


def _regrid(request: Request, found: Sequence[_Found]) -> Regrid | None:
    """What brings records onto the grid that was asked for; None: each stays on its own."""
    grids = [one.grids for one in found if one.grids]
    if not request.target.asked or not grids:
        return None
    if not request.target.moves:
        # One grid for all, whichever: windows are on each one's own, and what lies nowhere or askew stays as it is.
        usable = all(grid.located and grid.axis_aligned for of_record in grids for grid in of_record)
        if request.windows is not None or not usable:
            return None
    return Regrid(request.target, request.bands, grids, request.allowance.go_on)


def _cut_records(
    request: Request, found: Sequence[_Found], areas: Sequence[npt.NDArray[np.int64]], regrid: Regrid | None
) -> Iterator[RecordCut]:
    for record in cut_out(request, (_whole_record(request, one, regrid) for one in found), areas):
        if record.error is not None and not request.skip_errors:
            raise record.error
        if record.error is not None or record.cuts:
            yield record


def _whole_record(request: Request, found: _Found, regrid: Regrid | None) -> RecordCut:
    request.allowance.go_on()
    if found.error is not None:
        return RecordCut(found.record, (), found.error)
    try:
        alike = request.layout == LAYOUT_PIXELS
        whole = whole_cuts(found.grids) if regrid is None else regrid.cuts(found.grids, alike=alike)
    except ServiceError as error:
        return RecordCut(found.record, (), error)
    return RecordCut(found.record, whole)


def _read_only(request: Request, records: Sequence[RecordCut]) -> Sequence[RecordCut]:
    """The same records without the bands that no column is for."""
    columns = [column for column, band in enumerate(request.bands) if request.reads(band)]
    if len(columns) == len(request.bands):
        return records
    return [replace(record, cuts=[cut.reading(columns) for cut in record.cuts]) for record in records]


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
    if request.target.moves and not grid.located:
        raise RequestError(
            ErrorCode.UNSUPPORTED_LAYOUT,
            f"the raster has no {'CRS' if grid.crs is None else 'transform'}, so its pixels have no place on another grid",
            record=record.id,
            asset=asset,
            field="grid",
            hint="read it on its own grid",
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
