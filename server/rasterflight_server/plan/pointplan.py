"""From points and filters to pixels: which records hold which points, and in which of their pixels."""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rasterflight_protocol import ErrorCode
from rasterflight_server.catalog import BandEntry, Collection
from rasterflight_server.errors import RequestError, ServiceError
from rasterflight_server.plan.crs import in_degrees
from rasterflight_server.plan.cutouts import BandSource, Record
from rasterflight_server.plan.nothing import nowhere
from rasterflight_server.plan.placed import Placed
from rasterflight_server.plan.planner import band_grids
from rasterflight_server.plan.pointindex import PointIndex
from rasterflight_server.plan.points import Points
from rasterflight_server.plan.request import Request
from rasterflight_server.plan.selection import matching
from rasterflight_server.types import Grid
from rasterflight_server.types.lonlat import TURN

#: Footprints are often drawn with straight sides in lon/lat, where those of the raster are bent: a point belongs to a record
#: if it lies in its raster, not farther from the bounds of the footprint than this share of their size.
MARGIN: Final = 0.02
#: Points placed on a grid are remembered for so many grids: records of a time series share theirs.
_REMEMBERED: Final = 4
_NOWHERE: Final = (0.0, 0.0, 0.0, 0.0)

Ints = npt.NDArray[np.int64]
Bounds = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class PointCut:
    """What to take from one record: bands, and points on their grids; or why that is not possible."""

    #: Position in ``PointPlan.records``.
    position: int
    record: Record
    grids: Sequence[tuple[Placed, Sequence[BandSource]]]
    error: ServiceError | None = None

    @property
    def rows(self) -> int:
        """Rows of the points layout, when each pixel gives one."""
        return sum(len(placed) * len(bands) for placed, bands in self.grids)


class PointPlan:
    """Everything that a read of points will do; which points a record holds is found out when its turn comes.

    Parameters
    ----------
    collection
        Where to look.
    request
        Of the points layout.

    Raises
    ------
    RequestError
        A band, filter or point that does not fit the collection.
    """

    def __init__(self, collection: Collection, request: Request) -> None:
        assert request.points is not None
        self.collection = collection
        self.request = request
        self.points: Points = request.points
        self._entries: list[BandEntry] = [collection.resolve_band(name) for name in request.bands]
        self._index = PointIndex(*self.points.lonlat) if len(self.points) else None
        hits, self._bounds = self._select()
        request.allowance.check("records", len(hits))
        times = hits["datetime"].cast(pa.int64()).to_pylist()
        columns = (hits["row"].to_pylist(), hits["id"].to_pylist(), times, hits["cloud_cover"].to_pylist())
        #: Records that may hold points, in the order of the result.
        self.records = [Record(*facts) for facts in zip(*columns, strict=True)]
        # A cache of this object's own, so that it goes with the request.
        self._place = lru_cache(maxsize=_REMEMBERED)(self._placed)

    def in_batches(self, batch_bytes: int) -> "PointPlan":
        """The same plan with batches of another size."""
        plan = copy(self)
        plan.request = replace(self.request, batch_bytes=batch_bytes)
        return plan

    def newest_first(self) -> list[int]:
        """Positions of the records, the latest first; those without a time come last."""
        positions = range(len(self.records) - 1, -1, -1)
        return sorted(positions, key=lambda position: self.records[position].datetime is None)

    def cut(self, position: int, wanted: npt.NDArray[np.bool_] | None = None) -> PointCut | None:
        """Find what a record has to give.

        Parameters
        ----------
        position
            Of the record.
        wanted
            Points and bands that are of interest, shape (points, bands); None: all.

        Returns
        -------
        PointCut or None
            None: it holds none of the points.
        """
        self.request.allowance.go_on()
        record = self.records[position]
        points = None if wanted is None else np.asarray(wanted.any(axis=1))
        columns = range(len(self._entries)) if wanted is None else np.flatnonzero(wanted.any(axis=0))
        try:
            grids = []
            for grid, bands in band_grids(self.collection, self.request, self._entries, record).items():
                _check_types(bands, record)
                placed = self._place(grid, self._bounds[position])
                placed = placed if points is None else placed.only(points)
                kept = [band for band in bands if band.column in columns]
                if len(placed) and kept:
                    grids.append((placed, kept))
        except ServiceError as error:
            if not self.request.skip_errors:
                raise
            return PointCut(position, record, (), error)
        return PointCut(position, record, grids) if grids else None

    def cuts(self, first: int = 0) -> Iterator[PointCut]:
        """What the records from one on have to give, in the order of the result."""
        for position in range(first, len(self.records)):
            cut = self.cut(position)
            if cut is not None:
                yield cut

    def _select(self) -> tuple[pa.Table, Sequence[Bounds]]:
        """Records whose footprint is near a point, and the widened bounds of the footprints."""
        bounds = _NOWHERE if self._index is None else self._index.bounds
        hits = matching(self.collection, self.request, bounds, MARGIN)
        if self._index is None:
            return hits.slice(0, 0), []
        if not len(hits):
            self._check_located()
        boxes = np.column_stack([hits[name].to_numpy() for name in ("xmin", "ymin", "xmax", "ymax")])
        margin = MARGIN * (boxes[:, 2:] - boxes[:, :2])
        boxes = np.hstack([boxes[:, :2] - margin, boxes[:, 2:] + margin])
        near = self._index.near(boxes)
        return hits.filter(pa.array(near)), [tuple(box) for box in boxes[near].tolist()]

    def _check_located(self) -> None:
        """Refuse points on records of which none says where it lies."""
        found = matching(self.collection, self.request)
        if len(found) and found["geometry"].null_count == len(found):
            raise nowhere(self.collection, "points")

    def _placed(self, grid: Grid, bounds: Bounds) -> Placed:
        assert self._index is not None
        points = self._index.inside(*bounds)
        x, y = (values[points] for values in self.points.to_crs(grid.crs or ""))
        if in_degrees(grid.crs or ""):
            x = _turned(x, grid)
        inverse = ~grid.transform
        with np.errstate(over="ignore", invalid="ignore"):
            # In the order in which rasterio's rowcol sums up: the last bit decides on which side of an edge a point falls.
            cols = np.floor(x * inverse.a + y * inverse.b + inverse.c)
            rows = np.floor(x * inverse.d + y * inverse.e + inverse.f)
            inside = (cols >= 0) & (cols < grid.width) & (rows >= 0) & (rows < grid.height)
        return Placed(
            grid,
            points[inside],
            rows[inside].astype(np.int64),
            cols[inside].astype(np.int64),
            self.points.sampling.max_distance,
        )


def _turned(lon: npt.NDArray[np.float64], grid: Grid) -> npt.NDArray[np.float64]:
    """Longitudes as a raster counts them: a turn more or less where they lie beside it."""
    ends = grid.transform.c, grid.transform.c + grid.width * grid.transform.a
    return np.where(lon < min(ends), lon + TURN, np.where(lon > max(ends), lon - TURN, lon))


def _check_types(bands: Sequence[BandSource], record: Record) -> None:
    for band in bands:
        if np.dtype(band.level.dtype).kind == "c":
            raise RequestError(
                ErrorCode.UNSUPPORTED_LAYOUT,
                f"the pixels are complex numbers ({band.level.dtype}), and values of points are float64",
                record=record.id,
                asset=band.asset.key,
                field="bands",
                hint="read them as chips",
            )
