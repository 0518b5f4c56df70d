"""One Flight connection: where it goes, what each call carries, and whose errors come out."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
from google.protobuf.message import DecodeError
from pyarrow import flight, ipc

from rasterflight._failures import translated
from rasterflight._requests import compression_value
from rasterflight._trace import trace_headers
from rasterflight.errors import ProtocolError
from rasterflight_protocol import pack
from rasterflight_protocol.v1.plan_pb2 import Upload
from rasterflight_protocol.v1.read_pb2 import ReadRequest

_TOKEN = "RASTERFLIGHT_TOKEN"  # noqa: S105 - the name of a variable
SCHEMES = ("grpc", "grpc+tcp", "grpc+tls", "grpc+unix")


@dataclass(frozen=True, slots=True)
class Address:
    """All that it takes to connect to a server, from any process."""

    url: str
    #: As the caller gave it.
    token: str | None = field(default=None, repr=False)
    timeout: float | None = None
    #: Without a token, send the one in the environment of the process, if there is one.
    from_environment: bool = False

    def connect(self) -> "Connection":
        """Connect as before."""
        return Connection(
            self.url, token=self.token, timeout=self.timeout, token_from_environment=self.from_environment
        )


class Connection:
    """A Flight client that speaks in requests and in the errors of this package; safe to share between threads.

    Parameters
    ----------
    url
        ``grpc://host:port``, ``grpc+tcp://``, ``grpc+tls://`` or ``grpc+unix:///path``.
    token
        Sent with every call as ``authorization: Bearer``.
    timeout
        Seconds that a call may take, a stream as a whole; None: no limit.
    token_from_environment
        Without a token, send the one in the environment variable ``RASTERFLIGHT_TOKEN``, if there is one.
    compression
        How the rows of reads travel, unless a read says otherwise.

    Raises
    ------
    ValueError
        The URL has another scheme, or carries credentials; the token, the timeout or the compression cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout: float | None = None,
        token_from_environment: bool = False,
        compression: str | None = None,
    ) -> None:
        _check_url(url)
        #: How to get here again; without what the environment said.
        self.address = Address(url, token, timeout, token_from_environment)
        if token is None and token_from_environment:
            token = os.environ.get(_TOKEN) or None
        # not shown: an error must not carry the token into a log
        if token is not None and not (token.isascii() and token.isprintable() and token.strip() == token != ""):
            raise ValueError("the token is empty, or has characters that a header cannot carry")
        self.url = url
        #: For requests.
        self.compression = compression_value(compression)
        self._headers = [] if token is None else [(b"authorization", b"Bearer " + token.encode())]
        self._timeout = _checked_timeout(timeout)
        self._flight = flight.FlightClient(url)

    def close(self) -> None:
        """Close the connection; running streams end with it."""
        self._flight.close()

    def list_flights(self) -> list[Any]:
        """Ask for the FlightInfo of every collection."""
        with translated(self.url):
            return list(self._flight.list_flights(options=self._options()))

    def describe(self, name: str) -> Any:
        """Ask for the FlightInfo of a collection."""
        return self._info(flight.FlightDescriptor.for_path(name), None)

    def plan(self, request: ReadRequest, timeout: float | None) -> Any:
        """Ask for the FlightInfo of a read."""
        return self._info(flight.FlightDescriptor.for_command(pack(request)), timeout)

    def open(self, request: ReadRequest, timeout: float | None, *, aligned: bool = True) -> Any:
        """Start a read: a FlightStreamReader.

        Parameters
        ----------
        aligned
            Batches lie at addresses that suit every reader, which may take a copy of each.
        """
        with translated(self.url):
            return self._flight.do_get(flight.Ticket(pack(request)), self._options(timeout, aligned=aligned))

    def exchange(self, request: ReadRequest, timeout: float | None) -> tuple[Any, Any]:
        """Start an exchange: a FlightStreamWriter and a FlightStreamReader."""
        with translated(self.url):
            return tuple(
                self._flight.do_exchange(flight.FlightDescriptor.for_command(pack(request)), self._options(timeout))
            )

    def put_areas(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch], timeout: float | None) -> Upload:
        """Send areas up, for requests to refer to.

        Raises
        ------
        ProtocolError
            The server took them without an answer.
        """
        answer = Upload()
        with translated(self.url):
            descriptor = flight.FlightDescriptor.for_path("areas")
            writer, reader = self._flight.do_put(descriptor, schema, self._options(timeout))
            try:
                for batch in batches:
                    writer.write_batch(batch)
                writer.done_writing()
                told = reader.read()
            except BaseException:
                with suppress(pa.ArrowException, flight.FlightError, OSError):
                    writer.close()
                raise
            writer.close()
        try:
            answer.ParseFromString(b"" if told is None else told.to_pybytes())
        except DecodeError:
            answer.Clear()
        if not answer.id:
            raise ProtocolError(
                f"{self.url} does not answer as a rasterflight server does: it took areas, and gave no id"
            )
        return answer

    def action(self, name: str, body: bytes = b"", timeout: float | None = None) -> Iterator[bytes]:
        """Run an action, and give the bodies of its results."""
        with translated(self.url):
            for result in self._flight.do_action(flight.Action(name, body), self._options(timeout)):
                yield result.body.to_pybytes()

    def seconds(self, timeout: float | None) -> float | None:
        """Seconds that a call with this timeout may take; None: no limit."""
        return self._timeout if timeout is None else _checked_timeout(timeout)

    def _info(self, descriptor: Any, timeout: float | None) -> Any:
        with translated(self.url):
            return self._flight.get_flight_info(descriptor, self._options(timeout))

    def _options(self, timeout: float | None = None, *, aligned: bool = True) -> Any:
        # gRPC hands out buffers at odd addresses; NumPy is slower on them, and C code may assume alignment
        reading = ipc.IpcReadOptions(ensure_alignment=ipc.Alignment.At64Byte if aligned else ipc.Alignment.Any)
        headers = [*self._headers, *trace_headers()]
        return flight.FlightCallOptions(timeout=self.seconds(timeout), headers=headers, read_options=reading)


def json_object(data: bytes, url: str, *, having: Iterable[str] = ()) -> dict[str, Any]:
    """Read the JSON object in an answer.

    Raises
    ------
    ProtocolError
        It is none, or lacks a key.
    """
    try:
        value = json.loads(data)
    except ValueError:
        value = None
    if not isinstance(value, dict) or not value.keys() >= set(having):
        raise ProtocolError(f"{url} does not answer as a rasterflight server does")
    return value


def schema_of(info: Any, url: str) -> pa.Schema:
    """Read the schema of a FlightInfo."""
    with translated(url):
        return info.schema


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        accepted = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise ValueError(f"the URL has the scheme {parts.scheme!r}, expected one of: {accepted}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the URL carries credentials: pass them as token=")
    if parts.scheme == "grpc+unix":
        if not parts.path:
            raise ValueError(f"the URL {url!r} names no socket: expected grpc+unix:///path/to/socket")
    elif not parts.hostname or not parts.port:
        raise ValueError(f"the URL {url!r} lacks host or port: expected {parts.scheme}://host:port")


def _checked_timeout(timeout: float | None) -> float | None:
    if timeout is not None and not timeout > 0:
        raise ValueError(f"timeout is {timeout!r}, expected seconds above 0 or None")
    return timeout
