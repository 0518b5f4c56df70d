"""Encrypted connections to real servers, of one process and of several: who is believed, who is refused, and what is said."""

import os
import signal
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
import pyarrow as pa
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

import rasterflight as rf
from rasterflight_protocol.v1.read_pb2 import ReadRequest
from rasterflight_server.errors import ConfigError, ServiceError
from rasterflight_server.flight.listen import Listen
from rasterflight_server.flight.tls import read_tls
from rasterflight_server.settings import TlsSettings
from support.certificates import Authority, Pair, private_pem
from support.server import ServerProcess, run_server_command
from support.telemetry import wait_for


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def stranger(folder: Path) -> Authority:
    return Authority(folder, "stranger")


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("server", "localhost", "127.0.0.1")


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("RASTERFLIGHT_")]:
        monkeypatch.delenv(name)


def flags(pair: Pair, *more: str) -> list[str]:
    return [f"--tls-certificate={pair.certificate}", f"--tls-key={pair.key}", *more]


def tls_server(indexes: dict[str, Path], pair: Pair, *more: str, workers: int = 1) -> ServerProcess:
    served = {name: indexes[name] for name in ("ny", "naip")}
    return ServerProcess(served, listen="grpc+tls://127.0.0.1:0", options=flags(pair, *more), workers=workers)


@pytest.fixture(scope="module", params=[1, 2])
def encrypted(request: pytest.FixtureRequest, indexes: dict[str, Path], pair: Pair) -> Iterator[ServerProcess]:
    with tls_server(indexes, pair, workers=request.param) as server:
        yield server


@pytest.fixture(scope="module", params=[1, 2])
def mutual(
    request: pytest.FixtureRequest, indexes: dict[str, Path], pair: Pair, authority: Authority
) -> Iterator[ServerProcess]:
    with tls_server(indexes, pair, f"--tls-client-ca={authority.root}", workers=request.param) as server:
        yield server


@pytest.mark.parametrize("server", ["tcp"], indirect=True)
def test_reads(encrypted: ServerProcess, authority: Authority, client: rf.Client) -> None:
    assert encrypted.url.startswith("grpc+tls://127.0.0.1:")
    with rf.connect(encrypted.url, tls_root_certs=authority.root) as own:
        windows = {"windows": [(10, 10, 32, 32)], "bands": ["red"]}
        np.testing.assert_array_equal(
            own.collection("ny").get_numpy(**windows), client.collection("ny").get_numpy(**windows)
        )
    by_name = encrypted.url.replace("127.0.0.1", "localhost")
    with rf.connect(by_name, tls_root_certs=authority.root.read_bytes()) as own:
        assert own.healthcheck()["status"] == "ok"


def test_roots_from_the_environment(
    encrypted: ServerProcess, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RASTERFLIGHT_ROOT_CERTS", str(authority.root))
    assert rf.connect(encrypted.url).healthcheck()["status"] == "ok"


def test_lazy_reads_take_the_roots_along(encrypted: ServerProcess, authority: Authority) -> None:
    pytest.importorskip("dask")
    with rf.connect(encrypted.url, tls_root_certs=authority.root) as client:
        ny = client.collection("ny").subset(ids=["LC08_L1TP_013032_20180405_20180417_01_T1"])
        lazy = ny.get_xarray(bands=["red"], geometries=(-74.3, 40.4, -74.1, 40.6), chunks={})
        eager = ny.get_xarray(bands=["red"], geometries=(-74.3, 40.4, -74.1, 40.6))
        np.testing.assert_array_equal(lazy.compute(scheduler="threads")["red"], eager["red"])


def test_whoever_answers_is_taken_if_that_is_asked_for(encrypted: ServerProcess) -> None:
    assert rf.connect(encrypted.url, tls_verify=False).healthcheck()["status"] == "ok"


def refused(url: str, words: str, **keywords: object) -> None:
    with rf.connect(url, **keywords) as client:
        read = ReadRequest(collection="ny", bands=["red"])
        for call in (client.collections, client.healthcheck, lambda: client._connection.open(read, None).schema):
            with pytest.raises(rf.errors.TlsError, match=words) as caught:
                call()
            assert not caught.value.retryable
            assert isinstance(caught.value, ConnectionError)


def test_a_server_of_another_authority(encrypted: ServerProcess, stranger: Authority) -> None:
    words = r"from nobody who is trusted here \(pass the root of it as tls_root_certs="
    refused(encrypted.url, words, tls_root_certs=stranger.root)
    refused(encrypted.url, words)


def test_an_unencrypted_call_to_an_encrypted_server(encrypted: ServerProcess) -> None:
    refused(encrypted.url.replace("+tls", ""), r"speaks over encrypted connections only \(use grpc\+tls://\)")


def test_an_encrypted_call_to_an_unencrypted_server(indexes: dict[str, Path], authority: Authority) -> None:
    with ServerProcess({"ny": indexes["ny"]}) as plain:
        refused(plain.url.replace("grpc", "grpc+tls"), "does not encrypt", tls_root_certs=authority.root)


@pytest.mark.parametrize(
    ("hosts", "days", "words"),
    [
        (("elsewhere.example",), 30, r"for another host \(connect by the name that is in the certificate"),
        (("127.0.0.1",), -1, "has expired"),
    ],
)
def test_certificates_that_do_not_hold(
    indexes: dict[str, Path], authority: Authority, hosts: tuple[str, ...], days: int, words: str
) -> None:
    with tls_server(indexes, authority.issue("unfit", *hosts, days=days)) as server:
        refused(server.url, words, tls_root_certs=authority.root)
        assert ("the certificate ended at" in server.log) is (days < 0)


def test_nobody_there_is_no_matter_of_encryption(authority: Authority) -> None:
    with (
        rf.connect("grpc+tls://127.0.0.1:1", tls_root_certs=authority.root) as client,
        pytest.raises(rf.errors.ServerUnavailableError, match="no server answers") as caught,
    ):
        client.collections()
    assert type(caught.value) is rf.errors.ServerUnavailableError


def test_client_certificates(mutual: ServerProcess, authority: Authority, stranger: Authority) -> None:
    ann, bob = authority.issue("ann"), stranger.issue("bob")
    shown = {"tls_root_certs": authority.root}
    with rf.connect(mutual.url, **shown, client_certificate=ann.certificate, client_key=ann.key.read_bytes()) as client:
        assert client.collections()["name"].to_pylist() == ["naip", "ny"]
        # Everybody with a certificate reads, nobody is operator by it.
        with pytest.raises(rf.errors.ForbiddenError, match="'stats' is for operators"):
            list(client._connection.action("stats"))
    words = r"wants to see a client certificate, and got none that it trusts \(pass client_certificate="
    refused(mutual.url, words, **shown)
    refused(mutual.url, words, **shown, client_certificate=bob.certificate, client_key=bob.key)
    refused(mutual.url, words, tls_verify=False)
    expired = authority.issue("old", days=-1)
    refused(mutual.url, words, **shown, client_certificate=expired.certificate, client_key=expired.key)


def test_client_certificates_from_the_environment(
    mutual: ServerProcess, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = authority.issue("ann")
    monkeypatch.setenv("RASTERFLIGHT_ROOT_CERTS", str(authority.root))
    monkeypatch.setenv("RASTERFLIGHT_CLIENT_CERTIFICATE", str(ann.certificate))
    monkeypatch.setenv("RASTERFLIGHT_CLIENT_KEY", str(ann.key))
    assert rf.connect(mutual.url).healthcheck()["status"] == "ok"


# Starting


def start(indexes: dict[str, Path], *flags: str, listen: str = "grpc+tls://127.0.0.1:0") -> str:
    done = run_server_command("serve", f"--collection=ny={indexes['ny']}", f"--listen={listen}", *flags)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def shown(server: ServerProcess) -> int:
    """Serial number of the certificate that a new connection sees."""
    url = urlsplit(server.url)
    text = ssl.get_server_certificate((str(url.hostname), int(url.port or 0)))
    return x509.load_pem_x509_certificate(text.encode()).serial_number


def serial(pair: Pair) -> int:
    return x509.load_pem_x509_certificate(pair.certificate.read_bytes()).serial_number


def test_renewed_certificates(indexes: dict[str, Path], authority: Authority) -> None:
    """As the page on operation says: write the files, send SIGHUP. No stream is dropped, and no caller finds the door closed."""
    first = authority.issue("renewed", "127.0.0.1")
    before, old = serial(first), first.certificate.read_bytes()
    with (
        tls_server(indexes, first, workers=2) as server,
        rf.connect(server.url, tls_root_certs=authority.root) as client,
    ):
        assert shown(server) == before
        truth = client.collection("naip").get_numpy(windows=[(0, 0, 256, 256)], bands=["red"])
        many = {"windows": [(0, 0, 256, 256)] * 64, "bands": ["red"], "batch_bytes": 1 << 16}
        expected = client.collection("naip").read(**many).read_all()
        batches = iter(client.collection("naip").read(**many))
        received = [next(batches)]
        processes = {child.pid for child in psutil.Process(server.process.pid).children()}
        renewed = serial(authority.issue("renewed", "127.0.0.1"))
        server.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: shown(server) == renewed, 30)
        received.extend(batches)
        assert pa.Table.from_batches(received).equals(expected)
        assert np.array_equal(client.collection("naip").get_numpy(windows=[(0, 0, 256, 256)], bands=["red"]), truth)
        assert wait_for(
            lambda: not processes & {child.pid for child in psutil.Process(server.process.pid).children()}, 60
        )
        assert {shown(server) for _ in range(4)} == {renewed}
        # What cannot be used changes nothing.
        first.certificate.write_bytes(old)
        server.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: "the certificates from before hold on" in server.log, 30)
        assert {shown(server) for _ in range(4)} == {renewed}
        assert "it does not belong to the certificate" in server.log


def test_files_that_cannot_be_used(pair: Pair, authority: Authority, folder: Path) -> None:
    junk, locked, other = folder / "junk", folder / "locked.key", authority.issue("other", "localhost")
    junk.write_text("not PEM")
    locked.write_bytes(private_pem(ec.generate_private_key(ec.SECP256R1()), b"password"))
    for certificate, key, client_ca, words in (
        (
            folder / "none",
            pair.key,
            None,
            f"{folder}/none cannot be used: No such file or directory (tls.certificate is",
        ),
        (
            pair.certificate,
            folder / "none",
            None,
            f"{folder}/none cannot be used: No such file or directory (tls.key is",
        ),
        (pair.certificate, folder, None, f"{folder} cannot be used: Is a directory"),
        (junk, pair.key, None, f"{junk} cannot be used: there is no certificate in PEM in it"),
        (pair.certificate, junk, None, f"{junk} cannot be used: it is no private key in PEM"),
        (pair.certificate, locked, None, f"{locked} cannot be used: it has a password (take the password off"),
        (
            pair.certificate,
            other.key,
            None,
            f"{other.key} cannot be used: it does not belong to the certificate {pair.certificate}",
        ),
        (pair.certificate, pair.key, junk, f"{junk} cannot be used: there is no certificate in PEM"),
    ):
        settings = TlsSettings(certificate=certificate, key=key, client_ca=client_ca)
        with pytest.raises(ConfigError) as caught:
            read_tls(settings, Listen.parse("grpc+tls://127.0.0.1:0"))
        assert str(caught.value).startswith(words)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_such_files_end_the_server(indexes: dict[str, Path], pair: Pair, folder: Path, workers: str) -> None:
    said = start(indexes, *flags(Pair(pair.certificate, folder / "none")), f"--workers={workers}")
    assert said.startswith(f"error: {folder}/none cannot be used: No such file or directory")
    assert len(said.splitlines()) == 1


def test_settings_that_do_not_go_together(indexes: dict[str, Path], pair: Pair) -> None:
    assert "--listen: grpc+tls needs a certificate (set tls.certificate and tls.key" in start(indexes)
    assert "there is no key with it" in start(indexes, f"--tls-certificate={pair.certificate}")
    assert "nothing that goes over this location would be encrypted (use grpc+tls://" in start(
        indexes, *flags(pair), listen="grpc://127.0.0.1:0"
    )


def test_a_key_that_everybody_may_read(indexes: dict[str, Path], authority: Authority) -> None:
    pair = authority.issue("open", "127.0.0.1")
    pair.key.chmod(0o644)
    with tls_server(indexes, pair) as server:
        assert f"everybody on this machine can read the private key {pair.key} (chmod 600 {pair.key})" in server.log


@pytest.mark.parametrize(
    ("listen", "workers"), [("grpc://0.0.0.0:0", "1"), ("grpc://[::]:0", "2"), ("grpc+tls://0.0.0.0:0", "2")]
)
def test_nobody_lets_everybody_in_unasked(indexes: dict[str, Path], pair: Pair, listen: str, workers: str) -> None:
    more = flags(pair) if "tls" in listen else []
    said = start(indexes, *more, f"--workers={workers}", listen=listen)
    assert said.startswith(
        f"error: {listen} can be reached from other machines, and nothing says who may come in (set "
    )
    for way in ("access.tokens", "access.jwt.jwks", "tls.client_ca", "access.anonymous=true"):
        assert way in said


@pytest.mark.parametrize(
    ("location", "reachable"),
    [
        ("grpc://127.0.0.1:0", False),
        ("grpc://127.9.9.9:0", False),
        ("grpc://localhost:0", False),
        ("grpc+tls://[::1]:0", False),
        ("grpc+unix:///tmp/s", False),
        ("grpc://0.0.0.0:0", True),
        ("grpc://[::]:0", True),
        ("grpc+tls://192.0.2.1:0", True),
    ],
)
def test_what_other_machines_can_reach(location: str, reachable: bool) -> None:
    assert Listen.parse(location).reachable is reachable


def test_encrypted_sockets_are_no_place_for_callers() -> None:
    with pytest.raises(ServiceError, match="encrypted sockets are only for the processes of one server"):
        Listen.parse("grpc+tls+unix:///tmp/s")


@pytest.mark.parametrize("workers", [1, 2])
def test_everybody_is_let_in_when_that_is_asked_for(indexes: dict[str, Path], workers: int) -> None:
    options = ["--set=access.anonymous=true"]
    with (
        ServerProcess({"ny": indexes["ny"]}, listen="grpc://0.0.0.0:0", options=options, workers=workers) as server,
        rf.connect(server.url.replace("0.0.0.0", "127.0.0.1")) as client,
    ):
        assert client.collections()["name"].to_pylist() == ["ny"]
        with pytest.raises(rf.errors.ForbiddenError):
            list(client._connection.action("collection.refresh"))


def test_a_token_that_others_can_read_is_warned_of() -> None:
    with pytest.warns(RuntimeWarning, match=r"the token goes unencrypted to data.example.*use grpc\+tls://"):
        rf.connect("grpc://data.example:8815", token="t0ken")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for url in ("grpc+tls://data.example:8815", "grpc://127.0.0.1:1", "grpc://[::1]:1", "grpc+unix:///s"):
            rf.connect(url, token="t0ken")
        rf.connect("grpc://data.example:8815")
