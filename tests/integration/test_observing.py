"""The server as operators see it: health, readiness, metrics, the access log; by one process and by several."""

import json
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pyarrow as pa
import pyarrow.flight as fl
import pytest
import shapely
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

import rasterflight as rf
from rasterflight.cli import main
from rasterflight_protocol import ErrorCode
from support.observed import PORTS, Metrics, calls, get, health
from support.scenes import noise, write_items, write_scene
from support.server import ServerProcess, run_server_command
from support.telemetry import stats, stats_of, wait_for

SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3
FLIGHT = "arrow.flight.protocol.FlightService"
SMALL = {"windows": [(10, 10, 32, 32)], "bands": ["red"]}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of a scene that is too large to be sent ahead of a reader who does not read."""
    folder = tmp_path_factory.mktemp("large")
    write_scene(folder / "a.tif", noise(8000, 8000))
    items = write_items(folder / "items.json", {"scene": {"B1": "a.tif"}})
    assert run_server_command("index", items, "--out", folder / "index", "--name", "large").returncode == 0
    return folder / "index"


@pytest.fixture(params=[1, 2], ids=["one process", "two processes"])
def seen(request: pytest.FixtureRequest, indexes: dict[str, Path]) -> Iterator[ServerProcess]:
    with ServerProcess({"ny": indexes["ny"]}, workers=request.param, options=PORTS) as server:
        yield server


def test_the_http_port(seen: ServerProcess) -> None:
    assert get(seen, "/healthz") == (200, "ok\n")
    assert get(seen, "/readyz?verbose=1") == (200, "ready\n")
    assert get(seen, "/readyz", "HEAD") == (200, "")
    for path in ("/", "/metrics/../etc/passwd", "//etc/passwd", "/healthz/"):
        assert get(seen, path) == (404, "there are /healthz, /readyz and /metrics\n")
    for method in ("POST", "PUT", "DELETE"):
        status, body = get(seen, "/readyz", method)
        assert (status, body) == (501, f"501 Unsupported method ('{method}')\n")


def test_garbage_and_silence_on_the_http_port(seen: ServerProcess) -> None:
    host, port = seen.port("http").split(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(3)]
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"\x16\x03\x01garbage\r\n\r\n")
        answer = connection.recv(4096)
    assert b"400" in answer
    assert b"Traceback" not in answer
    assert get(seen, "/healthz") == (200, "ok\n")
    for one in silent:
        one.settimeout(10)
        assert one.recv(10) == b""  # given up after a while
        one.close()


def test_the_health_service(seen: ServerProcess) -> None:
    assert [health(seen, service) for service in ("", "ny", FLIGHT)] == [SERVING] * 3
    with pytest.raises(grpc.RpcError) as caught:
        health(seen, "nothing")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("workers", [1, 2])
def test_a_drain_is_seen_first(large: Path, workers: int) -> None:
    with ServerProcess({"large": large}, workers=workers, grace=20, options=PORTS) as server:
        watched: dict[str, list[int]] = {"": [], "large": [], "no such": []}

        def watch(channel: grpc.Channel, service: str) -> None:
            try:
                for answer in HealthStub(channel).Watch(HealthCheckRequest(service=service)):
                    watched[service].append(answer.status)
            except grpc.RpcError:
                pass  # the server ended

        with grpc.insecure_channel(server.port("health")) as channel, rf.connect(server.url) as client:
            threads = [threading.Thread(target=watch, args=(channel, service)) for service in watched]
            for thread in threads:
                thread.start()
            assert wait_for(lambda: all(watched.values()), 10)
            stream = client.collection("large").read(bands=["B1"])
            next(stream)
            server.process.send_signal(signal.SIGTERM)
            assert wait_for(lambda: watched[""] == watched["large"] == [SERVING, NOT_SERVING], 2)
            assert get(server, "/readyz") == (503, "draining\n")
            assert get(server, "/healthz") == (200, "ok\n")
            assert health(server, FLIGHT) == HealthCheckResponse.NOT_SERVING
            assert stream.read_all().num_rows > 0
            assert server.process.wait(10) == 0
            for thread in threads:
                thread.join(10)
            assert watched["no such"] == [SERVICE_UNKNOWN]


def test_not_ready_before_all_is_there(tmp_path: Path, indexes: dict[str, Path]) -> None:
    """A port that is taken ends the start, with the setting at fault."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for setting in ("observe.http", "observe.health"):
            done = run_server_command(
                *("serve", f"--collection=ny={indexes['ny']}", "--listen=grpc://127.0.0.1:0"),
                *("--set", f"{setting}={address}"),
            )
            assert done.returncode == 1
            assert f"{address} cannot be listened on: it is in use" in done.stderr


def test_metrics_are_what_was_read_and_what_stats_says(seen: ServerProcess) -> None:
    with rf.connect(seen.url) as client:
        ny = client.collection("ny")
        tables = [ny.read(**SMALL).read_all() for _ in range(3)]
        points = ny.sample_points([(-74.0, 40.7)], ["red"])
        with pytest.raises(rf.errors.CollectionNotFoundError):
            client.collection("nothing")
        with pytest.raises(rf.errors.UnknownBandError):
            ny.read(windows=SMALL["windows"], bands=["rde"]).read_all()
        told = client.stats()
    metrics = Metrics(seen)
    rows = sum(table.num_rows for table in tables) + len(points)
    assert metrics("rows_transferred_total") == told["rows"] == rows
    assert metrics("bytes_transferred_total") == told["bytes_sent"] > sum(table.nbytes for table in tables) // 2
    assert metrics("pixels_transferred_total") == told["pixels"] == 3 * 6 * 32 * 32 + len(points)
    assert metrics("source_requests_total") == told["requests"] > 0
    assert metrics("source_bytes_total") == told["bytes_fetched"] > 0
    assert metrics("tiles_decoded_total") == told["tiles_decoded"] > 0
    assert metrics("tile_cache_hits_total") == told["cache_hits"] > 0
    assert metrics("tile_cache_misses_total") == told["cache_misses"] > 0
    assert metrics("tile_cache_bytes") == told["cache_bytes"] > 0
    assert metrics("tile_cache_limit_bytes") == told["cache_limit"] == 256 << 20
    assert metrics("streams_total") == told["streams_started"] == 4
    assert metrics("streams_active") == 0
    assert metrics("rpc_count_total", method="DoGet", code="OK") == told["calls"]["DoGet"]["OK"] == 3
    assert metrics("rpc_count_total", method="DoExchange", code="OK") == 1
    assert metrics("rpc_count_total", method="DoAction", code="OK") == 1
    assert metrics("rpc_duration_seconds_count", method="DoGet", code="UNKNOWN_BAND") == 1
    assert metrics("errors_total", code="COLLECTION_NOT_FOUND") == 1
    assert metrics("errors_total", code="INTERNAL") == 0
    assert metrics("query_duration_seconds_count", collection="ny", layout="chips") == 4
    assert metrics("plan_duration_seconds_count", collection="ny") >= 3
    assert metrics("caller_rows_transferred_total", caller="anonymous") == rows
    assert metrics("collection_info", collection="ny", snapshot=told["collections"]["ny"]) == 1
    assert metrics("collection_records", collection="ny") == 6
    assert metrics("processes") == told["processes"]


def test_metrics_are_bounded_and_well_formed(seen: ServerProcess) -> None:
    with fl.connect(seen.url) as client:
        for number in range(30):
            with pytest.raises(fl.FlightError):
                client.get_flight_info(fl.FlightDescriptor.for_path(f"hostile-{number}"))
            with pytest.raises(fl.FlightError):
                list(client.do_action(f"hostile-{number}"))
        metrics = Metrics(seen)
    assert "hostile" not in metrics.text
    codes = {sample.labels["code"] for sample in metrics.families["rasterflight_errors"].samples}
    assert codes == {code.code for code in ErrorCode}
    reasons = {sample.labels["reason"] for sample in metrics.families["rasterflight_rejects"].samples}
    assert {"BUSY", "DRAINING", "LIMIT_EXCEEDED", "UNAUTHENTICATED", "FORBIDDEN"} <= reasons
    for name in ("process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds", "rasterflight_build_info"):
        assert metrics.families[name].samples[0].value > 0
    assert list(parse_openmetrics(_openmetrics(seen)))


def _openmetrics(server: ServerProcess) -> str:
    import urllib.request

    request = urllib.request.Request(
        f"http://{server.port('http')}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        return answer.read().decode()


def test_streams_and_connections_that_are_open(large: Path) -> None:
    with ServerProcess({"large": large}, options=PORTS) as server, rf.connect(server.url) as client:
        stream = client.collection("large").read(bands=["B1"])
        next(stream)
        metrics = Metrics(server)
        assert (metrics("streams_active"), metrics("connections_active")) == (1, 1)
        assert metrics("caller_streams_active", caller="anonymous") == 1
        stream.close()
        assert wait_for(lambda: Metrics(server)("streams_active") == 0, 5)
        assert Metrics(server)("rpc_count_total", method="DoGet", code="CANCELLED") == 1
    with ServerProcess({"large": large}, listen="unix", options=PORTS) as server, rf.connect(server.url) as client:
        client.healthcheck()
        assert Metrics(server)("connections_active") == 1


def connect(url: str) -> fl.FlightClient:
    return fl.connect(url, generic_options=[("grpc.use_local_subchannel_pool", 1)])


def test_numbers_of_all_processes_stay_when_one_dies(indexes: dict[str, Path]) -> None:
    ticket = fl.Ticket(b'{"collection": "ny", "bands": ["red"]}')
    with (
        ServerProcess({"ny": indexes["ny"]}, workers=2, options=PORTS) as server,
        connect(server.url) as one,
        connect(server.url) as other,
    ):
        rows = sum(client.do_get(ticket).read_all().num_rows for client in (one, other))
        about = [stats_of(client) for client in (one, other)]
        assert about[0]["process"] != about[1]["process"]
        assert [told["rows"] for told in about] == [rows, rows]
        assert Metrics(server)("rows_transferred_total") == rows
        psutil.Process(about[0]["process"]).kill()
        assert wait_for(lambda: Metrics(server)("processes") == 1, 5)
        assert wait_for(lambda: Metrics(server)("processes") == 2, 20)
        assert Metrics(server)("rows_transferred_total") == rows
        assert other.do_get(ticket).read_all().num_rows == rows // 2
        told = stats_of(other)
        assert (told["rows"], told["calls"]["DoGet"]["OK"]) == (rows + rows // 2, 3)
        assert get(server, "/readyz") == (200, "ready\n")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_line_for_each_call(large: Path, tmp_path: Path, workers: int) -> None:
    log = tmp_path / "access.log"
    options = ("--set", f"observe.access_log={log}")
    with ServerProcess({"large": large}, workers=workers, grace=60, options=options) as server:
        with connect(server.url) as client:
            header = fl.FlightCallOptions(
                headers=[(b"x-request-id", b"mine-1"), (b"authorization", b"Bearer top-secret")]
            )
            window = {"values": [{"colOff": 5, "rowOff": 7, "width": 9, "height": 9}]}
            ticket = json.dumps({"collection": "large", "bands": ["B1"], "windows": window}).encode()
            read = client.do_get(fl.Ticket(ticket), header).read_all()
            list(client.do_action("healthcheck"))
            client.get_flight_info(fl.FlightDescriptor.for_path("large"))
            with pytest.raises(fl.FlightError):
                client.do_get(fl.Ticket(b'{"collection": "large", "bands": ["secret"]}')).read_all()
            with pytest.raises(fl.FlightError):
                client.do_get(fl.Ticket(b"\xff secret"))
            put(client)
            reader = client.do_get(fl.Ticket(b'{"collection": "large", "bands": ["B1"]}'))
            reader.read_chunk()
            reader.cancel()
            assert wait_for(lambda: len(calls(log)) == 7, 10)
            reader = client.do_get(fl.Ticket(b'{"collection": "large", "bands": ["B1"]}'))
            reader.read_chunk()
            server.process.send_signal(signal.SIGTERM)
            assert wait_for(lambda: _refused(client), 20)
            reader.read_all()
        assert server.process.wait(10) == 0
        assert server.log == ""
    lines = calls(log)
    first = lines[0]
    assert (first["request_id"], first["caller"], first["method"], first["code"]) == (
        "mine-1",
        "anonymous",
        "DoGet",
        "OK",
    )
    assert (first["collection"], first["layout"], first["rows"], first["pixels"]) == ("large", "chips", 1, 81)
    assert first["bytes"] == pytest.approx(read.nbytes, rel=0.1)
    assert first["gets"] == first["tiles"] > 0
    assert first["bytes_fetched"] > 0
    assert first["ms"] >= first["plan_ms"] > 0
    assert first["time"].startswith("20")
    assert workers == 2 or first["peer"].startswith("ipv4:127.0.0.1:")
    found = [(line["method"], line["action"], line["code"]) for line in lines]
    assert found[:7] == [
        ("DoGet", "", "OK"),
        ("DoAction", "healthcheck", "OK"),
        ("GetFlightInfo", "", "OK"),
        ("DoGet", "", "UNKNOWN_BAND"),
        ("DoGet", "", "BAD_REQUEST"),
        ("DoPut", "", "OK"),
        ("DoGet", "", "CANCELLED"),
    ]
    assert 0 < lines[6]["rows"] < lines[-1]["rows"]
    assert found[-1] == ("DoGet", "", "OK")
    # some calls may have come through before the signal did
    assert found[-2] == ("GetFlightInfo", "", "DRAINING")
    text = log.read_text()
    for secret in ("secret", str(large), "Traceback"):
        assert secret not in text
    assert len({line["ticket"] for line in lines if line["method"] == "DoGet"} - {""}) >= 2


def _refused(client: fl.FlightClient) -> bool:
    try:
        client.get_flight_info(fl.FlightDescriptor.for_path("large"))
    except fl.FlightUnavailableError as error:
        assert "DRAINING" in str(error)  # noqa: PT017 - asked again until it is refused
        return True
    return False


def put(client: fl.FlightClient) -> None:
    schema = pa.schema([("geometry", pa.binary())])
    writer, reader = client.do_put(fl.FlightDescriptor.for_path("areas"), schema)
    writer.write_batch(pa.record_batch([pa.array([shapely.box(0, 0, 1, 1).wkb], pa.binary())], schema=schema))
    writer.done_writing()
    assert reader.read()
    writer.close()


def test_the_access_log_is_made_anew_when_it_was_moved(indexes: dict[str, Path], tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    options = ("--set", f"observe.access_log={log}")
    with ServerProcess({"ny": indexes["ny"]}, workers=2, options=options) as server, connect(server.url) as client:
        list(client.do_action("healthcheck"))
        assert wait_for(lambda: log.exists() and len(calls(log)) == 1, 5)
        log.rename(tmp_path / "access.log.1")
        list(client.do_action("healthcheck"))
        assert wait_for(lambda: log.exists() and len(calls(log)) == 1, 5)
        assert len(calls(tmp_path / "access.log.1")) == 1


def test_processes_write_whole_lines(indexes: dict[str, Path], tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    options = ("--set", f"observe.access_log={log}")
    with ServerProcess({"ny": indexes["ny"]}, workers=2, options=options) as server:

        def call() -> None:
            with connect(server.url) as client:
                for _ in range(200):
                    list(client.do_action("healthcheck"))

        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wait_for(lambda: len(calls(log)) == 800, 5)
        assert len({line["request_id"] for line in calls(log)}) == 800


def test_an_access_log_that_cannot_be_written(indexes: dict[str, Path], tmp_path: Path) -> None:
    done = run_server_command(
        *("serve", f"--collection=ny={indexes['ny']}", "--listen=grpc://127.0.0.1:0"),
        *("--set", f"observe.access_log={tmp_path}/no/log"),
    )
    assert done.returncode == 1
    assert "cannot be written: No such file or directory (give a file in a folder that exists" in done.stderr


def test_the_access_log_on_standard_error(indexes: dict[str, Path]) -> None:
    with ServerProcess({"ny": indexes["ny"]}, options=("--set", "observe.access_log=-")) as server:
        stats(server.url)
        assert wait_for(lambda: '"action":"stats"' in server.log, 5)
        assert json.loads(server.log)["code"] == "OK"


def test_top(seen: ServerProcess, capsys: pytest.CaptureFixture[str]) -> None:
    with rf.connect(seen.url) as client:
        client.collection("ny").read(**SMALL).read_all()
    assert main(["top", "--url", seen.url, "--once", "--interval", "0.2"]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    lines = shown.splitlines()
    workers = stats(seen.url)["processes"]
    assert lines[0].startswith(f"{seen.url}  {workers} process")
    assert "streams  0 run, 0.0/s begin" in lines
    assert any(line.startswith("anonymous  0        0 B") for line in lines)
    assert any(line.split() == ["ny", stats(seen.url)["collections"]["ny"]] for line in lines)


def test_top_for_scripts(seen: ServerProcess, capsys: pytest.CaptureFixture[str]) -> None:
    asked = threading.Event()

    def read() -> None:
        with rf.connect(seen.url) as client:
            ny = client.collection("ny")
            while not asked.is_set():
                ny.read(**SMALL).read_all()

    thread = threading.Thread(target=read)
    thread.start()
    try:
        assert main(["top", "--url", seen.url, "--once", "--json", "--interval", "1"]) == 0
    finally:
        asked.set()
        thread.join()
    [line] = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert set(told) == {"time", "seconds", "stats", "rates"}
    assert told["rates"]["rows"] == pytest.approx(6 * told["rates"]["batches"])
    assert told["rates"]["rows"] > 0
    assert told["rates"]["callers"]["anonymous"]["rows"] == pytest.approx(told["rates"]["rows"], rel=0.05)
    assert told["rates"]["query_ms"] > told["rates"]["plan_ms"] > 0
    assert 0.5 < told["rates"]["cache_hit_ratio"] <= 1


def test_top_with_no_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "--url", "grpc://127.0.0.1:1", "--once"]) == 1
    assert capsys.readouterr().err.startswith("error: ")
