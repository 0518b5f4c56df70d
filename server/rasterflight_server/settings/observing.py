"""``[observe]``: how the server is seen from outside."""

from dataclasses import dataclass
from pathlib import Path

from rasterflight_server.settings.kinds import HostPort


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserveSettings:
    """How the server is seen from outside."""

    health: HostPort | None = None
    """``HOST:PORT`` of the gRPC health service, unencrypted; None: there is none."""

    http: HostPort | None = None
    """``HOST:PORT`` of ``/healthz``, ``/readyz`` and ``/metrics``; None: there is none."""

    access_log: Path | None = None
    """File to which each call is written as a line of JSON; ``-``: standard error; None: nowhere."""

    tracing: bool = False
    """Send spans by OpenTelemetry, to where its own environment variables (``OTEL_*``) say."""
