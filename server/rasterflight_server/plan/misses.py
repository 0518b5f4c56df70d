"""Near misses: the records that come nearest to a condition which none fulfils, in words."""

from datetime import datetime, time
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from rasterflight_protocol.v1.read_pb2 import DateRange
from rasterflight_server.catalog import Collection
from rasterflight_server.catalog.database import BOUNDS
from rasterflight_server.catalog.filters import CLOUD_COVER, parse_instant

Bits = npt.NDArray[np.bool_]
# Footprints that are measured at once; the bounds of the others are measured first.
_MEASURED: Final = 1024
_LISTED: Final = 10


def nearest_date(collection: Collection, among: Bits, dates: DateRange) -> str:
    """The last time before a range, and the first after it."""
    times = _values(collection, "datetime", among).cast(pa.timestamp("us")).to_numpy()
    known = times[~np.isnat(times)]
    if not len(known):
        return "none of them has a datetime"
    near = []
    if dates.start:
        before = known[known < np.datetime64(parse_instant(dates.start, time.min), "us")]
        near += [before.max()] if len(before) else []
    if dates.end:
        after = known[known > np.datetime64(parse_instant(dates.end, time.max), "us")]
        near += [after.min()] if len(after) else []
    if not near:
        return ""
    told = [f"{moment.astype(datetime).isoformat()}Z" for moment in near]
    return f"the nearest {'is' if len(told) == 1 else 'are'} from {' and '.join(told)}"


def lowest_cloud_cover(collection: Collection, among: Bits) -> str:
    """The lowest cloud cover there is."""
    lowest = pc.min(_values(collection, CLOUD_COVER, among)).as_py()
    return "none of them says its cloud cover" if lowest is None else f"the lowest cloud cover is {lowest:g}"


def split_values(collection: Collection, among: Bits, column: str) -> str:
    """Values that a column has."""
    values = sorted(_values(collection, column, among).cast(pa.utf8()).unique().drop_null().to_pylist())
    if not values:
        return f"none of them has a value in the column {column!r}"
    more = f" and {len(values) - _LISTED} more" if len(values) > _LISTED else ""
    listed = ", ".join(repr(value[: _LISTED * 4]) for value in values[:_LISTED])
    return f"the column {column!r} holds {listed}{more}"


def nearest_footprint(collection: Collection, among: Bits, areas: npt.NDArray[Any]) -> str:
    """The footprint that is least far from some areas in lon/lat, and the bounds of all footprints.

    The distance is measured in degrees, as on a plane.
    """
    bounds = np.column_stack([collection.column(name).to_numpy() for name in BOUNDS])
    rows = np.flatnonzero(among & ~np.isnan(bounds).any(axis=1))
    if not len(rows):
        return "none of them says where it lies"
    bounds = bounds[rows]
    minx, miny, maxx, maxy = shapely.total_bounds(areas)
    # No footprint is nearer than its bounds are to the bounds of all areas.
    at_least = np.hypot(
        np.maximum(np.maximum(minx - bounds[:, 2], bounds[:, 0] - maxx), 0),
        np.maximum(np.maximum(miny - bounds[:, 3], bounds[:, 1] - maxy), 0),
    )
    order = np.argsort(at_least, kind="stable")
    tree = shapely.STRtree(areas)
    row, distance = -1, np.inf
    for start in range(0, len(order), _MEASURED):
        part = order[start : start + _MEASURED]
        if at_least[part[0]] >= distance:
            break
        nearest, measured = _nearest(collection, rows[part], tree)
        if measured < distance:
            row, distance = nearest, measured
    west, south = bounds[:, :2].min(axis=0)
    east, north = bounds[:, 2:].max(axis=0)
    extent = f"they lie within {_box((west, south, east, north))} (lon/lat)"
    if row < 0:  # so far away that no distance can be measured
        return extent
    record = collection.records(np.array([row]))
    return f"the nearest footprint is that of {record['id'][0].as_py()!r}, {distance:.3g}° away; {extent}"


def _nearest(collection: Collection, rows: npt.NDArray[np.int64], tree: shapely.STRtree) -> tuple[int, float]:
    footprints = shapely.from_wkb(collection.records(rows)["geometry"].cast(pa.binary()).to_numpy())
    (found, _), distances = tree.query_nearest(footprints, return_distance=True, all_matches=False)
    if not len(distances):
        return -1, np.inf
    best = int(np.argmin(distances))
    return int(rows[found[best]]), float(distances[best])


def _box(bounds: tuple[float, ...]) -> str:
    return f"({', '.join(f'{bound:.6g}' for bound in bounds)})"


def _values(collection: Collection, name: str, among: Bits) -> pa.ChunkedArray:
    return collection.column(name).filter(pa.array(among))
