"""Reads that take longer than their credentials hold: these are fetched anew in the middle, and a service that fails is told of."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pytest

from rasterflight_protocol import ErrorCode, pack
from rasterflight_protocol.v1.read_pb2 import ReadRequest
from rasterflight_server.errors import SourceError
from rasterflight_server.ingest import build_index
from rasterflight_server.store import StorageOptions, Stores
from support.azure_server import ACCOUNT, AzureServer
from support.direct import Direct, opened
from support.gate import Gate
from support.gcs_server import GcsServer
from support.granting import AwsMetadata, AwsProcess, AzureSigner, GoogleMetadata, Granting
from support.nginx_server import NginxServer
from support.s3_server import REGION, S3Server
from support.scenes import noise, write_scene

#: Each is a file, and a request; the first answers the questions of the index.
RECORDS = 200
#: How long credentials hold. Keys of a profile take a process to be had.
SECONDS = {"s3": 1.5, "s3-profile": 2.0, "gs": 1.5, "az": 2.0, "web-token": 1.5}
#: How long they hold while the collection is made.
LONG = 60.0
SIZE = 48


@dataclass(frozen=True)
class Place:
    """Where the records are, and who lets in."""

    name: str
    url: str
    stores: Stores
    service: Granting
    #: In front of the store.
    gate: Gate


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_scene(tmp_path_factory.mktemp("scene") / "a.tif", noise(SIZE, SIZE), tile=SIZE).read_bytes()


@contextmanager
def _s3(request: pytest.FixtureRequest, service: AwsMetadata, scene: bytes, **said: str) -> Iterator[Place]:
    server: S3Server = request.getfixturevalue("s3_server")
    put_all(lambda key: server.put("ending", key, scene))
    with Gate(server.url, service.refuses) as gate:
        options = StorageOptions(endpoint=gate.url, region=REGION, allow_http=True, **said)
        yield Place("s3-profile" if said else "s3", "s3://ending", Stores({"s3://": options}), service, gate)


@contextmanager
def s3(request: pytest.FixtureRequest, scene: bytes, patch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Keys of the machine's role."""
    service = AwsMetadata(LONG)
    with service.gate, _s3(request, service, scene) as place:
        patch.setenv("AWS_METADATA_ENDPOINT", service.gate.url)
        yield place


@contextmanager
def s3_profile(request: pytest.FixtureRequest, scene: bytes, patch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Keys of a program that a profile names."""
    service = AwsProcess(LONG)
    with service.gate, _s3(request, service, scene, profile="work") as place:
        folder: Path = request.getfixturevalue("tmp_path_factory").mktemp("aws")
        host, port = service.gate.url.removeprefix("http://").split(":")
        # Quick to start: it is asked ten times a second.
        (folder / "print.py").write_text(
            "import socket\n"
            f"asked = socket.create_connection(({host!r}, {port}))\n"
            "asked.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')\n"
            "print(b''.join(iter(lambda: asked.recv(9999), b'')).decode().partition('\\r\\n\\r\\n')[2])\n"
        )
        command = f"{sys.executable} -I -S {folder / 'print.py'}"
        (folder / "config").write_text(f"[profile work]\ncredential_process = {command}\n")
        patch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "none"))
        yield place


@contextmanager
def gs(request: pytest.FixtureRequest, scene: bytes, patch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Tokens of the machine's account."""
    server: GcsServer = request.getfixturevalue("gcs_server")
    server.make("ending")
    put_all(lambda key: server.put("ending", key, scene))
    service = GoogleMetadata(LONG)
    with service.gate, Gate(server.url, service.refuses, own_host=True) as gate:
        patch.setenv("GCE_METADATA_HOST", service.gate.url.removeprefix("http://"))
        patch.setenv("GCE_METADATA_IP", service.gate.url.removeprefix("http://"))
        options = StorageOptions(endpoint=gate.url, allow_http=True)
        yield Place("gs", "gs://ending", Stores({"gs://": options}), service, gate)


@contextmanager
def az(request: pytest.FixtureRequest, scene: bytes, _patch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Signatures of a service."""
    server: AzureServer = request.getfixturevalue("azure_server")
    server.make("ending")
    put_all(lambda key: server.put("ending", key, scene))
    service = AzureSigner(LONG)
    with service.gate, Gate(server.url) as gate:
        options = StorageOptions(
            endpoint=f"{gate.url}/{ACCOUNT}",
            account=ACCOUNT,
            allow_http=True,
            signing="planetary-computer",
            signing_url=service.gate.url,
        )
        yield Place("az", "az://ending", Stores({"az://": options}), service, gate)


class TokenFile(Granting):
    """Replaces the token in a file before it ends, as whoever renews a login does."""

    def __init__(self, seconds: float, path: Path, server: NginxServer) -> None:
        super().__init__(seconds)
        self.path, self.server, self._done = path, server, threading.Event()
        self._thread = threading.Thread(target=self._renew)

    def _renew(self) -> None:
        tokens: list[str] = []
        while True:
            tokens.append(f"token-of-{len(tokens)}")
            self.server.allow(tokens[-1])
            self.grant(tokens[-1])
            draft = self.path.with_suffix(".new")
            draft.write_text("" if self.fails else tokens[-1])
            draft.replace(self.path)
            if self._done.wait(self.seconds / 2):
                return
            # Requests that were sent with it are still under way.
            if len(tokens) > 2:
                self.server.forbid(tokens[-3])

    def __enter__(self) -> Self:
        self._thread.start()
        while not self.path.exists():
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


@contextmanager
def web_token(request: pytest.FixtureRequest, scene: bytes, _patch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Tokens in a file that is replaced, as those of Earthdata."""
    server: NginxServer = request.getfixturevalue("nginx_server")
    put_all(lambda key: (server.files / "token" / key).write_bytes(scene))
    path: Path = request.getfixturevalue("tmp_path_factory").mktemp("token") / "token"
    with TokenFile(SECONDS["web-token"], path, server) as service, Gate(server.http) as gate:
        url = f"{gate.url}/token"
        options = StorageOptions(token_file=str(path), allow_http=True)
        yield Place("web-token", url, Stores({url: options}), service, gate)


PLACES = {"s3": s3, "s3-profile": s3_profile, "gs": gs, "az": az, "web-token": web_token}


def put_all(put: Callable[[str], object]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, [f"r{number}.tif" for number in range(RECORDS)]))


@pytest.fixture(scope="module", params=list(PLACES))
def place(request: pytest.FixtureRequest, scene: bytes) -> Iterator[Place]:
    with pytest.MonkeyPatch.context() as patch, ExitStack() as running:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "GOOGLE_APPLICATION_CREDENTIALS"):
            patch.delenv(name, raising=False)
        yield running.enter_context(PLACES[request.param](request, scene, patch))


@contextmanager
def collection(place: Place, folder: Path, records: int) -> Iterator[Direct]:
    """The same file as that of many records: each is a request of its own."""
    ids = [f"r{number}" for number in range(records)]
    table = pa.table({"id": ids, "red": [f"{place.url}/{record}.tif" for record in ids]})
    report = build_index(table, folder / "index", "files", stores=place.stores, map={"id": "id", "red": "red"})
    assert report.failures == ()
    with opened(folder / "index", place.stores) as files:
        yield files


def read(files: Direct) -> pa.Table:
    """All records, as one stream."""
    request, collection = files.service.request(pack(ReadRequest(collection="files", bands=["red"])))
    stream = files.service.chips(collection, request)
    return pa.Table.from_batches([batch for batch, _ in stream.batches(lambda: None)])


def test_a_read_that_takes_longer(place: Place, tmp_path: Path) -> None:
    with collection(place, tmp_path, RECORDS) as files:
        place.service.seconds = SECONDS[place.name]
        before, start = len(place.gate.requests), time.monotonic()
        place.gate.delay = 0.5 * place.service.seconds
        try:
            table = read(files)
        finally:
            place.gate.delay = 0.0
        stop = time.monotonic()
    assert table.num_rows == RECORDS
    for pixels in table["red"].chunk(0)[::50]:
        np.testing.assert_array_equal(pixels.values.to_numpy().reshape(SIZE, SIZE), noise(SIZE, SIZE))
    # Each was asked for once: none was refused, and tried again.
    assert len(place.gate.requests) - before == RECORDS
    # What it began with ended, and so did what came after that.
    assert stop - start > 2 * place.service.seconds
    assert sum(start < end < stop for end in place.service.ends.values()) >= 2


_NONE = (ErrorCode.SOURCE_FORBIDDEN, "the server has no credentials for the store of the file")
_NOT_GRANTED = (
    ErrorCode.SOURCE_UNAVAILABLE,
    "no access to the file was to be had from the service that grants it",
)
_NO_TOKEN = (ErrorCode.SOURCE_FORBIDDEN, "the token file holds no token for the store of the file")
FAILURES = {"s3": _NONE, "s3-profile": _NOT_GRANTED, "gs": _NONE, "az": _NOT_GRANTED, "web-token": _NO_TOKEN}


def test_a_service_that_fails(place: Place, tmp_path: Path) -> None:
    with collection(place, tmp_path, 1) as files:
        place.service.fails = 403
        # obstore asks for what ends within minutes ten times a second at most; the file of tokens is replaced twice in its time.
        time.sleep(0.6 * SECONDS["web-token"])
        with pytest.raises(SourceError) as caught:
            read(files)
    error = caught.value
    assert (error.code, error.message, error.record, error.asset) == (*FAILURES[place.name], "r0", "red")
    for secret in ("secret", "tester", "token-", "127.0.0.1", "sig="):
        assert secret not in str(error)
