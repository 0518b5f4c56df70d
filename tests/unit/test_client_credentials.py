"""Tokens and certificates of the client: what goes together, what travels, and that no secret is shown."""

import pickle
import socket
import ssl
import threading
from pathlib import Path

import pytest

import rasterflight as rf
from rasterflight._connection import Address, Connection
from rasterflight._credentials import Credentials
from rasterflight._tlsfailures import cause
from rasterflight.cli import main
from support.certificates import Authority
from support.fake_server import Answers, serving

VARIABLES = ("TOKEN", "URL", "ROOT_CERTS", "CLIENT_CERTIFICATE", "CLIENT_KEY")
TLS = "grpc+tls://host.example:1"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(f"RASTERFLIGHT_{name}", raising=False)


def a_token() -> str:
    return "fr3sh"


@pytest.mark.parametrize(
    ("url", "given", "words"),
    [
        (TLS, {"client_certificate": b"c"}, "client_certificate and client_key go together"),
        (TLS, {"client_key": b"k"}, "client_certificate and client_key go together"),
        (TLS, {"tls_verify": False, "tls_root_certs": b"r"}, "tls_verify=False looks at no certificate"),
        (
            TLS,
            {"tls_verify": False, "client_certificate": b"c", "client_key": b"k"},
            "Arrow shows no client certificate",
        ),
        (TLS, {"tls_root_certs": b"junk"}, "tls_root_certs holds no certificate in PEM"),
        (TLS, {"tls_root_certs": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}, "cannot be read"),
        (
            "grpc://host:1",
            {"tls_root_certs": b"r"},
            r"tls_root_certs is given, and grpc://host:1 is not encrypted: use grpc\+tls://",
        ),
        ("grpc+unix:///s", {"client_certificate": b"c", "client_key": b"k"}, "client_certificate is given"),
        ("grpc://host:1", {"tls_verify": False}, "tls_verify is given"),
    ],
)
def test_what_does_not_go_together(url, given, words):
    with pytest.raises(ValueError, match=words):
        rf.connect(url, **given)


def test_files_that_cannot_be_used(tmp_path: Path):
    pair = Authority(tmp_path).issue("ann")
    with pytest.raises(FileNotFoundError, match="none"):
        rf.connect(TLS, tls_root_certs=tmp_path / "none")
    with pytest.raises(ValueError, match=r"client_key '.*ann.pem' holds no private key in PEM"):
        rf.connect(TLS, client_certificate=pair.certificate, client_key=pair.certificate)
    with pytest.raises(ValueError, match=r"client_certificate '.*ann.key' holds no certificate in PEM"):
        rf.connect(TLS, client_certificate=pair.key, client_key=pair.key)


def test_certificates_of_the_environment_are_for_encrypted_connections(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("RASTERFLIGHT_ROOT_CERTS", str(tmp_path / "none"))
    rf.connect("grpc://127.0.0.1:1").close()
    rf.connect(TLS, tls_verify=False).close()
    with pytest.raises(FileNotFoundError):
        rf.connect(TLS)
    monkeypatch.setenv("RASTERFLIGHT_ROOT_CERTS", "")
    monkeypatch.setenv("RASTERFLIGHT_CLIENT_CERTIFICATE", "c")
    with pytest.raises(ValueError, match="client_certificate and client_key go together"):
        rf.connect(TLS)


def test_no_secret_is_shown():
    given = Credentials("s3cret", b"s3cret", b"s3cret", b"s3cret")
    assert "s3cret" not in repr(given) + repr(Address(TLS, given))


def test_what_travels_is_what_was_given(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("RASTERFLIGHT_TOKEN", "t0ken-of-the-environment")
    authority = Authority(tmp_path)
    pair = authority.issue("ann")
    given = {
        "tls_root_certs": authority.root.read_bytes(),
        "client_certificate": pair.certificate,
        "client_key": pair.key,
    }
    with rf.connect(TLS, **given) as client:
        travels = pickle.dumps(client._connection.address)
    assert b"t0ken-of-the-environment" not in travels
    assert b"PRIVATE KEY" not in travels
    assert b"BEGIN CERTIFICATE" in travels
    assert pickle.loads(travels) == client._connection.address
    assert pickle.loads(travels).connect().address == client._connection.address
    travels = pickle.dumps(Address(TLS, Credentials(a_token)))
    assert pickle.loads(travels).credentials.headers() == [(b"authorization", b"Bearer fr3sh")]


def test_a_function_gives_the_token_of_each_call():
    answers, tokens = Answers(), iter(["one", "two", "three"])
    with serving(answers) as url, rf.connect(url, token=lambda: next(tokens)) as client:
        client.collections()
        client.healthcheck()
        client.collection("toy")
    assert [headers["authorization"] for headers in answers.headers] == [
        ["Bearer one"],
        ["Bearer two"],
        ["Bearer three"],
    ]


@pytest.mark.parametrize("token", ["", "a\nb", None, b"bytes", 5])
def test_a_function_that_gives_no_token(token):
    words = "the token is empty, or has characters that a header cannot carry"
    with rf.connect("grpc://127.0.0.1:1", token=lambda: token) as client, pytest.raises(ValueError, match=words):
        client.collections()


def test_other_failures_have_other_causes():
    closed = "failed to connect to all addresses; last error: UNAVAILABLE: ipv4:127.0.0.1:1: Socket closed"
    assert cause("grpc+unix:///s", closed) is None
    assert cause("grpc://127.0.0.1:1", closed) is None
    assert cause("grpc+tls://127.0.0.1:1", "failed to connect to all addresses; Connection refused") is None
    assert cause("grpc://127.0.0.1:1", "certificate verify failed") is None
    with serving(Answers()) as url:
        # It is there, and does not encrypt.
        assert cause(url, closed) is None


def test_a_connection_that_breaks_later_is_no_matter_of_encryption(tmp_path: Path):
    pair = Authority(tmp_path).issue("server", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=hang_up, args=(listener, context), daemon=True).start()
        url = f"grpc+tls://127.0.0.1:{listener.getsockname()[1]}"
        assert cause(url, "Socket closed") is None
        why, _ = cause(url, "failed to connect to all addresses; Socket closed")
    assert "wants to see a client certificate" in why


def hang_up(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Encrypt, and go away."""
    with context.wrap_socket(listener.accept()[0], server_side=True):
        pass


def test_the_command_takes_certificates(tmp_path: Path, capsys):
    root = Authority(tmp_path).root
    assert main(["ls", "--url", "grpc+tls://127.0.0.1:1", "--tls-root-certs", str(root)]) == 1
    assert "no server answers at grpc+tls://127.0.0.1:1" in capsys.readouterr().err
    assert main(["ls", "--url", "grpc://127.0.0.1:1", "--tls-root-certs", str(root)]) == 1
    assert "tls_root_certs is given, and grpc://127.0.0.1:1 is not encrypted" in capsys.readouterr().err
    assert main(["ls", "--url", TLS, "--client-key", "k"]) == 1
    assert "client_certificate and client_key go together" in capsys.readouterr().err
    assert main(["ls", "--url", "grpc+tls://127.0.0.1:1", "--no-tls-verify"]) == 1


def test_connections_without_credentials_send_none():
    answers = Answers()
    with serving(answers) as url:
        connection = Connection(url)
        connection.list_flights()
        connection.close()
    assert "authorization" not in answers.headers[0]
