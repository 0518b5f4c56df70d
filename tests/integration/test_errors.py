"""Wrong input and broken files, through a real server: the code, the words, the way out; no traceback, no path."""

import json
import math
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import geopandas as gpd
import pyarrow as pa
import pyarrow.flight as fl
import pytest
import shapely

import rasterflight as rf
from conftest import COLLECTIONS
from rasterflight_protocol import ERROR_TRAILER, pack
from rasterflight_protocol.v1.error_pb2 import ErrorDetail
from rasterflight_protocol.v1.read_pb2 import (
    BBox,
    BBoxes,
    DateRange,
    Filter,
    Geometries,
    Points,
    ReadRequest,
    Shard,
    TargetGrid,
    Window,
    Windows,
)
from support.server import ServerProcess, run_server_command
from support.tiff import SHORT, tags, tiff

RECORD = "LC08_L1TP_013032_20180405_20180417_01_T1"
NEW_YORK = (-74.3, 40.4, -73.5, 41.0)


def geometries(**bounds: float) -> Geometries:
    box = dict(zip(("minx", "miny", "maxx", "maxy"), NEW_YORK, strict=True)) | bounds
    return Geometries(crs="OGC:CRS84", bboxes=BBoxes(values=[BBox(**box)]))


def wkb(*shapes: shapely.Geometry | bytes) -> Geometries:
    values = [shape if isinstance(shape, bytes) else shapely.to_wkb(shape) for shape in shapes]
    return Geometries(crs="OGC:CRS84", wkb={"values": values})


def points(x: list[float], y: list[float], crs: str = "OGC:CRS84", **fields: int) -> Points:
    return Points(crs=crs, x=x, y=y, **fields)


def target_grid(**fields: object) -> TargetGrid:
    return TargetGrid(**{"crs": "EPSG:3857", "transform": [30, 0, 0, 0, -30, 0], "width": 5, "height": 5} | fields)


def request(**fields: object) -> ReadRequest:
    return ReadRequest(**{"collection": "ny", "bands": ["red"]} | fields)


BOX = shapely.box(*NEW_YORK)
REQUESTS = {
    "no collection": (request(collection=""), "BAD_REQUEST", "collection", "no collection is named"),
    "unknown collection": (request(collection="naipp"), "COLLECTION_NOT_FOUND", "collection", "there is no collection 'naipp' (did you mean 'naip'?)"),
    "unknown far": (request(collection="xyz"), "COLLECTION_NOT_FOUND", "collection", "collections here: alexandria, charleston, mol, naip, ny, paraguay, pucallpa"),
    "no band": (request(bands=[]), "BAD_REQUEST", "bands", "no band is named"),
    "band twice": (request(bands=["red", "red"]), "BAD_REQUEST", "bands", "named twice: 'red'"),
    "unknown band": (request(bands=["rde"]), "UNKNOWN_BAND", "bands", "there is no band 'rde' (did you mean 'red'?"),
    "inverted bbox": (request(geometries=geometries(minx=-70)), "BAD_GEOMETRY", "geometries.bboxes[0]", "minx -70.0 is greater than maxx -73.5 (the order is (minx, miny, maxx, maxy))"),
    "NaN bbox": (request(geometries=geometries(miny=math.nan)), "BAD_GEOMETRY", "geometries.bboxes[0]", "NaN or infinite"),
    "no crs": (request(geometries=Geometries(bboxes=geometries().bboxes)), "CRS_REQUIRED", "geometries.crs", "without a CRS (pass a CRS such as"),
    "bad crs": (request(geometries=Geometries(crs="EPSG:1", bboxes=geometries().bboxes)), "CRS_REQUIRED", "geometries.crs", "'EPSG:1' is not a CRS that PROJ knows"),
    "no geometry": (request(geometries=Geometries(crs="OGC:CRS84")), "BAD_REQUEST", "geometries", "there is no geometry in the list"),
    "not wkb": (request(geometries=wkb(BOX, b"\x01\x02")), "BAD_GEOMETRY", "geometries.wkb[1]", "geometry 2 is not valid WKB"),
    "point": (request(geometries=wkb(shapely.Point(1, 2))), "BAD_GEOMETRY", "geometries.wkb[0]", "geometry 1 is a POINT, not a polygon (use sample_points"),
    "line": (request(geometries=wkb(BOX, BOX.exterior)), "BAD_GEOMETRY", "geometries.wkb[1]", "geometry 2 is a LINE"),
    "collection of geometries": (request(geometries=wkb(shapely.GeometryCollection([BOX]))), "BAD_GEOMETRY", "geometries.wkb[0]", "split it into polygons"),
    "empty": (request(geometries=wkb(shapely.Polygon())), "BAD_GEOMETRY", "geometries.wkb[0]", "geometry 1 is empty (drop empty geometries first)"),
    "NaN inside": (request(geometries=wkb(shapely.to_wkb(BOX)[:-24] + struct.pack("<d", math.nan) + shapely.to_wkb(BOX)[-16:])), "BAD_GEOMETRY", "geometries.wkb[0]", "geometry 1 has a coordinate that is NaN or infinite"),
    "huge": (request(geometries=wkb(shapely.segmentize(BOX, 1e-5))), "LIMIT_EXCEEDED", "geometries", "the limit is 4194304 (simplify it, or split it)"),
    "not on earth": (request(geometries=Geometries(crs="EPSG:32618", bboxes=BBoxes(values=[BBox(minx=-1e12, miny=0, maxx=1e12, maxy=1)]))), "BAD_GEOMETRY", "geometries", "cannot place on the earth"),
    "elsewhere": (request(geometries=geometries(minx=1, miny=1, maxx=2, maxy=2)), "NO_DATA", "", "none of the 6 records overlaps the geometries (the nearest footprint is that of 'LC08_"),
    "no windows": (request(windows=Windows()), "BAD_REQUEST", "windows", "there is no window in the list"),
    "empty window": (request(windows=Windows(values=[Window(width=5)])), "BAD_REQUEST", "windows[0]", "(0, 0, 5, 0) has no pixels"),
    "window outside": (request(windows=Windows(values=[Window(col_off=9999, width=5, height=5)])), "NO_DATA", "", "not one pixel lies inside the windows, in none of the 6 records that match (the raster of 'LC08_"),
    "no such id": (request(filters=[Filter(ids=["nope"])]), "RECORD_NOT_FOUND", "filters[0].ids", "no record 'nope'"),
    "inverted dates": (request(filters=[Filter(), Filter(date_range=DateRange(start="2019-01-01", end="2018-01-01"))]), "BAD_REQUEST", "filters[1].date_range", "2019-01-01"),
    "bad date": (request(filters=[Filter(date_range=DateRange(start="yesterday"))]), "BAD_REQUEST", "filters[0].date_range.start", "yesterday"),
    "no record then": (request(filters=[Filter(date_range=DateRange(start="2030-01-01"))]), "NO_DATA", "", "no record matches date_range 2030-01-01/.. (the nearest is from 2018-10-30T00:00:00Z)"),
    "cloud cover out of range": (request(filters=[Filter(cloud_cover_lt=200)]), "BAD_REQUEST", "filters[0].cloud_cover_lt", "200"),
    "no such split": (request(filters=[Filter(split=["train"])]), "BAD_REQUEST", "filters[0].split_column", "split"),
    "filter box inverted": (request(filters=[Filter(bbox=BBox(minx=2, maxx=1))]), "BAD_REQUEST", "filters[0].bbox", "2"),
    "filter geometry": (request(filters=[Filter(geometries=wkb(shapely.Point(1, 2)))]), "BAD_GEOMETRY", "filters[0].geometries.wkb[0]", "POINT"),
    "excluding conditions": (request(geometries=geometries(), filters=[Filter(ids=[RECORD]), Filter(date_range=DateRange(start="2018-07-01"))]), "NO_DATA", "", f"no record matches ids '{RECORD}' and date_range 2018-07-01/.. together (without ids: "),
    "where is not CQL2": (request(filters=[Filter(where="crs =")]), "BAD_REQUEST", "filters[0].where", "the expression is not CQL2 text: at character 6, it ends too early (texts stand in single quotes"),
    "where names nothing": (request(filters=[Filter(), Filter(where="\"landsat:wrs-path\" = '013'")]), "BAD_REQUEST", "filters[1].where", "the collection has no column 'landsat:wrs-path' (did you mean 'landsat:wrs_path' or 'landsat:wrs_row'? columns: id, datetime, geometry, crs, "),
    "where compares unlikes": (request(filters=[Filter(where="landsat:wrs_path = 13")]), "BAD_REQUEST", "filters[0].where", "column 'landsat:wrs_path' is text and 13 is a number: they cannot be compared (texts stand in single quotes"),
    "where calls SQL": (request(filters=[Filter(where="read_csv('/etc/passwd') = 1")]), "BAD_REQUEST", "filters[0].where", "there is no operator or function 'read_csv' (there are: and, or, not"),
    "where is too deep": (request(filters=[Filter(where="(" * 100_000)]), "BAD_REQUEST", "filters[0].where", "nested too deeply, or too long for its nesting"),
    "where is too deep JSON": (request(filters=[Filter(where='{"op":"not","args":[' * 1000)]), "BAD_REQUEST", "filters[0].where", "the expression is not CQL2 JSON: recursion limit exceeded"),
    "where matches nothing": (request(filters=[Filter(where="crs = 'x'")]), "NO_DATA", "", "no record matches where crs = 'x' (6 records match without it)"),
    "layout": (request(layout=7), "BAD_REQUEST", "layout", "layout 7 is not known to this server (use LAYOUT_CHIPS, LAYOUT_RECORDS, LAYOUT_POINTS, LAYOUT_OUTLINES, LAYOUT_PIXELS)"),
    "on_error": (request(on_error=7), "BAD_REQUEST", "on_error", "on_error 7 is not known to this server"),
    "shard": (request(shard=Shard(index=3, count=2)), "BAD_REQUEST", "shard", "shard 3 of 2 does not exist"),
    "compression": (request(compression=9), "BAD_REQUEST", "compression", "9 is not known to this server (use COMPRESSION_NONE, COMPRESSION_LZ4 or COMPRESSION_ZSTD)"),
    "batch size": (request(batch_bytes=1), "BAD_REQUEST", "batch_bytes", "1 is out of range"),
    "start of no snapshot": (request(start={"records": 1}), "BAD_REQUEST", "start", "start: it does not say of which snapshot it is (send back the position that came with the last batch"),
    "start of another snapshot": (request(start={"snapshot": "old"}, snapshot="new"), "BAD_REQUEST", "start", "start: it is of another snapshot than the request"),
    "start of an old snapshot": (request(start={"snapshot": "old"}), "STALE_SNAPSHOT", "snapshot", "the ticket is for snapshot 'old'"),
    "negative start": (request(start={"snapshot": "new", "rows": -1}), "BAD_REQUEST", "start", "start: rows is -1"),
    "absurd start": (request(start={"snapshot": "new", "bytes": 2**63 - 1}), "BAD_REQUEST", "start", "start: bytes is 9223372036854775807"),
    "snapshot": (request(snapshot="old"), "STALE_SNAPSHOT", "snapshot", "the ticket is for snapshot 'old'"),
    "target_crs": (request(grid={"target_crs": "EPSG:1"}), "CRS_REQUIRED", "grid.target_crs", "'EPSG:1' is not a CRS that PROJ knows"),
    "resolution": (request(grid={"resolution": [0]}), "BAD_REQUEST", "grid.resolution", "[0.0] cannot be used (give one positive number, or x and y)"),
    "part inverted": (request(grid={"part": BBox(minx=2, maxx=1, maxy=1)}), "BAD_REQUEST", "grid.part", "(2.0, 0.0, 1.0, 1.0) is no extent (the order is minx, miny, maxx, maxy)"),
    "part elsewhere": (request(grid={"part": BBox(minx=1, maxx=2, maxy=1)}), "NO_DATA", "", "not one pixel lies"),
    "part of points": (request(layout=3, points=points([1], [2]), grid={"part": BBox(maxx=1, maxy=1)}), "BAD_REQUEST", "grid.part", "the points layout has no use for grid.part"),
    "pixels of points": (request(layout=5, points=points([1], [2])), "BAD_REQUEST", "points", "points are for the points layout"),
    "columns of points": (request(layout=3, points=points([1], [2]), columns=["value"]), "BAD_REQUEST", "columns", "the points layout has no use for columns"),
    "unknown column": (request(layout=5, columns=["row", "rde"]), "BAD_REQUEST", "columns[1]", "the layout has no column 'rde' (did you mean 'red'?)"),
    "far column": (request(columns=["x"]), "BAD_REQUEST", "columns[0]", "the layout has no column 'x' (its columns are: record_id, datetime"),
    "column of records": (request(bands=[], layout=2, columns=["ids"]), "BAD_REQUEST", "columns[0]", "the layout has no column 'ids' (did you mean 'id'?)"),
    "column twice": (request(layout=5, columns=["row", "row"]), "BAD_REQUEST", "columns[1]", "columns: 'row' is named twice (name each column once)"),
    "areas of nothing": (request(geometry_ids=[1]), "BAD_REQUEST", "geometry_ids", "there are no areas or windows to choose from"),
    "no such area": (request(geometries=geometries(), geometry_ids=[1, 2]), "BAD_REQUEST", "geometry_ids", "there is no 2 (they run from 1 to 1)"),
    "no such window": (request(windows=Windows(values=[Window(width=5, height=5)]), geometry_ids=[0]), "BAD_REQUEST", "geometry_ids", "there is no 0 (they run from 1 to 1)"),
    "outlines of points": (request(layout=4, points=points([1], [2])), "BAD_REQUEST", "points", "points are for the points layout"),
    "three resolutions": (request(grid={"resolution": [1, 2, 3]}), "BAD_REQUEST", "grid.resolution", "[1.0, 2.0, 3.0] cannot be used"),
    "anchor": (request(grid={"anchor": [math.inf]}), "BAD_REQUEST", "grid.anchor", "[inf] cannot be used (give one number, or x and y)"),
    "resampling": (request(grid={"target_crs": "EPSG:3857", "resampling": 9}), "BAD_REQUEST", "grid.resampling", "9 is not known to this server (use RESAMPLING_NEAREST"),
    "resampling of no band": (request(grid={"band_resampling": {"blue": 1}}), "BAD_REQUEST", "grid.band_resampling", "'blue' is not among the bands"),
    "bounds of nothing": (request(grid={"bounds": BBox(minx=1, maxx=1, maxy=2)}), "BAD_REQUEST", "grid.bounds", "(1.0, 0.0, 1.0, 2.0) is no extent"),
    "bounds and anchor": (request(grid={"bounds": BBox(maxx=1, maxy=2), "anchor": [0]}), "BAD_REQUEST", "grid.anchor", "grid.bounds says where pixels begin already"),
    "grid and crs": (request(grid={"grid": target_grid(), "target_crs": "EPSG:3857"}), "BAD_REQUEST", "grid.target_crs", "grid.grid says all of the grid already"),
    "rotated grid": (request(grid={"grid": target_grid(transform=[1, 1, 0, 0, -1, 0])}), "BAD_REQUEST", "grid.grid.transform", "is rotated, sheared or flat"),
    "short transform": (request(grid={"grid": target_grid(transform=[1, 0, 0])}), "BAD_REQUEST", "grid.grid.transform", "is no transform (give a, b, c, d, e, f)"),
    "grid of no size": (request(grid={"grid": target_grid(transform=[1e-300, 0, 0, 0, -1, 0])}), "BAD_REQUEST", "grid.grid.transform", "is rotated, sheared or flat"),
    "grid off the earth": (request(grid={"grid": target_grid(transform=[1, 0, 1e300, 0, -1, 0])}), "BAD_REQUEST", "grid.grid.transform", "is no transform"),
    "part off the earth": (request(grid={"part": BBox(minx=-1e300, miny=0, maxx=1, maxy=1)}), "BAD_REQUEST", "grid.part", "is no extent"),
    "part of nothing": (request(grid={"part": BBox(minx=5, maxx=1, maxy=1)}), "BAD_REQUEST", "grid.part", "(5.0, 0.0, 1.0, 1.0) is no extent"),
    "resolution beyond the earth": (request(grid={"resolution": [1e300]}), "BAD_REQUEST", "grid.resolution", "[1e+300] cannot be used"),
    "resolution too fine": (request(grid={"resolution": [1e-3]}), "LIMIT_EXCEEDED", "grid.resolution", "and 4294967296 pixels are the limit (take a coarser resolution"),
    "grid without pixels": (request(grid={"grid": target_grid(width=0)}), "BAD_REQUEST", "grid.grid.width", "0 is out of range"),
    "grid without crs": (request(grid={"grid": target_grid(crs="")}), "CRS_REQUIRED", "grid.grid.crs", "without a CRS"),
    "whole areas without a grid": (request(grid={"whole_areas": True}), "BAD_REQUEST", "grid.whole_areas", "it takes a grid that goes on where records end"),
    "windows on another grid": (request(windows=Windows(values=[Window(width=5, height=5)]), grid={"resolution": [60]}), "BAD_REQUEST", "windows", "say all of the grid in grid.grid"),
    "points as chips": (request(points=points([1], [2])), "BAD_REQUEST", "points", "points are for the points layout (ask for LAYOUT_POINTS"),
    "no points": (request(layout=3), "BAD_REQUEST", "points", "the points layout takes points"),
    "x without y": (request(layout=3, points=points([1, 2], [3])), "BAD_REQUEST", "points", "there are 2 x and 1 y (each point has one of both)"),
    "NaN point": (request(layout=3, points=points([1, math.nan], [2, 2])), "BAD_GEOMETRY", "points", "point 1 has a coordinate that is NaN or infinite"),
    "point not on earth": (request(layout=3, points=points([0, 1e12], [0, 1e12], crs="EPSG:32618")), "BAD_GEOMETRY", "points", "point 1 has coordinates that EPSG:32618 cannot place on the earth"),
    "points without crs": (request(layout=3, points=points([1], [2], crs="")), "CRS_REQUIRED", "points.crs", "without a CRS"),
    "negative distance": (request(layout=3, points=points([1], [2], max_distance_pixels=-1)), "BAD_REQUEST", "points.max_distance_pixels", "-1 is negative"),
    "neighbourhood without distance": (request(layout=3, points=points([1], [2], neighbourhood=2)), "BAD_REQUEST", "points.max_distance_pixels", "which is 0 (say how many pixels around the point are wanted)"),
    "unknown neighbourhood": (request(layout=3, points=points([1], [2], neighbourhood=9)), "BAD_REQUEST", "points.neighbourhood", "9 is not known to this server"),
    "unknown match": (request(layout=3, points=points([1], [2], match=9)), "BAD_REQUEST", "points.match", "use MATCH_ALL or MATCH_LATEST"),
    "distance too large": (request(layout=3, points=points([1], [2], max_distance_pixels=800)), "LIMIT_EXCEEDED", "points", "1 points x 2563201 pixels around each are more than the 2097152 that are answered at once"),
    "too many bands for the points": (request(layout=3, bands=["red", "green", "blue", "nir08", "qa"], points=points([1], [2], max_distance_pixels=700)), "LIMIT_EXCEEDED", "points", "1 points x 1962801 pixels x 5 bands are more than the 8388608"),
    "shard of points": (request(layout=3, points=points([1], [2]), shard=Shard(index=0, count=2)), "BAD_REQUEST", "shard", "the points layout has no use for shard"),
    "target_crs of points": (request(layout=3, points=points([1], [2]), grid={"target_crs": "EPSG:3857"}), "BAD_REQUEST", "grid.target_crs", "the points layout has no use for grid.target_crs"),
    "points of records": (request(layout=2, bands=[], points=points([1], [2])), "BAD_REQUEST", "points", "the records layout has no use for points"),
    "unknown band of points": (request(layout=3, bands=["rde"], points=points([], [])), "UNKNOWN_BAND", "bands", "did you mean 'red'?"),
    "bands of records": (request(layout=2), "BAD_REQUEST", "bands", "the records layout has no use for bands"),
}  # fmt: skip


class Trailers(fl.ClientMiddlewareFactory):
    """Keeps what servers send beside their answers."""

    def __init__(self) -> None:
        self.seen: dict[str, list] = {}

    def start_call(self, info: fl.CallInfo) -> fl.ClientMiddleware:
        factory = self

        class Middleware(fl.ClientMiddleware):
            def received_headers(self, headers: dict[str, list]) -> None:
                factory.seen.update(headers)

        return Middleware()


@pytest.fixture(scope="module")
def trailers() -> Trailers:
    return Trailers()


@pytest.fixture
def raw(server: ServerProcess, trailers: Trailers) -> Iterator[fl.FlightClient]:
    with fl.connect(server.url, middleware=[trailers]) as client:
        yield client


def check(error: fl.FlightError, code: str, field: str, words: str) -> None:
    detail = ErrorDetail.FromString(error.extra_info)
    assert (detail.code, detail.field) == (code, field)
    text = str(error)
    assert words in f"{detail.message} ({detail.hint})"
    for secret in ("Traceback", ".py", str(Path.home()), tempfile.gettempdir(), str(Path(__file__).parents[2])):
        assert secret not in text.partition("gRPC client debug context")[0]
    assert detail.request_id


@pytest.mark.parametrize("case", REQUESTS)
@pytest.mark.parametrize("rpc", ["GetFlightInfo", "DoGet"])
def test_requests(raw: fl.FlightClient, trailers: Trailers, rpc: str, case: str) -> None:
    message, code, field, words = REQUESTS[case]
    trailers.seen.clear()
    calls = {
        "DoGet": lambda ticket: raw.do_get(fl.Ticket(ticket)).read_all(),
        "GetFlightInfo": lambda ticket: raw.get_flight_info(fl.FlightDescriptor.for_command(ticket)),
    }
    with pytest.raises(fl.FlightError) as caught:
        calls[rpc](pack(message))
    check(caught.value, code, field, words)
    [trailer] = trailers.seen[ERROR_TRAILER]
    assert ErrorDetail.FromString(trailer).code == code


def put(raw: fl.FlightClient, path: fl.FlightDescriptor) -> None:
    writer, _ = raw.do_put(path, pa.schema([("a", pa.int64())]))
    writer.close()


def exchange(raw: fl.FlightClient, path: fl.FlightDescriptor) -> None:
    _, reader = raw.do_exchange(path)
    reader.read_all()


def test_other_rpcs(raw: fl.FlightClient) -> None:
    path = fl.FlightDescriptor.for_path("naipp")
    calls = {
        "path": lambda: raw.get_flight_info(path),
        "two parts": lambda: raw.get_flight_info(fl.FlightDescriptor.for_path("a", "b")),
        "action": lambda: list(raw.do_action("explode")),
        "junk ticket": lambda: raw.do_get(fl.Ticket(b"junk")).read_all(),
        "put": lambda: put(raw, path),
        "exchange": lambda: exchange(raw, path),
    }
    expected = {
        "path": ("COLLECTION_NOT_FOUND", "collection", "did you mean 'naip'?"),
        "two parts": ("BAD_REQUEST", "path", "the path has 2 parts"),
        "action": (
            "BAD_REQUEST",
            "action",
            "there is no action 'explode' (actions here: collection.refresh, healthcheck, stats, upload.drop)",
        ),
        "junk ticket": ("BAD_REQUEST", "ticket", "neither a google.protobuf.Any nor"),
        "put": ("BAD_REQUEST", "path", 'nothing can be put there (areas are put to the path ["areas"])'),
        "exchange": ("BAD_REQUEST", "ticket", "the ticket holds 'nothing'"),
    }
    for name, call in calls.items():
        with pytest.raises(fl.FlightError) as caught:
            call()
        check(caught.value, *expected[name])


def test_schemas_are_refused_without_a_traceback(raw: fl.FlightClient, trailers: Trailers) -> None:
    for descriptor in (fl.FlightDescriptor.for_path("naipp"), fl.FlightDescriptor.for_command(b"junk")):
        trailers.seen.clear()
        with pytest.raises(pa.ArrowException) as caught:
            raw.get_schema(descriptor)
        [trailer] = trailers.seen[ERROR_TRAILER]
        detail = ErrorDetail.FromString(trailer)
        assert detail.code in {"COLLECTION_NOT_FOUND", "BAD_REQUEST"}
        assert f"[{detail.code}] {detail.message}" in str(caught.value)
        for secret in ("Traceback", "File ", str(Path(__file__).parents[2])):
            assert secret not in str(caught.value)


def test_the_python_client_raises_its_own(client: rf.Client) -> None:
    with pytest.raises(KeyError, match="there is no collection 'yn'"):
        client.collection("yn")
    ny = client.collection("ny")
    with pytest.raises(rf.errors.UnknownBandError, match="did you mean 'red'"):
        ny.get_numpy(geometries=NEW_YORK, bands=["rde"])
    with pytest.raises(ValueError, match="minx"):
        ny.get_gdf(geometries=(-70, 40, -74, 41), bands=["red"])
    with pytest.raises(rf.NoDataFound, match="none of the 6 records overlaps the geometries"):
        ny.get_xarray(geometries=(1, 1, 2, 2), bands=["red"])
    with pytest.raises(rf.errors.RaggedShapesError, match="get_gdf"):
        ny.get_numpy(geometries=NEW_YORK, bands=["red"])


@pytest.fixture
def copied(data: Path, tmp_path: Path) -> Iterator[tuple[Path, rf.Client]]:
    """The scenes of New York in a folder of their own, indexed and served, to be broken afterwards."""
    folder = tmp_path / "ny"
    shutil.copytree(data / COLLECTIONS["ny"], folder)
    done = run_server_command("index", folder / "items.json", "--out", tmp_path / "index", "--name", "ny")
    assert done.returncode == 0
    with ServerProcess({"ny": tmp_path / "index"}) as server, rf.connect(server.url) as client:
        yield folder, client
        assert "Traceback" not in server.log


def broken(folder: Path) -> Path:
    return folder / RECORD / "LC08_L1TP_013032_20180405_B4.tif"


def read_red(client: rf.Client, **keywords: object) -> gpd.GeoDataFrame:
    return client.collection("ny").get_gdf(geometries=NEW_YORK, bands=["red"], **keywords)


def test_missing_file(copied: tuple[Path, rf.Client]) -> None:
    folder, client = copied
    broken(folder).unlink()
    with pytest.raises(FileNotFoundError) as caught:
        read_red(client)
    error = caught.value
    assert isinstance(error, rf.errors.SourceNotFoundError)
    assert (error.collection, error.record, error.asset) == ("ny", RECORD, "red")
    assert str(folder) not in str(error)
    with pytest.warns(RuntimeWarning, match=f"records are missing from the result: {RECORD}"):
        rest = read_red(client, on_error="skip")
    assert len(rest) == 5
    assert RECORD not in set(rest.record_id)


def test_changed_and_truncated_file(copied: tuple[Path, rf.Client]) -> None:
    folder, client = copied
    content = broken(folder).read_bytes()
    broken(folder).write_bytes(content[:-100])
    with pytest.raises(rf.errors.SourceChangedError, match=r"changed since it was indexed.*index the collection again"):
        read_red(client)
    done = run_server_command("index", folder / "items.json", "--out", folder / "again", "--name", "ny")
    assert done.returncode == 0
    assert f"failed: {RECORD}/red: truncated" in done.stdout
    broken(folder).write_bytes(content)
    with pytest.raises(rf.errors.SourceChangedError):
        read_red(client)


def test_damaged_pixels(copied: tuple[Path, rf.Client]) -> None:
    folder, client = copied

    path = broken(folder)
    stat = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = b"\xff" * (len(content) - len(content) // 2)
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(rf.errors.SourceCorruptError, match="does not decode as deflate") as caught:
        client.collection("ny").read(bands=["red"], ids=[RECORD]).read_all()
    assert (caught.value.record, caught.value.asset) == (RECORD, "red")


def test_file_of_a_codec_that_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.tif").write_bytes(tiff(tags(t259=(SHORT, [6]))))
    done = run_server_command("index", tmp_path / "files", "--out", tmp_path / "index", "--name", "old")
    assert done.returncode == 1
    assert "old-style JPEG" in done.stderr
    assert "gdal_translate -of COG" in done.stderr
    assert "Traceback" not in done.stderr


def test_port_in_use(server: ServerProcess, indexes: dict[str, Path]) -> None:
    done = run_server_command("serve", "--collection", f"ny={indexes['ny']}", "--listen", server.url)
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {server.url} is already in use"
        " (stop the server that listens there, or choose another place with --listen)\n"
    )


@pytest.mark.parametrize(
    ("listen", "words"),
    [
        (
            "http://127.0.0.1:1",
            "the scheme is not grpc, grpc+tls or grpc+unix (use grpc://HOST:PORT, grpc+tls://HOST:PORT or grpc+unix:///PATH)",
        ),
        ("grpc://127.0.0.1", "host or port is missing"),
        ("grpc://no-such-host.invalid:0", "cannot listen on 'grpc://no-such-host.invalid:0': "),
        ("grpc://127.0.0.1:99999", "the port is not a number from 0 to 65535"),
        ("grpc+unix:///nowhere/at/all/s", "the folder of the socket does not exist"),
        ("grpc+unix:///" + "a" * 120, "more than 107 characters"),
    ],
)
def test_bad_places_to_listen(indexes: dict[str, Path], listen: str, words: str) -> None:
    done = run_server_command("serve", "--collection", f"ny={indexes['ny']}", "--listen", listen)
    assert done.returncode == 1
    assert "cannot listen on" in done.stderr.splitlines()[0]
    assert words in done.stderr


def test_index_of_a_newer_version(indexes: dict[str, Path], tmp_path: Path) -> None:
    index = tmp_path / "newer"
    shutil.copytree(indexes["ny"], index)
    manifest = json.loads((index / "manifest.json").read_text())
    (index / "manifest.json").write_text(json.dumps(manifest | {"format_version": 99}))
    done = run_server_command("serve", "--collection", f"ny={index}")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: the index 'newer' was made by a newer version of rasterflight (index format 99"
    )
    assert "upgrade the server, or build the index again" in done.stderr


def test_not_an_index(tmp_path: Path) -> None:
    done = run_server_command("serve", "--collection", f"ny={tmp_path}")
    assert done.returncode == 1
    assert "is not an index" in done.stderr
    assert "rasterflight-server index SOURCE --out DIR --name NAME" in done.stderr
