"""Memory of the server under many clients, and what becomes of batches then."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import pyarrow.flight as fl
import pytest

import rasterflight as rf
from support.scenes import noise, write_items, write_scene
from support.server import ServerProcess, run_server_command
from support.telemetry import stats, wait_for

MIB = 1 << 20
HEIGHT, WIDTH = 32_768, 1024  # 64 MiB, more than waits between a server and a reader who does not read
TICKET = fl.Ticket(b'{"collection": "tall", "bands": ["B1"]}')


@pytest.fixture(scope="module")
def tall(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of a scene whose rows of tiles are small, so that no batch needs more than it holds."""
    folder = tmp_path_factory.mktemp("tall")
    write_scene(folder / "a.tif", noise(HEIGHT, WIDTH) // 4096, tile=128)
    items = write_items(folder / "items.json", {f"r{number}": {"B1": "a.tif"} for number in range(4)})
    assert run_server_command("index", items, "--out", folder / "index", "--name", "tall").returncode == 0
    return folder / "index"


@pytest.fixture
def server(tall: Path) -> Iterator[ServerProcess]:
    with ServerProcess({"tall": tall}, grace=0) as server:
        yield server


def connect(url: str) -> fl.FlightClient:
    """A client with a connection that it does not share, as another process has."""
    return fl.connect(url, generic_options=[("grpc.use_local_subchannel_pool", 1)])


def stall(url: str, clients: int, running: ExitStack, ticket: fl.Ticket = TICKET) -> list[int]:
    """Begin reads whose readers stop after the first batch; gives the bytes of each first batch."""
    sizes = []
    for _ in range(clients):
        client = running.enter_context(connect(url))
        reader = client.do_get(ticket)
        running.callback(reader.cancel)
        sizes.append(reader.read_chunk().data.nbytes)
    return sizes


def test_stalled_readers(server: ServerProcess) -> None:
    with ExitStack() as running, rf.connect(server.url) as client:
        made = client.collection("tall")
        assert made.get_numpy(windows=[(0, 0, 10, 10)], bands=["B1"]).shape == (4, 10, 10)
        idle = server.rss()
        sizes = stall(server.url, 60, running)
        assert stats(server.url)["streams"] == 60
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[0] > 3.5 * MIB
        assert sizes[-1] < 2 * MIB
        assert server.rss() - idle < 360 * MIB
        # Others are served, and what was planned is what comes.
        assert made.get_numpy(windows=[(0, 0, 10, 10)], bands=["B1"]).shape == (4, 10, 10)
        raw = running.enter_context(connect(server.url))
        info = raw.get_flight_info(fl.FlightDescriptor.for_command(TICKET.ticket))
        assert info.total_records > 4 * (HEIGHT * WIDTH * 2 // (2 * MIB))
        running.pop_all().close()
    assert wait_for(lambda: stats(server.url)["streams"] == 0, 5)
    with connect(server.url) as raw:
        rows = sum(raw.do_get(endpoint.ticket).read_all().num_rows for endpoint in info.endpoints)
        assert rows == info.total_records
        assert stall(server.url, 1, running) == sizes[:1]


def test_a_stated_size_is_kept_or_refused(server: ServerProcess) -> None:
    ticket = fl.Ticket(b'{"collection": "tall", "bands": ["B1"], "batchBytes": %d}' % (8 * MIB))
    # A client that tries again would wait for as long as it is told, three times.
    with ExitStack() as running, rf.connect(server.url, retries=0) as client:
        sizes = stall(server.url, 24, running, ticket)
        assert min(sizes) > 7.5 * MIB
        made = client.collection("tall")
        with pytest.raises(rf.errors.BusyError, match="no room for batches of 8388608 bytes") as caught:
            made.read(bands=["B1"], batch_bytes=8 * MIB).read_all()
        assert caught.value.field == "batch_bytes"
        assert caught.value.retryable
        assert max(batch.nbytes for batch in made.read(bands=["B1"], ids="r0")) < MIB
        running.pop_all().close()
        assert wait_for(lambda: stats(server.url)["streams"] == 0, 5)
        sizes = [batch.nbytes for batch in made.read(bands=["B1"], ids="r0", batch_bytes=8 * MIB)]
        assert max(sizes) > 7.5 * MIB


def test_readers_at_once(server: ServerProcess) -> None:
    with rf.connect(server.url) as client:
        client.collection("tall").get_numpy(windows=[(0, 0, 10, 10)], bands=["B1"])
    idle = server.rss()
    received: list[int] = []

    def read() -> None:
        with connect(server.url) as client:
            received.append(sum(chunk.data["B1"].nbytes for chunk in client.do_get(one)))

    one = fl.Ticket(b'{"collection": "tall", "bands": ["B1"], "filters": [{"ids": ["r0"]}]}')
    readers = [Thread(target=read) for _ in range(16)]
    for reader in readers:
        reader.start()
    peak = idle
    while any(reader.is_alive() for reader in readers):
        readers[0].join(0.05)
        peak = max(peak, server.rss())
    assert len(received) == 16
    assert min(received) >= HEIGHT * WIDTH * 2
    assert peak - idle < 350 * MIB
