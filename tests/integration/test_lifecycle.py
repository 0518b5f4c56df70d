"""Start and end: signals, grace, lifeline, sockets; the private server of rf.local."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.flight as fl
import pytest

import rasterflight as rf
from rasterflight_protocol.schemas import areas_schema
from rasterflight_protocol.v1.error_pb2 import ErrorDetail
from support.scenes import noise, write_items, write_scene
from support.server import ServerProcess, run_server_command
from support.telemetry import wait_for


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of a scene that is too large to be sent ahead of a reader who does not read."""
    folder = tmp_path_factory.mktemp("large")
    write_scene(folder / "a.tif", noise(8000, 8000))
    items = write_items(folder / "items.json", {"scene": {"B1": "a.tif"}})
    assert run_server_command("index", items, "--out", folder / "index", "--name", "large").returncode == 0
    return folder / "index"


def test_sigterm_ends_an_idle_server(indexes: dict[str, Path]) -> None:
    with ServerProcess({"ny": indexes["ny"]}) as server:
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
        assert time.monotonic() - started < 5
        assert server.log == ""


def test_a_running_stream_may_finish(large: Path) -> None:
    with ServerProcess({"large": large}, grace=20) as server, rf.connect(server.url, retries=0) as client:
        large_ = client.collection("large")
        stream = large_.read(bands=["B1"])
        rows = next(stream).num_rows
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        with pytest.raises(rf.errors.DrainingError, match="the server is shutting down") as caught:
            large_.get_numpy(windows=[(0, 0, 1, 1)], bands=["B1"])
        assert caught.value.retryable
        rows += sum(batch.num_rows for batch in stream)
        assert rows > 10
        assert server.process.wait(10) == 0


def test_a_stalled_stream_is_cut_off_after_the_grace(large: Path) -> None:
    with ServerProcess({"large": large}, grace=0.5) as server, rf.connect(server.url, retries=0) as client:
        stream = client.collection("large").read(bands=["B1"])
        next(stream)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
        assert "1 streams did not finish within 0.5 s and are cut off" in server.log
        with pytest.raises(rf.RasterflightError):
            for _ in stream:
                pass


def test_health_says_that_the_server_drains(large: Path) -> None:
    with ServerProcess({"large": large}, grace=20) as server, rf.connect(server.url, retries=0) as client:
        assert client.healthcheck()["status"] == "ok"
        stream = client.collection("large").read(bands=["B1"])
        next(stream)
        server.process.send_signal(signal.SIGTERM)
        assert wait_for(lambda: client.healthcheck()["status"] == "draining", 2)
        with pytest.raises(rf.errors.DrainingError):
            list(client._connection.action("stats"))
        stream.close()
        assert server.process.wait(5) == 0


POINTS = json.dumps(
    {"collection": "large", "bands": ["B1"], "layout": "LAYOUT_POINTS", "points": {"crs": "EPSG:32631"}}
)
XY = pa.schema([("x", pa.float64()), ("y", pa.float64())])


def begin_exchange(client: fl.FlightClient) -> tuple[fl.FlightStreamWriter, fl.FlightStreamReader]:
    writer, reader = client.do_exchange(fl.FlightDescriptor.for_command(POINTS.encode()))
    writer.begin(XY)
    return writer, reader


def test_a_slow_exchange_is_told_that_the_server_ends(large: Path) -> None:
    with ServerProcess({"large": large}, grace=0.3) as server, fl.connect(server.url) as client:
        writer, reader = begin_exchange(client)
        point = pa.record_batch([[500_005.0], [5_699_995.0]], schema=XY)
        writer.write_batch(point)
        assert reader.read_chunk().data.num_rows == 1
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.6)
        writer.write_batch(point)
        with pytest.raises(fl.FlightUnavailableError, match="DRAINING") as caught:
            reader.read_chunk()
        detail = ErrorDetail.FromString(caught.value.extra_info)
        assert (detail.code, detail.retryable) == ("DRAINING", True)
        assert detail.hint == "try again, or try another server"
        assert server.process.wait(10) == 0
        with pytest.raises(fl.FlightError):
            writer.close()


@pytest.mark.parametrize("call", ["exchange", "upload"])
def test_a_caller_who_sends_nothing_does_not_hold_up_the_end(large: Path, call: str) -> None:
    with ServerProcess({"large": large}, grace=0.3) as server, fl.connect(server.url) as client:
        if call == "exchange":
            writer, reader = begin_exchange(client)
        else:
            writer, reader = client.do_put(fl.FlightDescriptor.for_path("areas"), areas_schema())
        time.sleep(0.3)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
        assert time.monotonic() - began < 5
        assert "1 streams did not finish within 0.3 s and are cut off" in server.log
        if call == "exchange":
            with pytest.raises(fl.FlightUnavailableError):
                reader.read_chunk()
        with pytest.raises((fl.FlightError, pa.ArrowException, OSError)):
            writer.close()


def test_a_second_signal_ends_at_once(large: Path) -> None:
    with ServerProcess({"large": large}, grace=60) as server, rf.connect(server.url) as client:
        stream = client.collection("large").read(bands=["B1"])
        next(stream)
        server.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(5) == 128 + signal.SIGTERM


def test_socket_of_a_dead_server_is_taken_over(indexes: dict[str, Path], tmp_path: Path) -> None:
    listen = f"grpc+unix://{tmp_path}/s"
    with ServerProcess({"ny": indexes["ny"]}, listen=listen) as first:
        in_use = run_server_command("serve", "--collection", f"ny={indexes['ny']}", "--listen", listen)
        assert "already in use" in in_use.stderr
        first.process.kill()
        first.process.wait()
        assert (tmp_path / "s").exists()
    with ServerProcess({"ny": indexes["ny"]}, listen=listen) as second, rf.connect(second.url) as client:
        assert client.healthcheck()["status"] == "ok"
    assert not (tmp_path / "s").exists()


def test_local(indexes: dict[str, Path]) -> None:
    with rf.local({"ny": indexes["ny"], "mol": indexes["mol"]}) as client:
        assert client.collections()["name"].to_pylist() == ["mol", "ny"]
        socket = Path(client.url.removeprefix("grpc+unix://"))
        assert socket.exists()
    assert not socket.parent.exists()


def test_local_says_why_it_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(rf.errors.ServerStartError, match="is not an index"):
        rf.local({"ny": tmp_path})


KEEPS_A_SERVER = """
import sys, time
import rasterflight as rf
client = rf.local({"ny": sys.argv[1]})
print(client.url, flush=True)
if sys.argv[2] == "wait":
    time.sleep(60)
"""


@pytest.mark.parametrize("end", ["killed", "exits"])
def test_local_ends_with_its_client(indexes: dict[str, Path], end: str) -> None:
    habit = "wait" if end == "killed" else "exit"
    client = subprocess.Popen(
        [sys.executable, "-c", KEEPS_A_SERVER, indexes["ny"], habit], stdout=subprocess.PIPE, text=True
    )
    assert client.stdout is not None
    socket = Path(client.stdout.readline().strip().removeprefix("grpc+unix://"))
    assert socket.is_absolute()
    if end == "killed":
        [child] = psutil.Process(client.pid).children()
        os.kill(client.pid, signal.SIGKILL)
        child.wait(5)
    client.communicate(timeout=20)
    deadline = time.monotonic() + 5
    while socket.parent.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not socket.parent.exists()
