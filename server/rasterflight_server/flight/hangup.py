"""Closing a connection from this side, which Flight has no call for: by the socket beneath it."""

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

_OWN_FILES = Path("/proc/self/fd")
_MAPPED = "::ffff:"


def hang_up(peer: str) -> bool:
    """Close the connection to a peer; calls on it end as if the network had failed.

    Parameters
    ----------
    peer
        As gRPC says it: ``ipv4:ADDRESS:PORT`` or ``ipv6:[ADDRESS]:PORT``. Those on unix sockets look all alike, and are left.

    Returns
    -------
    bool
        Whether there was one.
    """
    kind, _, place = unquote(peer).partition(":")
    address, _, port = place.rpartition(":")
    if kind not in ("ipv4", "ipv6") or not port.isdigit() or not _OWN_FILES.is_dir():
        return False
    wanted = address.strip("[]").removeprefix(_MAPPED), int(port)
    return any(_shut(int(entry.name), wanted) for entry in _OWN_FILES.iterdir())


def _shut(number: int, wanted: tuple[str, int]) -> bool:
    # Most are no sockets, and would stay open as copies; some are gone by now.
    with suppress(OSError):
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            return False
    with suppress(OSError), socket.socket(fileno=os.dup(number)) as found:
        if found.family not in (socket.AF_INET, socket.AF_INET6):
            return False
        address, port = found.getpeername()[:2]
        if (address.removeprefix(_MAPPED), port) == wanted:
            found.shutdown(socket.SHUT_RDWR)
            return True
    return False
