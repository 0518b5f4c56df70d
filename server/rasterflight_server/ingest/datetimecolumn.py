"""A column of a table as datetimes of records."""

from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.ingest.columns import plain, values
from rasterflight_server.ingest.rows import Flaw

_YEARS: Final = range(1, 10_000)


def instants(batch: pa.RecordBatch, name: str | None) -> list[datetime | Flaw | None]:
    """Values of a column as naive UTC: from timestamps, dates, ISO 8601 texts, or whole numbers that are years.

    Without a name, no record has one.

    Raises
    ------
    RequestError
        Nothing of this type is a date.
    """
    if name is None:
        return [None] * batch.num_rows
    array = plain(batch.column(name))
    kind = array.type
    if pa.types.is_temporal(kind) and not (pa.types.is_time(kind) or pa.types.is_duration(kind)):
        if pa.types.is_timestamp(kind) and kind.tz is not None:
            array = array.cast(pa.timestamp(kind.unit, "UTC"))
        moments = array.cast(pa.timestamp("us"), safe=False).to_numpy(zero_copy_only=False)
        return [_in_calendar(value) for value in moments.astype("datetime64[us]").tolist()]
    if pa.types.is_string(kind):
        return [None if value is None else _parsed(value) for value in values(array)]
    if pa.types.is_integer(kind):
        return [None if value is None else _year(value) for value in values(array)]
    if pa.types.is_null(kind):
        return [None] * len(array)
    raise RequestError(
        ErrorCode.BAD_REQUEST,
        f"the column {name!r} is no datetime, its type is {kind}",
        field="map",
        hint="timestamps, dates, ISO 8601 texts and years are",
    )


def _in_calendar(value: Any) -> datetime | Flaw | None:
    """NumPy gives a number where a moment lies outside of the calendar of Python."""
    return (
        value
        if value is None or isinstance(value, datetime)
        else Flaw("its datetime lies outside of the years 1 to 9999")
    )


def _parsed(text: str) -> datetime | Flaw:
    try:
        value = datetime.fromisoformat(text)
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    except (ValueError, OverflowError):
        return Flaw(f"its datetime {text!r:.60} is not a date")


def _year(value: int) -> datetime | Flaw:
    if value not in _YEARS:
        return Flaw(f"its datetime {value} is not a year")
    return datetime(value, 1, 1)  # noqa: DTZ001, naive UTC is what records hold
