"""Filters of a ticket as SQL; values are bound, never written into it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Final

import pyarrow as pa

from rasterflight_protocol import ErrorCode
from rasterflight_protocol.v1.read_pb2 import BBox, DateRange, Filter
from rasterflight_server.catalog.database import BOUNDS, quoted
from rasterflight_server.errors import RequestError
from rasterflight_server.types.lonlat import Box, crosses, lonlat_boxes

CLOUD_COVER: Final = "eo:cloud_cover"
_NOT_SPLITS: Final = frozenset(["geometry", "bbox"])


@dataclass(frozen=True, slots=True)
class Condition:
    """A SQL expression with ``?`` for each of its parameters."""

    sql: str
    parameters: tuple[Any, ...]


def conditions(filters: Sequence[Filter], schema: pa.Schema) -> list[Condition]:
    """Translate filters, but for ``Filter.geometries`` and ``Filter.where``. A null never matches.

    Parameters
    ----------
    filters
        As they stand in the ticket; all must hold.
    schema
        Columns of the records.

    Raises
    ------
    RequestError
        BAD_REQUEST: a value is out of range, or the collection lacks the column; names the field of the ticket.
    """
    return [condition for i, item in enumerate(filters) for condition in _conditions(item, schema, f"filters[{i}]")]


def _conditions(item: Filter, schema: pa.Schema, field: str) -> Iterator[Condition]:
    if item.HasField("cloud_cover_lt"):
        yield _cloud_cover(item.cloud_cover_lt, schema, f"{field}.cloud_cover_lt")
    if item.HasField("date_range"):
        yield from _dates(item.date_range, f"{field}.date_range")
    if item.HasField("bbox"):
        yield overlap_any(checked_boxes(item.bbox, f"{field}.bbox"))
    if item.split:
        column = _split_column(item.split_column or "split", schema, f"{field}.split_column")
        yield Condition(f"CAST({quoted(column)} AS VARCHAR) IN (SELECT unnest(?::VARCHAR[]))", (list(item.split),))
    if item.ids:
        yield Condition("id IN (SELECT unnest(?::VARCHAR[]))", (list(item.ids),))


def overlap(box: Box, margin: float = 0.0) -> Condition:
    """Footprint bounds, widened on each side by a share of their size, that meet a box (minx, miny, maxx, maxy)."""
    xmin, ymin, xmax, ymax = map(quoted, BOUNDS)
    minx, miny, maxx, maxy = box
    if not margin:
        return Condition(f"{xmax} >= ? AND {xmin} <= ? AND {ymax} >= ? AND {ymin} <= ?", (minx, maxx, miny, maxy))
    wider, higher = (f" ? * ({high} - {low})" for low, high in ((xmin, xmax), (ymin, ymax)))
    return Condition(
        f"{xmax} +{wider} >= ? AND {xmin} -{wider} <= ? AND {ymax} +{higher} >= ? AND {ymin} -{higher} <= ?",
        (margin, minx, margin, maxx, margin, miny, margin, maxy),
    )


def overlap_any(boxes: Sequence[Box]) -> Condition:
    """Footprint bounds that meet one of some boxes."""
    parts = [overlap(box) for box in boxes]
    return Condition(
        " OR ".join(f"({part.sql})" for part in parts), tuple(v for part in parts for v in part.parameters)
    )


def checked_boxes(box: BBox, field: str) -> list[Box]:
    """Return the box as tuples (minx, miny, maxx, maxy): two for one that crosses the antimeridian.

    Raises
    ------
    RequestError
        BAD_REQUEST: a bound is not finite, or the box is inverted.
    """
    bounds = (box.minx, box.miny, box.maxx, box.maxy)
    if not all(map(math.isfinite, bounds)):
        raise _bad(field, "the bbox has a bound that is not a finite number")
    if box.minx > box.maxx and not crosses(bounds):
        raise _bad(
            field,
            f"the bbox is inverted: minx {box.minx:g} is greater than maxx {box.maxx:g}",
            "across the antimeridian, minx is east and maxx west of Greenwich",
        )
    if box.miny > box.maxy:
        raise _bad(field, f"the bbox is inverted: miny {box.miny:g} is greater than maxy {box.maxy:g}")
    return lonlat_boxes(bounds)


def has_cloud_cover(schema: pa.Schema) -> bool:
    """Whether the collection knows cloud cover as a number."""
    if CLOUD_COVER not in schema.names:
        return False
    kind = schema.field(CLOUD_COVER).type
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _cloud_cover(limit: float, schema: pa.Schema, field: str) -> Condition:
    if not 0 <= limit <= 100:  # noqa: PLR2004, also refuses NaN
        raise _bad(field, f"cloud cover is between 0 and 100 percent, got {limit:g}")
    if not has_cloud_cover(schema):
        raise _bad(field, f"the collection has no column {CLOUD_COVER!r} with numbers")
    return Condition(f"{quoted(CLOUD_COVER)} < ?", (limit,))


def _split_column(column: str, schema: pa.Schema, field: str) -> str:
    usable = [name for name in schema.names if name not in _NOT_SPLITS]
    if column not in usable:
        raise _bad(field, f"the collection has no column {column!r}", f"its columns are: {', '.join(usable)}")
    return column


def _dates(dates: DateRange, field: str) -> Iterator[Condition]:
    start = _instant(dates.start, time.min, f"{field}.start") if dates.start else None
    end = _instant(dates.end, time.max, f"{field}.end") if dates.end else None
    if start is not None and end is not None and start > end:
        raise _bad(field, f"the date range is inverted: {dates.start} is after {dates.end}")
    if start is None and end is None:
        return
    # A record without a datetime is in no range, not even in a half-open one: the comparison with null is not true.
    if start is not None:
        yield Condition("datetime >= ?", (start,))
    if end is not None:
        yield Condition("datetime <= ?", (end,))


def _instant(text: str, time_of_day: time, field: str) -> datetime:
    try:
        return parse_instant(text, time_of_day)
    except ValueError:
        raise _bad(field, f"{text[:50]!r} is not a date", "write it like 2024-01-31 or 2024-01-31T10:30:00Z") from None


def parse_instant(text: str, time_of_day: time) -> datetime:
    """Parse ISO 8601 into naive UTC; a date alone gets ``time_of_day``.

    Raises
    ------
    ValueError
        It is not ISO 8601, or has no place in the years 1 to 9999.
    """
    try:
        return datetime.combine(date.fromisoformat(text), time_of_day)
    except ValueError:
        value = datetime.fromisoformat(text)
    try:
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    except OverflowError as error:
        raise ValueError(str(error)) from None


def _bad(field: str, message: str, hint: str = "") -> RequestError:
    return RequestError(ErrorCode.BAD_REQUEST, message, field=field, hint=hint)
