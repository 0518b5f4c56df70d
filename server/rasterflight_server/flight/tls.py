"""Certificates and keys of encrypted connections, checked before anybody connects."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from stat import S_IROTH
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from rasterflight_server.errors import ConfigError
from rasterflight_server.flight.listen import Listen
from rasterflight_server.settings.transport import TlsSettings

_log = logging.getLogger("rasterflight_server")


@dataclass(frozen=True, slots=True)
class Tls:
    """What an encrypted server shows, and what it wants to see; all as PEM."""

    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)
    #: Roots of the certificates of clients; None: they show none.
    client_roots: bytes | None = field(repr=False)

    def arguments(self) -> dict[str, Any]:
        """Arguments of ``FlightServerBase``."""
        return {
            "tls_certificates": [(self.certificate, self.key)],
            "verify_client": self.client_roots is not None,
            "root_certificates": self.client_roots,
        }


def read_tls(settings: TlsSettings, listen: Listen) -> Tls | None:
    """Read what a server needs that listens there; None: its connections are not encrypted.

    Raises
    ------
    ConfigError
        A file cannot be read or used, or does not fit the other.
    """
    if not listen.encrypted:
        return None
    # Settings without them have been refused.
    assert settings.certificate is not None
    assert settings.key is not None
    certificate, chain = _certificates(settings.certificate, "certificate")
    key = _content(settings.key, "key")
    try:
        public = load_pem_private_key(key, None).public_key()
    except TypeError:
        raise _unusable(
            settings.key, "key", "it has a password", "take the password off (openssl pkey -in FILE)"
        ) from None
    except ValueError:
        raise _unusable(settings.key, "key", "it is no private key in PEM") from None
    if _bytes_of(public) != _bytes_of(chain[0].public_key()):
        raise _unusable(
            settings.key,
            "key",
            f"it does not belong to the certificate {settings.certificate}",
            "the server's own certificate must come first in its file",
        )
    _warn(settings.key, chain[0])
    roots = None if settings.client_ca is None else _certificates(settings.client_ca, "client_ca")[0]
    return Tls(certificate, key, roots)


def _warn(key: Path, certificate: x509.Certificate) -> None:
    """Say what works, and should not be."""
    if key.stat().st_mode & S_IROTH:
        _log.warning("everybody on this machine can read the private key %s (chmod 600 %s)", key, key)
    if certificate.not_valid_after_utc < datetime.now(UTC):
        _log.warning("the certificate ended at %s: clients will not accept it", certificate.not_valid_after_utc)


def _certificates(path: Path, name: str) -> tuple[bytes, Sequence[x509.Certificate]]:
    content = _content(path, name)
    try:
        return content, x509.load_pem_x509_certificates(content)
    except ValueError:
        raise _unusable(path, name, "there is no certificate in PEM in it") from None


def _content(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unusable(path, name, error.strerror or "it cannot be read") from None


def _bytes_of(public: Any) -> bytes:
    return bytes(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _unusable(path: Path, name: str, why: str, hint: str = "") -> ConfigError:
    return ConfigError(
        f"{path} cannot be used: {why}", field=f"tls.{name}", hint=hint or f"tls.{name} is a file in PEM"
    )
