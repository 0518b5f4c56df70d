"""From where a call comes: addresses, also of connections that were handed on."""

import ipaddress
import secrets
from typing import Any, Final
from urllib.parse import unquote

_FORWARDED: Final = "rasterflight/"
#: Whoever has one address of IPv6 has all of its network.
_IPV6_NETWORK: Final = 64


def address_of(peer: str) -> str:
    """The address of a peer, without its port.

    Parameters
    ----------
    peer
        As gRPC names it: ``ipv4:192.0.2.1:4711``, ``unix:...``; or a name that `forwarded_name` made.

    Returns
    -------
    str
        An address, for IPv6 its network; empty for sockets of this machine.
    """
    kind, _, rest = unquote(peer).partition(":")
    if kind == "unix-abstract" and rest.startswith(_FORWARDED):
        host = rest.removeprefix(_FORWARDED).partition("/")[0]
    elif kind in ("ipv4", "ipv6"):
        host = rest.rpartition(":")[0].strip("[]")
    else:
        return ""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _IPV6_NETWORK), strict=False))


def forwarded_name(peer: Any) -> str | None:
    """The name for the socket by which a connection is handed on; it tells the process there who called.

    Parameters
    ----------
    peer
        As ``socket.getpeername`` says.

    Returns
    -------
    str or None
        An abstract address of the kernel, used once; None: nothing is to be told of a socket of this machine.
    """
    return f"\0{_FORWARDED}{peer[0]}/{secrets.token_hex(8)}" if isinstance(peer, tuple) else None
