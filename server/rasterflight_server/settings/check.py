"""Settings that do not go together."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from rasterflight_server.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class Conflict:
    """What does not go together."""

    #: The key that is at fault, dotted.
    key: str
    why: str
    hint: str


def conflicts(settings: Settings) -> Iterator[Conflict]:
    """All that does not go together."""
    yield from _encryption(settings)
    yield from _tokens(settings)
    yield from _addresses(settings)


def _encryption(settings: Settings) -> Iterator[Conflict]:
    tls = settings.tls
    encrypted = urlsplit(settings.server.listen).scheme.startswith("grpc+tls")
    if tls.certificate is None:
        for key, value in (("tls.key", tls.key), ("tls.client_ca", tls.client_ca)):
            if value is not None:
                yield Conflict(key, "there is no certificate with it", "set tls.certificate too")
        if encrypted:
            yield Conflict(
                "server.listen", "grpc+tls needs a certificate", "set tls.certificate and tls.key, or use grpc://"
            )
    elif tls.key is None:
        yield Conflict("tls.certificate", "there is no key with it", "set tls.key too")
    elif not encrypted:
        why = "there is a certificate, and nothing that goes over this location would be encrypted"
        yield Conflict("server.listen", why, "use grpc+tls://, or unset tls.certificate")


def _tokens(settings: Settings) -> Iterator[Conflict]:
    jwt = settings.access.jwt
    if jwt.jwks is None:
        for key, value in (("access.jwt.issuer", jwt.issuer), ("access.jwt.audience", jwt.audience)):
            if value is not None:
                yield Conflict(key, "without keys no such tokens are taken", "set access.jwt.jwks too")
    else:
        for key, value in (("access.jwt.issuer", jwt.issuer), ("access.jwt.audience", jwt.audience)):
            if value is None:
                why = "it is not set, and tokens that the provider makes for others would open this server"
                yield Conflict(key, why, "set it along with access.jwt.jwks")


def _addresses(settings: Settings) -> Iterator[Conflict]:
    """Each port is listened on for one thing."""
    taken: dict[str, str] = {urlsplit(settings.server.listen).netloc: "server.listen"}
    for key, address in (("observe.health", settings.observe.health), ("observe.http", settings.observe.http)):
        if address is None or address.endswith(":0"):
            continue
        if address in taken:
            yield Conflict(key, f"{taken[address]} is at {address} already", "choose another port")
        taken[address] = key
