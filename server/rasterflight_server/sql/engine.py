"""The server's end of the processes that DuckDB runs in."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, Final

import pyarrow as pa

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError, ServiceError
from rasterflight_server.settings import SqlSettings
from rasterflight_server.sql import wire
from rasterflight_server.sql.refusals import engine_error, too_much_memory

_MAIN: Final = "from rasterflight_server.sql.worker import main; main()"
_WAIT_SECONDS: Final = 5.0
_START_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.05


class Patience:
    """How long a statement may go on: until its time is up, or its caller has gone.

    Parameters
    ----------
    seconds
        Of work.
    check
        Raises when the caller has gone.
    """

    def __init__(self, seconds: float, check: Callable[[], None]) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        #: Raises when the caller has gone.
        self.gone = check

    def check(self) -> None:
        """Go on, or raise CANCELLED or LIMIT_EXCEEDED."""
        self.gone()
        if time.monotonic() > self._end:
            raise RequestError(
                ErrorCode.LIMIT_EXCEEDED,
                f"the statement took longer than {self._seconds:g} s",
                field="sql.seconds",
                hint="ask for less at a time: fewer records, bands or areas",
            )

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time that does not count."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self._end += time.monotonic() - begin


class Engine:
    """One process, for one statement at a time.

    Parameters
    ----------
    settings
        What it may take.
    """

    def __init__(self, settings: SqlSettings) -> None:
        self._memory = settings.memory
        ours, theirs = socket.socketpair()
        with theirs:
            numbers = (theirs.fileno(), settings.memory, settings.threads)
            self._process = subprocess.Popen(  # noqa: S603 - our own code
                [sys.executable, "-c", _MAIN, *map(str, numbers)],
                pass_fds=[theirs.fileno()],
                # No secret of the server goes along.
                env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "MALLOC_ARENA_MAX": "2"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd="/",
            )
        self._connection: Connection[Any, Any] = Connection(ours.detach())
        self._resting = False

    def wait(self, patience: Patience) -> None:
        """Wait until it has started; closes it if it does not."""
        if self._resting:
            return
        try:
            self.receive(patience)
        except ServiceError:
            self.close()
            raise

    @property
    def usable(self) -> bool:
        """It can take another statement."""
        return self._resting and self._process.poll() is None

    def ask(
        self, patience: Patience, what: str, payload: bytes | pa.Buffer = b"", **facts: Any
    ) -> tuple[dict[str, Any], pa.Buffer]:
        """Ask, and wait for the one answer; raises what ``receive`` does."""
        self.tell(what, payload, **facts)
        answer = self.receive(patience)
        self._resting = True
        return answer

    def tell(self, what: str, payload: bytes | pa.Buffer = b"", **facts: Any) -> None:
        """Say something."""
        self._resting = False
        try:
            wire.send(self._connection, what, payload, **facts)
        except OSError:
            raise too_much_memory(self._memory) from None

    def receive(self, patience: Patience) -> tuple[dict[str, Any], pa.Buffer]:
        """Wait for what it says.

        Raises
        ------
        ServiceError
            What it says is an error; it has ended; the time is up, or the caller has gone.
        """
        while not self._connection.poll(_LOOK_SECONDS):
            patience.check()
        try:
            facts, payload = wire.receive(self._connection)
        except (EOFError, OSError):
            raise too_much_memory(self._memory) from None
        if facts["what"] == "error":
            error = engine_error(facts["kind"], facts["message"], self._memory, facts["position"])
            self._resting = error.code == ErrorCode.BAD_REQUEST
            raise error
        self._resting = facts["what"] == "done"
        return facts, payload

    def close(self) -> None:
        """End it, whatever it does."""
        self._connection.close()
        self._process.kill()
        self._process.wait()


class Engines:
    """The engines of a server process; started when they are needed, and kept for statements to come.

    Parameters
    ----------
    settings
        How many there may be, and what each may take.
    """

    def __init__(self, settings: SqlSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._places = threading.Semaphore(settings.statements)
        self._idle: list[Engine] = []

    def patience(self, check: Callable[[], None]) -> Patience:
        """For a statement that begins now."""
        return Patience(self._settings.seconds, check)

    @contextmanager
    def engine(self, patience: Patience) -> Iterator[Engine]:
        """Have an engine to oneself.

        Raises
        ------
        ServiceError
            BUSY: all of them are taken.
        """
        with patience.paused():
            self._enter()
        try:
            with patience.paused():
                engine = self._take() or Engine(self._settings)
                engine.wait(Patience(_START_SECONDS, patience.gone))
            try:
                yield engine
            finally:
                self._give_back(engine)
        finally:
            self._places.release()

    def _enter(self) -> None:
        if not self._places.acquire(timeout=_WAIT_SECONDS):
            raise ServiceError(
                ErrorCode.BUSY,
                f"{self._settings.statements} statements are running, and there may be no more at once",
                field="sql.statements",
                hint="try again; results that are read to their end make room",
                retry_after=_WAIT_SECONDS,
            )

    def _take(self) -> Engine | None:
        with self._lock:
            while self._idle:
                engine = self._idle.pop()
                if engine.usable:
                    return engine
                engine.close()
        return None

    def _give_back(self, engine: Engine) -> None:
        if engine.usable:
            with self._lock:
                self._idle.append(engine)
        else:
            engine.close()
