"""Processes that read the headers of local files: parsing them takes a core, and threads of one process share one."""

import pickle
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import IO, Any, Final

import numpy as np
from affine import Affine

from rasterflight_server.ingest.header import Header
from rasterflight_server.types import Grid, Profile, TileRanges

_LENGTH: Final = struct.Struct("<Q")

Read = Callable[[Any], list[Any]]


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
        self._started: list[subprocess.Popen[bytes]] = []
        self._profiles: dict[bytes, Profile] = {}

    def read(self, tasks: Sequence[Any]) -> list[Any]:
        """What the function that reads gives for some tasks; called by any number of threads."""
        process = getattr(self._own, "process", None)
        try:
            if process is None:
                process = self._own.process = self._start()
            _send(process.stdin, pickle.dumps(tasks))
            answer = _receive(process.stdout)
        except OSError:
            answer = None
        return self._instead(tasks) if answer is None else self._unpacked(answer)

    def _start(self) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-c", f"from {__name__} import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._started.append(process)
        _send(process.stdin, self._setup)
        return process

    def close(self) -> None:
        """End the processes; nobody may ask any more."""
        for process in self._started:
            process.kill()
            process.communicate()

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


def _send(pipe: IO[bytes] | None, message: bytes) -> None:
    assert pipe is not None
    pipe.write(_LENGTH.pack(len(message)) + message)
    pipe.flush()


def _receive(pipe: IO[bytes] | None) -> bytes | None:
    """The next message; None: there is none any more."""
    assert pipe is not None
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    [length] = _LENGTH.unpack(head)
    message = pipe.read(length)
    return message if len(message) == length else None


def main() -> None:
    """Read what the parent asks for, until it has no more."""
    # Ctrl-C reaches all processes of a terminal; the parent ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    setup = _receive(asked)
    if setup is None:
        return
    read: Read = pickle.loads(setup)()  # noqa: S301, of the process that started this one
    while (tasks := _receive(asked)) is not None:
        _send(answers, _packed(read(pickle.loads(tasks))))  # noqa: S301
