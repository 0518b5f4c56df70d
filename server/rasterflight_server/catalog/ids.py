"""Records by their ids."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa

from rasterflight_server.catalog.database import Database
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
        asked = sorted(set(ids))
        hashes, rows = self._sorted
        found = _hashes(asked)
        first, stop = (np.searchsorted(hashes, found, side) for side in ("left", "right"))
        # Two ids may share a hash.
        counts = stop - first
        which = np.repeat(np.arange(len(asked)), counts)
        candidates = rows[np.arange(len(which)) + np.repeat(first - np.cumsum(counts) + counts, counts)]
        own = self._database.table["id"].take(pa.array(candidates)).to_pylist()
        equal = np.array(
            [asked[position] == name for position, name in zip(which.tolist(), own, strict=True)], np.bool_
        )
        unknown = np.ones(len(asked), np.bool_)
        unknown[which[equal]] = False
        return np.sort(candidates[equal]), [asked[position] for position in np.flatnonzero(unknown).tolist()]

    @cached_property
    def _sorted(self) -> tuple[Ints, Ints]:
        """The hashes of all ids, ascending, and the record of each."""
        hashes = np.concatenate(
            [_hashes([]), *(_hashes(part.to_pylist()) for part in self._database.table["id"].chunks)]
        )
        order = np.argsort(hashes, kind="stable")
        return hashes[order], order


def _hashes(ids: Sequence[str]) -> Ints:
    # Those of Python: for a few ids, to ask DuckDB takes a hundred times as long.
    return np.fromiter(map(hash, ids), np.int64, len(ids))
