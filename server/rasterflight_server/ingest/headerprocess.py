"""Processes that read the headers of local files: parsing them takes a core, and threads of one process share one."""

import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, Final

import numpy as np
from affine import Affine

from rasterflight_server.ingest.header import Header
from rasterflight_server.types import Grid, Profile, TileRanges

_MAIN: Final = f"from {__name__} import main; main()"

#: From tasks to what came of them.
Read = Callable[[Any], list[Any]]


class _Process:
    """One of the processes; started as a command, so that the program that indexes need not be one that can be imported."""

    def __init__(self, setup: bytes) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-P", "-c", _MAIN, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C is for this process, which ends the other
            )
        self._connection: Connection[Any, Any] = Connection(ours.detach())
        self._connection.send_bytes(setup)

    def ask(self, message: bytes) -> bytes:
        self._connection.send_bytes(message)
        return self._connection.recv_bytes()

    def close(self) -> None:
        self._connection.close()
        self._process.kill()
        self._process.wait()


class HeaderProcesses:
    """One process for each thread that asks; they end with this one.

    Parameters
    ----------
    setup
        A function that can be pickled; called in each process, it gives the function that reads.
    instead
        Reads where a process cannot, because it has ended.
    """

    def __init__(self, setup: Callable[[], Read], instead: Read) -> None:
        self._setup = pickle.dumps(setup)
        self._instead = instead
        self._own = threading.local()
        self._started: list[_Process] = []
        self._profiles: dict[bytes, Profile] = {}

    def read(self, tasks: Sequence[Any]) -> list[Any]:
        """What the function that reads gives for some tasks; called by any number of threads."""
        process: _Process | None = getattr(self._own, "process", None)
        try:
            if process is None:
                process = self._own.process = _Process(self._setup)
                self._started.append(process)
            answer = process.ask(pickle.dumps(tasks))
        except (OSError, EOFError):
            return self._instead(tasks)
        return self._unpacked(answer)

    def close(self) -> None:
        """End the processes; nobody may ask any more."""
        for process in self._started:
            process.close()

    def _unpacked(self, answer: bytes) -> list[Any]:
        """From what ``_packed`` made; profiles that are equal are one object."""
        outcomes, blobs, offsets, counts = pickle.loads(answer)  # noqa: S301, of a process of our own
        profiles = [self._profiles.get(blob) or self._profiles.setdefault(blob, pickle.loads(blob)) for blob in blobs]  # noqa: S301
        places, sizes = np.frombuffer(offsets, np.int64), np.frombuffer(counts, np.int64)
        start = 0
        found = []
        for outcome in outcomes:
            if not isinstance(outcome, tuple):
                found.append(outcome)
                continue
            identity, profile, (width, height, transform, crs), located, lengths, tags = outcome
            tiles = []
            for length in lengths:
                end = start + length
                tiles.append(TileRanges(places[start:end], sizes[start:end]))
                start = end
            grid = Grid(width, height, Affine(*transform), crs)
            found.append(Header(identity, profiles[profile], grid, located, tuple(tiles), tags))
        return found


def _packed(outcomes: Sequence[Any]) -> bytes:
    """Headers as few plain values: pickled as they are, they take as long as reading them."""
    profiles: dict[Profile, int] = {}
    packed: list[Any] = []
    tiles: list[TileRanges] = []
    for outcome in outcomes:
        if not isinstance(outcome, Header):
            packed.append(outcome)
            continue
        grid = outcome.grid
        tiles += outcome.tiles
        packed.append(
            (
                outcome.identity,
                profiles.setdefault(outcome.profile, len(profiles)),
                (grid.width, grid.height, grid.coefficients, grid.crs),
                outcome.located,
                [len(ranges.counts) for ranges in outcome.tiles],
                outcome.tags,
            )
        )
    places = [np.concatenate([getattr(ranges, name) for ranges in tiles] or [[]]) for name in ("offsets", "counts")]
    blobs = [pickle.dumps(profile) for profile in profiles]
    return pickle.dumps((packed, blobs, *(column.tobytes() for column in places)))


def main() -> None:
    """Read what the other end of a socket asks for, until it closes it."""
    connection: Connection[Any, Any] = Connection(int(sys.argv[1]))
    read: Read = pickle.loads(connection.recv_bytes())()  # noqa: S301, of the process that started this one
    while True:
        try:
            tasks = pickle.loads(connection.recv_bytes())  # noqa: S301
        except (EOFError, OSError):
            return
        connection.send_bytes(_packed(read(tasks)))
