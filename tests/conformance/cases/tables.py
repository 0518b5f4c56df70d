"""Layouts other than chips."""

from conformance.cases.case import Call, Case, wkb
from conformance.cases.chips import BOX, FIRST, OTHER, TRIANGLE
from conformance.cases.requests import boxes, read, shapes, windows
from rasterflight_protocol.v1 import read_pb2 as pb

_X, _Y = [-74.0, -73.4, -74.01, 0.0], [40.7, 40.8, 40.71, 0.0]


def _records(collection: str, *filters: pb.Filter, **fields: object) -> pb.ReadRequest:
    return pb.ReadRequest(collection=collection, layout=pb.LAYOUT_RECORDS, filters=filters, **fields)


def _points(collection: str, bands: list[str], **fields: object) -> pb.ReadRequest:
    points = {"crs": "OGC:CRS84"} | fields
    return pb.ReadRequest(collection=collection, bands=bands, layout=pb.LAYOUT_POINTS, points=points)


CASES = [
    Case("records/all", "the records themselves", _records("ny"), Call({"layout": "records"})),
    Case(
        "records/filtered",
        "records that hold for two conditions",
        _records("ny", pb.Filter(date_range={"start": "2018-06-01"}, where="\"landsat:wrs_path\" = '013'")),
        Call({"layout": "records", "date_range": ["2018-06-01", None], "where": "\"landsat:wrs_path\" = '013'"}),
    ),
    Case("records/none", "no record: no rows, no error", _records("ny", pb.Filter(date_range={"start": "2030-01-01"}))),
    Case("records/columns-of-a-collection", "cloud cover and a column of the collection's own", _records("dateline")),
    Case(
        "outlines/boxes",
        "where chips lie, without their pixels; no file is read",
        read("ny", ["red"], geometries=boxes(BOX, OTHER), layout=pb.LAYOUT_OUTLINES),
        Call({"geometries": [BOX, OTHER], "bands": ["red"], "layout": "outlines"}),
    ),
    Case(
        "outlines/windows",
        "outlines of windows",
        read("ny", ["red", "nir08"], windows=windows((3, 4, 20, 10)), ids=[FIRST], layout=pb.LAYOUT_OUTLINES),
    ),
    Case(
        "pixels/box",
        "a row for each pixel, a column for each band",
        read("ny", ["red", "nir08"], geometries=boxes(BOX), layout=pb.LAYOUT_PIXELS),
        Call({"geometries": BOX, "bands": ["red", "nir08"], "layout": "pixels"}),
    ),
    Case(
        "pixels/polygon",
        "pixels outside of the area have no row",
        read("ny", ["red"], geometries=shapes(TRIANGLE), ids=[FIRST], layout=pb.LAYOUT_PIXELS),
        Call({"geometries": wkb(TRIANGLE), "bands": ["red"], "ids": [FIRST], "layout": "pixels"}),
    ),
    Case(
        "pixels/nulls",
        "nodata is null",
        read("types", ["int16", "float32"], windows=windows((0, 0, 40, 50)), layout=pb.LAYOUT_PIXELS),
    ),
    Case(
        "pixels/skip",
        "what could not be read of a chip is one row with an error, without row and col",
        read("broken", ["value"], windows=windows((40, 27, 5, 5)), layout=pb.LAYOUT_PIXELS, on_error=pb.ON_ERROR_SKIP),
    ),
    Case(
        "columns/pixels",
        "the columns that are named, in their order; bands that are not are not read",
        read(
            "ny", ["red", "nir08"], geometries=boxes(BOX), layout=pb.LAYOUT_PIXELS, columns=["nir08", "record_id", "x"]
        ),
    ),
    Case(
        "columns/chips",
        "the same for chips",
        read("ny", ["red", "nir08"], geometries=boxes(BOX), columns=["record_id", "height", "width", "red"]),
    ),
    Case(
        "columns/records",
        "and for records",
        _records("ny", columns=["datetime", "id"]),
    ),
    Case(
        "geometry-ids/second",
        "one of two areas, which keeps its number",
        read("ny", ["red"], geometries=boxes(BOX, OTHER), geometry_ids=[2]),
    ),
    Case(
        "points/all",
        "the pixel of each record that holds a point; the last point is in none and has no row",
        _points("ny", ["red", "nir08"], x=_X, y=_Y),
    ),
    Case(
        "points/latest",
        "one row for each point and band: the newest record with a valid value",
        _points("ny", ["red"], x=_X, y=_Y, match=pb.MATCH_LATEST),
    ),
    Case(
        "points/nearest-valid",
        "where the pixel is nodata, the nearest valid one within two columns and rows",
        _points(
            "types",
            ["int16"],
            crs="EPSG:32631",
            x=[500_335.0, 500_005.0],
            y=[5_699_755.0, 5_699_995.0],
            max_distance_pixels=2,
        ),
    ),
    Case(
        "points/neighbourhood",
        "the pixels around, row by row; null outside of the raster",
        _points(
            "types",
            ["uint16", "float32"],
            crs="EPSG:32631",
            x=[500_005.0, 500_105.0],
            y=[5_699_995.0, 5_699_935.0],
            max_distance_pixels=1,
            neighbourhood=pb.NEIGHBOURHOOD_ALWAYS,
        ),
    ),
    Case("points/none", "no points: no rows", _points("ny", ["red"])),
    Case(
        "points/exchange",
        "sets of points go up while their values come down; point_index goes on from set to set",
        _points("ny", ["red"]),
        exchange=({"x": _X[:2], "y": _Y[:2]}, {"x": _X[2:], "y": _Y[2:]}),
    ),
]
