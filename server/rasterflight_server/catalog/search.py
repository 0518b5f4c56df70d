"""Which records match: narrowed down by arrays first, and only what is left is asked by SQL."""

from collections.abc import Sequence
from functools import reduce
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rasterflight_server.catalog.database import BOUNDS, ROW, Database, quoted
from rasterflight_server.catalog.filters import (
    CLOUD_COVER,
    CloudCoverBelow,
    Condition,
    Dates,
    Narrowing,
    Near,
    has_cloud_cover,
)
from rasterflight_server.catalog.zones import Ints, Zones, common
from rasterflight_server.types.lonlat import Box

#: To copy a record out of the table costs about as much as to scan so many.
_SCANNED_FOR_ONE: Final = 8


class Search:
    """Finds records of a database by number; any number of threads may search at once.

    Parameters
    ----------
    database
        The records.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._zones = Zones(np.stack([database.table[name].to_numpy() for name in BOUNDS]))
        self._times: npt.NDArray[np.datetime64] = database.table["datetime"].to_numpy()
        clouds = database.table[CLOUD_COVER].cast(pa.float64()) if has_cloud_cover(database.schema) else None
        self._clouds: npt.NDArray[np.float64] | None = None if clouds is None else clouds.to_numpy()

    def meeting(self, boxes: Sequence[Box], margin: float = 0.0) -> Ints:
        """Records whose footprint bounds, widened by the margin, meet one of some boxes."""
        found = [self._zones.meeting(box, margin) for box in boxes]
        return found[0] if len(found) == 1 else np.unique(np.concatenate(found))

    def bounds(self, rows: Ints) -> npt.NDArray[np.float64]:
        """Bounds of footprints, shape (4, n): xmin, ymin, xmax, ymax; NaN: none."""
        return self._zones.bounds[:, rows]

    def narrowed(self, narrowings: Sequence[Narrowing], within: Sequence[Ints] = ()) -> Ints:
        """Records that all of some narrowings leave of those that are in each of some sets; all are ascending."""
        sets = [*within, *(self.meeting(one.boxes, one.margin) for one in narrowings if isinstance(one, Near))]
        rows = reduce(common, sets) if sets else np.arange(self._database.rows)
        for one in narrowings:
            if isinstance(one, Dates):
                rows = self._dated(rows, one)
            elif isinstance(one, CloudCoverBelow):
                assert self._clouds is not None
                rows = rows[self._clouds[rows] < one.limit]
        return rows

    def _dated(self, rows: Ints, dates: Dates) -> Ints:
        # NaT is neither before nor after.
        if dates.start is not None:
            rows = rows[self._times[rows] >= np.datetime64(dates.start)]
        if dates.end is not None:
            rows = rows[self._times[rows] <= np.datetime64(dates.end)]
        return rows

    def matching(self, rows: Ints, where: Sequence[Condition]) -> Ints:
        """Those of some records for which all conditions are true, in the same order."""
        if not where or not len(rows):
            return rows
        sql = f"SELECT {quoted(ROW)} AS row FROM records WHERE {' AND '.join(f'({part.sql})' for part in where)}"  # noqa: S608 - bound
        scanned = rows if len(rows) * _SCANNED_FOR_ONE < self._database.rows else None
        found = self._database.query(sql, [value for part in where for value in part.parameters], scanned)
        matches = np.zeros(self._database.rows, dtype=bool)
        matches[found["row"].to_numpy()] = True
        return rows[matches[rows]]
