"""Requests, written shortly."""

from collections.abc import Sequence
from typing import Any

import shapely

from rasterflight_protocol.v1 import read_pb2 as pb

LONLAT = "OGC:CRS84"
Box = tuple[float, float, float, float]
NEW_YORK: Box = (-74.3, 40.4, -73.5, 41.0)


def read(
    collection: str, bands: Sequence[str] = (), *, grid: dict[str, Any] | None = None, **fields: Any
) -> pb.ReadRequest:
    """A request as the Python client writes it: whatever has a choice says which."""
    filters = [pb.Filter(ids=fields.pop("ids"))] if "ids" in fields else []
    usual = {"layout": pb.LAYOUT_CHIPS, "on_error": pb.ON_ERROR_RAISE, "filters": filters}
    return pb.ReadRequest(
        collection=collection, bands=bands, grid={"values": pb.VALUES_RAW} | (grid or {}), **usual | fields
    )


def boxes(*values: Box, crs: str = LONLAT) -> pb.Geometries:
    """Areas as boxes."""
    return pb.Geometries(crs=crs, bboxes={"values": [box(value) for value in values]})


def box(value: Box) -> pb.BBox:
    """One box."""
    return pb.BBox(minx=value[0], miny=value[1], maxx=value[2], maxy=value[3])


def shapes(*values: shapely.Geometry | bytes, crs: str = LONLAT) -> pb.Geometries:
    """Areas as WKB."""
    return pb.Geometries(
        crs=crs, wkb={"values": [value if isinstance(value, bytes) else shapely.to_wkb(value) for value in values]}
    )


def windows(*values: Box) -> pb.Windows:
    """Windows (col_off, row_off, width, height)."""
    return pb.Windows(
        values=[pb.Window(col_off=col, row_off=row, width=width, height=height) for col, row, width, height in values]
    )
