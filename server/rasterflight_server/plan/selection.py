"""Which records a request is about, and which of its areas each of them meets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from rasterflight_server.catalog import Collection
from rasterflight_server.plan.areas import Areas
from rasterflight_server.plan.request import Request
from rasterflight_server.types.lonlat import Box

#: Pairs of record and area that are tested at a time, at the most.
_PAIRS_TOGETHER = 2_000_000
#: Vertices of areas that are looked at by footprints at a time, each once for each of these, at the most.
_VERTICES_TOGETHER = 10_000_000

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Selection:
    """Records that match a request by their columns and footprints."""

    #: Columns of ``Collection.select``, in the order of the result.
    hits: pa.Table
    #: For each of them, the 0-based numbers of the areas that its footprint intersects; None: no areas were given.
    areas: list[Ints] | None


def select(collection: Collection, request: Request) -> Selection:
    """Find the records that match the filters and, by their footprints, the areas; there may be none.

    Raises
    ------
    RequestError
        LIMIT_EXCEEDED: there are more pairs of record and area than one request may have.
    """
    hits = matching(collection, request, None if request.areas is None else request.areas.lonlat_bounds)
    if request.areas is None:
        return Selection(hits, None)
    return _joined(hits, request.areas, request)


def matching(collection: Collection, request: Request, bounds: Box | None = None, margin: float = 0.0) -> pa.Table:
    """Find the records that match the filters; ``bounds`` and ``margin`` as ``Collection.select`` takes them."""
    hits = collection.select(request.filters, bounds, margin)
    for areas in request.filter_areas:
        hits = meeting(hits, areas, request)
    return hits


def meeting(hits: pa.Table, areas: Areas, request: Request) -> pa.Table:
    """The records that intersect any of some areas of a request."""
    return _taken(hits, [rows[np.unique(footprint)] for rows, footprint, _ in _matches(hits, areas, request)])


def _joined(hits: pa.Table, areas: Areas, request: Request) -> Selection:
    """The records that areas intersect, each with the numbers of these areas."""
    kept: list[Ints] = []
    found: list[Ints] = []
    pairs = 0
    for rows, footprint, area in _matches(hits, areas, request):
        if request.numbers is not None:
            counts = np.isin(area, request.numbers)
            footprint, area = footprint[counts], area[counts]  # noqa: PLW2901
        pairs += len(area)
        request.allowance.check("chips", pairs, or_more=True)
        matched, starts = np.unique(footprint, return_index=True)
        kept.append(rows[matched])
        found.extend(np.split(area, starts[1:]) if len(matched) else [])
    return Selection(_taken(hits, kept), found)


def _matches(hits: pa.Table, areas: Areas, request: Request) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Rows of hits, and pairs (index of row, number of area) that intersect; some hits at a time, so that pairs stay few."""
    for piece in request.allowance.pieces(len(hits), max(1, _PAIRS_TOGETHER // len(areas))):
        some = hits[piece]
        # Bounds first: most footprints need not even be parsed.
        near = areas.near(np.stack([some[side].to_numpy() for side in ("xmin", "ymin", "xmax", "ymax")], axis=1))
        # Areas of many vertices take long to hold against one footprint.
        for part in request.allowance.pieces(len(near), max(1, _VERTICES_TOGETHER // areas.vertices)):
            rows = near[part]
            yield piece.start + rows, *areas.match(_footprints(some.take(pa.array(rows))))


def _taken(hits: pa.Table, rows: Sequence[Ints]) -> pa.Table:
    return hits.take(pa.array(np.concatenate([np.empty(0, dtype=np.int64), *rows])))


def _footprints(hits: pa.Table) -> npt.NDArray[np.object_]:
    return np.asarray(shapely.from_wkb(hits["geometry"].to_numpy(zero_copy_only=False)), dtype=object)
