"""Work that many threads do together, and what became of it."""

import threading
from collections.abc import Callable
from typing import Any

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError

#: How often one who waits looks whether his caller is still there.
_CHECK_SECONDS = 0.25


class Outcome:
    """Parts of some work: how many are still under way, and which of them failed."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._left = 0
        self._bug: BaseException | None = None
        #: Parts that failed, and why.
        self.failures: list[tuple[Any, SourceError]] = []

    @property
    def left(self) -> int:
        """Parts that are under way."""
        return self._left

    @property
    def first_failure(self) -> SourceError | None:
        """That of the first part; parts can be compared."""
        return min(self.failures, key=lambda failure: failure[0])[1] if self.failures else None

    @property
    def _unavailable(self) -> bool:
        return any(error.code is ErrorCode.SOURCE_UNAVAILABLE for _, error in self.failures)

    def begin(self) -> None:
        """Count one more part."""
        with self._condition:
            self._left += 1

    def end(self, part: object, error: BaseException | None) -> None:
        """Say that a part has come to its end."""
        with self._condition:
            self._left -= 1
            if isinstance(error, SourceError):
                self.failures.append((part, error))
            elif error is not None:
                self._bug = error
            if not self._left:
                self._condition.notify_all()

    def wait(self, check: Callable[[], None], *, hasty: bool = False) -> None:
        """Wait until all parts have come to their end.

        Parameters
        ----------
        check
            Called now and then; raises to give up.
        hasty
            Go on as soon as a store is known not to answer: the other parts would come to know it one after the other.
        """
        check()
        with self._condition:
            while self._left and not (hasty and self._unavailable):
                self._condition.wait(_CHECK_SECONDS)
                if self._left:
                    check()
        if self._bug is not None:
            raise self._bug
