"""Who may stream: as many as there is room for; the others wait a little, callers in turn, and then are told to come back."""

import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import Final

from rasterflight_protocol import ErrorCode
from rasterflight_server.encode.budget import StreamBudget
from rasterflight_server.errors import ServiceError
from rasterflight_server.settings import LimitSettings
from rasterflight_server.telemetry import Telemetry

#: How often one who waits looks whether its caller has gone.
_LOOK_SECONDS: Final = 0.05
_SOONEST: Final = 0.5
_LATEST: Final = 30.0
#: How much the last pause between two streams that ended counts against those before.
_NEWEST: Final = 0.2


class Place:
    """The right to stream, and the bytes that are reserved for it."""

    def __init__(self, admission: "Admission", caller: str, batch_bytes: int) -> None:
        self.caller = caller
        #: Size of batches.
        self.batch_bytes = batch_bytes
        #: Bytes that are reserved.
        self.nbytes = batch_bytes
        self._admission = admission
        self.left = False

    def need(self, nbytes: int) -> None:
        """Give back what is reserved beyond ``nbytes``, which is all that the stream has to send."""
        self._admission.shrink(self, nbytes)

    def leave(self) -> None:
        """Make way for others; once, however often it is called."""
        # Not a lock for nothing: the garbage collector may call this where it is held.
        if not self.left:
            self._admission.leave(self)


class Admission:
    """Places for streams, within limits of their number, their bytes, and of both for each caller.

    Callers take turns, and each is served in the order in which he came: who waits for many streams does not keep others from their
    first one. A place that nobody's turn can use, since it is too small for a stated size of batches or its caller has all that he
    may, goes to the next who can.

    Parameters
    ----------
    limits
        Of this process.
    budget
        Bytes for batches.
    telemetry
        Counts who waited, for how long, and who was turned away.
    clock
        Seconds that only go forward.
    """

    def __init__(
        self,
        limits: LimitSettings,
        budget: StreamBudget,
        telemetry: Telemetry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._budget = budget
        self._telemetry = telemetry
        self._clock = clock
        self._lock = threading.Lock()
        self._lines: OrderedDict[str, deque[_Waiting]] = OrderedDict()
        self._running = 0
        self._streams: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._last_left = clock()
        #: Seconds between two streams that leave.
        self._pace = 1.0
        telemetry.add(queued=0, queue_wait_ms=0, rejected_full=0, rejected_waited=0, rejected_gone=0)

    @property
    def waiting(self) -> int:
        """Streams that wait."""
        with self._lock:
            return self._waiting

    def enter(self, caller: str, batch_bytes: int, *, exactly: bool, gone: Callable[[], bool]) -> Place:
        """Get a place, now or when one is free.

        Parameters
        ----------
        caller
            Tells callers apart.
        batch_bytes
            Size of batches; the most of it, if not ``exactly``.
        gone
            Whether the caller has gone, or his deadline has passed.

        Raises
        ------
        ServiceError
            BUSY: too many wait already, or none got free in time; says when to come back. CANCELLED: the caller has gone.
        """
        waiting = _Waiting(caller, batch_bytes, exactly)
        with self._lock:
            self._lines.setdefault(caller, deque()).append(waiting)
            self._admit()
            if waiting.place is not None:
                return waiting.place
            self._make_room(waiting)
        began = self._clock()
        self._telemetry.add(queued=1)
        try:
            return self._wait(waiting, began + self._limits.queue_seconds, gone)
        finally:
            self._telemetry.add(queue_wait_ms=round(1000 * (self._clock() - began)))

    def shrink(self, place: Place, nbytes: int) -> None:
        """See ``Place.need``."""
        with self._lock:
            surplus = place.nbytes - nbytes
            if surplus > 0 and not place.left:
                self._free(place, surplus)
                self._admit()

    def leave(self, place: Place) -> None:
        """See ``Place.leave``."""
        with self._lock:
            if place.left:
                return
            place.left = True
            self._running -= 1
            self._streams[place.caller] -= 1
            self._free(place, place.nbytes)
            if not self._streams[place.caller]:
                del self._streams[place.caller], self._bytes[place.caller]
            now = self._clock()
            self._pace += _NEWEST * (now - self._last_left - self._pace)
            self._last_left = now
            self._admit()

    @property
    def _waiting(self) -> int:
        return sum(map(len, self._lines.values()))

    def _free(self, place: Place, nbytes: int) -> None:
        place.nbytes -= nbytes
        self._bytes[place.caller] -= nbytes
        self._budget.release(nbytes)

    def _admit(self) -> None:
        """Give places to those whose turn it is."""
        passed = 0
        while passed < len(self._lines) and self._running < self._limits.streams:
            caller, line = next(iter(self._lines.items()))
            if self._start(line[0]):
                self._remove(line[0])
                passed = 0
            else:
                passed += 1
            if line:
                self._lines.move_to_end(caller)

    def _start(self, waiting: "_Waiting") -> bool:
        if self._caller_limit(waiting):
            return False
        size = self._budget.reserve(waiting.batch_bytes, exactly=waiting.exactly)
        if size is None:
            return False
        self._running += 1
        self._streams[waiting.caller] += 1
        self._bytes[waiting.caller] += size
        waiting.place = Place(self, waiting.caller, size)
        waiting.told.set()
        return True

    def _caller_limit(self, waiting: "_Waiting") -> str:
        """The limit of its caller that a stream would pass; empty: none."""
        limits, caller = self._limits.caller, waiting.caller
        if limits.streams is not None and self._streams[caller] >= limits.streams:
            return "streams"
        size = waiting.batch_bytes if waiting.exactly else self._budget.batch_bytes(waiting.batch_bytes)
        # One stream he always gets.
        beyond = limits.bytes_in_flight is not None and self._bytes[caller] + size > limits.bytes_in_flight
        return "bytes_in_flight" if beyond and self._streams[caller] else ""

    def _make_room(self, waiting: "_Waiting") -> None:
        """Turn away the last of the longest line, where too many wait."""
        if self._waiting <= self._limits.queue:
            return
        longest = max(self._lines.values(), key=len)
        last = longest[-1] if len(longest) > len(self._lines[waiting.caller]) else waiting
        error = self._busy(last, "and no more may wait")
        self._remove(last)
        self._telemetry.add(rejected_full=1)
        if last is waiting:
            raise error
        last.refused = error
        last.told.set()

    def _wait(self, waiting: "_Waiting", deadline: float, gone: Callable[[], bool]) -> Place:
        while not waiting.told.wait(max(0.0, min(_LOOK_SECONDS, deadline - self._clock()))):
            has_gone = gone()
            if not has_gone and self._clock() < deadline:
                continue
            with self._lock:
                if waiting.told.is_set():
                    break
                error = self._gone() if has_gone else self._busy(waiting, "and none got free in time")
                self._remove(waiting)
                # Those behind may need less.
                self._admit()
            self._telemetry.add(**{"rejected_gone" if has_gone else "rejected_waited": 1})
            raise error
        if waiting.place is None:
            assert waiting.refused is not None
            raise waiting.refused
        return waiting.place

    def _remove(self, waiting: "_Waiting") -> None:
        line = self._lines[waiting.caller]
        line.remove(waiting)
        if not line:
            del self._lines[waiting.caller]

    def _busy(self, waiting: "_Waiting", why: str) -> ServiceError:
        later = self._retry_after()
        hint = f"try again in {later:g} s"
        limits = self._limits
        limit = self._caller_limit(waiting)
        if limit:
            field = f"limits.caller.{limit}"
            has = {"streams": "streams run", "bytes_in_flight": "bytes of batches are on their way"}[limit]
            what = f"{self._streams[waiting.caller] if limit == 'streams' else self._bytes[waiting.caller]} {has} for this caller"
            message = f"{what}, who may have {getattr(limits.caller, limit)}, {why}"
        elif self._running >= limits.streams:
            field = "limits.streams"
            message = f"{self._running} streams run, which is all that the server takes on, {why}"
        else:
            field = "batch_bytes"
            message = f"other streams have left no room for batches of {waiting.batch_bytes} bytes, {why}"
            hint += ", ask for smaller batches, or leave their size to the server"
        return ServiceError(ErrorCode.BUSY, message, field=field, hint=hint, retry_after=later)

    def _retry_after(self) -> float:
        """Seconds after which those who wait now may have got their places."""
        pace = max(self._pace, self._clock() - self._last_left)
        return round(min(max(pace * self._waiting, _SOONEST), _LATEST), 1)

    @staticmethod
    def _gone() -> ServiceError:
        return ServiceError(ErrorCode.CANCELLED, "the caller has gone")


class _Waiting:
    """A stream that waits for a place."""

    def __init__(self, caller: str, batch_bytes: int, exactly: bool) -> None:  # noqa: FBT001
        self.caller = caller
        self.batch_bytes = batch_bytes
        self.exactly = exactly
        #: It has a place, or was refused.
        self.told = threading.Event()
        self.place: Place | None = None
        self.refused: ServiceError | None = None
