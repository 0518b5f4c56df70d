"""Another try where a store did not answer, or answered wrongly: after a pause, within bounds, and only while somebody waits for it."""

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Final, TypeVar

from rasterflight_server.errors import SourceError
from rasterflight_server.telemetry import Meter, Telemetry

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one range of a file is asked for when the store fails.

    It bounds what a store that is down costs: with the defaults a read fails after 3 to 6 seconds where connections are refused or answered
    with 503, and after 12 seconds where nothing is answered at all; no range takes longer than ``seconds`` and one last try.
    """

    retries: int = 6
    """Tries after the first."""

    timeout: float = 6.0
    """Seconds without a byte after which a try has failed. In all it may take ten times as long, so that a slow line is none that is
    down."""

    seconds: float = 10.0
    """No try begins later than this after the first began."""

    pause: float = 0.1
    """Seconds before the second try; each further pause is twice as long. Chance takes up to a half off each, so that those who
    failed together do not come back together."""

    busy_pause: float = 0.5
    """The same where the store says that it is asked too often."""

    longest_pause: float = 2.0
    """Seconds."""

    @property
    def whole_timeout(self) -> float:
        """Seconds that one try may take in all."""
        return 10 * self.timeout


PATIENCE: Final = Patience()


class FailedTryError(Exception):
    """A try that failed, and that may go better the next time.

    Parameters
    ----------
    error
        What to say if it does not.
    busy
        Whether the store says that it is asked too often.
    """

    def __init__(self, error: SourceError, *, busy: bool = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.busy = busy


class Tries:
    """Tries things until they go well, or patience ends.

    Parameters
    ----------
    patience
        How often and how long.
    telemetry
        Counts further tries, and what failed for good; None: nobody counts.
    stop
        Set when nobody waits any more.
    """

    def __init__(
        self, patience: Patience = PATIENCE, telemetry: Meter | None = None, stop: threading.Event | None = None
    ) -> None:
        self._patience = patience
        self._telemetry: Meter = telemetry or Telemetry()
        self._stop = stop or threading.Event()

    def run(self, attempt: Callable[[], _T]) -> _T:
        """What an attempt gives that does not raise ``FailedTryError``.

        Raises
        ------
        SourceError
            The attempt's own, or that of the last ``FailedTryError``.
        CancelledError
            Nobody waits any more.
        """
        end = time.monotonic() + self._patience.seconds
        number = 0
        while not self._stop.is_set():
            try:
                return attempt()
            except FailedTryError as failed:
                pause = self._pause(number, busy=failed.busy)
                if number == self._patience.retries or time.monotonic() + pause > end:
                    self._telemetry.add(source_errors=1)
                    raise failed.error from None
            except SourceError:
                self._telemetry.add(source_errors=1)
                raise
            number += 1
            if not self._stop.wait(pause):
                self._telemetry.add(source_retries=1)
        raise CancelledError

    def _pause(self, number: int, *, busy: bool) -> float:
        first = self._patience.busy_pause if busy else self._patience.pause
        longest = min(first * 2.0**number, self._patience.longest_pause)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
