"""Chips: areas, windows and whole records, on the grids of the files."""

import shapely

from conformance.cases.case import Call, Case, wkb
from conformance.cases.requests import boxes, read, shapes, windows
from rasterflight_protocol.v1 import read_pb2 as pb

BOX = (-74.1, 40.6, -73.9, 40.8)
OTHER = (-73.5, 40.7, -73.3, 40.9)
TRIANGLE = shapely.Polygon([(-74.3, 40.4), (-73.6, 40.5), (-73.9, 41.1), (-74.3, 40.4)])
FIRST, LAST = "LC08_L1TP_013032_20180405_20180417_01_T1", "LC08_L1TP_013032_20181030_20181115_01_T1"
NAIP = (-99.15, 47.01, -99.1485, 47.011)
MOL = (5.072, 51.216, 5.075, 51.218)
TYPES = (1, 2, 11, 7)
_RING = shapely.Polygon(
    [(-74.2, 40.5), (-73.7, 40.5), (-73.7, 41), (-74.2, 41), (-74.2, 40.5)],
    [[(-74.05, 40.65), (-74.05, 40.85), (-73.85, 40.85), (-73.85, 40.65), (-74.05, 40.65)]],
)
_TWO = shapely.MultiPolygon([shapely.box(*BOX), shapely.Polygon([(-73.5, 40.5), (-73.2, 40.5), (-73.35, 40.9)])])
_UTM = (580_000, 4_490_000, 600_000, 4_520_000)
_WEB = (-8_250_000, 4_960_000, -8_220_000, 4_990_000)
_FEET = "EPSG:2263"
_FEET_BOX = (980_000, 190_000, 1_010_000, 230_000)
_DATELINE = (179.8, -0.1, -179.85, 0.12)
_NUMBERS = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]

CASES = [
    Case(
        "chips/box",
        "a box in lon/lat, one band, every record that it overlaps",
        read("ny", ["red"], geometries=boxes(BOX)),
        Call({"geometries": BOX, "bands": ["red"]}),
    ),
    Case(
        "chips/boxes",
        "several boxes and several bands: records by time, then areas, columns in the order of the request",
        read("ny", ["nir08", "red"], geometries=boxes(BOX, OTHER)),
        Call({"geometries": [BOX, OTHER], "bands": ["nir08", "red"]}),
    ),
    Case(
        "chips/polygon",
        "pixels whose centre is outside of the polygon hold 0, since the band has no nodata",
        read("ny", ["red"], geometries=shapes(TRIANGLE), ids=[FIRST]),
        Call({"geometries": wkb(TRIANGLE), "bands": ["red"], "ids": [FIRST]}),
    ),
    Case(
        "chips/all-touched",
        "the same polygon with every pixel that it touches",
        read("ny", ["red"], geometries=shapes(TRIANGLE), ids=[FIRST], grid={"all_touched": True}),
        Call({"geometries": wkb(TRIANGLE), "bands": ["red"], "ids": [FIRST], "all_touched": True}),
    ),
    Case(
        "chips/hole",
        "a polygon with a hole",
        read("ny", ["red", "green"], geometries=shapes(_RING), ids=[FIRST]),
        Call({"geometries": wkb(_RING), "bands": ["red", "green"], "ids": [FIRST]}),
    ),
    Case(
        "chips/multipolygon",
        "an area of two parts is one chip, the bounds of both",
        read("ny", ["red"], geometries=shapes(_TWO), ids=[FIRST, LAST]),
        Call({"geometries": wkb(_TWO), "bands": ["red"], "ids": [FIRST, LAST]}),
    ),
    Case(
        "chips/ewkb",
        "EWKB, big-endian, with an SRID that does not count",
        read(
            "ny",
            ["red"],
            geometries=shapes(shapely.to_wkb(shapely.set_srid(TRIANGLE, 3857), byte_order=0, include_srid=True)),
            ids=[FIRST],
        ),
    ),
    Case(
        "chips/box-in-the-crs-of-the-records",
        "a box in UTM metres cuts whole pixels",
        read("ny", ["blue"], geometries=boxes(_UTM, crs="EPSG:32618")),
        Call({"geometries": _UTM, "bands": ["blue"], "geometry_crs": "EPSG:32618"}),
    ),
    Case(
        "chips/box-in-web-mercator",
        "a box in another CRS is a quadrilateral on the grid of the records",
        read("ny", ["blue"], geometries=boxes(_WEB, crs="EPSG:3857"), ids=[FIRST]),
        Call({"geometries": _WEB, "bands": ["blue"], "geometry_crs": "EPSG:3857", "ids": [FIRST]}),
    ),
    Case(
        "chips/box-in-feet",
        "a CRS in US survey feet",
        read("ny", ["blue"], geometries=boxes(_FEET_BOX, crs=_FEET), ids=[FIRST]),
        Call({"geometries": _FEET_BOX, "bands": ["blue"], "geometry_crs": _FEET, "ids": [FIRST]}),
    ),
    Case(
        "chips/antimeridian",
        "a box with minx > 0 > maxx takes the records on both sides of 180 degrees",
        read("dateline", ["value"], geometries=boxes(_DATELINE)),
        Call({"geometries": _DATELINE, "bands": ["value"]}),
    ),
    Case(
        "chips/windows",
        "pixel windows, one of them partly outside: cut off there; no area, so the column geometry is null",
        read("ny", ["red"], windows=windows((0, 0, 16, 8), (40, 40, 500, 500)), ids=[FIRST]),
        Call({"windows": [[0, 0, 16, 8], [40, 40, 500, 500]], "bands": ["red"], "ids": [FIRST]}),
    ),
    Case(
        "chips/whole",
        "neither areas nor windows: whole records, no geometry_id",
        read("ny", ["red"], ids=[FIRST]),
        Call({"bands": ["red"], "ids": [FIRST]}),
    ),
    Case(
        "chips/uint8-of-one-file",
        "four bands of one file; the grids of the records do not line up",
        read("naip", ["red", "green", "blue", "nir"], geometries=boxes(NAIP)),
        Call({"geometries": NAIP, "bands": ["red", "green", "blue", "nir"]}),
    ),
    Case(
        "chips/int16-big-endian",
        "signed pixels out of big-endian files arrive little-endian; nodata is -32768",
        read("mol", ["B02", "B04"], geometries=boxes(MOL)),
        Call({"geometries": MOL, "bands": ["B02", "B04"]}),
    ),
    Case(
        "chips/float32",
        "floats; outside of the area is nodata, -9999",
        read(
            "alexandria",
            ["dsm"],
            geometries=shapes(shapely.Polygon([(-77.054, 38.81), (-77.052, 38.81), (-77.053, 38.8115)])),
        ),
        Call(
            {
                "geometries": wkb(shapely.Polygon([(-77.054, 38.81), (-77.052, 38.81), (-77.053, 38.8115)])),
                "bands": ["dsm"],
            }
        ),
    ),
    Case(
        "chips/degrees",
        "records in EPSG:4326",
        read("pucallpa", ["image_1", "image_4"], geometries=boxes((-74.5, -8.4, -74.49, -8.39))),
        Call({"geometries": (-74.5, -8.4, -74.49, -8.39), "bands": ["image_1", "image_4"]}),
    ),
    Case(
        "chips/several-grids",
        "bands of 60 m and of another size: a row for each grid, null in the columns of the others",
        read("s2-34", ["B01", "red"], geometries=boxes((23.5, 32.0, 23.52, 32.02))),
        Call({"geometries": (23.5, 32.0, 23.52, 32.02), "bands": ["B01", "red"]}),
    ),
    Case(
        "chips/integers-and-floats",
        "every integer and float type that has a column of its own",
        read("types", _NUMBERS, windows=windows(TYPES)),
        Call({"windows": [TYPES], "bands": _NUMBERS}),
    ),
    Case(
        "chips/complex",
        "complex pixels are lists of two floats",
        read("types", ["complex64", "complex128"], windows=windows(TYPES)),
        Call({"windows": [TYPES], "bands": ["complex64", "complex128"]}),
    ),
    Case(
        "chips/masked",
        "invalid pixels are null inside the lists: outside of the area",
        read("ny", ["red"], geometries=shapes(TRIANGLE), ids=[FIRST], grid={"masked": True}),
        Call({"geometries": wkb(TRIANGLE), "bands": ["red"], "ids": [FIRST], "masked": True}),
    ),
    Case(
        "chips/masked-nodata",
        "and where they are nodata: -7 for integers, NaN for floats",
        read("types", ["int16", "float32"], windows=windows((0, 0, 40, 50)), grid={"masked": True}),
        Call({"windows": [[0, 0, 40, 50]], "bands": ["int16", "float32"], "masked": True}),
    ),
    Case(
        "chips/scaled",
        "pixel * scale + offset, NaN where invalid",
        read("dateline", ["value"], geometries=boxes((179.7, -0.1, 179.9, 0.1)), grid={"values": pb.VALUES_SCALED}),
        Call({"geometries": (179.7, -0.1, 179.9, 0.1), "bands": ["value"], "values": "scaled"}),
    ),
]
