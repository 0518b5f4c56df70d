"""The health service of gRPC, on a port of its own: Arrow's Flight server has no place for it."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import grpc
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

from rasterflight_server.flight.observe.address import Address
from rasterflight_server.flight.readiness import Readiness

#: The server as a whole, and the service that it offers.
OVERALL: Final = ""
FLIGHT: Final = "arrow.flight.protocol.FlightService"
_THREADS: Final = 2
#: Checks and watches at once; those beyond are refused.
_MOST_CALLS: Final = 256
#: A question holds the name of a service.
_MOST_BYTES: Final = 4096


class Health:
    """Answers whether the server, its Flight service and each of its collections are served.

    Parameters
    ----------
    address
        Where to listen.
    readiness
        Of the server.
    collections
        Their names.

    Raises
    ------
    ConfigError
        The address cannot be listened on.
    """

    def __init__(self, address: Address, readiness: Readiness, collections: Iterable[str]) -> None:
        self._readiness = readiness
        self._services = (OVERALL, FLIGHT, *collections)
        self._servicer = HealthServicer()
        self._server = grpc.server(
            ThreadPoolExecutor(_THREADS, "health"),
            maximum_concurrent_rpcs=_MOST_CALLS,
            options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", _MOST_BYTES)],
        )
        add_HealthServicer_to_server(self._servicer, self._server)
        try:
            self.port: int = self._server.add_insecure_port(str(address))
        except RuntimeError:
            raise address.in_use() from None
        self._tell()
        readiness.on_change(self._tell)
        self._server.start()

    def _tell(self) -> None:
        serving = self._readiness.serving
        status = HealthCheckResponse.SERVING if serving else HealthCheckResponse.NOT_SERVING
        for service in self._services:
            self._servicer.set(service, status)
