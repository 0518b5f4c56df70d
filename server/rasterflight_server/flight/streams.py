"""All streams of a process: let in, and looked after."""

import threading
import time
from contextlib import suppress
from typing import Final
from weakref import WeakSet

import pyarrow.flight as fl

from rasterflight_server.errors import ServiceError
from rasterflight_server.flight.admission import Admission
from rasterflight_server.flight.calls import account
from rasterflight_server.flight.hangup import hang_up, hang_up_idle
from rasterflight_server.flight.life import Life
from rasterflight_server.flight.running import Running, Terms
from rasterflight_server.plan.request import DEFAULT_BATCH_BYTES, Request
from rasterflight_server.settings import LimitSettings
from rasterflight_server.telemetry import Telemetry

#: How often streams are looked after; more often where they may stall for a shorter time.
_LOOK_SECONDS: Final = 1.0
_SHORTEST_LOOK_SECONDS: Final = 0.05


class Streams:
    """The streams that run.

    Of a stream that was ended while Flight waits for its caller, a thread and one batch stay with gRPC until he goes on or goes away. If he does
    neither for as long again, his connection is closed, unless other streams run on it.

    Parameters
    ----------
    limits
        Of this process.
    admission
        Gives places.
    telemetry
        Counts streams that stalled.
    life
        Of the server.
    """

    def __init__(self, limits: LimitSettings, admission: Admission, telemetry: Telemetry, life: Life) -> None:
        self._limits = limits
        self._admission = admission
        self._telemetry = telemetry
        self._life = life
        self._lock = threading.Lock()
        self._running: WeakSet[Running] = WeakSet()
        self._watch: threading.Thread | None = None
        telemetry.add(streams_stalled=0, connections_closed=0)

    def enter(self, context: fl.ServerCallContext, request: Request | None, terms: Terms) -> Running:
        """Wait for a place, see ``Admission.enter``; the stream that gets it is closed by who makes it, or with the last reference to it.

        Parameters
        ----------
        request
            None for a statement.
        terms
            Of the call.
        """
        size, exactly = _size(request)
        try:
            place = self._admission.enter(account(context), size, exactly=exactly, gone=lambda: self._over(context))
        except ServiceError:
            self._life.check()
            raise
        running = Running(place, terms, context)
        with self._lock:
            self._running.add(running)
            if self._watch is None:
                self._watch = threading.Thread(target=self._look, daemon=True, name="streams")
                self._watch.start()
        return running

    def terms(self, context: fl.ServerCallContext, *, sends: bool = False) -> Terms:
        """For how long a call may go on: while its caller is there, the server, and its time, which those who send may take."""
        return Terms(context.is_cancelled, None if sends else self._limits.request.seconds, server=self._life.check)

    def send_others_away(self) -> None:
        """Close connections without a stream that were handed on to this process: who calls again gets to another one."""
        with self._lock:
            busy = [stream.peer for stream in self._running]
        hang_up_idle(busy)

    def _over(self, context: fl.ServerCallContext) -> bool:
        """There is no use in waiting."""
        return context.is_cancelled() or self._life.ending

    def _look(self) -> None:
        pause = max(_SHORTEST_LOOK_SECONDS, min(_LOOK_SECONDS, self._limits.stalled_seconds / 4))
        while True:
            time.sleep(pause)
            with self._lock:
                running = list(self._running)
            self._look_after(running)

    def _look_after(self, running: list[Running]) -> None:
        """End what has stalled; empties the list, since the last reference to a stream must not stay here."""
        seconds = self._limits.stalled_seconds
        alive = {stream.peer for stream in running if not stream.place.left}
        while running:
            stream = running.pop()
            # What goes wrong where a stream is freed was logged there.
            with suppress(fl.FlightError):
                self._telemetry.add(streams_stalled=int(stream.look(seconds)))
            if stream.peer not in alive and stream.lingers(seconds):
                self._telemetry.add(connections_closed=int(hang_up(stream.peer)))
            del stream


def _size(request: Request | None) -> tuple[int, bool]:
    """Size of the batches of a stream, and whether it is to be this one."""
    if request is None:
        return DEFAULT_BATCH_BYTES, False
    return (0, False) if request.without_pixels else (request.batch_bytes, request.states_batch_bytes)
