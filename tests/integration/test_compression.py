"""Rows that travel compressed: fewer bytes, the same rows."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pyarrow.flight as fl
import pytest

import rasterflight as rf
from support.scenes import write_items, write_scene
from support.server import ServerProcess, run_server_command

SIDE = 1024
PIXELS = (np.arange(SIDE)[:, None] // 32 + np.arange(SIDE)[None, :] // 32).astype(np.uint16)
CODECS = ["lz4", "zstd"]


@pytest.fixture(scope="module")
def smooth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of a scene that compresses well."""
    folder = tmp_path_factory.mktemp("smooth")
    write_scene(folder / "a.tif", PIXELS)
    items = write_items(folder / "items.json", {"r0": {"B1": "a.tif"}, "r1": {"B1": "a.tif"}})
    assert run_server_command("index", items, "--out", folder / "index", "--name", "made").returncode == 0
    with ServerProcess({"made": folder / "index"}) as server:
        yield server


class Proxy:
    """Passes a connection on to a server, and counts what comes back."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.received = 0
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"grpc://127.0.0.1:{self._listener.getsockname()[1]}"
        self._sockets = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                self._sockets += [near, far]
                threading.Thread(target=self._pass, args=(near, far, False), daemon=True).start()
                threading.Thread(target=self._pass, args=(far, near, True), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, count: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self.received += len(data) if count else 0
                target.sendall(data)


@contextmanager
def counting(url: str) -> Iterator[Proxy]:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    proxy = Proxy((parts.hostname, parts.port))
    try:
        yield proxy
    finally:
        proxy.close()


def taken(url: str, compression: str | None, read) -> tuple[object, int]:
    """What a read gives, and the bytes that came over the wire for it."""
    with counting(url) as proxy, rf.connect(proxy.url, compression=compression) as client:
        made = client.collection("made")
        before = proxy.received
        return read(made), proxy.received - before


def points(made: rf.Collection) -> object:
    x, y = np.meshgrid(500_005.0 + 10 * np.arange(100), 5_699_995.0 - 10 * np.arange(100))
    return made.sample_points(np.stack([x.ravel(), y.ravel()], axis=1), ["B1"], geometry_crs=32631)


READS = {
    "chips": lambda made: made.read(bands=["B1"]).read_all(),
    "outlines": lambda made: made.read(
        bands=["B1"], layout="outlines", windows=[(col, 0, 8, 8) for col in range(500)]
    ).read_all(),
    "array": lambda made: made.get_numpy(bands=["B1"]),
    "cube": lambda made: (
        made.get_xarray(bands=["B1"], chunks={"time": 1})["B1"].compute(scheduler="synchronous").values
    ),
    "points": points,
}


def test_without_it_pixels_travel_as_they_are(smooth: ServerProcess) -> None:
    _, plain = taken(smooth.url, None, READS["array"])
    assert plain > 2 * PIXELS.nbytes


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("layout", READS)
def test_fewer_bytes_and_the_same_rows(smooth: ServerProcess, layout: str, codec: str) -> None:
    plain, many = taken(smooth.url, None, READS[layout])
    squeezed, few = taken(smooth.url, codec, READS[layout])
    assert np.array_equal(squeezed, plain) if isinstance(plain, np.ndarray) else squeezed.equals(plain)
    assert few < many / 2


@pytest.mark.parametrize("codec", CODECS)
def test_records(smooth: ServerProcess, codec: str) -> None:
    plain, _ = taken(smooth.url, None, lambda made: made.records())
    squeezed, _ = taken(smooth.url, codec, lambda made: made.records())
    assert squeezed.equals(plain)
    assert plain.num_rows == 2


def test_a_read_has_its_own(smooth: ServerProcess) -> None:
    def read(compression: str):
        return lambda made: made.read(bands=["B1"], compression=compression).read_all()

    plain, many = taken(smooth.url, "zstd", read("none"))
    squeezed, few = taken(smooth.url, None, read("zstd"))
    assert squeezed.equals(plain)
    assert many > 2 * PIXELS.nbytes > 10 * few


def test_by_a_ticket_typed_by_hand(smooth: ServerProcess) -> None:
    command = b'{"collection": "made", "bands": ["B1"], "compression": "COMPRESSION_LZ4"}'
    with counting(smooth.url) as proxy, fl.connect(proxy.url) as client:
        info = client.get_flight_info(fl.FlightDescriptor.for_command(command))
        rows = sum(client.do_get(endpoint.ticket).read_all().num_rows for endpoint in info.endpoints)
        assert rows == info.total_records
        assert proxy.received < PIXELS.nbytes / 4


def test_by_the_command(smooth: ServerProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rasterflight.cli import main

    with counting(smooth.url) as proxy:
        out = str(tmp_path / "a.parquet")
        assert main(["read", "made", "--url", proxy.url, "--bands", "B1", "--compression", "zstd", "-o", out]) == 0
        assert proxy.received < PIXELS.nbytes / 4
    with pytest.raises(SystemExit):
        main(["ls", "--compression", "gzip"])
    assert "invalid choice: 'gzip'" in capsys.readouterr().err


def test_an_unknown_codec_is_refused_at_once(smooth: ServerProcess) -> None:
    with pytest.raises(ValueError, match="compression is 'gzip', expected 'none', 'lz4' or 'zstd'"):
        rf.connect(smooth.url, compression="gzip")  # type: ignore[arg-type]
    with rf.connect(smooth.url) as client, pytest.raises(rf.errors.BadRequestError, match="'gzip'") as caught:
        client.collection("made").read(bands=["B1"], compression="gzip")  # type: ignore[arg-type]
    assert caught.value.field == "compression"
