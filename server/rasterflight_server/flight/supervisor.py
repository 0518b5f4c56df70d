"""Telling systemd, where it started the server, that the server takes calls, and that it ends."""

import contextlib
import os
import socket
from typing import Final

from rasterflight_server.flight.readiness import Readiness

#: Names the socket that systemd listens on for a unit of ``Type=notify``.
VARIABLE: Final = "NOTIFY_SOCKET"


def tell_supervisor(readiness: Readiness) -> None:
    """Tell of each change from now on; nobody is told where nobody wants to know.

    Parameters
    ----------
    readiness
        Of the server.
    """
    path = os.environ.get(VARIABLE, "")
    if path:
        # An abstract address of the kernel is written with an @.
        address = f"\0{path[1:]}" if path.startswith("@") else path
        readiness.on_change(lambda: _send(address, b"READY=1" if readiness.serving else b"STOPPING=1"))


def _send(address: str, state: bytes) -> None:
    # Who does not listen any more is not waited for.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(state, socket.MSG_DONTWAIT, address)
