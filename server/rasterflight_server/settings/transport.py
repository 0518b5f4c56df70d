"""``[tls]``: encrypted connections."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """Encrypted connections; without a certificate there are none."""

    certificate: Path | None = None
    """The server's certificate and those between it and the root, as PEM."""

    key: Path | None = None
    """Its private key, as PEM, without a password."""

    client_ca: Path | None = None
    """Roots of the certificates that clients must show (mTLS), as PEM; None: they show none."""
