"""Files that are read again when they change."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

from rasterflight_server.errors import ConfigError

_log = logging.getLogger("rasterflight_server")

_LOOK_SECONDS: Final = 0.5

T = TypeVar("T")


class Watched(Generic[T]):
    """What a file says, at most half a second ago; when it cannot be used any more, what it said last.

    Parameters
    ----------
    path
        The file.
    read
        Makes of it what it says; raises ``ConfigError``, as does the constructor.
    clock
        Seconds that only go forward.
    """

    def __init__(self, path: Path, read: Callable[[Path], T], clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._read = read
        self._clock = clock
        self._lock = threading.Lock()
        # Before it is read: what comes after is noticed the next time.
        self._stamp = self._look()
        self._looked = clock()
        self._value = read(path)

    @property
    def value(self) -> T:
        """What it says."""
        with self._lock:
            if self._clock() - self._looked >= _LOOK_SECONDS:
                self._looked = self._clock()
                stamp = self._look()
                if stamp != self._stamp:
                    self._stamp = stamp
                    self._take()
            return self._value

    def _take(self) -> None:
        try:
            self._value = self._read(self._path)
        except ConfigError as error:
            _log.error("%s; what it said before holds on", error)
        else:
            _log.info("%s has changed and was read again", self._path)

    def _look(self) -> tuple[int, ...]:
        try:
            status = self._path.stat()
        except OSError:
            return ()
        return status.st_mtime_ns, status.st_ino, status.st_size
