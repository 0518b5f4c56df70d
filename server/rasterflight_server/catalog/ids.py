"""Records by their ids."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rasterflight_server.catalog.database import ROW, Database, quoted
from rasterflight_server.catalog.zones import Ints


class Ids:
    """Finds ids by their sorted hashes, which are made when they are first needed.

    Parameters
    ----------
    database
        The records.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, ids: Sequence[str]) -> tuple[Ints, list[str]]:
        """Numbers of the records of these ids, ascending, and the ids that no record has."""
        asked = self._database.query(
            "SELECT DISTINCT id, hash(id) AS hash FROM unnest(?::VARCHAR[]) AS t(id)", [list(ids)]
        )
        hashes, rows = self._sorted
        first, stop = (np.searchsorted(hashes, asked["hash"].to_numpy(), side) for side in ("left", "right"))
        # Two ids may share a hash.
        counts = stop - first
        which = np.repeat(np.arange(len(asked)), counts)
        candidates = rows[np.arange(len(which)) + np.repeat(first - np.cumsum(counts) + counts, counts)]
        own = self._database.table["id"].take(pa.array(candidates))
        equal = np.asarray(pc.equal(own, asked["id"].take(pa.array(which))))
        unknown = np.ones(len(asked), dtype=bool)
        unknown[which[equal]] = False
        return np.sort(candidates[equal]), sorted(asked["id"].filter(pa.array(unknown)).to_pylist())

    @cached_property
    def _sorted(self) -> tuple[npt.NDArray[Any], Ints]:
        """The hashes of all ids, ascending, and the record of each."""
        found = self._database.query(f"SELECT {quoted(ROW)} AS row, hash(id) AS hash FROM records")  # noqa: S608 - no value
        hashes = found["hash"].to_numpy()
        order = np.argsort(hashes)
        return hashes[order], found["row"].to_numpy()[order]
