"""Several processes on one port: started, watched, started again, and ended together.

Each is a server as ``serve`` runs it, on a socket of its own; ``forward`` hands every connection to one of them.
"""

import logging
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from rasterflight_server.flight.entrance import check_reach
from rasterflight_server.flight.forward import Forwarder
from rasterflight_server.flight.listen import Listen
from rasterflight_server.flight.observe.connections import connections_to
from rasterflight_server.flight.observe.figures import Seen
from rasterflight_server.flight.observe.ports import open_ports
from rasterflight_server.flight.observe.team import FIGURES, TeamFigures, answer
from rasterflight_server.flight.readiness import Readiness
from rasterflight_server.flight.renewal import Renewal
from rasterflight_server.flight.signals import take_signals
from rasterflight_server.flight.supervisor import tell_supervisor
from rasterflight_server.settings import Settings
from rasterflight_server.settings.write import write

_log = logging.getLogger("rasterflight_server")

_READY: Final = b"listening on "
#: A process that ends is started again after a pause, which doubles when it does not last.
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_LASTING_SECONDS: Final = 60.0
#: When it ends so many times in a row without lasting, all are ended.
_MOST_STARTS: Final = 6
#: What a process may take beyond the grace.
_END_SECONDS: Final = 10.0
#: How often those who wait for a process look whether all are to end.
_LOOK_SECONDS: Final = 0.5


def serve_processes(settings: Settings, *, lifeline: bool = False) -> int:
    """Serve collections by several processes until a signal comes, as ``serve`` does by one.

    Parameters
    ----------
    settings
        What to serve, where and how, and by how many processes.
    lifeline
        Also end when standard input is closed.

    Returns
    -------
    int
        Exit code; a process that cannot start has said why.

    Raises
    ------
    ServiceError
        The location cannot be listened on, or would let everybody in.
    """
    listen = Listen.parse(settings.server.listen)
    check_reach(settings, listen)
    listen.check_free()
    folder = Path(tempfile.mkdtemp(prefix="rasterflight-"))
    areas = folder / "areas"
    areas.mkdir()
    # In a file: what stands on a command line is seen by all users of the machine.
    kept = folder / "settings.toml"
    kept.touch(mode=0o600)
    kept.write_text(write(settings), encoding="utf-8")
    workers = settings.server.workers
    arguments = ["--isolated", f"--settings={kept}", f"--one-of={workers}", f"--shared-folder={areas}"]
    sockets = [folder / str(number) for number in range(1, workers + 1)]
    try:
        with listen.bind() as listener:
            port = 0 if listen.path else listener.getsockname()[1]
            readiness = Readiness()
            figures = TeamFigures([path.with_suffix(FIGURES) for path in sockets])
            answer(folder / "figures", figures)
            seen = Seen(figures, partial(connections_to, port, listen.path))
            open_ports(settings.observe, readiness, settings.collections, seen)
            tell_supervisor(readiness)
            # What comes is passed on as it is: encrypted, where it is.
            scheme = "grpc+tls+unix" if listen.encrypted else "grpc+unix"
            forwarder = Forwarder(listener, sockets)
            team = _Team(arguments, sockets, scheme, readiness, forwarder)
            renewal = Renewal(settings.tls, listen, team.renew)
            return team.run(listen.at(port), renewal, settings.server.grace, lifeline=lifeline)
    finally:
        listen.remove()
        shutil.rmtree(folder, ignore_errors=True)


class _Team:
    """The processes, and what happens to them."""

    def __init__(
        self,
        options: Sequence[str],
        sockets: Sequence[Path],
        scheme: str,
        readiness: Readiness,
        forwarder: Forwarder,
    ) -> None:
        self._ending = threading.Event()
        #: What to do: the number of a signal, or None to give up.
        self._told: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._workers = [
            _Worker([*options, f"--listen={scheme}://{path}"], path.name, self._ending, self._told) for path in sockets
        ]
        self._readiness = readiness
        self._forwarder = forwarder
        self._sockets = sockets

    def run(self, address: str, renewal: Renewal, grace: float, *, lifeline: bool) -> int:
        def on_hangup(number: int) -> None:
            renewal.look()
            self._on_hangup(number)

        take_signals({signal.SIGTERM: self._told.put, signal.SIGINT: self._told.put, signal.SIGHUP: on_hangup})
        # The first alone: what is wrong with an index is said once.
        if not (self._workers[0].start() and all(self._start_others())):
            return self._end(signal.SIGTERM, 0.0) or 1
        for worker in self._workers:
            threading.Thread(target=worker.watch, daemon=True).start()
        if lifeline:
            threading.Thread(target=self._on_end_of_input, daemon=True, name="lifeline").start()
        self._forwarder.start()
        renewal.start()
        print(f"listening on {address}", flush=True)  # noqa: T201 - those who start the server wait for it
        self._readiness.serve()
        told = self._told.get()
        self._readiness.drain()
        return self._end(told or signal.SIGTERM, grace) or int(told is None)

    def renew(self) -> None:
        """Start one process after the other anew; each may finish what it does, and those who call meanwhile go to the others."""
        for worker, path in zip(self._workers, self._sockets, strict=True):
            with self._forwarder.spare(path):
                worker.renew()

    def _start_others(self) -> Sequence[bool]:
        others = self._workers[1:]
        started = [False] * len(others)

        def start(position: int) -> None:
            started[position] = others[position].start()

        threads = [threading.Thread(target=start, args=(position,)) for position in range(len(others))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return started

    def _end(self, number: int, grace: float) -> int:
        """Let all finish; a second signal ends them at once, and is the status."""
        self._ending.set()
        for worker in self._workers:
            worker.end(number)
        deadline = time.monotonic() + grace + _END_SECONDS
        while any(worker.running for worker in self._workers):
            try:
                again = self._told.get(timeout=0.05)
            except queue.Empty:
                again = None
            if again is not None or time.monotonic() > deadline:
                for worker in self._workers:
                    worker.signal(signal.SIGKILL)
                return 0 if again is None else 128 + again
        return 0

    def _on_hangup(self, number: int) -> None:
        # On threads: the lock of a worker is held while it is started.
        for worker in self._workers:
            threading.Thread(target=worker.signal, args=(number,), daemon=True).start()

    def _on_end_of_input(self) -> None:
        while os.read(sys.stdin.fileno(), 4096):
            continue
        self._ending.set()
        for worker in self._workers:
            worker.hang_up()
        self._told.put(signal.SIGTERM)


class _Worker:
    """One of the processes: the present one, and those that take its place."""

    def __init__(
        self, options: Sequence[str], name: str, ending: threading.Event, told: "queue.SimpleQueue[int | None]"
    ) -> None:
        self._command = [sys.executable, "-m", "rasterflight_server", "serve", *options, "--lifeline"]
        self._name = name
        self._ending = ending
        self._told = told
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        #: The process that was told to make room for another, and whether one has taken its place.
        self._leaving: subprocess.Popen[bytes] | None = None
        self._renewed = threading.Event()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> bool:
        """Start a process, and wait until it listens; False: it did not."""
        with self._lock:
            if self._ending.is_set():
                return False
            # Its standard input ends with this process, and so does it. Ctrl-C is for this process, which passes it on.
            self._process = process = subprocess.Popen(  # noqa: S603 - our own module
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
            )
        assert process.stdout is not None
        return process.stdout.readline().startswith(_READY)

    def watch(self) -> None:
        """Start it again whenever it ends, until all end."""
        short = 0
        while True:
            process = self._process
            assert process is not None
            began = time.monotonic()
            status = process.wait()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                pipe.close()
            if self._ending.is_set():
                return
            if self._leaving is process:
                self._start_again()
                self._renewed.set()
                continue
            short = 0 if time.monotonic() - began > _LASTING_SECONDS else short + 1
            if short == _MOST_STARTS:
                _log.error("worker %s ended %d times soon after it started: all are ended", self._name, short)
                self._told.put(None)
                return
            pause = min(_FIRST_PAUSE * 2 ** max(short - 1, 0), _LONGEST_PAUSE)
            _log.warning("worker %s ended with status %d, and is started again in %g s", self._name, status, pause)
            if self._ending.wait(pause):
                return
            self._start_again()

    def _start_again(self) -> None:
        try:
            self.start()
        except OSError as error:
            # No memory or no files are left for it: as one that ended at once, it is tried again after a longer pause.
            _log.warning("worker %s cannot be started: %s", self._name, error)

    def renew(self) -> None:
        """Let it finish what it does and end, and wait until another process has taken its place."""
        with self._lock:
            if self._ending.is_set() or not self.running:
                return  # one that is started again later is new anyway
            assert self._process is not None
            self._renewed.clear()
            self._leaving = self._process
            self._process.send_signal(signal.SIGTERM)
        while not (self._renewed.wait(_LOOK_SECONDS) or self._ending.is_set()):
            continue

    def end(self, number: int) -> None:
        """Tell it to end, unless it was told before: a second signal would not let it finish."""
        with self._lock:
            if self._process is not None and self._process is not self._leaving:
                self._process.send_signal(number)

    def signal(self, number: int) -> None:
        with self._lock:
            if self._process is not None:
                self._process.send_signal(number)

    def hang_up(self) -> None:
        """End it at once."""
        with self._lock:
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()
