"""Areas that go up before the request, through a real server: the same rows, the same errors, and nothing left behind."""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.flight as fl
import pytest
import shapely

import rasterflight as rf
from rasterflight import _uploads
from rasterflight_protocol import pack
from rasterflight_protocol.schemas import AREAS_KEY, areas_schema
from rasterflight_protocol.v1.error_pb2 import ErrorDetail
from rasterflight_protocol.v1.plan_pb2 import Upload
from rasterflight_protocol.v1.read_pb2 import Filter, Geometries, ReadRequest
from support.scenes import noise, write_items, write_scene
from support.server import ServerProcess, run_server_command
from support.telemetry import stats_of as stats
from support.telemetry import wait_for

UTM = "EPSG:32631"
WEST, NORTH, SIDE = 500_000, 5_700_000, 500
PATH = fl.FlightDescriptor.for_path("areas")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of two scenes of 500 x 500 pixels."""
    folder = tmp_path_factory.mktemp("uploads")
    for number in range(2):
        write_scene(folder / f"{number}.tif", noise(SIDE, SIDE, number), tile=128, nodata=0)
    items = write_items(folder / "items.json", {f"r{number}": {"B1": f"{number}.tif"} for number in range(2)})
    done = run_server_command("index", items, "--out", folder / "index", "--name", "made")
    assert done.returncode == 0, done.stderr
    with ServerProcess({"made": folder / "index"}, cache_size="0") as server:
        yield server


@pytest.fixture
def raw(made: ServerProcess) -> Iterator[fl.FlightClient]:
    with fl.connect(made.url) as client:
        yield client


@pytest.fixture(params=[0, 1 << 40], ids=["up", "in the ticket"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways that areas may take."""
    monkeypatch.setattr(_uploads, "TICKET_BYTES", request.param)
    return "ticket" if request.param else "up"


def triangles(count: int, size: float = 300) -> np.ndarray:
    rng = np.random.default_rng(count)
    x, y = rng.uniform(WEST, WEST + 10 * SIDE, count), rng.uniform(NORTH - 10 * SIDE, NORTH, count)
    corners = rng.uniform(-size / 2, size / 2, (count, 3, 2)) + np.stack([x, y], axis=1)[:, None]
    return shapely.polygons(corners)


def put(
    client: fl.FlightClient,
    values: Iterable[pa.Array],
    *,
    schema: pa.Schema | None = None,
    path: fl.FlightDescriptor = PATH,
    token: str | None = None,
) -> Upload:
    writer, reader = client.do_put(path, areas_schema() if schema is None else schema, options(token))
    for part in values:
        writer.write_batch(pa.record_batch([part], schema=areas_schema() if schema is None else schema))
    writer.done_writing()
    answer = reader.read()
    writer.close()
    return Upload.FromString(answer.to_pybytes())


def options(token: str | None) -> fl.FlightCallOptions:
    return fl.FlightCallOptions(headers=[] if token is None else [(b"authorization", b"Bearer " + token.encode())])


def wkb(shapes: np.ndarray) -> pa.Array:
    return pa.array(shapely.to_wkb(shapes), pa.binary())


def ticket(upload_id: str, **fields: object) -> bytes:
    return pack(
        ReadRequest(collection="made", bands=["B1"], geometries=Geometries(crs=UTM, upload=upload_id), **fields)
    )


def told(error: fl.FlightError) -> tuple[str, str, str, str]:
    detail = ErrorDetail.FromString(error.extra_info)
    return detail.code, detail.field, detail.message, detail.hint


def refused(client: fl.FlightClient, data: bytes, token: str | None = None) -> tuple[str, str, str, str]:
    with pytest.raises(fl.FlightError) as caught:
        client.do_get(fl.Ticket(data), options(token)).read_all()
    return told(caught.value)


def test_an_upload_gives_the_rows_that_the_ticket_gives(raw: fl.FlightClient) -> None:
    areas = triangles(300)
    values = wkb(areas)
    answer = put(raw, [values[:100], values[100:100], values[100:]])
    assert answer.areas == 300
    assert 890 < answer.expires.ToSeconds() - pd.Timestamp.now("UTC").timestamp() < 901
    inline = Geometries(crs=UTM, wkb={"values": values.to_pylist()})
    expected = raw.do_get(fl.Ticket(pack(ReadRequest(collection="made", bands=["B1"], geometries=inline)))).read_all()
    assert raw.do_get(fl.Ticket(ticket(answer.id))).read_all().equals(expected, check_metadata=True)
    info = raw.get_flight_info(fl.FlightDescriptor.for_command(ticket(answer.id)))
    [endpoint] = info.endpoints
    assert len(endpoint.ticket.ticket) < 400, "the ticket refers to the areas, and does not hold them"
    assert raw.do_get(endpoint.ticket).read_all().equals(expected)
    records = ReadRequest(collection="made", layout=2)
    records.filters.append(Filter(geometries=Geometries(crs=UTM, upload=answer.id)))
    assert raw.do_get(fl.Ticket(pack(records))).read_all().num_rows == 2
    list(raw.do_action(fl.Action("upload.drop", answer.id.encode())))
    assert refused(raw, ticket(answer.id))[0] == "UPLOAD_NOT_FOUND"


@pytest.mark.parametrize("kind", ["binary", "large_binary", "geoarrow.wkb", "ewkb"])
def test_forms_of_the_column(raw: fl.FlightClient, kind: str) -> None:
    areas = triangles(20)
    values = (
        shapely.to_wkb(shapely.set_srid(areas, 4326), include_srid=True) if kind == "ewkb" else shapely.to_wkb(areas)
    )
    type_ = pa.large_binary() if kind == "large_binary" else pa.binary()
    metadata = {"ARROW:extension:name": "geoarrow.wkb"} if kind == "geoarrow.wkb" else None
    schema = pa.schema([pa.field("geometry", type_, metadata=metadata)])
    answer = put(raw, [pa.array(values, type_)], schema=schema)
    assert raw.do_get(fl.Ticket(ticket(answer.id))).read_all().num_rows > 20


def test_others_cannot_use_it(raw: fl.FlightClient) -> None:
    mine = put(raw, [wkb(triangles(3))], token="me").id
    drop = fl.Action("upload.drop", mine.encode())
    unknown = refused(raw, ticket("nonsense"), "you")
    assert unknown[:2] == ("UPLOAD_NOT_FOUND", "geometries.upload")
    assert unknown[2:] == (
        "there is no such upload: it was dropped, was not used for too long, or was never made by this caller",
        "send the areas again",
    )
    assert refused(raw, ticket(mine), "you") == refused(raw, ticket(mine)) == unknown
    for token in ("you", None):
        with pytest.raises(fl.FlightError) as caught:
            list(raw.do_action(drop, options(token)))
        assert told(caught.value) == ("UPLOAD_NOT_FOUND", "upload", *unknown[2:])
    in_filter = ReadRequest(collection="made", bands=["B1"])
    in_filter.filters.extend([Filter(), Filter(geometries=Geometries(crs=UTM, upload=mine))])
    assert refused(raw, pack(in_filter), "you")[1] == "filters[1].geometries.upload"
    assert raw.do_get(fl.Ticket(ticket(mine)), options("me")).read_all().num_rows > 0
    list(raw.do_action(drop, options("me")))
    assert refused(raw, ticket(mine), "me") == unknown


WORDS = {
    "other path": ({"path": fl.FlightDescriptor.for_path("points")}, "BAD_REQUEST", "path", 'areas are put to the path ["areas"]'),
    "two parts": ({"path": fl.FlightDescriptor.for_path("areas", "mine")}, "BAD_REQUEST", "path", "nothing can be put there"),
    "command": ({"path": fl.FlightDescriptor.for_command(b"areas")}, "BAD_REQUEST", "path", "a command says nothing about what is put"),
    "other name": ({"schema": pa.schema([("geom", pa.binary())])}, "BAD_REQUEST", "geometry", "the columns are 'geom' (send one column 'geometry' of WKB"),
    "other type": ({"schema": pa.schema([("geometry", pa.utf8())])}, "BAD_REQUEST", "geometry", "the column 'geometry' is string"),
    "other encoding": ({"schema": pa.schema([pa.field("geometry", pa.binary(), metadata={"ARROW:extension:name": "geoarrow.wkt"})])}, "BAD_REQUEST", "geometry", "the column 'geometry' is geoarrow.wkt"),
    "no column": ({"schema": pa.schema([])}, "BAD_REQUEST", "geometry", "the columns are none"),
    "nothing": ({"values": []}, "BAD_REQUEST", "geometry", "there is no geometry in the upload"),
    "null": ({"values": [pa.array([b"", None], pa.binary())], "schema": pa.schema([("geometry", pa.binary())])}, "BAD_GEOMETRY", "geometry", "geometry 2 is missing (drop missing geometries first)"),
    "cut off": ({"schema": areas_schema(7)}, "BAD_REQUEST", "geometry", "1 areas came, and 7 were announced (send them again"),
    "no number": ({"schema": areas_schema().with_metadata({AREAS_KEY: b"\xff"})}, "BAD_REQUEST", "geometry", "1 areas came, and \ufffd were announced"),
}  # fmt: skip


@pytest.mark.parametrize("case", WORDS)
def test_what_cannot_go_up(raw: fl.FlightClient, case: str) -> None:
    fields, code, field, words = WORDS[case]
    before = stats(raw)
    default: list[pa.Array] = []
    schema = fields.get("schema", areas_schema())
    if len(schema) and not pa.types.is_string(schema.field(0).type):
        default = [wkb(triangles(1))]
    with pytest.raises(fl.FlightError) as caught:
        put(raw, **{"values": default, **fields})
    error = told(caught.value)
    assert error[:2] == (code, field)
    assert words in f"{error[2]} ({error[3]})"
    assert "Traceback" not in str(caught.value)
    after = stats(raw)
    assert (after["uploads"], after["upload_bytes"]) == (before["uploads"], before["upload_bytes"])


def test_offsets_that_lead_nowhere(raw: fl.FlightClient) -> None:
    def broken() -> Iterator[pa.Array]:
        offsets = pa.py_buffer(np.array([0, 1 << 30, 5], np.int32))
        yield pa.Array.from_buffers(pa.binary(), 2, [None, offsets, pa.py_buffer(b"12345")])

    with pytest.raises(fl.FlightError) as caught:
        put(raw, broken())
    assert told(caught.value)[:3] == ("BAD_REQUEST", "geometry", "the stream cannot be read as Arrow")
    garbage = put(raw, [pa.array([b"garbage"], pa.binary())])
    assert refused(raw, ticket(garbage.id))[:3] == ("BAD_GEOMETRY", "geometries.wkb[0]", "geometry 1 is not valid WKB")
    list(raw.do_action(fl.Action("upload.drop", garbage.id.encode())))


BREAKS_OFF = """
import os, sys
import pyarrow as pa, pyarrow.flight as fl
schema = pa.schema([("geometry", pa.binary())])
writer, _ = fl.connect(sys.argv[1]).do_put(fl.FlightDescriptor.for_path("areas"), schema)
for _ in range(20):
    writer.write_batch(pa.record_batch([pa.array([b"1" * 1000] * 100, pa.binary())], schema=schema))
print("sent", flush=True)
sys.stdin.readline()
"""


def test_a_killed_client_leaves_nothing(made: ServerProcess, raw: fl.FlightClient) -> None:
    before = stats(raw)
    victim = subprocess.Popen(
        [sys.executable, "-c", BREAKS_OFF, made.url], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    )
    assert victim.stdout is not None
    assert victim.stdout.readline() == b"sent\n"
    assert wait_for(lambda: stats(raw)["upload_bytes"] > before["upload_bytes"] + 1_000_000, 5)
    victim.kill()
    victim.communicate()
    assert wait_for(lambda: stats(raw)["upload_bytes"] == before["upload_bytes"], 5)
    assert stats(raw)["uploads"] == before["uploads"]


def read_in_every_way(made: rf.Collection, areas: gpd.GeoDataFrame) -> list[object]:
    frame = made.get_gdf(areas, bands=["B1"])
    part = made.subset(geometries=areas[:5])
    table = part.read(areas, bands=["B1"]).read_all()
    return [frame, table, made.records(geometries=areas), made.plan(areas, bands=["B1"]).chips]


def test_the_user_never_sees_it(made: ServerProcess, raw: fl.FlightClient, monkeypatch: pytest.MonkeyPatch) -> None:
    areas = gpd.GeoDataFrame({"name": [f"n{n}" for n in range(200)]}, geometry=triangles(200), crs=UTM)
    found = []
    for limit in (0, 1 << 40):
        monkeypatch.setattr(_uploads, "TICKET_BYTES", limit)
        with rf.connect(made.url, token="me") as client:
            before = stats(raw)["uploads"]
            found.append(read_in_every_way(client.collection("made"), areas))
            assert stats(raw)["uploads"] == before + (limit == 0), "the plan's stays for its endpoints, no other"
    (frame, table, records, chips), (same, same_table, same_records, same_chips) = found
    pd.testing.assert_frame_equal(frame.drop(columns="data"), same.drop(columns="data"))
    assert all(map(np.array_equal, frame["data"], same["data"]))
    assert table.equals(same_table)
    assert records.equals(same_records)
    assert chips == same_chips == len(frame)
    assert list(frame["name"]) == [f"n{number - 1}" for number in frame["geometry_id"]]


def test_boxes_go_up_as_what_they_are(made: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    west, south = rng.uniform(WEST, WEST + 4000, 50), rng.uniform(NORTH - 4000, NORTH - 500, 50)
    boxes = [tuple(box) for box in np.stack([west, south, west + 333, south + 222], axis=1).tolist()]
    tables = []
    with rf.connect(made.url) as client:
        for limit in (0, 1 << 40):
            monkeypatch.setattr(_uploads, "TICKET_BYTES", limit)
            tables.append(client.collection("made").read(boxes, bands=["B1"], geometry_crs=UTM).read_all())
    assert tables[0].equals(tables[1])


def test_the_same_errors(made: ServerProcess, raw: fl.FlightClient, way: str) -> None:
    before = stats(raw)["uploads"]
    good = list(shapely.to_wkb(triangles(3)))
    with rf.connect(made.url) as client:
        collection = client.collection("made")
        with pytest.raises(rf.errors.BadGeometryError, match="geometry 4 is a POINT") as caught:
            collection.get_numpy([*good, shapely.to_wkb(shapely.Point(1, 2))], bands=["B1"])
        assert caught.value.field == "geometries.wkb[3]"
        with pytest.raises(rf.errors.BadGeometryError, match="geometry 2 is not valid WKB") as caught:
            collection.subset(geometries=[good[0], b"?"], geometry_crs=UTM).get_numpy(
                good, geometry_crs=UTM, bands=["B1"]
            )
        assert caught.value.field == "filters[0].geometries.wkb[1]"
        with pytest.raises(rf.errors.CrsRequiredError, match="not a CRS that PROJ knows") as caught:
            collection.get_numpy(good, geometry_crs="EPSG:1", bands=["B1"])
        assert caught.value.field == "geometries.crs"
        with pytest.raises(rf.NoDataFound, match="of the 2 records overlaps the geometries"):
            collection.get_gdf([shapely.box(1, 1, 2, 2)], bands=["B1"])
        with pytest.raises(rf.errors.UnknownBandError):
            collection.plan(good, geometry_crs=UTM, bands=["B9"])
        with pytest.raises(rf.errors.DeadlineError):
            collection.read(triangles(50_000), geometry_crs=UTM, bands=["B1"], timeout=1e-3)
    assert stats(raw)["uploads"] == before, "a read that fails drops what went up for it"


def test_a_hundred_thousand_areas(made: ServerProcess, raw: fl.FlightClient) -> None:
    rng = np.random.default_rng(2)
    col, row = rng.integers(0, SIDE - 6, (2, 100_000))
    west, north = WEST + 10.0 * col, NORTH - 10.0 * row
    areas = list(shapely.to_wkb(shapely.box(west, north - 60, west + 60, north)))
    before = stats(raw)
    with rf.connect(made.url) as client:
        stack = client.collection("made").get_numpy(areas, geometry_crs=UTM, bands=["B1"], ids=["r1"])
    after = stats(raw)
    assert stack.shape == (100_000, 6, 6)
    inside = np.lib.stride_tricks.sliding_window_view(noise(SIDE, SIDE, 1), (6, 6))
    assert np.array_equal(stack, inside[row, col])
    assert after["tiles_decoded"] - before["tiles_decoded"] == 16
    assert after["uploads"] == before["uploads"]


def test_a_frame_of_many_areas(made: ServerProcess) -> None:
    count = 20_000
    areas = gpd.GeoDataFrame({"plot": np.arange(count)}, geometry=triangles(count, 80), crs=UTM)
    with rf.connect(made.url) as client:
        collection = client.collection("made")
        whole = collection.get_gdf(areas, bands=["B1"])
        few = collection.get_gdf(areas[:300], bands=["B1"])
    assert len(whole) > count
    assert (whole["plot"] + 1 == whole["geometry_id"]).all()
    same = whole[whole["geometry_id"] <= 300].reset_index(drop=True)
    pd.testing.assert_frame_equal(same.drop(columns="data"), few.drop(columns="data"))
    assert all(map(np.array_equal, same["data"], few["data"]))
    assert all(pixels.flags.writeable for pixels in few["data"])


def test_a_server_that_was_started_anew(made: ServerProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Areas that went to another server are sent again, in the ticket."""
    monkeypatch.setattr(_uploads, "TICKET_BYTES", 0)
    areas = list(shapely.to_wkb(triangles(5)))
    with rf.connect(made.url) as client:
        collection = client.collection("made")
        expected = collection.read(areas, geometry_crs=UTM, bands=["B1"]).read_all()
        put_areas = collection._connection.put_areas

        def lost(*arguments: object) -> Upload:
            answer = put_areas(*arguments)
            list(collection._connection.action("upload.drop", answer.id.encode()))
            return answer

        monkeypatch.setattr(collection._connection, "put_areas", lost)
        assert collection.read(areas, geometry_crs=UTM, bands=["B1"]).read_all().equals(expected)
        assert collection.plan(areas, geometry_crs=UTM, bands=["B1"]).rows == expected.num_rows
