"""What takes long the first time is done before the first caller waits for it."""

import numpy as np
import pyarrow as pa
import shapely

from rasterflight_protocol.v1.read_pb2 import BBox, Filter
from rasterflight_server.catalog import Collection
from rasterflight_server.plan.crs import LONLAT, transform_geometries

#: The ways to so many CRS of a collection are found at the start.
_CRS = 8


def warm_up(collection: Collection) -> None:
    """Look up records and ways between CRS; no file of the collection is read."""
    # When it makes its first array, pyarrow imports pandas if it is there.
    pa.array([0])
    extent = collection.manifest.extent
    if extent is None:
        return
    minx, miny, _, _ = extent
    corner = BBox(minx=minx, miny=miny, maxx=minx + 1e-6, maxy=miny + 1e-6)
    for row in collection.select([Filter(bbox=corner)])["row"].to_pylist()[:1]:
        collection.assets(row, range(len(collection.manifest.slots)))
    place = np.array([shapely.Point(minx, miny)], dtype=object)
    for crs in collection.manifest.crs[:_CRS]:
        transform_geometries(place, LONLAT, crs.name)
