"""Limits of a real server: who waits, who is turned away, what happens to streams that nobody reads, and what hostile tickets cost."""

import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread

import numpy as np
import pyarrow as pa
import pyarrow.flight as fl
import pytest

import rasterflight as rf
from rasterflight_protocol import pack
from rasterflight_protocol.schemas import areas_schema
from rasterflight_protocol.v1.error_pb2 import ErrorDetail
from rasterflight_protocol.v1.read_pb2 import (
    BBox,
    BBoxes,
    Filter,
    Geometries,
    Points,
    ReadRequest,
    TargetGrid,
    Window,
    Windows,
)
from support.scenes import noise, write_items, write_scene
from support.server import ServerProcess, run_server_command
from support.telemetry import stats, wait_for

MIB = 1 << 20
HEIGHT, WIDTH = 32_768, 1024  # 64 MiB, more than waits between a server and a reader who does not read
TICKET = fl.Ticket(b'{"collection": "tall", "bands": ["B1"]}')
SMALL = {"windows": [(0, 0, 10, 10)], "bands": ["B1"]}


@pytest.fixture(scope="module")
def tall(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tall")
    write_scene(folder / "a.tif", noise(HEIGHT, WIDTH) // 4096, tile=128)
    items = write_items(folder / "items.json", {f"r{number}": {"B1": "a.tif"} for number in range(2)})
    assert run_server_command("index", items, "--out", folder / "index", "--name", "tall").returncode == 0
    return folder / "index"


@contextmanager
def serving(tall: Path, workers: int = 1, **limits: object) -> Iterator[ServerProcess]:
    options = [f"--set=limits.{key.replace('__', '.')}={value}" for key, value in limits.items()]
    # Without a cache of tiles, what memory there is belongs to streams.
    with ServerProcess({"tall": tall}, grace=0, cache_size="0", workers=workers, options=options) as server:
        yield server


def connect(url: str) -> fl.FlightClient:
    """A client with a connection that it does not share, as another process has."""
    return fl.connect(url, generic_options=[("grpc.use_local_subchannel_pool", 1)])


def as_caller(token: str) -> fl.FlightCallOptions:
    return fl.FlightCallOptions(headers=[(b"authorization", b"Bearer " + token.encode())])


def stall(
    url: str, running: ExitStack, options: fl.FlightCallOptions | None = None, ticket: fl.Ticket = TICKET
) -> fl.FlightStreamReader:
    """Begin a read whose reader stops after the first batch."""
    client = running.enter_context(connect(url))
    reader = client.do_get(ticket, options)
    running.callback(reader.cancel)
    assert reader.read_chunk().data.num_rows
    return reader


def detail(error: fl.FlightError) -> ErrorDetail:
    return ErrorDetail.FromString(error.extra_info)


def test_one_too_many_waits_and_then_is_busy(tall: Path) -> None:
    with (
        serving(tall, streams=2, queue_seconds=1) as server,
        ExitStack() as running,
        rf.connect(server.url, retries=0) as client,
    ):
        made = client.collection("tall")
        first = stall(server.url, running)
        stall(server.url, running)
        with ThreadPoolExecutor(1) as pool:
            third = pool.submit(made.get_numpy, **SMALL)
            assert wait_for(lambda: stats(server.url)["queued"] == 1, 5)
            # Nothing else waits.
            assert made.plan(**SMALL).records == 2
            with pytest.raises(
                rf.errors.BusyError, match="2 streams run, which is all that the server takes on"
            ) as caught:
                third.result(30)
            assert caught.value.field == "limits.streams"
            assert caught.value.retryable
            assert caught.value.retry_after is not None
            assert 0.5 <= caught.value.retry_after <= 30
            assert f"(try again in {caught.value.retry_after:g} s)" in str(caught.value)
            first.cancel()
            assert pool.submit(made.get_numpy, **SMALL).result(30).shape == (2, 10, 10)
        counted = stats(server.url)
        assert counted["rejected_waited"] == 1
        assert counted["queue_wait_ms"] >= 1000


def test_who_waits_gets_the_place_of_who_ends(tall: Path) -> None:
    with (
        serving(tall, streams=1, queue_seconds=60) as server,
        ExitStack() as running,
        rf.connect(server.url, retries=0) as client,
    ):
        first = stall(server.url, running)
        with ThreadPoolExecutor(1) as pool:
            second = pool.submit(client.collection("tall").get_numpy, **SMALL)
            assert wait_for(lambda: stats(server.url)["queued"] == 1, 5)
            assert not second.done()
            first.cancel()
            assert second.result(30).shape == (2, 10, 10)


def test_a_waiting_call_whose_deadline_passes_leaves_the_line(tall: Path) -> None:
    with serving(tall, streams=1, queue=1, queue_seconds=60) as server, ExitStack() as running:
        stall(server.url, running)
        threads = server.threads()
        with connect(server.url) as client, pytest.raises(fl.FlightTimedOutError):
            client.do_get(TICKET, fl.FlightCallOptions(timeout=0.5)).read_all()
        assert wait_for(lambda: stats(server.url)["rejected_gone"] == 1, 5)
        assert wait_for(lambda: server.threads() <= threads + 2, 5)


def test_limits_of_a_caller_do_not_touch_another(tall: Path) -> None:
    with serving(tall, caller__streams=1, queue_seconds=0.2) as server, ExitStack() as running:
        stall(server.url, running, as_caller("one"))
        with connect(server.url) as client:
            with pytest.raises(fl.FlightUnavailableError) as caught:
                client.do_get(TICKET, as_caller("one")).read_all()
            told = detail(caught.value)
            assert (told.code, told.field) == ("BUSY", "limits.caller.streams")
            assert told.message.startswith("1 streams run for this caller, who may have 1, ")
            assert told.retry_after > 0
            assert client.do_get(TICKET, as_caller("two")).read_all().num_rows
            # Those who do not say who they are count by where they come from.
            stall(server.url, running)
            with pytest.raises(fl.FlightUnavailableError):
                client.do_get(TICKET).read_all()


def test_uploads_of_a_caller(tall: Path) -> None:
    values = pa.array([struct.pack("<BIII", 1, 3, 1, 4) + bytes(64)] * 100, pa.binary())

    def put(client: fl.FlightClient, options: fl.FlightCallOptions | None) -> None:
        path = fl.FlightDescriptor.for_path("areas")
        writer, reader = client.do_put(path, areas_schema(), options)
        writer.write_batch(pa.record_batch([values], schema=areas_schema()))
        writer.done_writing()
        reader.read()
        writer.close()

    with serving(tall, caller__uploads=100_000) as server, connect(server.url) as client:
        for options in (as_caller("one"), None):
            put(client, options)
            with pytest.raises(fl.FlightServerError) as caught:
                put(client, options)
            told = detail(caught.value)
            assert (told.code, told.field) == ("LIMIT_EXCEEDED", "limits.caller.uploads")
            assert "take more than 100000 bytes (limits.caller.uploads)" in told.message
        put(client, as_caller("two"))


def test_a_stream_that_nobody_reads_is_ended(tall: Path) -> None:
    with (
        serving(tall, streams=3, stalled_seconds=5) as server,
        ExitStack() as running,
        rf.connect(server.url, retries=0) as client,
    ):
        made = client.collection("tall")
        made.get_numpy(**SMALL)
        threads = server.threads()
        stream = running.enter_context(made.read(bands=["B1"], batch_bytes=8 * MIB))
        batches = iter(stream)
        next(batches)
        reader = stall(server.url, running)
        assert stats(server.url)["streams"] == 2
        assert wait_for(lambda: stats(server.url)["streams"] == 0, 15)
        assert stats(server.url)["streams_stalled"] == 2
        with pytest.raises(
            rf.errors.DeadlineError, match="nothing was read from the stream for 5 s, and it was ended"
        ) as caught:
            list(batches)
        assert caught.value.retryable
        assert caught.value.field == "limits.stalled_seconds"
        assert "read it again from where you were" in caught.value.hint
        with pytest.raises(fl.FlightTimedOutError):
            reader.read_all()
        assert wait_for(lambda: server.threads() <= threads + 2, 5)
        assert made.get_numpy(**SMALL).shape == (2, 10, 10)
        assert stats(server.url)["connections_closed"] == 0


def test_who_never_comes_back_is_hung_up_on(tall: Path) -> None:
    with (
        serving(tall, stalled_seconds=1) as server,
        ExitStack() as running,
        rf.connect(server.url, retries=0) as client,
    ):
        made = client.collection("tall")
        made.read(bands=["B1"]).read_all()
        threads = server.threads()
        held = []
        for closed in (12, 24):
            # Memory that was needed once is not given back to the system, but it is used again.
            readers = [stall(server.url, running) for _ in range(12)]
            assert wait_for(lambda number=closed: stats(server.url)["connections_closed"] == number, 20)
            assert wait_for(lambda: server.threads() <= threads + 2, 5)
            assert stats(server.url)["streams"] == 0
            for reader in readers:
                with pytest.raises(fl.FlightUnavailableError):
                    reader.read_all()
            held.append(server.rss())
        assert held[1] - held[0] < 40 * MIB
        assert made.get_numpy(**SMALL).shape == (2, 10, 10)


def test_who_never_comes_back_is_hung_up_on_behind_the_forwarder(tall: Path) -> None:
    """The processes of `--workers` see unix sockets; each connection has a name of its own there."""
    with (
        serving(tall, workers=2, stalled_seconds=1) as server,
        ExitStack() as running,
        rf.connect(server.url, retries=0) as client,
    ):
        made = client.collection("tall")
        readers = [stall(server.url, running) for _ in range(6)]
        assert wait_for(lambda: stats(server.url)["connections_closed"] == 6, 20)
        assert wait_for(lambda: stats(server.url)["streams"] == 0, 5)
        for reader in readers:
            with pytest.raises((fl.FlightUnavailableError, fl.FlightTimedOutError)):
                reader.read_all()
        assert made.get_numpy(**SMALL).shape == (2, 10, 10)


def test_a_slow_reader_is_not_stalled(tall: Path) -> None:
    with serving(tall, stalled_seconds=2) as server, ExitStack() as running:
        reader = stall(server.url, running)
        seen = 0
        # Batches that are on their way already are read without the server's knowing.
        while stats(server.url)["streams"] and seen < 20:
            reader.read_chunk()
            seen += 1
        assert stats(server.url)["streams_stalled"] == 0


def test_an_exchange_that_nobody_feeds_is_ended(tall: Path) -> None:
    request = ReadRequest(collection="tall", bands=["B1"], layout=3, points=Points(crs="EPSG:32631"))
    points = pa.record_batch({"x": np.array([500_005.0]), "y": np.array([5_699_995.0])})
    with serving(tall, streams=1, stalled_seconds=0.5, queue=1) as server, connect(server.url) as client:
        writer, reader = client.do_exchange(fl.FlightDescriptor.for_command(pack(request)))
        writer.begin(points.schema)
        writer.write_batch(points)
        assert reader.read_chunk().data.num_rows == 2
        assert wait_for(lambda: stats(server.url)["streams_stalled"] == 1, 10)
        assert client.do_get(fl.Ticket(b'{"collection": "tall", "layout": "LAYOUT_RECORDS"}')).read_all().num_rows == 2
        writer.write_batch(points)
        with pytest.raises(fl.FlightTimedOutError, match="it was ended"):
            reader.read_chunk()


def test_the_time_of_a_stream(tall: Path) -> None:
    with (
        serving(tall, request__seconds=1) as server,
        ExitStack() as running,
        rf.connect(server.url, retries=0) as client,
    ):
        batches = iter(running.enter_context(client.collection("tall").read(bands=["B1"])))
        next(batches)
        assert wait_for(lambda: stats(server.url)["streams"] == 0, 10)
        with pytest.raises(rf.errors.DeadlineError, match="longer than the 1 s that one may take") as caught:
            list(batches)
        assert caught.value.field == "limits.request.seconds"
        assert "ask for less at a time" in caught.value.hint


def grid(side: int, pixel: float) -> TargetGrid:
    return TargetGrid(crs="EPSG:32631", transform=[pixel, 0, 500_000, 0, -pixel, 5_700_000], width=side, height=side)


def request(**fields: object) -> ReadRequest:
    return ReadRequest(**{"collection": "tall", "bands": ["B1"]} | fields)


def areas(*wkb: bytes) -> Geometries:
    return Geometries(crs="OGC:CRS84", wkb={"values": wkb})


def boxes(count: int) -> Geometries:
    return Geometries(crs="EPSG:32631", bboxes=BBoxes(values=[BBox()] * count))


#: What is asked, made when it is wanted: it is large. Then the code, the field, and words of the answer.
HOSTILE = {
    "long": (lambda: b"\x12" * 40_000_000, "LIMIT_EXCEEDED", "ticket", "has 40000000 bytes, the limit is 33554432 (send many"),
    "junk": (lambda: b"\0" * 30_000_000, "BAD_REQUEST", "ticket", "neither a google.protobuf.Any nor"),
    "long JSON": (lambda: b'{"bands":["' + b"a" * 5_000_000, "LIMIT_EXCEEDED", "ticket", "bytes of JSON, the limit is 4194304"),
    "wide JSON": (lambda: b'{"filters":[' + b"{}," * 900_000, "LIMIT_EXCEEDED", "ticket", "900000 values in JSON, the limit is 30000"),
    "deep JSON": (lambda: b'{"a":' * 800_000, "BAD_REQUEST", "ticket", "recursion"),
    "empty filters": (lambda: request(filters=[Filter()] * 10**6), "LIMIT_EXCEEDED", "ticket", "has 131073 or more areas, windows,"),
    "empty boxes": (lambda: request(geometries=boxes(10**6)), "LIMIT_EXCEEDED", "ticket", "the limit is 131072"),
    "windows": (lambda: request(windows=Windows(values=[Window()] * 10**6)), "LIMIT_EXCEEDED", "ticket", "the limit is 131072"),
    "ids": (lambda: request(filters=[Filter(ids=["x"] * 10**6)]), "LIMIT_EXCEEDED", "ticket", "the limit is 131072"),
    "filters": (lambda: request(filters=[Filter()] * 101), "LIMIT_EXCEEDED", "filters", "there are 101 filters, the limit is 100"),
    "bands": (lambda: request(bands=["B1"] * 50_000), "LIMIT_EXCEEDED", "bands", "there are 50000 bands, the limit is 2000"),
    "a long name": (lambda: request(bands=["b" * 10**6]), "LIMIT_EXCEEDED", "bands[0]", "has 1000000 characters, the limit is 1000"),
    "a long collection": (lambda: request(collection="c" * 10**6), "LIMIT_EXCEEDED", "collection", "the limit is 1000"),
    "a long CRS": (lambda: request(grid={"target_crs": "PROJCS[" * 10_000}), "LIMIT_EXCEEDED", "grid.target_crs", "the limit is 65536"),
    "a deep CRS": (lambda: request(grid={"target_crs": '{"type":' * 8_000}), "CRS_REQUIRED", "grid.target_crs", "is not a CRS that PROJ knows"),
    "a CRS in a file": (lambda: request(grid={"target_crs": "+init=/etc/crs:1"}), "BAD_REQUEST", "grid.target_crs", "may not name files"),
    "a CRS by a grid": (lambda: request(grid={"target_crs": "+proj=longlat +nadgrids=@null,/etc/grid"}), "BAD_REQUEST", "grid.target_crs", "may not name files"),
    "expressions": (lambda: request(filters=[Filter(where="(" * 40_000)] * 50), "LIMIT_EXCEEDED", "filters.where", "have 2000000 characters, the limit is 1048576"),
    "deep CQL2": (lambda: request(filters=[Filter(where="(" * 10**6)]), "BAD_REQUEST", "filters[0].where", "nested too deeply"),
    "deep CQL2 JSON": (lambda: request(filters=[Filter(where='{"op":"not","args":[' * 50_000)]), "BAD_REQUEST", "filters[0].where", "recursion limit"),
    "deep WKB": (lambda: request(geometries=areas(struct.pack("<BII", 1, 7, 1) * 400_000)), "BAD_GEOMETRY", "geometries.wkb[0]", "is a GEOMETRYCOLLECTION"),
    "deep WKB in a filter": (lambda: request(filters=[Filter(geometries=areas(struct.pack("<BII", 1, 6, 1) * 400_000))]), "BAD_GEOMETRY", "filters[0].geometries.wkb[0]", "is not valid WKB"),
    "empty rings": (lambda: request(geometries=areas(struct.pack("<BII", 1, 3, 10**6) + bytes(4_000_000))), "BAD_GEOMETRY", "geometries.wkb[0]", "is not valid WKB"),
    "a large area": (lambda: request(geometries=areas(bytes(20_000_000))), "LIMIT_EXCEEDED", "geometries", "takes 20000000 bytes as WKB, the limit is 4194304"),
    "points": (lambda: request(layout=3, points=Points(crs="EPSG:32631", x=[0] * 1_100_000, y=[0] * 1_100_000)), "LIMIT_EXCEEDED", "points", "1100000 points are more than the 1048576"),
    "pixels of nothing": (lambda: request(grid={"resolution": [1e-8]}), "LIMIT_EXCEEDED", "grid.resolution", "and 4294967296 pixels are the limit"),
    "a grid of 10^12 pixels": (lambda: request(grid={"grid": grid(10**6, 0.01)}), "LIMIT_EXCEEDED", "grid.resolution", "pixels are the limit"),
    "bounds": (lambda: request(grid={"resolution": [1e-6], "target_crs": "EPSG:32631", "bounds": BBox(minx=-1e9, miny=-1e9, maxx=1e9, maxy=1e9)}), "LIMIT_EXCEEDED", "grid.resolution", "pixels are the limit"),
    "windows of a fine grid": (lambda: request(windows=Windows(values=[Window(width=9, height=9)]), grid={"grid": grid(1 << 31, 1e-6)}), "LIMIT_EXCEEDED", "grid.resolution", "pixels are the limit"),
    "windows of many records": (lambda: request(windows=Windows(values=[Window(width=9, height=9)] * 60_000)), "LIMIT_EXCEEDED", "limits.request.chips", "the request asks for 120000 pairs of record and area, the server gives 100000 at a time"),
}  # fmt: skip


def peak(server: ServerProcess) -> int:
    """The most memory that the server has had since ``forget_peak``."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) << 10


def forget_peak(server: ServerProcess) -> None:
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")


@pytest.fixture(scope="module")
def server(tall: Path) -> Iterator[ServerProcess]:
    with serving(tall, request__chips=100_000) as server:
        with rf.connect(server.url, retries=0) as client:
            client.collection("tall").get_numpy(**SMALL)
        yield server


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_ticket_costs_nothing(server: ServerProcess, case: str) -> None:
    make, code, field, words = HOSTILE[case]
    asked = make()
    ticket = asked if isinstance(asked, bytes) else pack(asked)
    with connect(server.url) as client:
        forget_peak(server)
        before = peak(server)
        with pytest.raises(fl.FlightError) as caught:
            client.do_get(fl.Ticket(ticket))
        told = detail(caught.value)
        assert (told.code, told.field) == (code, field)
        assert words in f"{told.message} ({told.hint})"
        # Of the ticket itself gRPC, Arrow and Python have some seven copies, also of one that is refused by its length.
        assert peak(server) - before < 12 * MIB + 9 * len(ticket)
        assert stats(server.url)["streams"] == 0


def test_a_large_ticket_that_is_right(server: ServerProcess) -> None:
    many = [Window(col_off=number % 900, width=2, height=2) for number in range(20_000)]
    with connect(server.url) as client:
        found = client.do_get(fl.Ticket(pack(request(windows=Windows(values=many))))).read_all()
    assert found.num_rows == 40_000


def test_workers_divide_streams(tall: Path) -> None:
    options = ["--set=limits.streams=2", "--set=limits.queue_seconds=0.2"]
    with ServerProcess({"tall": tall}, grace=0, workers=2, options=options) as server, ExitStack() as running:
        busy = []

        def read() -> None:
            try:
                stall(server.url, running)
            except fl.FlightUnavailableError as error:
                busy.append(detail(error).message)

        threads = [Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        # Each connection stays with one process, which has one place.
        assert len(busy) == 2
        assert all(message.startswith("1 streams run") for message in busy)
