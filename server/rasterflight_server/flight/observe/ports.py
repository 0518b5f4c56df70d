"""The ports at which a server can be looked at."""

import logging
import os
from collections.abc import Iterable
from dataclasses import replace

from rasterflight_server.flight.observe.address import Address
from rasterflight_server.flight.observe.figures import Seen
from rasterflight_server.flight.readiness import Readiness
from rasterflight_server.settings import ObserveSettings

_log = logging.getLogger("rasterflight_server")


def open_ports(
    settings: ObserveSettings,
    readiness: Readiness,
    collections: Iterable[str],
    seen: Seen,
) -> None:
    """Open those that are wanted, for as long as the process lives.

    Parameters
    ----------
    readiness
        Of the server.
    collections
        Names of what it serves.
    seen
        Its metrics.

    Raises
    ------
    ConfigError
        An address cannot be listened on.
    """
    # Each brings a library that takes a while to import.
    if settings.health is not None:
        from rasterflight_server.flight.observe.health import Health

        address = Address.parse(settings.health, "observe.health")
        health = Health(address, readiness, collections)
        _log.info("health on %s", replace(address, port=health.port))
    if settings.http is not None:
        from rasterflight_server.flight.observe.metrics import Metrics
        from rasterflight_server.flight.observe.web import Web

        address = Address.parse(settings.http, "observe.http")
        web = Web(address, readiness, Metrics(seen, os.getpid()).registry())
        _log.info("http on %s", replace(address, port=web.port))
