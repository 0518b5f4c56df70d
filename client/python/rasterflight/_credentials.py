"""What a connection shows to the server, and what it wants to see: tokens and certificates."""

import os
import ssl
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

#: A token, or what gives the one that holds at the moment.
Token = str | Callable[[], str]
#: PEM: a file, or what stands in it.
Pem = str | os.PathLike[str] | bytes

_TOKEN = "RASTERFLIGHT_TOKEN"  # noqa: S105 - the name of a variable
_ROOT_CERTS = "RASTERFLIGHT_ROOT_CERTS"
_CLIENT_CERTIFICATE = "RASTERFLIGHT_CLIENT_CERTIFICATE"
_CLIENT_KEY = "RASTERFLIGHT_CLIENT_KEY"
_ENCRYPTED = "grpc+tls"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Tokens and certificates, as the caller gave them; no secret is shown.

    Files stay files: another process reads its own.

    Parameters
    ----------
    token
        Sent with every call.
    tls_root_certs
        Roots of the server's certificate; None: those of the system.
    client_certificate, client_key
        Shown to the server.
    tls_verify
        Whether the certificate of the server must be right.

    Raises
    ------
    ValueError
        Some of them do not go together.
    """

    token: Token | None = field(default=None, repr=False)
    tls_root_certs: Pem | None = field(default=None, repr=False)
    client_certificate: Pem | None = field(default=None, repr=False)
    client_key: Pem | None = field(default=None, repr=False)
    tls_verify: bool = True

    def __post_init__(self) -> None:
        if (self.client_certificate is None) != (self.client_key is None):
            raise ValueError("client_certificate and client_key go together, and one of them is missing")
        if not self.tls_verify and self.tls_root_certs is not None:
            raise ValueError("tls_verify=False looks at no certificate, and tls_root_certs is given")
        if not self.tls_verify and self.client_certificate is not None:
            raise ValueError("with tls_verify=False Arrow shows no client certificate: leave one of them out")

    def with_environment(self) -> "Credentials":
        """What is not given, as the environment has it."""
        said: dict[str, Any] = {}
        if self.token is None:
            said["token"] = os.environ.get(_TOKEN) or None
        if self.tls_verify and self.tls_root_certs is None:
            said["tls_root_certs"] = os.environ.get(_ROOT_CERTS) or None
        if self.tls_verify and self.client_certificate is None:
            said["client_certificate"] = os.environ.get(_CLIENT_CERTIFICATE) or None
            said["client_key"] = os.environ.get(_CLIENT_KEY) or None
        return replace(self, **said)

    def check(self, url: str) -> None:
        """Make sure that they suit a URL.

        Raises
        ------
        ValueError
            The token cannot be sent, or certificates are given for a connection that is not encrypted.
        """
        if isinstance(self.token, str):
            _check_token(self.token)
        parts = urlsplit(url)
        if parts.scheme == _ENCRYPTED:
            return
        for name in ("tls_root_certs", "client_certificate"):
            if getattr(self, name) is not None:
                raise ValueError(f"{name} is given, and {url} is not encrypted: use grpc+tls://")
        if not self.tls_verify:
            raise ValueError(f"tls_verify is given, and {url} is not encrypted: use grpc+tls://")

    def warn(self, url: str) -> None:
        """Say that a token goes over a network unencrypted."""
        parts = urlsplit(url)
        if (
            self.token is not None
            and parts.hostname
            and parts.scheme != _ENCRYPTED
            and not _is_loopback(parts.hostname)
        ):
            warnings.warn(
                f"the token goes unencrypted to {parts.hostname}, and who is in between can read it: use grpc+tls://",
                RuntimeWarning,
                stacklevel=4,
            )

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Headers of a call."""
        if self.token is None:
            return []
        token = self.token if isinstance(self.token, str) else self.token()
        _check_token(token)
        return [(b"authorization", b"Bearer " + token.encode())]

    def arguments(self, url: str) -> dict[str, Any]:
        """Arguments of a ``FlightClient``.

        Raises
        ------
        OSError
            A file cannot be read.
        ValueError
            It is not PEM of this kind.
        """
        if urlsplit(url).scheme != _ENCRYPTED:
            return {}
        if not self.tls_verify:
            return {"disable_server_verification": True}
        roots = _content(self.tls_root_certs, "tls_root_certs", "CERTIFICATE")
        _check_roots(roots)
        return {
            "tls_root_certs": roots,
            "cert_chain": _content(self.client_certificate, "client_certificate", "CERTIFICATE"),
            "private_key": _content(self.client_key, "client_key", "PRIVATE KEY"),
        }


def _check_token(token: object) -> None:
    # not shown: an error must not carry the token into a log
    if not (isinstance(token, str) and token.isascii() and token.isprintable() and token.strip() == token != ""):
        raise ValueError("the token is empty, or has characters that a header cannot carry")


def _content(pem: Pem | None, name: str, kind: str) -> bytes | None:
    if pem is None:
        return None
    content = pem if isinstance(pem, bytes) else Path(pem).read_bytes()
    if f"{kind}-----".encode() not in content:
        where = "" if isinstance(pem, bytes) else f" {os.fspath(pem)!r}"
        raise ValueError(f"{name}{where} holds no {kind.lower()} in PEM")
    return content


def _check_roots(roots: bytes | None) -> None:
    """Refuse what gRPC would refuse, which says that nobody answers."""
    if roots is not None:
        try:
            ssl.create_default_context(cadata=roots.decode("ascii", errors="replace"))
        except ssl.SSLError:
            raise ValueError("tls_root_certs holds certificates that cannot be read") from None


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
