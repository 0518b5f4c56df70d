"""Certificates are taken when they have changed and can be used, and only then."""

from pathlib import Path

import pytest

from rasterflight_server.flight.listen import Listen
from rasterflight_server.flight.renewal import Renewal
from rasterflight_server.settings import TlsSettings
from support.certificates import Authority


def test_what_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    authority = Authority(tmp_path)
    shown, other = authority.issue("shown", "127.0.0.1"), authority.issue("other", "127.0.0.1")
    taken: list[int] = []
    settings = TlsSettings(certificate=shown.certificate, key=shown.key, client_ca=authority.root)
    renewal = Renewal(settings, Listen.parse("grpc+tls://127.0.0.1:0"), lambda: taken.append(1))
    renewal.take()
    assert not taken
    shown.certificate.write_bytes(other.certificate.read_bytes())
    for _ in range(2):
        renewal.take()
    assert not taken
    [record] = caplog.records
    assert "it does not belong to the certificate" in record.getMessage()
    assert record.getMessage().endswith("; the certificates from before hold on")
    shown.key.write_bytes(other.key.read_bytes())
    for _ in range(2):
        renewal.take()
    assert len(taken) == 1
    shown.key.unlink()
    renewal.take()
    assert len(taken) == 1
    assert "No such file or directory" in caplog.text
    authority.root.write_bytes(Authority(tmp_path, "next").root.read_bytes())
    shown.key.write_bytes(other.key.read_bytes())
    shown.key.chmod(0o600)
    renewal.take()
    assert len(taken) == 2


def test_an_unencrypted_server_has_none() -> None:
    renewal = Renewal(TlsSettings(), Listen.parse("grpc://127.0.0.1:0"), lambda: pytest.fail("nothing has changed"))
    renewal.start()
    renewal.take()
