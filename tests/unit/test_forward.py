"""Connections that are handed on: bytes go both ways, and the end of one side reaches the other."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from rasterflight_server.flight import forward
from rasterflight_server.flight.forward import Forwarder
from support.telemetry import wait_for


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[list[socket.socket]]:
    """Sockets of two processes, on which nobody answers."""
    listeners = []
    for name in ("1", "2"):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmp_path / name))
        listener.listen()
        listener.settimeout(5)
        listeners.append(listener)
    yield listeners
    for listener in listeners:
        listener.close()


@pytest.fixture
def forwarder(processes: list[socket.socket]) -> Iterator[tuple[Forwarder, tuple[str, int]]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Forwarder(listener, [Path(process.getsockname()) for process in processes])
        made.start()
        yield made, listener.getsockname()
        listener.shutdown(socket.SHUT_RDWR)


def threads() -> int:
    return sum(thread.name in ("forward", "back") for thread in threading.enumerate())


def test_bytes_go_both_ways_and_what_was_sent_last_arrives(
    forwarder: tuple[Forwarder, tuple[str, int]], processes: list[socket.socket]
) -> None:
    with socket.create_connection(forwarder[1], timeout=5) as caller:
        caller.sendall(b"question")
        process, _ = processes[0].accept()
        with process:
            assert process.recv(100) == b"question"
            process.sendall(b"answer" * 10_000)
        assert b"".join(iter(lambda: caller.recv(1 << 16), b"")) == b"answer" * 10_000
    assert wait_for(lambda: threads() == 0, 5)


def test_the_end_of_the_caller_reaches_the_process(
    forwarder: tuple[Forwarder, tuple[str, int]], processes: list[socket.socket]
) -> None:
    with socket.create_connection(forwarder[1], timeout=5) as caller:
        process, _ = processes[0].accept()
        caller.shutdown(socket.SHUT_WR)
        with process:
            process.settimeout(5)
            assert process.recv(1) == b""
            process.sendall(b"bye")
        assert caller.recv(10) == b"bye"
    assert wait_for(lambda: threads() == 0, 5)


def test_a_caller_who_takes_nothing_is_cut_when_the_process_has_hung_up(
    forwarder: tuple[Forwarder, tuple[str, int]], processes: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "_LAST_SECONDS", 0.2)
    with socket.create_connection(forwarder[1], timeout=5):
        process, _ = processes[0].accept()
        with process:
            process.settimeout(0.5)
            with suppress(TimeoutError):
                while process.send(bytes(1 << 16)):
                    continue
            assert threads() == 2
            process.shutdown(socket.SHUT_RDWR)
            assert wait_for(lambda: threads() == 0, 5)


def test_a_process_is_spared_as_long_as_there_are_others(
    forwarder: tuple[Forwarder, tuple[str, int]], processes: list[socket.socket]
) -> None:
    made, address = forwarder
    with made.spare(Path(processes[0].getsockname())):
        with socket.create_connection(address, timeout=5), socket.create_connection(address, timeout=5):
            for _ in range(2):
                processes[1].accept()[0].close()
        processes[1].close()
        with socket.create_connection(address, timeout=5):
            processes[0].accept()[0].close()
