"""From where a call comes: addresses, also of connections that were handed on."""

import ipaddress
import secrets
from typing import Any, Final
from urllib.parse import unquote

#: How the names of connections begin that were handed on.
FORWARDED: Final = "rasterflight/"
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
    host = _forwarded_from(peer)
    if host is None:
        kind, _, rest = unquote(peer).partition(":")
        host = rest.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else ""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _IPV6_NETWORK), strict=False))


def told_peer(peer: str) -> str:
    """A peer as people are told of it: as gRPC names it, or the address that a connection was handed on from."""
    host = _forwarded_from(peer)
    return peer if host is None else host or "unix:"


def _forwarded_from(peer: str) -> str | None:
    """The address that a connection was handed on from, empty for a socket of this machine; None: it was not handed on."""
    kind, _, rest = unquote(peer).partition(":")
    forwarded = kind == "unix-abstract" and rest.startswith(FORWARDED)
    return rest.removeprefix(FORWARDED).partition("/")[0] if forwarded else None


def forwarded_name(peer: Any) -> str:
    """The name for the socket by which a connection is handed on; it tells the process there who called, and which connection it is.

    Parameters
    ----------
    peer
        As ``socket.getpeername`` says.

    Returns
    -------
    str
        An abstract address of the kernel, used once; it has no address of a socket of this machine.
    """
    return f"\0{FORWARDED}{peer[0] if isinstance(peer, tuple) else ''}/{secrets.token_hex(8)}"
