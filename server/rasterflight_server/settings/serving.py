"""``[server]``: where to listen, and how the server lives."""

from dataclasses import dataclass

from rasterflight_server.settings.kinds import Positive


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where to listen, and how the server lives."""

    listen: str = "grpc://127.0.0.1:8815"
    """``grpc://HOST:PORT`` (port 0: any free one), ``grpc+tls://HOST:PORT`` or ``grpc+unix:///PATH``."""

    workers: Positive = 1
    """Processes that share the port; each connection stays with one of them."""

    grace: float = 30.0
    """Seconds that running streams may take to finish after SIGTERM."""
