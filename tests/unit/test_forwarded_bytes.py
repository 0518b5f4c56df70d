"""Bytes that are handed on arrive as they were sent, many or few; only where they are many, more room is taken."""

import errno
import fcntl
import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from rasterflight_server.flight.forward import Forwarder

MUCH = bytes(range(251)) * 40_000


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A caller, and the process that his connection was handed on to."""
    with socket.socket(socket.AF_UNIX) as process, socket.create_server(("127.0.0.1", 0)) as listener:
        process.bind(str(tmp_path / "1"))
        process.listen()
        Forwarder(listener, [tmp_path / "1"]).start()
        with socket.create_connection(listener.getsockname(), timeout=10) as caller:
            taken, _ = process.accept()
            with taken:
                yield caller, taken
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture(params=[True, False], ids=["room", "no-room"])
def enlarged(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes that pipes were to get; they may get them, or not."""
    asked: list[int] = []

    def set_size(pipe: int, command: int, size: int) -> int:
        asked.append(size)
        if not request.param:
            raise OSError(errno.EPERM, "all pipes of the user together are too large")
        return real(pipe, command, size)

    real = fcntl.fcntl
    monkeypatch.setattr(fcntl, "fcntl", set_size)
    return asked


def received(end: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        parts.append(end.recv(size))
        assert parts[-1]
        size -= len(parts[-1])
    return b"".join(parts)


def test_much(connection: tuple[socket.socket, socket.socket], enlarged: list[int]) -> None:
    caller, process = connection
    for sender, receiver in ((process, caller), (caller, process)):
        thread = Thread(target=sender.sendall, args=(MUCH,))
        thread.start()
        assert received(receiver, len(MUCH)) == MUCH
        thread.join()
    assert set(enlarged) == {1 << 18}


def test_little(connection: tuple[socket.socket, socket.socket], enlarged: list[int]) -> None:
    caller, process = connection
    for _ in range(20):
        caller.sendall(b"question")
        assert received(process, 8) == b"question"
        process.sendall(b"answer" * 100)
        assert received(caller, 600) == b"answer" * 100
    assert enlarged == []
