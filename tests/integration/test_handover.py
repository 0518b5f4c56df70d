"""Batches by shared memory, between real processes: the same rows, and nothing is left."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.flight as fl
import pytest

import rasterflight as rf
from rasterflight import _handover
from rasterflight_protocol import pack
from rasterflight_protocol.v1.plan_pb2 import Handover, Progress
from rasterflight_protocol.v1.read_pb2 import ReadRequest
from support.scenes import noise, write_items, write_scene
from support.server import ServerProcess, run_server_command
from support.tables import assert_same
from support.telemetry import stats, wait_for

SIDE = 2000
WHOLE = ReadRequest(collection="made", bands=["B1"], batch_bytes=1 << 18)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("handover")
    write_scene(folder / "a.tif", noise(SIDE, SIDE), nodata=7)
    items = write_items(folder / "items.json", {"a": {"B1": "a.tif"}})
    done = run_server_command("index", items, "--out", folder / "index", "--name", "made")
    assert done.returncode == 0, done.stderr
    return folder / "index"


@pytest.fixture(scope="module")
def server(index: Path) -> Iterator[ServerProcess]:
    with ServerProcess({"made": index}, listen="unix") as process:
        yield process


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of the batches that came by memory."""
    lengths: list[int] = []
    take = _handover.Memory.take

    def counting(memory: _handover.Memory, where: Handover, *, lent: bool) -> pa.RecordBatch:
        batch = take(memory, where, lent=lent)
        lengths.append(batch.nbytes)
        return batch

    monkeypatch.setattr(_handover.Memory, "take", counting)
    return lengths


def mappings(process: int | str = "self") -> int:
    """Memory for batches that a process has."""
    return Path(f"/proc/{process}/maps").read_text().count("/memfd:rasterflight-")


def read(made: rf.Collection, what: str) -> pa.Table:
    if what == "points":
        spots = np.random.default_rng(3).uniform((500_000, 5_690_000), (510_000, 5_700_000), (20_000, 2))
        return made.read_points(spots, bands=["B1"], geometry_crs="EPSG:32631").read_all()
    if what == "dataset":
        return made.to_dataset(bands=["B1"], layout="pixels").to_table(columns=["row", "B1"])
    if what == "polars":
        return made.scan_polars(bands=["B1"], layout="pixels").select("row", "B1").collect().to_arrow()
    return made.read(
        bands=["B1"], **{"chips": {}, "masked": {"masked": True}, "pixels": {"layout": "pixels"}}[what]
    ).read_all()


@pytest.mark.parametrize("what", ["chips", "masked", "pixels", "points", "dataset", "polars"])
def test_rows_and_counts_are_those_of_the_socket(
    server: ServerProcess, handed: list[int], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    with rf.connect(server.url) as client:
        made, before = client.collection("made"), stats(server.url)
        table = read(made, what)
        between = stats(server.url)
        assert sum(handed) > 0.9 * table.nbytes / (2 if what == "polars" else 1)
        handed.clear()
        monkeypatch.setattr(_handover.Memory, "make", lambda _url: None)
        assert_same(table, read(made, what))
        after = stats(server.url)
    assert handed == []
    for count in ("bytes_sent", "rows", "batches", "pixels"):
        assert between[count] - before[count] == after[count] - between[count], count
    del table
    assert wait_for(lambda: mappings() == mappings(server.process.pid) == 0, 5)


def test_several_processes_of_a_server(index: Path, handed: list[int]) -> None:
    with ServerProcess({"made": index}, listen="unix", workers=2) as pair, rf.connect(pair.url) as client:
        [[pixels]] = [client.collection("made").get_numpy(bands=["B1"])]
    assert (pixels == noise(SIDE, SIDE)).all()
    assert sum(handed) > SIDE * SIDE


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_goes_by_memory_over_the_network(index: Path, workers: int) -> None:
    memory = _handover.Memory.make("grpc+unix:///s")
    assert memory is not None
    with ServerProcess({"made": index}, workers=workers) as server, fl.connect(server.url) as client:
        chunks = list(client.do_get(fl.Ticket(pack(WHOLE)), fl.FlightCallOptions(headers=[memory.header])))
    assert sum(len(chunk.data) for chunk in chunks) > 1
    assert not any(Progress.FromString(chunk.app_metadata.to_pybytes()).HasField("handover") for chunk in chunks)


def test_what_is_to_be_compressed_is(server: ServerProcess, handed: list[int]) -> None:
    with rf.connect(server.url, compression="lz4") as client:
        client.collection("made").read(bands=["B1"]).read_all()
    assert handed == []


@pytest.mark.parametrize("offer", [b"1/3/" + b"0" * 32, b"../../etc/passwd", b"9" * 5000])
def test_offers_of_nothing_get_bytes(server: ServerProcess, offer: bytes) -> None:
    with fl.connect(server.url) as client:
        options = fl.FlightCallOptions(headers=[(b"rasterflight-handover", offer)])
        chunks = list(client.do_get(fl.Ticket(pack(WHOLE)), options))
    assert sum(len(chunk.data) for chunk in chunks) > 1


def test_a_reader_who_stops_is_waited_for_and_leaves_nothing(server: ServerProcess) -> None:
    with rf.connect(server.url) as client:
        before = stats(server.url)["batches"]
        stream = client.collection("made").read(bands=["B1"], batch_bytes=1 << 18)
        first = next(stream)
        assert not wait_for(lambda: stats(server.url)["batches"] - before > 9, 0.5)  # of 31
        assert mappings(server.process.pid) == 1
        stream.close()
        assert wait_for(lambda: mappings(server.process.pid) == 0, 5)
        assert first.num_rows
        del stream
        assert wait_for(lambda: mappings() == 0, 5)


def test_a_reader_who_is_killed_leaves_nothing(server: ServerProcess) -> None:
    reading = (
        "import rasterflight as rf, time, sys\n"
        "stream = rf.connect(sys.argv[1]).collection('made').read(bands=['B1'], batch_bytes=1 << 18)\n"
        "print(next(stream).num_rows, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", reading, server.url], stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline()
        assert mappings(server.process.pid) == 1
        os.kill(reader.pid, signal.SIGKILL)
    assert wait_for(lambda: mappings(server.process.pid) == 0, 5)


def test_rows_outlive_a_server_that_is_killed(index: Path, handed: list[int]) -> None:
    with ServerProcess({"made": index}, listen="unix") as server, rf.connect(server.url, retries=0) as client:
        stream = client.collection("made").read(bands=["B1"], batch_bytes=1 << 18)
        first = next(stream)
        server.process.kill()
        server.process.wait()
        with pytest.raises(rf.errors.ServerUnavailableError):
            list(stream)
        assert handed
        rows = first.column("B1")[0].as_py()
        assert rows == noise(SIDE, SIDE).reshape(-1)[: len(rows)].tolist()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_another_user_gets_bytes(server: ServerProcess, tmp_path: Path) -> None:
    """He reads what he may, and the server, which could, does not touch his memory."""
    folder = Path(server.url.removeprefix("grpc+unix://")).parent
    folder.chmod(0o755)
    Path(folder, "s").chmod(0o777)
    reading = (
        "import os, sys; import rasterflight as rf; from rasterflight import _handover\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "_handover.Memory.take = lambda *_, **__: sys.exit('by memory')\n"
        "print(sum(b.num_rows for b in rf.connect(sys.argv[1]).collection('made').read(bands=['B1'])))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", reading, server.url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
