"""A stream while it runs: what Flight pulls batches from, and what ends it when nobody reads, or when its time is up."""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Self
from weakref import WeakSet

import pyarrow.flight as fl

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import ServiceError
from rasterflight_server.flight.admission import Admission, Place
from rasterflight_server.flight.boundary import guard
from rasterflight_server.flight.calls import account, request_id
from rasterflight_server.flight.hangup import hang_up
from rasterflight_server.plan.request import Request
from rasterflight_server.settings import LimitSettings
from rasterflight_server.telemetry import Telemetry

#: How often streams are looked after; more often where they may stall for a shorter time.
_LOOK_SECONDS: Final = 1.0
_SHORTEST_LOOK_SECONDS: Final = 0.05
_Clock = Callable[[], float]


class Terms:
    """For how long a stream may go on.

    Parameters
    ----------
    gone
        Whether the caller has gone; asked only while the call is answered.
    seconds
        How long the stream may take; None: as long as it likes.
    """

    def __init__(self, gone: Callable[[], bool], seconds: float | None, clock: _Clock = time.monotonic) -> None:
        self._gone = gone
        self._clock = clock
        self._seconds = seconds
        self._end = None if seconds is None else clock() + seconds
        #: Why the stream was ended.
        self.ended: ServiceError | None = None
        #: Since when the stream waits for its caller; None: it does not.
        self.idle_since: float | None = None

    def check(self) -> None:
        """Go on, or not.

        Raises
        ------
        ServiceError
            CANCELLED: the caller has gone. DEADLINE: the time is up, or nothing was read for too long.
        """
        if self._gone():
            raise ServiceError(ErrorCode.CANCELLED, "the caller has gone")
        error = self.ended or self.overdue()
        if error is not None:
            raise error

    def now(self) -> float:
        """The time."""
        return self._clock()

    def rest(self) -> None:
        """From now on, until the next batch, the stream waits for its caller."""
        self.idle_since = self._clock()

    @contextmanager
    def idle(self) -> Iterator[None]:
        """Wait for the caller inside."""
        self.rest()
        try:
            yield
        finally:
            self.idle_since = None
        self.check()

    def overdue(self) -> ServiceError | None:
        """What is to be said when the time is up; None: it is not."""
        if self._end is None or self._clock() < self._end:
            return None
        return ServiceError(
            ErrorCode.DEADLINE,
            f"the stream took longer than the {self._seconds:g} s that one may take (limits.request.seconds)",
            field="limits.request.seconds",
            hint="ask for less at a time: fewer records or bands, or parts of the areas one after the other",
        )

    def stalled(self, seconds: float) -> ServiceError | None:
        """What is to be said when the caller has not moved for so long; None: he has."""
        if self.idle_since is None or self._clock() - self.idle_since < seconds:
            return None
        return ServiceError(
            ErrorCode.DEADLINE,
            f"nothing was read from the stream for {seconds:g} s, and it was ended (limits.stalled_seconds)",
            field="limits.stalled_seconds",
            hint="read it again from where you were, and go on sooner; what takes long is better done after all is read",
        )


class Running:
    """The batches of one stream, as Flight takes them.

    While Flight waits for the caller, nothing of ours runs, and another thread may end the stream: all that it holds is freed, and the
    caller is told when he goes on.

    Parameters
    ----------
    place
        Is left at the end.
    terms
        For how long it may go on; its batches ask it too.
    context
        Of the call.
    """

    def __init__(self, place: Place, terms: Terms, context: fl.ServerCallContext) -> None:
        self.place = place
        # Batches that looked back at this object would keep it from going with the call.
        self.terms = terms
        self._context = context
        self._call = request_id(context)
        #: The other end of the connection, as gRPC says it.
        self.peer: str = context.peer()
        #: Since when Flight has been waiting for the caller although the stream has ended.
        self._lingers_since: float | None = None
        self._batches: Generator[Any] | None = None
        self._lock = threading.Lock()

    def of(self, batches: Generator[Any]) -> Self:
        """Give these batches."""
        self._batches = batches
        return self

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        with self._lock:
            self.terms.idle_since = None
            try:
                with guard(self._context, self._call):
                    self.terms.check()
                assert self._batches is not None
                batch = next(self._batches)
            except BaseException:
                self.close()
                raise
            self.terms.rest()
            return batch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        """What fails before the stream begins frees it; after that, the stream has a life of its own."""
        if error is not None:
            self.close()

    def close(self) -> None:
        """Free everything."""
        if self._batches is not None:
            self._batches.close()
        self.place.leave()

    def __del__(self) -> None:
        self.close()

    def look(self, stalled_seconds: float) -> bool:
        """End the stream if it has stalled, or its time is up; True: it has stalled, and is ended now."""
        terms = self.terms
        if terms.ended is not None:
            return False
        # A stream that waits for what its caller sends, not for him to read, is locked, and has nothing to free but its place.
        suspended = self._lock.acquire(blocking=False)
        try:
            stalled = terms.stalled(stalled_seconds)
            error = stalled or (terms.overdue() if suspended and self._batches is not None else None)
            if error is None:
                return False
            terms.ended = error
            self._lingers_since = terms.now()
            if suspended:
                self.close()
            else:
                self.place.leave()
            return stalled is not None
        finally:
            if suspended:
                self._lock.release()

    def lingers(self, seconds: float) -> bool:
        """Whether it ended so long ago, and the caller still has not heard of it; True only once."""
        if self._lingers_since is None or self.terms.now() - self._lingers_since < seconds:
            return False
        self._lingers_since = None
        return True


class Streams:
    """All streams of a process: let in, and looked after.

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
    """

    def __init__(self, limits: LimitSettings, admission: Admission, telemetry: Telemetry) -> None:
        self._limits = limits
        self._admission = admission
        self._telemetry = telemetry
        self._lock = threading.Lock()
        self._running: WeakSet[Running] = WeakSet()
        self._watch: threading.Thread | None = None
        telemetry.add(streams_stalled=0, connections_closed=0)

    def enter(self, context: fl.ServerCallContext, request: Request) -> Running:
        """Wait for a place, see ``Admission.enter``; the stream that gets it is closed by who makes it, or with the last reference to it."""
        size, exactly = (0, False) if request.without_pixels else (request.batch_bytes, request.states_batch_bytes)
        gone = context.is_cancelled
        place = self._admission.enter(account(context), size, exactly=exactly, gone=gone)
        running = Running(place, Terms(gone, self._limits.request.seconds), context)
        with self._lock:
            self._running.add(running)
            if self._watch is None:
                self._watch = threading.Thread(target=self._look, daemon=True, name="streams")
                self._watch.start()
        return running

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
        alive = {stream.peer for stream in running if stream.terms.ended is None}
        while running:
            stream = running.pop()
            # What goes wrong where a stream is freed was logged there.
            with suppress(fl.FlightError):
                self._telemetry.add(streams_stalled=int(stream.look(seconds)))
            if stream.peer not in alive and stream.lingers(seconds):
                self._telemetry.add(connections_closed=int(hang_up(stream.peer)))
            del stream
