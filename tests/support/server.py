"""Real server processes for tests."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import psutil


class ServerProcess:
    """``rasterflight-server serve`` as its own process, on any free port or on a unix socket; ends with the block."""

    def __init__(
        self,
        collections: Mapping[str, Path | str],
        *,
        listen: str = "grpc://127.0.0.1:0",
        grace: float = 5.0,
        cache_size: str = "256MiB",
        workers: int = 1,
        options: Sequence[str] = (),
    ) -> None:
        self._cache_size = cache_size
        self._workers = workers
        self._collections = collections
        self._listen = listen
        self._grace = grace
        self._options = options

    def __enter__(self) -> Self:
        self._folder = TemporaryDirectory(prefix="rf-test-")
        self._log = Path(self._folder.name, "log")
        listen = f"grpc+unix://{self._folder.name}/s" if self._listen == "unix" else self._listen
        arguments = [f"--collection={name}={path}" for name, path in self._collections.items()]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "rasterflight_server",
                    "serve",
                    f"--listen={listen}",
                    f"--grace={self._grace}",
                    f"--cache-size={self._cache_size}",
                    f"--workers={self._workers}",
                    *arguments,
                    *self._options,
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            self.process.wait(10)
            raise RuntimeError(f"the server did not start: {line}{self.log}")
        self.url = line.removeprefix("listening on ").strip()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(self._grace + 5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._folder.cleanup()

    @property
    def log(self) -> str:
        """What the server wrote to standard error."""
        return self._log.read_text()

    def port(self, name: str) -> str:
        """``HOST:PORT`` of the port ``health`` or ``http``."""
        return next(line.split()[-1] for line in self.log.splitlines() if f" {name} on " in line)

    def rss(self) -> int:
        """Resident memory in bytes."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def threads(self) -> int:
        """Number of threads."""
        return int(psutil.Process(self.process.pid).num_threads())


def run_server_command(*arguments: str | os.PathLike[str]) -> subprocess.CompletedProcess[str]:
    """Run ``rasterflight-server`` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "rasterflight_server", *map(os.fspath, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
