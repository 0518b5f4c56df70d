"""Who is told when calls begin and end."""

from collections.abc import Mapping

import pyarrow.flight as fl

from rasterflight_protocol import ErrorCode
from rasterflight_server.flight.observe.accesslog import AccessLog
from rasterflight_server.flight.observe.tally import OK, Tally
from rasterflight_server.flight.observe.tracing import Tracing
from rasterflight_server.settings import ObserveSettings
from rasterflight_server.telemetry import Telemetry

#: Codes of what Flight itself refused.
_CODES: dict[type[fl.FlightError], ErrorCode] = {
    fl.FlightUnauthenticatedError: ErrorCode.UNAUTHENTICATED,
    fl.FlightUnauthorizedError: ErrorCode.FORBIDDEN,
    fl.FlightTimedOutError: ErrorCode.DEADLINE,
    fl.FlightCancelledError: ErrorCode.CANCELLED,
}


class Observer:
    """Counts calls, and tells of each in the access log and in its trace.

    Parameters
    ----------
    telemetry
        Counters of the process.
    log, tracing
        Where else calls are told of, if anywhere.
    """

    def __init__(self, telemetry: Telemetry, log: AccessLog | None = None, tracing: Tracing | None = None) -> None:
        self._telemetry = telemetry
        self._log = log
        self._tracing = tracing

    @classmethod
    def of(cls, settings: ObserveSettings, telemetry: Telemetry) -> "Observer":
        """As an operator wants it; raises as ``AccessLog`` and ``Tracing``."""
        log = None if settings.access_log is None else AccessLog(settings.access_log)
        return cls(telemetry, log, Tracing() if settings.tracing else None)

    def begin(self, method: fl.FlightMethod, request_id: str, headers: Mapping[str, list[str]]) -> Tally:
        """Begin to count a call."""
        name = "".join(word.capitalize() for word in method.name.split("_"))
        trace = None if self._tracing is None else self._tracing.begin(name, headers)
        return Tally(self._telemetry, name, request_id, trace)

    def end(self, tally: Tally, error: Exception | None = None) -> None:
        """Tell of a call that has come to its end.

        Parameters
        ----------
        error
            What Flight ended it with. It knows nothing of callers that went away.
        """
        if error is not None and tally.code == OK:
            tally.failed(_CODES.get(type(error), ErrorCode.INTERNAL))
        tally.end()
        if tally.trace is not None:
            tally.trace.end(tally.told())
        if self._log is not None:
            self._log.write(tally.told())

    def close(self) -> None:
        """Tell what has not been told."""
        if self._tracing is not None:
            self._tracing.close()
        if self._log is not None:
            self._log.close()
