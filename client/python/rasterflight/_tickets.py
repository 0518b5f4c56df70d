"""Tickets for parts of a read, whose pixels are those of the whole."""

from collections.abc import Sequence

import pyarrow as pa

from rasterflight._commongrid import CommonGrid
from rasterflight_protocol import pack
from rasterflight_protocol.schemas import SNAPSHOT_KEY
from rasterflight_protocol.v1.read_pb2 import BBox, Filter, Geometries, GridOptions, ReadRequest, Windows

#: minx, miny, maxx, maxy.
Bounds = tuple[float, float, float, float]


class Tickets:
    """Writes tickets for parts of a read.

    Parameters
    ----------
    request
        The whole.
    grid
        The grid that the server chose for it; None: there is no one grid.
    schema
        Of its answer; says which snapshot all parts are pinned to.
    """

    def __init__(self, request: ReadRequest, grid: CommonGrid | None, schema: pa.Schema) -> None:
        self._request = request
        self._base = ReadRequest(
            collection=request.collection,
            layout=request.layout,
            on_error=request.on_error,
            compression=request.compression,
            snapshot=(schema.metadata or {}).get(SNAPSHOT_KEY, b"").decode(),
        )
        self._base.grid.CopyFrom(pinned(request.grid, grid))

    @property
    def identity(self) -> bytes:
        """The same for reads of which all parts are the same."""
        return pack(self._request) + pack(self._base)

    def ticket(self, band: str, area: int, ids: Sequence[str], part: Bounds, *, masked: bool) -> bytes:
        """Ask for a part.

        Parameters
        ----------
        band
            Name of its band.
        area
            1-based number of its area or window; for whole records it does not matter.
        ids
            Of its records.
        part
            Extent, in the CRS of the pixels.
        masked
            Tell invalid pixels.
        """
        message = ReadRequest()
        message.CopyFrom(self._base)
        message.bands.append(band)
        message.filters.append(Filter(ids=ids))
        where = self._request.WhichOneof("where")
        if where == "windows":
            message.windows.CopyFrom(Windows(values=[self._request.windows.values[area - 1]]))
        elif where == "geometries":
            message.geometries.CopyFrom(_one(self._request.geometries, area - 1))
        grid = message.grid
        grid.masked = masked
        grid.part.CopyFrom(BBox(minx=part[0], miny=part[1], maxx=part[2], maxy=part[3]))
        for other in [name for name in grid.band_resampling if name != band]:
            del grid.band_resampling[other]
        return pack(message)


def _one(areas: Geometries, index: int) -> Geometries:
    one = Geometries(crs=areas.crs)
    if areas.WhichOneof("source") == "bboxes":
        one.bboxes.values.append(areas.bboxes.values[index])
    else:
        one.wkb.values.append(areas.wkb.values[index])
    return one


def pinned(asked: GridOptions, grid: CommonGrid | None) -> GridOptions:
    """Options that lead to the same grid, whichever records take part."""
    pinned = GridOptions()
    pinned.CopyFrom(asked)
    if grid is None or asked.HasField("grid"):
        return pinned
    pinned.target_crs = grid.crs or ""
    pinned.resolution[:] = grid.resolution
    if not asked.HasField("bounds"):
        pinned.anchor[:] = grid.anchor
    return pinned
