"""Closing a connection from this side, which Flight has no call for: by the socket beneath it."""

import os
import socket
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote

from rasterflight_server.flight.identity.peers import FORWARDED

_OWN_FILES = Path("/proc/self/fd")
_MAPPED = "::ffff:"
_HANDED_ON = b"\0" + FORWARDED.encode()
#: Address and port, or an abstract name of the kernel.
_Name: TypeAlias = tuple[str, int] | bytes


def hang_up(peer: str) -> bool:
    """Close the connection to a peer; calls on it end as if the network had failed.

    Parameters
    ----------
    peer
        As gRPC says it: ``ipv4:ADDRESS:PORT`` or ``ipv6:[ADDRESS]:PORT``, or ``unix-abstract:NAME`` of a connection that was handed on.
        Others on unix sockets look all alike, and are left.

    Returns
    -------
    bool
        Whether there was one.
    """
    wanted = _name(peer)
    return wanted is not None and _shut_where(lambda name: name == wanted) > 0


def hang_up_idle(busy: Iterable[str]) -> int:
    """Close the connections that were handed on to this process, so that they are made anew to another one; returns how many.

    Parameters
    ----------
    busy
        Peers that keep theirs.
    """
    kept = {_name(peer) for peer in busy}
    return _shut_where(lambda name: isinstance(name, bytes) and name.startswith(_HANDED_ON) and name not in kept)


def _shut_where(wanted: Callable[[_Name], bool]) -> int:
    if not _OWN_FILES.is_dir():
        return 0
    return sum(_shut(int(entry.name), wanted) for entry in _OWN_FILES.iterdir())


def _name(peer: str) -> _Name | None:
    kind, _, place = unquote(peer).partition(":")
    if kind == "unix-abstract" and place:
        return b"\0" + place.encode()
    address, _, port = place.rpartition(":")
    if kind in ("ipv4", "ipv6") and port.isdigit():
        return address.strip("[]").removeprefix(_MAPPED), int(port)
    return None


def _shut(number: int, wanted: Callable[[_Name], bool]) -> bool:
    # Most are no sockets, and would stay open as copies; some are gone by now.
    with suppress(OSError):
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            return False
    with suppress(OSError), socket.socket(fileno=os.dup(number)) as found:
        name = found.getpeername()
        if found.family in (socket.AF_INET, socket.AF_INET6):
            name = name[0].removeprefix(_MAPPED), name[1]
        if wanted(name):
            found.shutdown(socket.SHUT_RDWR)
            return True
    return False
