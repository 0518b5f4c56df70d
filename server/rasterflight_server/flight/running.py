"""A stream while it runs: what Flight pulls batches from, and what ends it when nobody reads, or when its time is up."""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, Self

import pyarrow.flight as fl

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import ServiceError
from rasterflight_server.flight.admission import Place
from rasterflight_server.flight.boundary import guard
from rasterflight_server.flight.calls import request_id

_Clock = Callable[[], float]


class Terms:
    """For how long a call may go on: while it is planned, and while it streams.

    Parameters
    ----------
    gone
        Whether the caller has gone; asked only while the call is answered.
    seconds
        How long it may take; None: as long as it likes.
    server
        Raises when the server itself is about to end.
    """

    def __init__(
        self,
        gone: Callable[[], bool],
        seconds: float | None,
        clock: _Clock = time.monotonic,
        *,
        server: Callable[[], None] = lambda: None,
    ) -> None:
        self._gone = gone
        self._server = server
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
            CANCELLED: the caller has gone. DEADLINE: the time is up, or nothing was read for too long. DRAINING: the server ends.
        """
        if self._gone():
            raise ServiceError(ErrorCode.CANCELLED, "the caller has gone")
        error = self.ended or self.overdue()
        if error is not None:
            raise error
        self._server()

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
            f"the request took longer than the {self._seconds:g} s that one may take (limits.request.seconds)",
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
        #: Since when only Flight still waits for the caller, to send what he has not read.
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
                batch: Any = next(iter(()) if self._batches is None else self._batches)
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
        batches, self._batches = self._batches, None
        if batches is not None:
            batches.close()
        self._leave()

    def _leave(self) -> None:
        if not self.place.left:
            self._lingers_since = self.terms.now()
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
            if suspended:
                self.close()
            else:
                self._leave()
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
