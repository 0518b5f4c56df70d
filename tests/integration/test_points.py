"""Points through a real server: how they go up, what comes down, what it costs, and what happens when it goes wrong."""

import math
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.flight as fl
import pytest
import rasterio
from affine import Affine

import rasterflight as rf
from rasterflight_protocol import pack, points_schema
from rasterflight_protocol.limits import points_at_once
from rasterflight_protocol.v1.error_pb2 import ErrorDetail
from rasterflight_protocol.v1.plan_pb2 import Plan
from rasterflight_protocol.v1.read_pb2 import LAYOUT_CHIPS, LAYOUT_POINTS, MATCH_LATEST, Points, ReadRequest
from support.http_server import FileServer
from support.scenes import noise, write_items, write_scene
from support.server import ServerProcess, run_server_command
from support.telemetry import stats, wait_for

SIDE, RECORDS, TILE = 512, 6, 128
WEST, NORTH = 500_000, 5_700_000


def scene(number: int) -> np.ndarray:
    """Noise; the three newest have no pixel in their left half."""
    pixels = np.maximum(noise(SIDE, SIDE, number), 1)
    if number >= RECORDS - 3:
        pixels[:, : SIDE // 2] = 0
    return pixels


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    for number in range(RECORDS):
        write_scene(folder / f"{number}.tif", scene(number), tile=TILE, nodata=0)
    return folder


@pytest.fixture(scope="module")
def remote(scenes: Path) -> Iterator[tuple[FileServer, ServerProcess]]:
    """The scenes behind HTTP."""
    with FileServer(scenes) as files:
        items = write_items(scenes / "items.json", {f"r{n}": {"B": f"{files.url}/{n}.tif"} for n in range(RECORDS)})
        done = run_server_command("index", items, "--out", scenes / "index", "--name", "made")
        assert done.returncode == 0, done.stderr
        with ServerProcess({"made": scenes / "index"}, cache_size="0") as server:
            yield files, server


@pytest.fixture
def made(remote: tuple[FileServer, ServerProcess]) -> Iterator[rf.Collection]:
    with rf.connect(remote[1].url) as client:
        yield client.collection("made")


def points(count: int, seed: int = 0) -> np.ndarray:
    """Points in EPSG:32631, all in the scenes."""
    return np.random.default_rng(seed).uniform(0.5, SIDE * 10 - 0.5, (count, 2)) * (1, -1) + (WEST, NORTH)


def values(number: int, where: np.ndarray) -> list[float]:
    cols, rows = ((where - (WEST, NORTH)) * (0.1, -0.1)).astype(int).T
    return scene(number)[rows, cols].astype(float).tolist()


def request(**fields: object) -> ReadRequest:
    return ReadRequest(**{"collection": "made", "bands": ["B"], "layout": LAYOUT_POINTS} | fields)


def test_do_get_gives_the_same_as_an_exchange(remote: tuple[FileServer, ServerProcess], made: rf.Collection) -> None:
    where = points(200)
    message = request(points=Points(crs="EPSG:32631", x=where[:, 0], y=where[:, 1]))
    with fl.connect(remote[1].url) as raw:
        info = raw.get_flight_info(fl.FlightDescriptor.for_command(pack(message)))
        table = raw.do_get(info.endpoints[0].ticket).read_all()
    assert table.equals(made.sample_points(where, "B", geometry_crs=32631))
    assert (table.schema, table.num_rows) == (info.schema, info.total_records)
    plan = Plan.FromString(info.app_metadata)
    assert (plan.records, plan.chips, plan.rows) == (RECORDS, RECORDS * 200, RECORDS * 200)
    assert plan.tiles == RECORDS * (SIDE // TILE) ** 2
    assert list(plan.crs) == ["EPSG:32631"]
    assert table["value"].to_pylist() == [value for number in range(RECORDS) for value in values(number, where)]


def test_each_tile_is_fetched_and_decoded_once(remote: tuple[FileServer, ServerProcess], made: rf.Collection) -> None:
    files, server = remote
    before, files.requests[:] = stats(server.url), []
    made.sample_points(points(5000), "B", geometry_crs=32631, max_distance_pixels=3)
    after = stats(server.url)
    assert after["tiles_decoded"] - before["tiles_decoded"] == RECORDS * (SIDE // TILE) ** 2
    asked = Counter((request.path, request.range) for request in files.requests)
    assert max(asked.values()) == 1
    assert after["requests"] - before["requests"] == len(files.requests)


def test_only_the_tiles_under_points_are_fetched(remote: tuple[FileServer, ServerProcess], made: rf.Collection) -> None:
    _, server = remote
    corner = np.array([[WEST + 15, NORTH - 15], [WEST + 25, NORTH - 1275], [WEST + SIDE * 10 - 5, NORTH - 5]])
    before = stats(server.url)["tiles_decoded"]
    table = made.sample_points(corner, "B", geometry_crs=32631, ids="r0")
    assert stats(server.url)["tiles_decoded"] - before == 2
    assert table["value"].to_pylist() == values(0, corner)


def test_latest_reads_no_more_than_it_must(remote: tuple[FileServer, ServerProcess], made: rf.Collection) -> None:
    files, server = remote
    right = points(300) * (0.5, 1) + (WEST / 2 + SIDE * 5, 0)
    before, files.requests[:] = stats(server.url)["tiles_decoded"], []
    table = made.sample_points(right, "B", geometry_crs=32631, match="latest")
    assert set(table["record_id"].to_pylist()) == {f"r{RECORDS - 1}"}
    assert {request.path for request in files.requests} == {f"/{RECORDS - 1}.tif"}
    assert stats(server.url)["tiles_decoded"] - before == 8
    left = points(300) * (0.5, 1) + (WEST / 2, 0)
    before, files.requests[:] = stats(server.url)["tiles_decoded"], []
    table = made.sample_points(left, "B", geometry_crs=32631, match="latest")
    assert set(table["record_id"].to_pylist()) == {f"r{RECORDS - 4}"}
    assert table["value"].to_pylist() == values(RECORDS - 4, left)
    # waves of 1, 2 and then at most 4 records, each tile once
    assert stats(server.url)["tiles_decoded"] - before <= RECORDS * 8
    assert max(Counter((request.path, request.range) for request in files.requests).values()) == 1


def test_columns_of_the_points_come_back(made: rf.Collection) -> None:
    where = points(50)
    table = pa.table({"plot": [f"p{n}" for n in range(50)], "e": where[:, 0], "n": where[:, 1], "age": [None, 3] * 25})
    found = made.sample_points(table, "B", x_column="e", y_column="n", geometry_crs=32631, ids=["r1", "r0"])
    assert found.schema.names == [*points_schema().names, "plot", "age"]
    assert found["point_index"].to_pylist() == list(range(50)) * 2
    assert found["plot"].to_pylist() == table["plot"].to_pylist() * 2
    assert found["age"].to_pylist() == table["age"].to_pylist() * 2


def test_a_column_of_the_result_is_taken(made: rf.Collection) -> None:
    table = pa.table({"x": [1.0], "y": [2.0], "value": [3], "band": ["a"]})
    with pytest.raises(rf.errors.ColumnCollisionError, match="columns of its own named value, band"):
        made.sample_points(table, "B", x_column="x", y_column="y", geometry_crs=4326)


@pytest.mark.parametrize("columns", [{}, {"label": pa.array([], pa.utf8())}])
def test_no_points(made: rf.Collection, columns: dict[str, pa.Array]) -> None:
    nothing = pa.table({"x": pa.array([], pa.float64()), "y": pa.array([], pa.float64()), **columns})
    found = made.sample_points(nothing, "B", x_column="x", y_column="y", geometry_crs=4326)
    assert found.num_rows == 0
    assert found.schema.remove_metadata() == pa.schema([*points_schema(), *(pa.field(n, pa.utf8()) for n in columns)])


@pytest.mark.parametrize("keywords", [{}, {"match": "latest"}, {"date_range": ("2030-01-01", None)}])
def test_points_outside_of_every_record_give_no_row(made: rf.Collection, keywords: dict) -> None:
    found = made.sample_points(
        [(0, 0), (-120, 40)], "B", max_distance_pixels=1, return_neighbourhood="always", **keywords
    )
    assert found.num_rows == 0
    assert found.schema.remove_metadata() == points_schema(with_neighbourhood=True)


def test_points_that_do_not_fit_at_once(made: rf.Collection) -> None:
    """A large neighbourhood makes the sets small; a stream of points is taken as the rows are."""
    size = points_at_once(100, 1)
    assert size == 51
    where, taken = points(400), []

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, 400, 10):
            taken.append(start)
            part = where[start : start + 10]
            yield pa.record_batch({"x": part[:, 0], "y": part[:, 1], "number": np.arange(start, start + 10)})

    schema = pa.schema([("x", pa.float64()), ("y", pa.float64()), ("number", pa.int64())])
    found = made.sample_points(
        pa.RecordBatchReader.from_batches(schema, batches()),
        "B",
        x_column="x",
        y_column="y",
        geometry_crs=32631,
        max_distance_pixels=100,
        ids=["r0", "r1"],
    )
    order = [(start // size, record, start) for record in range(2) for start in range(400)]
    assert found["point_index"].to_pylist() == [point for _, _, point in sorted(order)]
    assert found["number"].to_pylist() == found["point_index"].to_pylist()
    truth = np.array([values(number, where) for number in range(2)])
    records = found["record_id"].to_numpy(zero_copy_only=False) == "r1"
    assert np.array_equal(found["value"].to_numpy(), truth[records.astype(int), found["point_index"].to_numpy()])


def test_a_stream_of_points_that_fails(made: rf.Collection) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"x": points(1000)[:, 0], "y": points(1000)[:, 1]})
        yield pa.record_batch({"x": [1.0, math.nan], "y": [2.0, 2.0]})

    schema = pa.schema([("x", pa.float64()), ("y", pa.float64())])
    reader = pa.RecordBatchReader.from_batches(schema, batches())
    with pytest.raises(rf.errors.BadGeometryError, match="point 1001"):
        made.sample_points(reader, "B", x_column="x", y_column="y", geometry_crs=32631, max_distance_pixels=30)


def test_many_areas_filter_the_records(remote: tuple[FileServer, ServerProcess], made: rf.Collection) -> None:
    """What is too large for a ticket goes up before, and is dropped at the end."""
    west, north = 3.0, 51.45
    corners = np.random.default_rng(1).uniform((west, north - 0.04), (west + 0.06, north), (30_000, 2))
    boxes = [(x, y, x + 1e-4, y + 1e-4) for x, y in corners.tolist()]
    with made.subset(geometries=boxes).read_points(points(100_000), "B", geometry_crs=32631) as stream:
        rows = next(stream).num_rows
        assert stats(remote[1].url)["uploads"] == 1
        rows += sum(batch.num_rows for batch in stream)
    assert rows == 100_000 * RECORDS
    assert wait_for(lambda: stats(remote[1].url)["uploads"] == 0, 2)


def test_a_stream_that_is_left(remote: tuple[FileServer, ServerProcess], made: rf.Collection) -> None:
    stream = made.read_points(points(100_000), "B", geometry_crs=32631)
    next(stream)
    stream.close()
    assert wait_for(lambda: stats(remote[1].url)["streams"] == 0, 2)
    assert "Traceback" not in remote[1].log


ASKS_FOREVER = """
import sys
import numpy as np, pyarrow as pa
import rasterflight as rf
where = np.full(50_000, 500_100.0), np.full(50_000, 5_699_900.0)
schema = pa.schema([("x", pa.float64()), ("y", pa.float64())])
def batches():
    while True:
        yield pa.record_batch(list(where), schema=schema)
points = pa.RecordBatchReader.from_batches(schema, batches())
for batch in rf.connect(sys.argv[1]).collection("made").read_points(points, "B", x_column="x", y_column="y", geometry_crs=32631):
    print("batch", flush=True)
    if sys.argv[2] == "stall":
        input()
"""


@pytest.mark.parametrize("habit", ["read", "stall"])
def test_a_killed_client_frees_everything(remote: tuple[FileServer, ServerProcess], habit: str) -> None:
    server = remote[1]
    before = server.threads()
    victim = subprocess.Popen(
        [sys.executable, "-c", ASKS_FOREVER, server.url, habit], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    )
    assert victim.stdout is not None
    assert victim.stdout.readline() == b"batch\n"
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    assert wait_for(lambda: stats(server.url)["streams"] == 0, 2)
    assert wait_for(lambda: server.threads() <= before + 2, 2)
    assert "Traceback" not in server.log


def ask(url: str, message: ReadRequest, batch: pa.RecordBatch | None) -> pa.Table:
    with fl.connect(url) as raw:
        writer, reader = raw.do_exchange(fl.FlightDescriptor.for_command(pack(message)))
        if batch is not None:
            writer.begin(batch.schema)
            writer.write_batch(batch)
            writer.done_writing()
        try:
            return reader.read_all()
        finally:
            with suppress(fl.FlightError, pa.ArrowException):  # the reader has raised it
                writer.close()


XY = pa.record_batch({"x": [1.0], "y": [2.0]})
EXCHANGES = {
    "chips": (request(layout=LAYOUT_CHIPS), XY, "layout", "an exchange takes points, and the request is not for the points"),
    "coordinates twice": (request(points=Points(crs="EPSG:4326", x=[1], y=[2])), XY, "points", "have coordinates in the request already"),
    "no y": (request(points=Points(crs="EPSG:4326")), XY.select(["x"]), "points.y", "no usable column 'y': it is missing"),
    "text": (request(points=Points(crs="EPSG:4326")), pa.record_batch({"x": ["1"], "y": [2.0]}), "points.x", "no usable column 'x': it is string"),
    "null": (request(points=Points(crs="EPSG:4326")), pa.record_batch({"x": pa.array([None], pa.float64()), "y": [2.0]}), "points.x", "it has nulls (send x and y as float64 without nulls)"),
    "infinite": (request(points=Points(crs="EPSG:4326")), pa.record_batch({"x": [1.0, math.inf], "y": [2.0, 2.0]}), "points", "point 1 has a coordinate that is NaN or infinite"),
}  # fmt: skip


@pytest.mark.parametrize("case", EXCHANGES)
def test_wrong_exchanges(remote: tuple[FileServer, ServerProcess], case: str) -> None:
    message, batch, field, words = EXCHANGES[case]
    with pytest.raises(fl.FlightError) as caught:
        ask(remote[1].url, message, batch)
    detail = ErrorDetail.FromString(caught.value.extra_info)
    assert detail.field == field
    assert words in f"{detail.message} ({detail.hint})"
    assert "Traceback" not in remote[1].log


def test_an_exchange_numbers_points_through(remote: tuple[FileServer, ServerProcess]) -> None:
    message = request(points=Points(crs="EPSG:32631", match=MATCH_LATEST))
    with fl.connect(remote[1].url) as raw:
        writer, reader = raw.do_exchange(fl.FlightDescriptor.for_command(pack(message)))
        writer.begin(XY.schema)
        for number, count in enumerate((3, 0, 2)):
            where = points(count, number)
            writer.write_batch(pa.record_batch([where[:, 0], where[:, 1]], schema=XY.schema))
            if count:
                # each set is answered before the next one is sent
                rows = reader.read_chunk().data
                assert sorted(rows["point_index"].to_pylist()) == list(range(3) if number == 0 else range(3, 5))
        writer.done_writing()
        with pytest.raises(StopIteration):
            reader.read_chunk()
        writer.close()


@pytest.mark.parametrize("match", ["all", "latest"])
def test_a_record_that_fails(remote: tuple[FileServer, ServerProcess], made: rf.Collection, match: str) -> None:
    files, _ = remote
    where = points(20) * (0.5, 1) + (WEST / 2 + SIDE * 5, 0)
    usual = files.faults
    files.faults = type(usual)(status={"/5.tif": 404})
    try:
        with pytest.raises(rf.errors.SourceNotFoundError, match="the file does not exist") as caught:
            made.sample_points(where, "B", geometry_crs=32631, match=match)
        assert (caught.value.collection, caught.value.record, caught.value.asset) == ("made", "r5", "B")
        table = pa.table({"x": where[:, 0], "y": where[:, 1], "n": range(20)})
        with pytest.warns(RuntimeWarning, match="records are missing from the result: r5"):
            rest = made.sample_points(
                table, "B", x_column="x", y_column="y", geometry_crs=32631, match=match, on_error="skip"
            )
    finally:
        files.faults = usual
    numbers = range(RECORDS - 1) if match == "all" else [RECORDS - 2]
    assert rest["value"].to_pylist() == [value for number in numbers for value in values(number, where)]
    assert "error" not in rest.schema.names
    assert b"r5" in rest.schema.metadata[b"rasterflight_errors"]


def index(folder: Path, records: dict[str, dict[str, str]]) -> Path:
    items = write_items(folder / "items.json", records)
    done = run_server_command("index", items, "--out", folder / "index", "--name", "made")
    assert done.returncode == 0, done.stderr
    return folder / "index"


def write(path: Path, transform: Affine | None, crs: str | None, dtype: str = "uint8") -> None:
    profile = {"driver": "GTiff", "width": 8, "height": 8, "count": 1, "dtype": dtype, "crs": crs}
    if transform is not None:
        profile["transform"] = transform
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(np.arange(64).reshape(8, 8).astype(dtype), 1)


GRID = Affine(10, 0, WEST, 0, -10, NORTH)
UNUSABLE = {
    "rotated": (
        {"transform": GRID @ Affine.rotation(10), "crs": "EPSG:32631"},
        "the raster's grid is rotated, so points",
    ),
    "complex": ({"transform": GRID, "crs": "EPSG:32631", "dtype": "complex64"}, "the pixels are complex numbers"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_rasters_that_have_no_values_at_points(tmp_path: Path, case: str) -> None:
    options, words = UNUSABLE[case]
    write(tmp_path / "a.tif", **options)
    index_of_a = index(tmp_path, {"r": {"B": "a.tif"}})
    with (
        rf.local({"made": index_of_a}) as client,
        pytest.raises(rf.errors.UnsupportedLayoutError, match=words),
    ):
        client.collection("made").sample_points((WEST + 5, NORTH - 5), "B", geometry_crs=32631)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_rasters_that_lie_nowhere(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", None, None)
    index_of_a = index(tmp_path, {"r": {"B": "a.tif"}})
    with (
        rf.local({"made": index_of_a}) as client,
        pytest.raises(rf.errors.UnsupportedLayoutError, match="says where it lies, so points cannot be placed"),
    ):
        client.collection("made").sample_points((1, 2), "B")


def test_south_up_and_two_zones(tmp_path: Path) -> None:
    """A point belongs to each raster that contains it, whatever its CRS and orientation."""
    write(tmp_path / "up.tif", Affine(10, 0, WEST, 0, 10, NORTH - 80), "EPSG:32631")
    write(tmp_path / "merc.tif", Affine(100, 0, 333_500, 0, -100, 6_700_000), "EPSG:3857")
    with rf.local({"made": index(tmp_path, {"r": {"B": "up.tif"}, "s": {"B": "merc.tif"}})}) as client:
        found = client.collection("made").sample_points([(WEST + 25, NORTH - 15)], "B", geometry_crs=32631)
        assert found["record_id"].to_pylist()[0] == "r"
        assert found["value"].to_pylist()[0] == 6 * 8 + 2
        assert found["raster_crs"].to_pylist()[0] == 32631
        found = client.collection("made").sample_points([(333_650, 6_699_650)], "B", geometry_crs=3857)
        assert found["record_id"].to_pylist()[-1] == "s"
        assert found["value"].to_pylist()[-1] == 3 * 8 + 1
        assert found["raster_crs"].to_pylist()[-1] == 3857


def test_longitudes_are_counted_round(tmp_path: Path) -> None:
    """Beyond 180 degrees a point lies where it would with a turn less, also on rasters that count from 0 to 360."""
    write(tmp_path / "pacific.tif", Affine(1, 0, -180, 0, -1, 8), "EPSG:4326")
    write(tmp_path / "turn.tif", Affine(45, 0, 0, 0, -1, 8), "EPSG:4326")
    with rf.local({"made": index(tmp_path, {"p": {"B": "pacific.tif"}, "t": {"B": "turn.tif"}})}) as client:
        found = client.collection("made").sample_points([(181.5, 6.5), (-178.5, 6.5)], "B")
    assert list(zip(found["point_index"].to_pylist(), found["record_id"].to_pylist(), strict=True)) == [
        (0, "p"), (1, "p"), (0, "t"), (1, "t"),
    ]  # fmt: skip
    assert found["value"].to_pylist() == [9.0, 9.0, 12.0, 12.0]
    assert found["point_x"].to_pylist() == [181.5, -178.5] * 2


def test_a_crs_without_a_code(made: rf.Collection) -> None:
    crs = "+proj=utm +zone=31 +ellps=intl +units=m +no_defs"
    found = made.sample_points(points(3) - (0, 150), "B", geometry_crs=crs, ids="r0")
    assert found["point_crs"].to_pylist() == [None] * found.num_rows
    assert found.num_rows > 0


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"match": "newest"}, "match is 'newest', expected one of: all, latest"),
        ({"max_distance_pixels": -1}, "max_distance_pixels is -1, expected an integer from 0 on"),
        ({"max_distance_pixels": 1.5}, "max_distance_pixels is 1.5"),
        (
            {"return_neighbourhood": "yes"},
            "return_neighbourhood is 'yes', expected one of: off, always, if_center_nodata",
        ),
        ({"return_neighbourhood": "always"}, "'always' needs max_distance_pixels, which says how far it reaches"),
        ({"max_concurrent": 0}, "max_concurrent is 0"),
        ({"on_error": "ignore"}, "on_error is 'ignore'"),
        ({"values": "nice"}, "values is 'nice'"),
    ],
)
def test_wrong_keywords(made: rf.Collection, keywords: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        made.sample_points((1, 2), "B", **keywords)


def test_progress(made: rf.Collection) -> None:
    assert made.sample_points(points(10), "B", geometry_crs=32631, progress=True).num_rows == 10 * RECORDS
