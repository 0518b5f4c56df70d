"""A server of somebody else as a process of the tests, from its start until the block ends."""

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_STARTUP_SECONDS = 60


class Process:
    """A context manager.

    Parameters
    ----------
    command
        What to run.
    root
        Folder that it runs in; its output goes to "log" there.
    ready
        Whether it answers, given its output so far.
    """

    def __init__(self, command: Sequence[str | Path], root: Path, ready: Callable[[str], bool]) -> None:
        self.log = root / "log"
        self._ready = ready
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=root)

    def __enter__(self) -> Self:
        deadline = time.monotonic() + _STARTUP_SECONDS
        while not self._ready(self.log.read_text()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__(None, None, None)
                raise RuntimeError(f"{self._process.args!r} does not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
