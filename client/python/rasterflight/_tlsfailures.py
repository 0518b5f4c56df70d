"""Why an encrypted connection does not come about; what Arrow says of it, few would understand."""

import socket
import ssl
from typing import Final
from urllib.parse import urlsplit

_PROBE_SECONDS: Final = 3.0
_ENCRYPTED: Final = "grpc+tls"

#: What gRPC says -> what is wrong, and the way out.
_CAUSES: Final = (
    (
        "is not in peer certificate",
        "the certificate of the server is for another host",
        "connect by the name that is in the certificate",
    ),
    ("certificate has expired", "the certificate of the server has expired", "its operator must renew it"),
    ("certificate is not yet valid", "the certificate of the server is not valid yet", "look at the clock"),
    (
        "certificate verify failed",
        "the certificate of the server comes from nobody who is trusted here",
        "pass the root of it as tls_root_certs= (RASTERFLIGHT_ROOT_CERTS)",
    ),
    ("wrong version number", "the server does not encrypt", "use grpc:// if nobody can listen in between"),
    (
        "empty address list",
        "the certificates or the key for the connection cannot be used",
        "look at tls_root_certs, client_certificate and client_key: PEM, and the key must belong to the certificate",
    ),
)
#: What gRPC says when the other side goes away as soon as it is called; connections that worked before fail in other words.
_NOT_CONNECTED: Final = "failed to connect"
_CLOSED: Final = ("socket closed", "connection reset", "broken pipe")


def cause(url: str, message: str) -> tuple[str, str] | None:
    """Find out what is wrong with the encryption, and the way out.

    Parameters
    ----------
    url
        Of the server; it is called once more, where its silence says nothing.
    message
        What Arrow says.

    Returns
    -------
    tuple of str or None
        None: it is something else.
    """
    said = message.lower()
    encrypted = urlsplit(url).scheme == _ENCRYPTED
    if encrypted:
        for words, why, hint in _CAUSES:
            if words in said:
                return why, hint
    if not (_NOT_CONNECTED in said and any(words in said for words in _CLOSED) and urlsplit(url).hostname):
        return None
    answer = _first_words(url)
    if answer is None:
        return None
    if not encrypted:
        return "the server speaks over encrypted connections only", "use grpc+tls://"
    if not answer:
        hint = "pass client_certificate= and client_key= of an authority that the server trusts"
        return "the server wants to see a client certificate, and got none that it trusts", hint
    return None


def _first_words(url: str) -> bytes | None:
    """What a server says first when it is called encrypted; empty: it hangs up. None: it does not encrypt, or says nothing."""
    parts = urlsplit(url)
    # Nothing is sent, so that it does not matter who is there.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection((parts.hostname, parts.port), _PROBE_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname) as encrypted,
        ):
            try:
                return encrypted.recv(1)
            except TimeoutError:
                return None
            except OSError:  # an alert, or the end
                return b""
    except OSError:
        return None
