"""The areas of a request: parsed, checked, and ready in any CRS."""

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import shapely

from rasterflight_protocol import ErrorCode
from rasterflight_protocol.v1.read_pb2 import BBox, Geometries
from rasterflight_server.errors import RequestError
from rasterflight_server.plan.antimeridian import unwrapped, within_a_turn
from rasterflight_server.plan.bounds import vertex_bounds
from rasterflight_server.plan.crs import LONLAT, in_degrees, parse_crs, transform_geometries
from rasterflight_server.types.lonlat import Box, crosses, lonlat_boxes

#: Largest area, as WKB.
MAX_AREA_BYTES = 4 << 20
_POLYGONS = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)


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

    Raises
    ------
    RequestError
        BAD_GEOMETRY, CRS_REQUIRED or BAD_REQUEST, naming the geometry at fault.
    """

    def __init__(self, message: Geometries, field: str) -> None:
        self.field = field
        crs = parse_crs(message.crs, f"{field}.crs")
        self.crs = crs.name
        self.projjson = crs.projjson
        degrees = in_degrees(self.crs)
        #: Which areas became MultiPolygons because they cross the antimeridian.
        self.crossing: npt.NDArray[np.bool_]
        match message.WhichOneof("source"):
            case "bboxes":
                self.geometries, self.crossing = _boxes(message.bboxes.values, field, degrees=degrees)
            case "wkb":
                self.geometries = _from_wkb(message.wkb.values, field)
                self.crossing = np.zeros(len(self.geometries), dtype=bool)
                if degrees:
                    self.geometries, self.crossing = within_a_turn(self.geometries, field)
            case _:
                self.geometries = np.empty(0, dtype=object)
        if not len(self.geometries):
            raise RequestError(
                ErrorCode.BAD_REQUEST,
                "there is no geometry in the list",
                field=field,
                hint="give at least one area, or leave the field out to read whole records",
            )
        self._check_sizes()
        self._by_crs: dict[str, npt.NDArray[np.object_]] = {}

    def __len__(self) -> int:
        return len(self.geometries)

    def to_crs(self, crs: str) -> npt.NDArray[np.object_]:
        """All areas in another CRS; vertices that it cannot express are infinite."""
        if crs not in self._by_crs:
            self._by_crs[crs] = transform_geometries(self.geometries, self.crs, crs)
        return self._by_crs[crs]

    @cached_property
    def wkb(self) -> list[bytes]:
        """The areas as two-dimensional ISO WKB, in the CRS in which they were given."""
        return list(shapely.to_wkb(self.geometries, output_dimension=2))

    def _check_sizes(self) -> None:
        # An area travels with each of its rows, and a row must fit into a message.
        sizes = [len(wkb) for wkb in self.wkb]
        largest = int(np.argmax(sizes))
        if sizes[largest] > MAX_AREA_BYTES:
            raise RequestError(
                ErrorCode.LIMIT_EXCEEDED,
                f"geometry {largest + 1} takes {sizes[largest]} bytes as WKB, the limit is {MAX_AREA_BYTES}",
                field=self.field,
                hint="simplify it, or split it",
            )

    @property
    def lonlat_bounds(self) -> tuple[float, float, float, float]:
        """Bounds of all areas together in degrees."""
        bounds = vertex_bounds(self._lonlat)
        (minx, miny), (maxx, maxy) = bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)
        return float(minx), float(miny), float(maxx), float(maxy)

    def match(self, footprints: npt.NDArray[np.object_]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Pairs (index of footprint, index of area) that intersect, sorted; footprints are in degrees, None matches nothing."""
        tree = shapely.STRtree(_testable(self._lonlat))
        footprint, area = tree.query(_testable(footprints), predicate="intersects")
        order = np.lexsort((area, footprint))
        return footprint[order].astype(np.int64), area[order].astype(np.int64)

    @cached_property
    def _lonlat(self) -> npt.NDArray[np.object_]:
        lonlat = self.to_crs(LONLAT)
        finite = np.isfinite(vertex_bounds(lonlat)).all(axis=1)
        if not finite.all():
            first = int(np.argmin(finite))
            raise RequestError(
                ErrorCode.BAD_GEOMETRY,
                f"geometry {first + 1} has coordinates that {self.crs} cannot place on the earth",
                field=self.field,
                hint="check geometry_crs: are the coordinates really in that CRS?",
            )
        return unwrapped(lonlat, self.geometries, self.crs)


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


def _from_wkb(values: Sequence[bytes], field: str) -> npt.NDArray[np.object_]:
    geometries = np.asarray(shapely.from_wkb(np.array(list(values), dtype=object), on_invalid="ignore"))
    kinds = shapely.get_type_id(geometries)
    finite = np.isfinite(shapely.bounds(geometries)).all(axis=1) & _all_finite(geometries)
    empty = shapely.is_empty(geometries)
    usable = np.isin(kinds, [int(kind) for kind in _POLYGONS]) & finite & ~empty
    if not usable.all():
        first = int(np.argmin(usable))
        message, hint = _complaint(geometries[first], empty=bool(empty[first]))
        raise RequestError(
            ErrorCode.BAD_GEOMETRY, f"geometry {first + 1} {message}", field=f"{field}.wkb[{first}]", hint=hint
        )
    return geometries


def _all_finite(geometries: npt.NDArray[np.object_]) -> npt.NDArray[np.bool_]:
    coordinates, index = shapely.get_coordinates(geometries, return_index=True)
    finite = np.ones(len(geometries), dtype=bool)
    finite[index[~np.isfinite(coordinates).all(axis=1)]] = False
    return finite


def _complaint(geometry: shapely.Geometry | None, *, empty: bool) -> tuple[str, str]:
    if geometry is None:
        return "is not valid WKB", ""
    kind = shapely.GeometryType(int(shapely.get_type_id(geometry)))
    if kind is shapely.GeometryType.GEOMETRYCOLLECTION:
        return "is a GEOMETRYCOLLECTION, not a polygon", "split it into polygons"
    if kind not in _POLYGONS:
        return f"is a {kind.name}, not a polygon", "use sample_points for points; buffer lines to make areas"
    if empty:
        return "is empty", "drop empty geometries first"
    return "has a coordinate that is NaN or infinite", "drop or mend the geometry first"


def _testable(geometries: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """The geometries for an intersection test: invalid ones give way to their bounds, which hold all that they hold."""
    flawed = ~shapely.is_valid(geometries) & ~shapely.is_missing(geometries)
    if not flawed.any():
        return geometries
    found = geometries.copy()
    found[flawed] = shapely.box(*vertex_bounds(geometries[flawed]).T)
    return found
