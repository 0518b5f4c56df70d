"""The areas of a request: parsed, checked, and ready in any CRS."""

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from rasterflight_protocol import ErrorCode
from rasterflight_protocol.v1.read_pb2 import BBox, Geometries
from rasterflight_server.errors import RequestError
from rasterflight_server.plan.crs import LONLAT, parse_crs, transform_geometries
from rasterflight_server.plan.polygons import Polygons
from rasterflight_server.plan.uploads import FindUpload, no_uploads


class Areas:
    """Polygons and multipolygons with their CRS, in the order given.

    Parameters
    ----------
    message
        As it came in the ticket.
    field
        Name of the message inside the request, for errors.
    uploads
        Finds areas that went up before.

    Raises
    ------
    RequestError
        BAD_GEOMETRY, CRS_REQUIRED, UPLOAD_NOT_FOUND or BAD_REQUEST, naming the geometry at fault.
    """

    def __init__(self, message: Geometries, field: str, uploads: FindUpload = no_uploads) -> None:
        self.field = field
        crs = parse_crs(message.crs, f"{field}.crs")
        self.crs = crs.name
        self.projjson = crs.projjson
        match message.WhichOneof("source"):
            case "bboxes":
                self._polygons = Polygons(_boxes(message.bboxes.values, field))
            case "wkb":
                values = np.array(list(message.wkb.values), dtype=object)
                self._polygons = Polygons.from_wkb(values, field)
            case "upload":
                self._polygons = uploads(message.upload, f"{field}.upload").polygons(field)
            case _:
                self._polygons = Polygons(np.empty(0, dtype=object))
        self.geometries = self._polygons.geometries
        if not len(self.geometries):
            raise RequestError(
                ErrorCode.BAD_REQUEST,
                "there is no geometry in the list",
                field=field,
                hint="give at least one area, or leave the field out to read whole records",
            )
        self._polygons.check_sizes(field)
        self._by_crs: dict[str, npt.NDArray[np.object_]] = {}

    def __len__(self) -> int:
        return len(self.geometries)

    def to_crs(self, crs: str, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.object_]:
        """Some areas in another CRS; vertices that it cannot express are infinite.

        Parameters
        ----------
        numbers
            0-based.
        """
        # Of areas all over the world, each CRS sees few.
        known = self._by_crs.setdefault(crs, np.full(len(self), None, dtype=object))
        missing = numbers[shapely.is_missing(known[numbers])]
        if len(missing):
            known[missing] = transform_geometries(self.geometries[missing], self.crs, crs)
        return known[numbers]

    @property
    def wkb(self) -> pa.LargeBinaryArray:
        """The areas as two-dimensional ISO WKB, in the CRS in which they were given."""
        return self._polygons.wkb

    @property
    def wkb_sizes(self) -> npt.NDArray[np.int64]:
        """Bytes of each area as WKB."""
        return self._polygons.wkb_sizes

    @property
    def lonlat_bounds(self) -> tuple[float, float, float, float]:
        """Bounds of all areas together in degrees."""
        minx, miny, maxx, maxy = shapely.total_bounds(self._lonlat)
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
        footprint, area = self._tree.query(_testable(footprints), predicate="intersects")
        order = np.lexsort((area, footprint))
        return footprint[order].astype(np.int64), area[order].astype(np.int64)

    @cached_property
    def _tree(self) -> shapely.STRtree:
        return shapely.STRtree(_testable(self._lonlat))

    @cached_property
    def _lonlat(self) -> npt.NDArray[np.object_]:
        lonlat = self.to_crs(LONLAT, np.arange(len(self)))
        finite = np.isfinite(shapely.bounds(lonlat)).all(axis=1)
        if not finite.all():
            first = int(np.argmin(finite))
            raise RequestError(
                ErrorCode.BAD_GEOMETRY,
                f"geometry {first + 1} has coordinates that {self.crs} cannot place on the earth",
                field=self.field,
                hint="check geometry_crs: are the coordinates really in that CRS?",
            )
        return lonlat


def _boxes(boxes: Sequence[BBox], field: str) -> npt.NDArray[np.object_]:
    for number, box in enumerate(boxes):
        check_bbox(box, f"{field}.bboxes[{number}]")
    bounds = np.array([(box.minx, box.miny, box.maxx, box.maxy) for box in boxes]).reshape(-1, 4)
    return np.asarray(shapely.box(*bounds.T), dtype=object)


def check_bbox(box: BBox, field: str) -> None:
    """Refuse a box with NaN, infinite or inverted bounds."""
    bounds = (box.minx, box.miny, box.maxx, box.maxy)
    if not all(math.isfinite(value) for value in bounds):
        raise RequestError(
            ErrorCode.BAD_GEOMETRY, f"bbox {bounds} has a coordinate that is NaN or infinite", field=field
        )
    for low, high, axis in ((box.minx, box.maxx, "x"), (box.miny, box.maxy, "y")):
        if low > high:
            raise RequestError(
                ErrorCode.BAD_GEOMETRY,
                f"bbox {bounds} is inverted: min{axis} {low} is greater than max{axis} {high}",
                field=field,
                hint="the order is (minx, miny, maxx, maxy)",
            )


def _testable(geometries: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """The geometries for an intersection test: invalid ones give way to their envelope, which holds all that they hold."""
    flawed = ~shapely.is_valid(geometries) & ~shapely.is_missing(geometries)
    if not flawed.any():
        return geometries
    testable = geometries.copy()
    testable[flawed] = shapely.envelope(geometries[flawed])
    return testable
