"""What systemd is told."""

import socket
from pathlib import Path

import pytest

from rasterflight_server.flight.readiness import Readiness
from rasterflight_server.flight.supervisor import VARIABLE, tell_supervisor


def test_each_change_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        monkeypatch.setenv(VARIABLE, str(tmp_path / "notify"))
        readiness = Readiness()
        tell_supervisor(readiness)
        for change in (readiness.serve, readiness.serve, readiness.drain, readiness.drain):
            change()
        assert [listener.recv(100), listener.recv(100)] == [b"READY=1", b"STOPPING=1"]
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.recv(100)


@pytest.mark.parametrize("place", [None, "", "/nowhere/notify", "@rasterflight-nobody"])
def test_nobody_listens(place: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if place is not None:
        monkeypatch.setenv(VARIABLE, place)
    readiness = Readiness()
    tell_supervisor(readiness)
    readiness.serve()
    assert readiness.serving
