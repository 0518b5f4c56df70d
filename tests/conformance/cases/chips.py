"""Chips: areas, windows and whole records, as the files have them."""

import shapely

from conformance.cases.case import Call, Case, wkb
from conformance.cases.requests import LONLAT, NEW_YORK, boxes, read, shapes, windows

_BOX = (-74.1, 40.6, -73.9, 40.8)
_OTHER = (-73.5, 40.7, -73.3, 40.9)
_RING = shapely.box(-74.2, 40.5, -73.7, 41).difference(shapely.box(-74.05, 40.65, -73.85, 40.85))
_TWO = shapely.MultiPolygon([shapely.box(*_BOX), shapely.Polygon([(-73.5, 40.5), (-73.2, 40.5), (-73.35, 40.9)])])
_TRIANGLE = shapely.Polygon([(-74.3, 40.4), (-73.6, 40.5), (-73.9, 41.1)])
_UTM = shapely.box(580_000, 4_490_000, 600_000, 4_520_000)
_NAIP = (-99.15, 47.01, -99.149, 47.011)
_MOL = (5.072, 51.216, 5.075, 51.218)
FIRST = "LC08_L1TP_013032_20180405_20180417_01_T1"

CASES = [
    Case(
        "chips/box",
        "a box in lon/lat, one band, every record that it overlaps",
        read("ny", ["red"], geometries=boxes(_BOX)),
        Call({"geometries": _BOX, "bands": ["red"]}),
    ),
    Case(
        "chips/boxes",
        "several boxes and several bands: records by time, then areas, columns in the order of the request",
        read("ny", ["nir08", "red"], geometries=boxes(_BOX, _OTHER)),
        Call({"geometries": [_BOX, _OTHER], "bands": ["nir08", "red"]}),
    ),
    Case(
        "chips/polygon",
        "pixels whose centre is outside of the polygon hold 0, since the band has no nodata",
        read("ny", ["red"], geometries=shapes(_TRIANGLE), ids=[FIRST]),
        Call({"geometries": wkb(_TRIANGLE), "bands": ["red"], "ids": [FIRST]}),
    ),
]
