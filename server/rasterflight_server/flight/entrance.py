"""Where callers come in: the place, its encryption, and who is let in."""

import logging
from dataclasses import dataclass
from typing import Any, Self

from rasterflight_server.errors import ConfigError
from rasterflight_server.flight.identity.gate import Gate
from rasterflight_server.flight.identity.handshake import Handshake
from rasterflight_server.flight.listen import Listen
from rasterflight_server.flight.tls import Tls, read_tls
from rasterflight_server.settings import Settings

_log = logging.getLogger("rasterflight_server")


@dataclass(frozen=True, slots=True)
class Entrance:
    """Where callers come in."""

    listen: Listen
    #: None: connections are not encrypted.
    tls: Tls | None
    gate: Gate

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Make ready what the settings say.

        Raises
        ------
        ServiceError
            A certificate, a key or a file of tokens cannot be used; or everybody would be let in from everywhere.
        """
        listen = Listen.parse(settings.server.listen)
        check_reach(settings, listen)
        tls = read_tls(settings.tls, listen)
        return cls(listen, tls, Gate(settings.access, certificates=tls is not None and tls.client_roots is not None))

    def arguments(self) -> dict[str, Any]:
        """Arguments of ``FlightServerBase``."""
        # With a handler, Arrow does not say any more whose certificate a connection showed.
        handler = None if self.gate.by_certificate else Handshake()
        return {"auth_handler": handler, **({} if self.tls is None else self.tls.arguments())}


def check_reach(settings: Settings, listen: Listen) -> None:
    """Make sure that strangers are let in only if that is meant.

    Raises
    ------
    ConfigError
        Other machines may reach the server, and nothing says who may come in.
    """
    if not listen.reachable:
        return
    access = settings.access
    if access.tokens or access.jwt.jwks:
        if not listen.encrypted:
            _log.warning("tokens reach %s unencrypted: use grpc+tls://, or let a proxy encrypt", listen.location)
    elif not (access.anonymous or settings.tls.client_ca):
        raise ConfigError(
            f"{listen.location} can be reached from other machines, and nothing says who may come in",
            field="access",
            hint="set access.tokens (see rasterflight-server token), access.jwt.jwks or tls.client_ca,"
            " or let everybody in by access.anonymous=true",
        )
