"""Filters of a ticket, checked: what narrows records down, and what is left to SQL; values are bound, never written into it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Final, TypeAlias

import pyarrow as pa

from rasterflight_protocol import ErrorCode
from rasterflight_protocol.v1.read_pb2 import BBox, DateRange, Filter
from rasterflight_server.catalog.database import quoted
from rasterflight_server.errors import RequestError
from rasterflight_server.types.lonlat import Box, crosses, lonlat_boxes

CLOUD_COVER: Final = "eo:cloud_cover"
_NOT_SPLITS: Final = frozenset(["geometry", "bbox"])


@dataclass(frozen=True, slots=True)
class Condition:
    """A SQL expression with ``?`` for each of its parameters."""

    sql: str
    parameters: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Near:
    """Footprint bounds, widened on each side by a share of their size, that meet one of some boxes."""

    #: (minx, miny, maxx, maxy) in degrees.
    boxes: tuple[Box, ...]
    margin: float = 0.0


@dataclass(frozen=True, slots=True)
class CloudCoverBelow:
    """A cloud cover less than a limit in percent."""

    limit: float


@dataclass(frozen=True, slots=True)
class Dates:
    """A datetime in a range, both ends included."""

    #: Naive UTC; None: open.
    start: datetime | None
    end: datetime | None


#: What records are narrowed down by before any SQL runs.
Narrowing: TypeAlias = Near | CloudCoverBelow | Dates


def narrowings(filters: Sequence[Filter], schema: pa.Schema) -> list[Narrowing]:
    """Boxes, dates and cloud cover of filters. A null never matches.

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
    return [found for i, item in enumerate(filters) for found in _narrowings(item, schema, f"filters[{i}]")]


def _narrowings(item: Filter, schema: pa.Schema, field: str) -> Iterator[Narrowing]:
    if item.HasField("cloud_cover_lt"):
        yield _cloud_cover(item.cloud_cover_lt, schema, f"{field}.cloud_cover_lt")
    if item.HasField("date_range"):
        yield from _dates(item.date_range, f"{field}.date_range")
    if item.HasField("bbox"):
        yield Near(tuple(checked_boxes(item.bbox, f"{field}.bbox")))


def split_condition(item: Filter, schema: pa.Schema, field: str) -> Condition | None:
    """The split of a filter as SQL; None: it has none.

    Raises
    ------
    RequestError
        BAD_REQUEST: the collection lacks the column.
    """
    if not item.split:
        return None
    column = _split_column(item.split_column or "split", schema, f"{field}.split_column")
    return Condition(f"CAST({quoted(column)} AS VARCHAR) IN (SELECT unnest(?::VARCHAR[]))", (list(item.split),))


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


def _cloud_cover(limit: float, schema: pa.Schema, field: str) -> CloudCoverBelow:
    if not 0 <= limit <= 100:  # noqa: PLR2004, also refuses NaN
        raise _bad(field, f"cloud cover is between 0 and 100 percent, got {limit:g}")
    if not has_cloud_cover(schema):
        raise _bad(field, f"the collection has no column {CLOUD_COVER!r} with numbers")
    return CloudCoverBelow(limit)


def _split_column(column: str, schema: pa.Schema, field: str) -> str:
    usable = [name for name in schema.names if name not in _NOT_SPLITS]
    if column not in usable:
        raise _bad(field, f"the collection has no column {column!r}", f"its columns are: {', '.join(usable)}")
    return column


def _dates(dates: DateRange, field: str) -> Iterator[Dates]:
    start = _instant(dates.start, time.min, f"{field}.start") if dates.start else None
    end = _instant(dates.end, time.max, f"{field}.end") if dates.end else None
    if start is not None and end is not None and start > end:
        raise _bad(field, f"the date range is inverted: {dates.start} is after {dates.end}")
    # A record without a datetime is in no range, not even in a half-open one.
    if start is not None or end is not None:
        yield Dates(start, end)


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
