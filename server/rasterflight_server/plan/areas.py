"""The areas of a request: parsed, checked, and ready in any CRS."""

import math
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from rasterflight_protocol import ErrorCode
from rasterflight_protocol.v1.read_pb2 import BBox, Geometries
from rasterflight_server.errors import RequestError
from rasterflight_server.plan.antimeridian import unwrapped, within_a_turn
from rasterflight_server.plan.bounds import vertex_bounds
from rasterflight_server.plan.crs import LONLAT, in_degrees, parse_crs, transform_geometries
from rasterflight_server.plan.limits import USUAL, Allowance
from rasterflight_server.plan.polygons import Polygons
from rasterflight_server.plan.upload import FindUpload, no_uploads
from rasterflight_server.types.lonlat import Box, crosses, lonlat_boxes

#: Areas that are looked at in one go.
_TOGETHER = 1 << 14


class Areas:
    """Polygons and multipolygons with their CRS, in the order given.

    In a CRS of degrees, longitudes beyond 180 and boxes with minx > maxx become MultiPolygons of both sides of the
    antimeridian.

    Parameters
    ----------
    message
        As it came in the ticket.
    field
        Name of the message inside the request, for errors.
    uploads
        Finds areas that went up before.
    allowance
        How many there may be.

    Raises
    ------
    RequestError
        BAD_GEOMETRY, CRS_REQUIRED, UPLOAD_NOT_FOUND or BAD_REQUEST, naming the geometry at fault. LIMIT_EXCEEDED, before anything
        is parsed.
    """

    def __init__(
        self,
        message: Geometries,
        field: str,
        uploads: FindUpload = no_uploads,
        allowance: Allowance = USUAL,
    ) -> None:
        self.field = field
        self._allowance = allowance
        crs = parse_crs(message.crs, f"{field}.crs")
        self.crs = crs.name
        self.projjson = crs.projjson
        degrees = in_degrees(self.crs)
        #: Which areas became MultiPolygons because they cross the antimeridian.
        self.crossing: npt.NDArray[np.bool_]
        match message.WhichOneof("source"):
            case "bboxes":
                allowance.check("geometries", len(message.bboxes.values))
                shapes, self.crossing = _boxes(message.bboxes.values, field, degrees=degrees)
                self._polygons = Polygons(shapes)
            case "wkb":
                allowance.check("geometries", len(message.wkb.values))
                values = np.array(list(message.wkb.values), dtype=object)
                self._take(Polygons.from_wkb(values, field, allowance), degrees=degrees)
            case "upload":
                upload = uploads(message.upload, f"{field}.upload")
                allowance.check("geometries", upload.areas)
                self._take(upload.polygons(field, allowance), degrees=degrees)
            case _:
                self._take(Polygons(np.empty(0, dtype=object)), degrees=False)
        self.geometries = self._polygons.geometries
        if not len(self.geometries):
            raise RequestError(
                ErrorCode.BAD_REQUEST,
                "there is no geometry in the list",
                field=field,
                hint="give at least one area, or leave the field out to read whole records",
            )
        self._polygons.check_sizes(field)
        self._by_crs = defaultdict[str, _Placed](lambda: _Placed(len(self.geometries)))

    def _take(self, polygons: Polygons, *, degrees: bool) -> None:
        """Keep polygons as they are, but for those that go on beyond 180 degrees."""
        self._polygons = polygons
        self.crossing = np.zeros(len(polygons.geometries), dtype=bool)
        if degrees:
            geometries, self.crossing = within_a_turn(polygons.geometries, self.field)
            if geometries is not polygons.geometries:
                self._polygons = Polygons(geometries)

    def __len__(self) -> int:
        return len(self.geometries)

    def to_crs(self, crs: str, numbers: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.object_]:
        """Some areas in another CRS; vertices that it cannot express are infinite.

        Parameters
        ----------
        numbers
            0-based; None: all.
        """
        numbers = np.arange(len(self)) if numbers is None else numbers
        return self._placed(crs, numbers).geometries[numbers]

    def bounds(self, crs: str, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Bounds of all vertices of some areas in another CRS, shape (n, 4), see ``vertex_bounds``; infinite as in ``to_crs``."""
        return self._placed(crs, numbers).bounds[numbers]

    def _placed(self, crs: str, numbers: npt.NDArray[np.int64]) -> "_Placed":
        """All that is known of the areas in a CRS, among them some."""
        known = self._by_crs[crs]
        missing = np.unique(numbers[shapely.is_missing(known.geometries[numbers])])
        for piece in self._allowance.pieces(len(missing), _TOGETHER):
            some = missing[piece]
            placed = transform_geometries(self.geometries[some], self.crs, crs, self._allowance.go_on)
            known.bounds[some] = vertex_bounds(placed)
            known.geometries[some] = placed
        return known

    @property
    def wkb(self) -> pa.LargeBinaryArray:
        """The areas as two-dimensional ISO WKB, in the CRS in which they were given."""
        return self._polygons.wkb

    @property
    def wkb_sizes(self) -> npt.NDArray[np.int64]:
        """Bytes of each area as WKB."""
        return self._polygons.wkb_sizes

    @cached_property
    def vertices(self) -> int:
        """Vertices of all areas."""
        return int(shapely.get_num_coordinates(self.geometries).sum())

    @property
    def lonlat_bounds(self) -> tuple[float, float, float, float]:
        """Bounds of all areas together in degrees."""
        bounds = vertex_bounds(self._lonlat)
        (minx, miny), (maxx, maxy) = bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)
        return float(minx), float(miny), float(maxx), float(maxy)

    def near(self, bounds: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Boxes in degrees that meet the bounds of an area; sorted.

        Parameters
        ----------
        bounds
            Shape (n, 4): minx, miny, maxx, maxy; NaN meets nothing.
        """
        boxes = np.asarray(shapely.box(*bounds.T), dtype=object)
        boxes[~np.isfinite(bounds).all(axis=1)] = None
        box, _ = self._tree.query(boxes)
        return np.unique(box).astype(np.int64)

    def match(self, footprints: npt.NDArray[np.object_]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Pairs (index of footprint, index of area) that intersect, sorted; footprints are in degrees, None matches nothing."""
        footprint, area = self._tree.query(self._testable(footprints), predicate="intersects")
        order = np.lexsort((area, footprint))
        return footprint[order].astype(np.int64), area[order].astype(np.int64)

    @cached_property
    def _tree(self) -> shapely.STRtree:
        return shapely.STRtree(self._testable(self._lonlat))

    def _testable(self, geometries: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
        """The geometries for an intersection test: invalid ones give way to their bounds, which hold all that they hold."""
        flawed = ~shapely.is_missing(geometries)
        for piece in self._allowance.pieces(len(geometries), _TOGETHER):
            flawed[piece] &= ~shapely.is_valid(geometries[piece])
        if not flawed.any():
            return geometries
        testable = geometries.copy()
        testable[flawed] = shapely.box(*vertex_bounds(geometries[flawed]).T)
        return testable

    @cached_property
    def _lonlat(self) -> npt.NDArray[np.object_]:
        lonlat = self.to_crs(LONLAT)
        finite = np.isfinite(self.bounds(LONLAT, np.arange(len(self)))).all(axis=1)
        if not finite.all():
            first = int(np.argmin(finite))
            raise RequestError(
                ErrorCode.BAD_GEOMETRY,
                f"geometry {first + 1} has coordinates that {self.crs} cannot place on the earth",
                field=self.field,
                hint="check geometry_crs: are the coordinates really in that CRS?",
            )
        return unwrapped(lonlat, self.geometries, self.crs)


class _Placed:
    """Areas in one CRS. Of areas all over the world each CRS sees few: None where it is not known yet."""

    def __init__(self, count: int) -> None:
        self.geometries = np.full(count, None, dtype=object)
        self.bounds = np.empty((count, 4))


def _boxes(
    boxes: Sequence[BBox], field: str, *, degrees: bool
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.bool_]]:
    """Boxes as polygons, and which of them cross the antimeridian."""
    bounds = [check_bbox(box, f"{field}.bboxes[{number}]", degrees=degrees) for number, box in enumerate(boxes)]
    shapes = np.asarray(shapely.box(*np.array(bounds).reshape(-1, 4).T), dtype=object).reshape(-1)
    crossing = np.zeros(len(shapes), dtype=bool)
    for index, box in enumerate(bounds if degrees else ()):
        parts = lonlat_boxes(box)
        if parts != [box]:
            shapes[index] = shapely.MultiPolygon([shapely.box(*part) for part in parts])
            crossing[index] = True
    return shapes, crossing


def check_bbox(box: BBox, field: str, *, degrees: bool) -> Box:
    """Refuse a box with NaN, infinite or inverted bounds; in degrees, one across the antimeridian is not inverted."""
    bounds = (box.minx, box.miny, box.maxx, box.maxy)
    if not all(math.isfinite(value) for value in bounds):
        raise RequestError(
            ErrorCode.BAD_GEOMETRY, f"bbox {bounds} has a coordinate that is NaN or infinite", field=field
        )
    for low, high, axis in ((box.minx, box.maxx, "x"), (box.miny, box.maxy, "y")):
        if low > high and not (axis == "x" and degrees and crosses(bounds)):
            raise RequestError(
                ErrorCode.BAD_GEOMETRY,
                f"bbox {bounds} is inverted: min{axis} {low} is greater than max{axis} {high}",
                field=field,
                hint="the order is (minx, miny, maxx, maxy)",
            )
    return bounds
