"""A proxy on the loopback that stands before a web server or an object store, and spoils its answers as it is told."""

import contextlib
import gzip
import http.client
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import BinaryIO, Final, Literal, NamedTuple, Self
from urllib.parse import urlsplit

#: Closes a connection by a reset instead of an end.
_RESET: Final = struct.pack("ii", 1, 0)
_DRIP_SECONDS: Final = 0.01
_POLL_SECONDS: Final = 0.05


class Asked(NamedTuple):
    """One request."""

    method: str
    #: As sent: encoded, with the query.
    path: str
    #: Value of the header; "" without.
    range: str
    #: How often the same was asked before.
    times: int


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong with one answer; several things may be."""

    #: Seconds before anything is said.
    delay: float = 0.0
    #: Answer with this status and body instead of asking the store.
    status: int | None = None
    body: bytes = b""
    #: Accept, and say nothing for ever.
    silent: bool = False
    #: Reset the connection: before the headers, in the middle of them, or in the middle of the body.
    reset: Literal["before", "headers", "body"] | None = None
    #: Close the connection in the middle of the body, which was announced by its length or in chunks.
    ends_early: Literal["length", "chunked"] | None = None
    #: Bytes that a complete answer has more at its beginning than were asked for, or fewer if negative.
    surplus: int = 0
    #: Sent after a complete answer, as if it were the next.
    overrun: bytes = b""
    #: What Content-Range says wrongly.
    content_range: Literal["offset", "total", "missing"] | None = None
    #: Answer with the whole file and status 200.
    whole: bool = False
    #: Answer as it should be, with other bytes.
    garbled: bool = False
    #: Compress the body, and say so.
    gzip: bool = False
    #: Headers to send instead of the right ones; None: not at all.
    headers: Mapping[str, str | None] = field(default_factory=dict)
    #: Of the body; None: as fast as it goes.
    bytes_per_second: float | None = None


#: Says what goes wrong with a request; None: nothing.
Plan = Callable[[Asked], Fault | None]


def first(*faults: Fault | None) -> Plan:
    """Lets these go wrong with a request, one after the other, each time that it is made again; then nothing."""
    return lambda asked: faults[asked.times] if asked.times < len(faults) else None


def always(fault: Fault) -> Plan:
    """Lets the same go wrong with every request."""
    return lambda _: fault


def at_random(seed: int, faults: Sequence[tuple[float, Fault]]) -> Plan:
    """Each fault goes wrong with a part of the requests; with which of them depends on nothing but the seed and on what is asked.

    Parameters
    ----------
    faults
        Part of the requests, and what goes wrong with them.
    """

    def plan(asked: Asked) -> Fault | None:
        chance = random.Random(f"{seed} {asked.method} {asked.path} {asked.range} {asked.times}").random()
        for part, fault in faults:
            chance -= part
            if chance < 0:
                return fault
        return None

    return plan


class FaultProxy:
    """Hands requests on, and spoils the answers; a context manager.

    Parameters
    ----------
    upstream
        URL of the server behind it. Requests arrive there as they were sent, the header Host too: signatures stay valid.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = urlsplit(upstream).netloc
        self._listener = _listen(0)
        self._port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._times: Counter[tuple[str, str, str]] = Counter()
        #: What goes wrong; may be set at any time.
        self.plan: Plan = lambda _: None
        #: All requests so far, in the order in which they came.
        self.asked: list[Asked] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def forget(self) -> None:
        """Count requests from the beginning, and let nothing go wrong."""
        with self._lock:
            self.plan = lambda _: None
            self.asked = []
            self._times.clear()

    def refuse(self) -> None:
        """Refuse connections, those that are open too, until ``accept``."""
        self._listener.close()
        self._thread.join()
        self._hang_up()

    def accept(self) -> None:
        """Take connections."""
        if self._listener.fileno() < 0:
            self._listener = _listen(self._port)
        self._thread = threading.Thread(target=self._accept, args=[self._listener], daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        self.accept()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing.set()
        self.refuse()

    def _accept(self, listener: socket.socket) -> None:
        while listener.fileno() >= 0:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            with self._lock:
                self._open.add(connection)
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _hang_up(self) -> None:
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        upstream = http.client.HTTPConnection(self._upstream)
        try:
            with connection.makefile("rb") as requests:
                while (request := _parse(requests)) is not None and self._answer(connection, upstream, *request):
                    pass
        except OSError:
            pass  # the other end has gone
        finally:
            upstream.close()
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _answer(
        self, connection: socket.socket, upstream: http.client.HTTPConnection, line: str, headers: dict[str, str]
    ) -> bool:
        """Answer one request; whether another may follow on the connection."""
        method, path, _ = line.split(" ")
        with self._lock:
            key = method, path, headers.get("range", "")
            asked = Asked(*key, self._times[key])
            self._times[key] += 1
            self.asked.append(asked)
        fault = self.plan(asked) or Fault()
        time.sleep(fault.delay)
        if fault.silent:
            self._closing.wait()
            return False
        if fault.reset == "before":
            return _reset(connection)
        answer = self._fetch(upstream, asked, headers, fault)
        _spoil(answer, fault)
        if fault.reset == "headers":
            connection.sendall(answer.head()[: len(answer.head()) // 2])
            return _reset(connection)
        connection.sendall(answer.head())
        if method == "HEAD":
            return True
        if fault.reset == "body" or fault.ends_early:
            half = answer.body[: len(answer.body) // 2]
            connection.sendall(b"%x\r\n%b\r\n" % (len(half), half) if fault.ends_early == "chunked" else half)
            time.sleep(_DRIP_SECONDS)  # the half is read before the reset throws away what was not
            return _reset(connection) if fault.reset else False
        for part in self._drip(answer.body, fault.bytes_per_second):
            connection.sendall(part)
        connection.sendall(fault.overrun)
        return True

    def _fetch(
        self, upstream: http.client.HTTPConnection, asked: Asked, headers: dict[str, str], fault: Fault
    ) -> "_Answer":
        if fault.status is not None:
            return _Answer(fault.status, {"Content-Length": str(len(fault.body))}, fault.body)
        headers = dict(headers)
        if fault.whole:
            headers.pop("range", None)
        elif fault.surplus and asked.range:
            start, _, last = asked.range.removeprefix("bytes=").partition("-")
            headers["range"] = f"bytes={max(0, int(start) - fault.surplus)}-{last}"
        upstream.putrequest(asked.method, asked.path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            upstream.putheader(name, value)
        upstream.endheaders()
        response = upstream.getresponse()
        return _Answer(response.status, dict(response.getheaders()), response.read())

    def _drip(self, body: bytes, rate: float | None) -> Iterator[bytes]:
        if rate is None:
            yield body
            return
        size = max(1, int(rate * _DRIP_SECONDS))
        for start in range(0, len(body), size):
            if self._closing.wait(size / rate):
                return
            yield body[start : start + size]


@dataclass
class _Answer:
    status: int
    headers: dict[str, str | None]
    body: bytes

    def head(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} {http.client.responses.get(self.status, '')}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items() if value is not None]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _spoil(answer: _Answer, fault: Fault) -> None:
    names = {name.lower(): name for name in answer.headers}
    if fault.content_range is not None and "content-range" in names:
        name = names["content-range"]
        answer.headers[name] = _wrong_range(str(answer.headers[name]), fault.content_range)
    if fault.garbled:
        answer.body = bytes(255 - byte for byte in answer.body)
    if fault.gzip:
        answer.body = gzip.compress(answer.body)
        answer.headers |= {"Content-Encoding": "gzip", names["content-length"]: str(len(answer.body))}
    if fault.ends_early == "chunked":
        answer.headers |= {names["content-length"]: None, "Transfer-Encoding": "chunked"}
    for name, value in fault.headers.items():
        answer.headers[names.get(name.lower(), name)] = value


def _wrong_range(said: str, how: str) -> str | None:
    part, _, total = said.removeprefix("bytes ").partition("/")
    start, _, last = part.partition("-")
    if how == "offset":
        return f"bytes {int(start) + 1}-{int(last) + 1}/{total}"
    return f"bytes {part}/{int(total) + 1}" if how == "total" else None


def _parse(requests: BinaryIO) -> tuple[str, dict[str, str]] | None:
    """The request line, and the headers by names in lower case; None: there is no further request."""
    line = requests.readline().decode("latin-1").strip()
    if not line:
        return None
    headers = {}
    while header := requests.readline().decode("latin-1").strip():
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    return line, headers


def _reset(connection: socket.socket) -> bool:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    return False


def _listen(port: int) -> socket.socket:
    listener = socket.create_server(("127.0.0.1", port), backlog=256)
    listener.settimeout(_POLL_SECONDS)
    return listener
