"""Where the server listens, checked before gRPC is asked, whose own words name no way out."""

import contextlib
import errno
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import ServiceError

#: The kernel's limit for the path of a unix socket.
_MAX_SOCKET_PATH = 107

#: Scheme -> whether connections are encrypted. Encrypted sockets are for servers of several processes: no client knows them.
_TCP: Final = {"grpc": False, "grpc+tcp": False, "grpc+tls": True}
_UNIX: Final = {"grpc+unix": False, "grpc+tls+unix": True}


@dataclass(frozen=True, slots=True)
class Listen:
    """A location to listen on."""

    location: str
    host: str = ""
    port: int = 0
    #: The socket file, for ``grpc+unix``.
    path: Path | None = None
    encrypted: bool = False

    @classmethod
    def parse(cls, location: str) -> "Listen":
        """Understand ``grpc://host:port``, ``grpc+tls://host:port`` and ``grpc+unix:///path``.

        Raises
        ------
        ServiceError
            BAD_REQUEST: anything else.
        """
        parts = urlsplit(location)
        if parts.scheme in _UNIX and parts.path.startswith("/"):
            if len(parts.path) > _MAX_SOCKET_PATH:
                raise _bad(location, f"the socket path has more than {_MAX_SOCKET_PATH} characters")
            path, encrypted = Path(parts.path), _UNIX[parts.scheme]
            if encrypted and not path.name.isdecimal():
                raise _bad(location, "encrypted sockets are only for the processes of one server")
            return cls(location, path=path, encrypted=encrypted)
        if parts.scheme not in _TCP:
            raise _bad(location, "the scheme is not grpc, grpc+tls or grpc+unix")
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            raise _bad(location, "the port is not a number from 0 to 65535") from None
        if not host or port is None:
            raise _bad(location, "host or port is missing")
        return cls(location, host, port, encrypted=_TCP[parts.scheme])

    @property
    def reachable(self) -> bool:
        """Whether other machines may get there.

        Raises
        ------
        ServiceError
            BAD_REQUEST: there is no such host.
        """
        if self.path is not None:
            return False
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise _bad(self.location, error.strerror or str(error)) from None
        return not all(ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)

    def check_free(self) -> None:
        """Make sure that nobody listens there; a socket file that a dead server left is removed.

        Raises
        ------
        ServiceError
            BUSY: in use; BAD_REQUEST: cannot be listened on.
        """
        try:
            if self.path is not None:
                _check_socket_file(self.path)
            else:
                _check_port(self.host, self.port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ServiceError(
                    ErrorCode.BUSY,
                    f"{self.location} is already in use",
                    hint="stop the server that listens there, or choose another place with --listen",
                ) from None
            raise _bad(self.location, error.strerror or str(error)) from None

    def bind(self) -> socket.socket:
        """A socket that is bound there."""
        if self.path is not None:
            bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            bound.bind(str(self.path))
            return bound
        family, kind, protocol, _, address = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        return bound

    def at(self, port: int) -> str:
        """The location, with the port that was given out for port 0."""
        scheme = "grpc+tls" if self.encrypted else "grpc"
        return self.location if self.path is not None else f"{scheme}://{_bracketed(self.host)}:{port}"

    @contextlib.contextmanager
    def for_arrow(self) -> Iterator[str]:
        """The location as Arrow takes it, while it begins to listen."""
        if self.path is None or not self.encrypted:
            yield self.location
            return
        # Arrow encrypts no sockets. Of this it makes "unix:1", by which gRPC means the socket "1" in the working folder.
        with contextlib.chdir(self.path.parent):
            yield f"grpc+tls://unix:{self.path.name}"

    def remove(self) -> None:
        """Remove the socket file, if there is one."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def _check_port(host: str, port: int) -> None:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


def _check_socket_file(path: Path) -> None:
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the folder of the socket does not exist")
    if not path.exists():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, contextlib.suppress(ConnectionRefusedError):
        probe.connect(str(path))
        raise OSError(errno.EADDRINUSE, "in use")
    path.unlink()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _bad(location: str, why: str) -> ServiceError:
    return ServiceError(
        ErrorCode.BAD_REQUEST,
        f"cannot listen on {location!r}: {why}",
        field="--listen",
        hint="use grpc://HOST:PORT, grpc+tls://HOST:PORT or grpc+unix:///PATH",
    )
