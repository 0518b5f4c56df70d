"""Several processes on one port: as one server to those who call, and to those who start and stop it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.flight as fl
import pytest
import shapely

import rasterflight as rf
from rasterflight_protocol.v1.plan_pb2 import Upload
from support.scenes import noise, write_items, write_scene
from support.server import ServerProcess, run_server_command
from support.telemetry import stats_of, wait_for


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    write_scene(folder / "a.tif", noise(8000, 8000))
    items = write_items(folder / "items.json", {"scene": {"B1": "a.tif"}})
    assert run_server_command("index", items, "--out", folder / "index", "--name", "made").returncode == 0
    return folder / "index"


@pytest.fixture
def pair(made: Path) -> Iterator[ServerProcess]:
    with ServerProcess({"made": made}, workers=2) as server:
        yield server


def connect(url: str) -> fl.FlightClient:
    return fl.connect(url, generic_options=[("grpc.use_local_subchannel_pool", 1)])


def one_of_each(url: str) -> list[fl.FlightClient]:
    """A connection to each of two processes."""
    clients = [connect(url), connect(url)]
    about = [stats_of(client) for client in clients]
    assert [one["processes"] for one in about] == [2, 2]
    assert about[0]["process"] != about[1]["process"]
    return clients


def put(client: fl.FlightClient, token: bytes = b"") -> str:
    schema = pa.schema([("geometry", pa.binary())])
    area = shapely.box(500_000, 5_699_900, 500_200, 5_700_000).wkb
    options = fl.FlightCallOptions(headers=[(b"authorization", token)] if token else [])
    writer, reader = client.do_put(fl.FlightDescriptor.for_path("areas"), schema, options)
    writer.write_batch(pa.record_batch([pa.array([area, area], pa.binary())], schema=schema))
    writer.done_writing()
    answer = Upload.FromString(reader.read().to_pybytes())
    writer.close()
    return answer.id


def read(client: fl.FlightClient, upload: str, token: bytes = b"") -> int:
    where = {"crs": "EPSG:32631", "upload": upload}
    ticket = json.dumps({"collection": "made", "bands": ["B1"], "geometries": where})
    options = fl.FlightCallOptions(headers=[(b"authorization", token)] if token else [])
    return client.do_get(fl.Ticket(ticket.encode()), options).read_all().num_rows


def test_both_answer_the_same(pair: ServerProcess) -> None:
    for client in one_of_each(pair.url):
        ticket = (
            b'{"collection":"made","bands":["B1"],"windows":{"values":[{"colOff":5,"rowOff":7,"width":9,"height":9}]}}'
        )
        [row] = client.do_get(fl.Ticket(ticket)).read_all()["B1"].to_pylist()
        assert np.array_equal(np.reshape(row, (9, 9)), noise(8000, 8000)[7:16, 5:14])
        client.close()


def test_uploads_are_found_by_all_and_dropped_for_all(pair: ServerProcess) -> None:
    one, other = one_of_each(pair.url)
    upload = put(one)
    assert (read(other, upload), read(one, upload)) == (2, 2)
    list(other.do_action(fl.Action("upload.drop", upload.encode())))
    for client in (one, other):
        with pytest.raises(fl.FlightServerError, match="UPLOAD_NOT_FOUND"):
            read(client, upload)
        assert stats_of(client)["uploads"] == 0
    mine = put(one, b"Bearer me")
    assert read(other, mine, b"Bearer me") == 2
    for client in (one, other):
        with pytest.raises(fl.FlightServerError, match="UPLOAD_NOT_FOUND"):
            read(client, mine, b"Bearer you")
        client.close()


def test_a_process_that_dies_is_replaced(pair: ServerProcess) -> None:
    parent = psutil.Process(pair.process.pid)
    victim, survivor = parent.children()
    victim.kill()
    assert wait_for(lambda: len(parent.children()) == 2 and victim not in parent.children(), 10)
    assert survivor in parent.children()
    assert "worker 1 ended with status -9, and is started again in 0.5 s" in pair.log
    # the new one takes connections again when it listens; until then the other has all
    assert wait_for(lambda: _answering(pair.url) == 2, 20)


def _answering(url: str) -> int:
    with connect(url) as one, connect(url) as other:
        return len({stats_of(one)["process"], stats_of(other)["process"]})


def test_sigterm_drains_all(made: Path) -> None:
    with ServerProcess({"made": made}, workers=2, grace=20) as server:
        clients = one_of_each(server.url)
        readers = [client.do_get(fl.Ticket(b'{"collection": "made", "bands": ["B1"]}')) for client in clients]
        rows = [reader.read_chunk().data.num_rows for reader in readers]
        children = psutil.Process(server.process.pid).children()
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        with pytest.raises(fl.FlightUnavailableError, match="DRAINING"):
            stats_of(clients[0])
        rows = [first + reader.read_all().num_rows for first, reader in zip(rows, readers, strict=True)]
        assert rows[0] == rows[1] > 10
        assert server.process.wait(10) == 0
        assert not any(child.is_running() for child in children)
        assert server.log == ""


def test_a_slow_reader_is_told_that_all_end(made: Path) -> None:
    with ServerProcess({"made": made}, workers=2, grace=0.5) as server:
        clients = one_of_each(server.url)
        ticket = fl.Ticket(b'{"collection": "made", "bands": ["B1"], "batchBytes": 1048576}')
        readers = [client.do_get(ticket) for client in clients]
        for reader in readers:
            reader.read_chunk()
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.8)
        for reader in readers:
            with pytest.raises(fl.FlightUnavailableError, match="DRAINING"):
                reader.read_all()
        assert server.process.wait(10) == 0


def test_a_second_signal_ends_all_at_once(made: Path) -> None:
    with ServerProcess({"made": made}, workers=2, grace=60) as server, connect(server.url) as client:
        reader = client.do_get(fl.Ticket(b'{"collection": "made", "bands": ["B1"]}'))
        reader.read_chunk()
        children = psutil.Process(server.process.pid).children()
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(5) == 128 + signal.SIGTERM
        assert wait_for(lambda: not any(child.is_running() for child in children), 5)


def test_all_end_when_the_parent_is_killed(made: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rasterflight_server", "serve", f"--collection=made={made}"]
    with subprocess.Popen(
        [*command, "--listen=grpc://127.0.0.1:0", "--workers=2"],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline().startswith(b"listening on grpc://127.0.0.1:")
        children = psutil.Process(parent.pid).children()
        assert len(children) == 2
        assert len(list(tmp_path.iterdir())) == 1
        parent.kill()
    assert wait_for(lambda: not any(child.is_running() for child in children), 10)
    assert list(tmp_path.iterdir()) == []


def test_no_workers(made: Path) -> None:
    done = run_server_command("serve", f"--collection=made={made}", "--workers=0")
    assert done.returncode == 1
    assert "--workers: '0' is not a number from 1 on" in done.stderr


def test_a_bad_index_is_told_once(tmp_path: Path) -> None:
    done = run_server_command("serve", f"--collection=made={tmp_path}", "--workers=2", "--listen=grpc://127.0.0.1:0")
    assert done.returncode == 1
    assert done.stderr.count("error:") == 1
    assert "is not an index" in done.stderr


def test_a_port_in_use(pair: ServerProcess, made: Path) -> None:
    done = run_server_command("serve", f"--collection=made={made}", "--workers=2", f"--listen={pair.url}")
    assert done.returncode == 1
    assert "already in use" in done.stderr


def test_the_client_of_the_house(made: Path) -> None:
    with ServerProcess({"made": made}, workers=2, listen="unix") as pair, rf.connect(pair.url) as client:
        assert client.collection("made").get_numpy(windows=[(0, 0, 3, 3)], bands=["B1"]).shape == (1, 3, 3)
