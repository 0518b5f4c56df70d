"""One Flight connection: where it goes, what each call carries, and whose errors come out."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import pyarrow as pa
from google.protobuf.message import DecodeError
from pyarrow import flight, ipc

from rasterflight._credentials import Credentials
from rasterflight._deadline import Deadline
from rasterflight._failures import translated
from rasterflight._handover import Memory, Receiving
from rasterflight._requests import compression_value
from rasterflight._retries import DEFAULT_RETRIES, Attempts, Retries
from rasterflight._trace import trace_headers
from rasterflight.errors import ProtocolError, RasterflightError
from rasterflight_protocol import pack
from rasterflight_protocol.v1.plan_pb2 import Upload
from rasterflight_protocol.v1.read_pb2 import ReadRequest

_T = TypeVar("_T")
_CHANNEL: Final = [
    # Without these, gRPC waits up to two minutes before it looks for a server that was not there.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A connection that is dead without a word is noticed; servers take offence at more than a question in five minutes.
    ("grpc.keepalive_time_ms", 310_000),
    ("grpc.keepalive_timeout_ms", 20_000),
]
SCHEMES = ("grpc", "grpc+tcp", "grpc+tls", "grpc+unix")


@dataclass(frozen=True, slots=True)
class Address:
    """All that it takes to connect to a server, from any process."""

    url: str
    #: As the caller gave them.
    credentials: Credentials = field(default_factory=Credentials)
    timeout: float | None = None
    #: What was not given is taken from the environment of the process, if it is there.
    from_environment: bool = False
    retries: int = DEFAULT_RETRIES

    def connect(self) -> "Connection":
        """Connect as before."""
        connection = Connection(
            self.url,
            self.credentials,
            timeout=self.timeout,
            from_environment=self.from_environment,
            retries=self.retries,
        )
        # The one who gives the address has been there.
        connection.attempts(Deadline(None)).reached()
        return connection


class Connection:
    """A Flight client that speaks in requests and in the errors of this package; safe to share between threads.

    Parameters
    ----------
    url
        ``grpc://host:port``, ``grpc+tcp://``, ``grpc+tls://`` or ``grpc+unix:///path``.
    credentials
        Shown to the server.
    timeout
        Seconds that a call may take, a stream as a whole; None: no limit.
    from_environment
        Take credentials that are not given from the environment, if they are there.
    compression
        How the rows of reads travel, unless a read says otherwise.
    retries
        How often a call is tried again.

    Raises
    ------
    ValueError
        The URL has another scheme, or carries credentials; the credentials, the timeout, the compression or the retries cannot
        be used.
    OSError
        A file of certificates cannot be read.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials = Credentials(),  # noqa: B008 - it never changes
        *,
        timeout: float | None = None,
        from_environment: bool = False,
        compression: str | None = None,
        retries: int = DEFAULT_RETRIES,
    ) -> None:
        _check_url(url)
        credentials.check(url)
        #: How to get here again; without what the environment said.
        self.address = Address(url, credentials, timeout, from_environment, retries)
        self._credentials = credentials.with_environment() if from_environment else credentials
        self._credentials.warn(url)
        self.url = url
        #: For requests.
        self.compression = compression_value(compression)
        self._timeout = _checked_timeout(timeout)
        self._retries = Retries(retries)
        self._flight = flight.FlightClient(url, generic_options=_CHANNEL, **self._credentials.arguments(url))

    def close(self) -> None:
        """Close the connection; running streams end with it."""
        self._flight.close()

    def attempts(self, deadline: Deadline, stopped: threading.Event | None = None) -> Attempts:
        """Tries of a call."""
        return Attempts(self._retries, deadline, stopped)

    def list_flights(self) -> list[Any]:
        """Ask for the FlightInfo of every collection."""
        return self._trying(lambda options: list(self._flight.list_flights(options=options)), self._deadline(None))

    def describe(self, name: str) -> Any:
        """Ask for the FlightInfo of a collection."""
        return self._info(flight.FlightDescriptor.for_path(name), None)

    def plan(self, request: ReadRequest, timeout: float | None) -> Any:
        """Ask for the FlightInfo of a read."""
        return self._info(flight.FlightDescriptor.for_command(pack(request)), timeout)

    def open(self, request: ReadRequest, timeout: float | None, *, aligned: bool = True) -> Any:
        """Start a read: something like a FlightStreamReader.

        Parameters
        ----------
        aligned
            Batches lie at addresses that suit every reader, and may be kept, which may take a copy of each.
        """
        memory = Memory.make(self.url)
        with translated(self.url):
            options = self._options(timeout, aligned=aligned, memory=memory)
            reader = self._flight.do_get(flight.Ticket(pack(request)), options)
        return reader if memory is None else Receiving(reader, memory, lent=not aligned)

    def exchange(self, request: ReadRequest, timeout: float | None) -> tuple[Any, Any]:
        """Start an exchange: a FlightStreamWriter and something like a FlightStreamReader."""
        memory = Memory.make(self.url)
        with translated(self.url):
            writer, reader = self._flight.do_exchange(
                flight.FlightDescriptor.for_command(pack(request)), self._options(timeout, memory=memory)
            )
        return writer, reader if memory is None else Receiving(reader, memory)

    def put_areas(self, make: Callable[[], tuple[pa.Schema, Iterable[pa.RecordBatch]]], deadline: Deadline) -> Upload:
        """Send areas up, for requests to refer to.

        Parameters
        ----------
        make
            Gives their schema and batches, as often as it is called.

        Raises
        ------
        ProtocolError
            The server took them without an answer.
        """
        answer = Upload()
        told = self._trying(lambda options: self._put(*make(), options), deadline)
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
        return self._trying(lambda options: self._flight.get_flight_info(descriptor, options), self._deadline(timeout))

    def _put(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch], options: Any) -> pa.Buffer | None:
        writer, reader = self._flight.do_put(flight.FlightDescriptor.for_path("areas"), schema, options)
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
        return told

    def _trying(self, call: Callable[[Any], _T], deadline: Deadline) -> _T:
        """Make a call that changes nothing, until it is answered or there is no point in another try."""
        attempts = self.attempts(deadline)
        while True:
            try:
                with translated(self.url):
                    answer = call(self._options(deadline.left))
            except RasterflightError as error:
                attempts.wait(error)
            else:
                attempts.reached()
                return answer

    def _deadline(self, timeout: float | None) -> Deadline:
        return Deadline(self.seconds(timeout))

    def _options(self, timeout: float | None = None, *, aligned: bool = True, memory: Memory | None = None) -> Any:
        # gRPC hands out buffers at odd addresses; NumPy is slower on them, and C code may assume alignment
        reading = ipc.IpcReadOptions(ensure_alignment=ipc.Alignment.At64Byte if aligned else ipc.Alignment.Any)
        headers = [*self._credentials.headers(), *trace_headers(), *([] if memory is None else [memory.header])]
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
