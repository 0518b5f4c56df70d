"""Trying again: which errors are worth it, how often, and how long is waited in between."""

import numbers
import random
import threading
import time
from typing import Final

from rasterflight._deadline import Deadline
from rasterflight.errors import RasterflightError, ServerUnavailableError

#: Tries after the first one, unless told otherwise: together some four seconds, in which a process of a server is replaced.
DEFAULT_RETRIES: Final = 5
#: The first pause, which doubles from one to the next; of each, a part between the half and the whole is waited.
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 10.0
#: However many tries there are: after so much time without an answer, no more.
_MOST_SECONDS: Final = 120.0


class Retries:
    """How calls of one connection are tried again.

    Parameters
    ----------
    most
        Tries after the first one; they are counted anew with each answer.

    Raises
    ------
    ValueError
        It is no number from 0 on.
    """

    def __init__(self, most: int) -> None:
        if not isinstance(most, numbers.Integral) or isinstance(most, bool) or most < 0:
            raise ValueError(f"retries is {most!r}, expected an integer from 0 on")
        self.most: int = int(most)
        #: A server has answered. Where none ever has, there is probably none to wait for.
        self.reached: bool = False


class Attempts:
    """Tries of one call, or of one stream.

    Parameters
    ----------
    retries
        How often.
    deadline
        No pause goes beyond it.
    stopped
        Set when nobody wants the answer any more; ends pauses.
    """

    def __init__(self, retries: Retries, deadline: Deadline, stopped: threading.Event | None = None) -> None:
        self._retries = retries
        self._deadline = deadline
        self._stopped = stopped or threading.Event()
        self._failed = 0
        self._since: float | None = None

    def wait(self, error: RasterflightError) -> None:
        """Wait until it is time for another try; raises the error if there is to be none."""
        self._retries.reached |= bool(error.code)
        if not isinstance(error, ServerUnavailableError) or not error.retryable or not self._retries.reached:
            raise error
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        pause = self._pause(error)
        left = self._deadline.left
        if (
            self._failed >= self._retries.most
            or now + pause - self._since > _MOST_SECONDS
            or (left is not None and pause >= left)
            or self._stopped.wait(pause)
        ):
            raise error
        self._failed += 1

    def reached(self) -> None:
        """Say that a server is there."""
        self._retries.reached = True

    def answered(self) -> None:
        """Count anew from here on."""
        self._failed, self._since = 0, None

    def _pause(self, error: RasterflightError) -> float:
        pause: float = min(_FIRST_PAUSE * 2**self._failed, _LONGEST_PAUSE)
        # Not all at once: those who lost the same server come back one by one.
        return max(error.retry_after or 0.0, pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
