"""Geometries of records, measured many at a time: each call lets other threads take over, and then waits for them."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple

import numpy as np
import shapely

from rasterflight_server.ingest.sources import Failure, RecordSource
from rasterflight_server.types.lonlat import Box

_TOGETHER: Final = 64


class Measured(NamedTuple):
    """A record, and what its geometry is."""

    record: RecordSource | Failure
    #: None: it has no geometry.
    wkb: bytes | None
    #: NaN where there is none.
    bounds: Box


def measured(found: Iterable[RecordSource | Failure]) -> Iterator[Measured]:
    """Measure the geometries of records; these come in order, but some are waited for before the first is given."""
    rest = iter(found)
    while some := list(islice(rest, _TOGETHER)):
        shapes = np.array([None if isinstance(each, Failure) else each.geometry for each in some], dtype=object)
        bounds = map(tuple, shapely.bounds(shapes).tolist())
        yield from map(Measured, some, shapely.to_wkb(shapes).tolist(), bounds)
