"""Which records make up one step of time."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa

from rasterflight._rows import Chip
from rasterflight.errors import BadRequestError

Groupby = Literal["time", "solar_day"] | None
#: Given ids of records, gives the longitude of the middle of each footprint; None: it has none.
Longitudes = Callable[[Sequence[str]], Mapping[str, float | None]]

_DEGREES_PER_HOUR: Final = 15
_HALF_TURN: Final = 180.0


@dataclass(frozen=True, slots=True)
class TimeSteps:
    """Records by the step of time that they belong to."""

    #: ``datetime64[ns]``, UTC, ascending: of the first record of each step; those without a time are at the end (NaT).
    times: np.ndarray
    #: Ids of the records of each step, in their order.
    members: tuple[tuple[str, ...], ...]
    #: Record id to the number of its step.
    index: Mapping[str, int]

    @property
    def labels(self) -> np.ndarray:
        """Ids of the records of each step, joined by commas."""
        return np.array([",".join(members) for members in self.members], object)


def check_groupby(groupby: Any) -> None:
    """Refuse a way to group records that does not exist.

    Raises
    ------
    BadRequestError
        Lists those that do.
    """
    if groupby not in ("time", "solar_day", None):
        raise BadRequestError(f"groupby is {groupby!r}, expected 'time', 'solar_day' or None", field="groupby")


def time_steps(chips: Iterable[Chip], groupby: Groupby, longitudes: Longitudes) -> TimeSteps:
    """Group the records of chips, which come in the order (datetime, id).

    Parameters
    ----------
    chips
        Of all records.
    groupby
        See `Collection.get_xarray`.
    longitudes
        Asked for solar days.
    """
    times = {chip.record_id: chip.datetime for chip in chips}
    keys: Mapping[str, object] = times
    if groupby is None:
        keys = {record: record for record in times}
    elif groupby == "solar_day":
        middles = longitudes(list(times))
        keys = {record: solar_day(time, middles.get(record)) for record, time in times.items()}
    groups: dict[object, list[str]] = {}
    for record, key in keys.items():
        groups.setdefault(key, []).append(record)
    members = sorted(groups.values(), key=lambda records: _order(times[records[0]]))
    firsts = [times[records[0]] for records in members]
    return TimeSteps(
        times=np.array([None if time is None else time.replace(tzinfo=None) for time in firsts], "datetime64[ns]"),
        members=tuple(map(tuple, members)),
        index={record: number for number, records in enumerate(members) for record in records},
    )


def solar_day(time: dt.datetime | None, longitude: float | None) -> dt.date | None:
    """Day by the sun: UTC, moved by an hour for every 15 degrees, whole hours only (as odc-stac does).

    Parameters
    ----------
    time
        UTC; None: there is no day.
    longitude
        In degrees; None: the day is that of UTC.
    """
    if time is None:
        return None
    return (time + dt.timedelta(hours=int((longitude or 0.0) / _DEGREES_PER_HOUR))).date()


def middle_longitudes(records: pa.Table) -> dict[str, float | None]:
    """Longitudes of the middles of footprints; one across the antimeridian counts as lying on it.

    Parameters
    ----------
    records
        In the layout "records".
    """
    ids, boxes = records.column("id").to_pylist(), records.column("bbox").to_pylist()
    return {
        record: None if box is None else _middle(box["xmin"], box["xmax"])
        for record, box in zip(ids, boxes, strict=True)
    }


def _middle(xmin: float | None, xmax: float | None) -> float | None:
    if xmin is None or xmax is None:
        return None
    return (xmin + xmax) / 2 if 0 <= xmax - xmin <= _HALF_TURN else _HALF_TURN


def _order(time: dt.datetime | None) -> tuple[bool, dt.datetime]:
    return time is None, time or dt.datetime.max.replace(tzinfo=dt.UTC)
