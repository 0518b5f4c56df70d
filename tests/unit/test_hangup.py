"""Connections that are closed from the server's side."""

import os
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from rasterflight_server.flight.hangup import hang_up, hang_up_idle
from support.descriptors import open_files


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_other_end_sees_the_end(family: int, address: str) -> None:
    with socket.create_server((address, 0), family=family) as listener, socket.socket(family) as client:
        client.connect(listener.getsockname())
        port = client.getsockname()[1]
        with listener.accept()[0]:
            shown = f"ipv4:{address}:{port}" if family == socket.AF_INET else f"ipv6:%5B{address}%5D:{port}"
            assert not hang_up(shown.replace(str(port), "1"))
            assert hang_up(shown)
            client.settimeout(5)
            assert client.recv(1) == b""


def test_a_connection_that_was_handed_on() -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind("")
        listener.listen()
        client.bind("\0rasterflight/192.0.2.1/a")
        client.connect(listener.getsockname())
        with listener.accept()[0]:
            assert not hang_up("unix-abstract:rasterflight/192.0.2.1/b")
            assert hang_up("unix-abstract:rasterflight/192.0.2.1%2Fa")
            client.settimeout(5)
            assert client.recv(1) == b""


def test_those_who_are_idle() -> None:
    with socket.socket(socket.AF_UNIX) as listener, ExitStack() as open_:
        listener.bind("")
        listener.listen()
        clients = [open_.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(3)]
        for client, name in zip(clients, ("rasterflight/::1/a", "rasterflight//b", "other"), strict=True):
            client.bind("\0" + name)
            client.connect(listener.getsockname())
            client.settimeout(0.1)
            open_.enter_context(listener.accept()[0])
        assert hang_up_idle(["unix-abstract:rasterflight/%3A%3A1/a", "ipv4:127.0.0.1:1"]) == 1
        assert clients[1].recv(1) == b""
        for client in (clients[0], clients[2]):
            with pytest.raises(TimeoutError):
                client.recv(1)


def test_no_file_stays_open() -> None:
    one, other = socket.socketpair()
    with one, other, Path(os.devnull).open():
        before = open_files()
        assert not hang_up("ipv4:127.0.0.1:1")
        assert open_files() <= before


@pytest.mark.parametrize("peer", ["unix:", "", "ipv4:", "ipv4:127.0.0.1:x", "vsock:1:2", "unix-abstract:"])
def test_what_has_no_address_is_left(peer: str) -> None:
    assert not hang_up(peer)
