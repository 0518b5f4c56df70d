"""Spatial operators of a CQL2 expression, answered by Shapely for the footprints that they may hold for."""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from rasterflight_server.catalog.cql2_terms import Kind, Term, WhereError
from rasterflight_server.catalog.database import ROW, Database, quoted
from rasterflight_server.catalog.filters import Condition
from rasterflight_server.catalog.search import Search
from rasterflight_server.catalog.zones import Ints, common
from rasterflight_server.types.lonlat import Box

_HALF_TURN: Final = 180.0
# Parts of a geometry whose bounds are looked at one by one.
_FEW: Final = 16
_Test = Callable[[Any, Any], npt.NDArray[np.bool_]]
# Of a footprint to a literal, asked the other way round: the literal comes first, since it is prepared.
_TESTS: Final[dict[str, _Test]] = {
    "s_intersects": shapely.intersects,
    "s_equals": shapely.equals,
    "s_touches": shapely.touches,
    "s_crosses": shapely.crosses,
    "s_overlaps": shapely.overlaps,
    "s_within": shapely.contains,
    "s_contains": shapely.within,
}
_MIRRORED: Final = {"s_within": "s_contains", "s_contains": "s_within"}
OPERATORS: Final = (*_TESTS, "s_disjoint")


class Footprints:
    """The footprints that operators look at.

    Parameters
    ----------
    database
        The records of the collection.
    search
        Over them.
    within
        Only these records, by number; None: all. What an operator says of others has no meaning.
    """

    def __init__(self, database: Database, search: Search, within: Ints | None = None) -> None:
        self._geometry = database.table["geometry"]
        self._search = search
        self._within = within
        #: Number of records, with a footprint or without.
        self.count = database.rows

    def meeting(self, boxes: Sequence[Box]) -> Ints:
        """Records whose bounds meet one of the boxes."""
        rows = self._search.meeting(boxes)
        return rows if self._within is None else common(rows, self._within)

    def inside(self, rows: Ints, box: Box) -> npt.NDArray[np.bool_]:
        """Whose bounds lie in a box: most of them, where it is large, and no question to Shapely."""
        xmin, ymin, xmax, ymax = self._search.bounds(rows)
        minx, miny, maxx, maxy = box
        inside: npt.NDArray[np.bool_] = (xmin >= minx) & (xmax <= maxx) & (ymin >= miny) & (ymax <= maxy)
        return inside

    def shapes(self, rows: Ints) -> npt.NDArray[np.object_]:
        """The footprints of some records."""
        return np.asarray(shapely.from_wkb(self._geometry.take(pa.array(rows)).to_numpy()), dtype=object)


def is_geometry(node: Any) -> bool:
    """Whether a node is a GeoJSON geometry or a bbox."""
    return isinstance(node, dict) and ("bbox" in node or "coordinates" in node or "geometries" in node)


def relate(op: str, one: Term | Any, other: Term | Any, footprints: Footprints) -> Condition:
    """Which footprints an operator holds for; null for records without one.

    Parameters
    ----------
    op
        One of ``OPERATORS``.
    one, other
        A term that is a footprint, and a literal; in either order.
    footprints
        Where to look them up.

    Raises
    ------
    WhereError
        Not one of each; the literal cannot be used.
    """
    if isinstance(one, Term) == isinstance(other, Term):
        raise WhereError(
            f"{op.upper()} takes the column geometry and one geometry", f"{op.upper()}(geometry, BBOX(5, 51, 6, 52))"
        )
    if isinstance(other, Term):
        one, other, op = other, one, _MIRRORED.get(op, op)
    if one.kind is not Kind.FOOTPRINT:
        raise WhereError(
            f"{op.upper()} takes a footprint, but {one.label} is {one.kind}",
            "the footprints are in the column geometry",
        )
    negated = op == "s_disjoint"
    found = _found("s_intersects" if negated else op, _shape(other), footprints)
    bits = np.full(max(footprints.count, 1), b"1" if negated else b"0")
    bits[found] = b"0" if negated else b"1"
    # A bit for each record: half a million numbers in a list take half a second.
    sql = f"CASE WHEN geometry IS NULL THEN NULL ELSE get_bit(?::BIT, CAST({quoted(ROW)} AS INTEGER)) = 1 END"
    return Condition(sql, (bits.tobytes().decode(),))


def _found(op: str, shape: shapely.Geometry, footprints: Footprints) -> Ints:
    """Rows of the records whose footprints an operator holds for; every operator here needs a common point."""
    # Part by part: a box across the antimeridian is two.
    parts = shapely.get_parts(shape) if shapely.get_num_geometries(shape) <= _FEW else np.array([shape])
    boxes = [(minx, miny, maxx, maxy) for minx, miny, maxx, maxy in shapely.bounds(parts).tolist()]
    found = footprints.meeting(boxes)
    sure = np.zeros(len(found), dtype=bool)
    if op == "s_intersects":
        for box, part in zip(boxes, parts, strict=True):
            if _is_rectangle(part, box):
                sure |= footprints.inside(found, box)
    unsure = found[~sure]
    return np.concatenate([found[sure], unsure[_holds(op, shape, footprints.shapes(unsure))]])


def _holds(op: str, shape: shapely.Geometry, footprints: npt.NDArray[np.object_]) -> npt.NDArray[np.bool_]:
    flawed = ~shapely.is_valid(footprints)
    footprints[flawed] = shapely.make_valid(footprints[flawed])
    shapely.prepare(shape)
    try:
        return _TESTS[op](shape, footprints)
    except shapely.errors.GEOSException:
        raise WhereError("the geometry in the expression is of a kind that this operator cannot compare") from None


def _is_rectangle(shape: shapely.Geometry, box: Box) -> bool:
    polygon = shapely.get_type_id(shape) == shapely.GeometryType.POLYGON
    return bool(polygon and shapely.equals(shape, shapely.box(*box)))


def _shape(node: Any) -> shapely.Geometry:
    if not is_geometry(node):
        raise WhereError(
            "a spatial operator takes the column geometry and one geometry",
            "write POLYGON((...)), BBOX(minx, miny, maxx, maxy) or GeoJSON, in lon/lat",
        )
    shape = _box(node["bbox"]) if "bbox" in node else _geojson(node)
    if shapely.is_empty(shape):
        raise WhereError("the geometry in the expression is empty")
    if not np.isfinite(shapely.get_coordinates(shape)).all():
        raise WhereError("the geometry in the expression has a coordinate that is NaN or infinite")
    if not shapely.is_valid(shape):
        raise WhereError(
            f"the geometry in the expression is not valid: {shapely.is_valid_reason(shape)}",
            "mend it first, as with make_valid",
        )
    return shape


def _geojson(node: Any) -> shapely.Geometry:
    try:
        return shapely.force_2d(shapely.from_geojson(json.dumps(node)))
    except shapely.errors.GEOSException:
        raise WhereError(f"the {str(node.get('type'))[:30]} in the expression is not a geometry") from None


def _box(values: Any) -> shapely.Geometry:
    if not isinstance(values, list) or not all(isinstance(value, float) for value in values):
        raise WhereError("a BBOX holds numbers", "BBOX(minx, miny, maxx, maxy)")
    match values:
        case [minx, miny, maxx, maxy] | [minx, miny, _, maxx, maxy, _] if all(map(math.isfinite, values)):
            pass
        case _:
            raise WhereError("a BBOX has four numbers, or six with heights", "BBOX(minx, miny, maxx, maxy)")
    if miny > maxy:
        raise WhereError(f"the BBOX is inverted: miny {miny:g} is greater than maxy {maxy:g}")
    if minx <= maxx:
        return _rectangle(minx, miny, maxx, maxy)
    if minx > _HALF_TURN or maxx < -_HALF_TURN:
        raise WhereError(f"the BBOX is inverted: minx {minx:g} is greater than maxx {maxx:g}")
    return shapely.union_all([_rectangle(minx, miny, _HALF_TURN, maxy), _rectangle(-_HALF_TURN, miny, maxx, maxy)])


def _rectangle(minx: float, miny: float, maxx: float, maxy: float) -> shapely.Geometry:
    """A polygon; a line or a point where the box has no area."""
    return shapely.envelope(shapely.MultiPoint([(minx, miny), (maxx, maxy)]))
