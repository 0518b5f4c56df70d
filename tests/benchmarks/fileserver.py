"""A web server for scenes: byte ranges, and a wait before each answer as object stores have it.

Runs as a process of its own (``python -m benchmarks.fileserver ROOT``), a thread per connection, bodies by sendfile. It ends
when its standard input closes.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote
from urllib.request import urlopen

#: Where the counts are; asking for them is neither counted nor delayed.
COUNTS = "/-/counts"
_END = b"\r\n\r\n"
_HEAD_LIMIT = 65536


@dataclass
class Counts:
    """What was asked of the server so far."""

    requests: int = 0
    #: Of bodies.
    bytes: int = 0

    def __sub__(self, earlier: "Counts") -> "Counts":
        return Counts(self.requests - earlier.requests, self.bytes - earlier.bytes)


class FileServer:
    """The server as another process, for as long as the block lasts.

    Parameters
    ----------
    root
        The folder that is served.
    wait
        Seconds before the first byte of each answer.
    """

    def __init__(self, root: Path, *, wait: float) -> None:
        self._command = [sys.executable, "-m", "benchmarks.fileserver", str(root), "--wait", str(wait)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            raise RuntimeError(f"the web server did not start, it ended with {self._process.wait()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=10)


def counts(url: str) -> Counts:
    """What was asked of the server at a URL so far."""
    with urlopen(url + COUNTS) as answer:
        return Counts(**json.load(answer))


class _Server:
    def __init__(self, root: Path, wait: float) -> None:
        self._root = root.resolve()
        self._wait = wait
        self._counts = Counts()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)

    @property
    def url(self) -> str:
        host, port = self._listener.getsockname()
        return f"http://{host}:{port}"

    def run(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._connection, args=(connection,), daemon=True).start()

    def _connection(self, connection: socket.socket) -> None:
        received = b""
        with connection:
            while True:
                while _END not in received:
                    try:
                        chunk = connection.recv(_HEAD_LIMIT)
                    except ConnectionError:
                        return
                    if not chunk or len(received) > _HEAD_LIMIT:
                        return
                    received += chunk
                head, _, received = received.partition(_END)
                try:
                    self._answer(connection, head.decode("latin-1"))
                except ConnectionError:
                    return

    def _answer(self, connection: socket.socket, head: str) -> None:
        method, target, _ = head.partition("\r\n")[0].split(" ", 2)
        if target == COUNTS:
            _respond(connection, "200 OK", json.dumps(asdict(self._counts)).encode())
            return
        time.sleep(self._wait)
        path = os.path.normpath(f"{self._root}/{unquote(target.partition('?')[0])}")
        if method not in ("GET", "HEAD"):
            _respond(connection, "405 Method Not Allowed")
            return
        try:
            file = os.open(path, os.O_RDONLY) if path.startswith(f"{self._root}/") else -1
        except OSError:
            file = -1
        if file < 0:
            self._count(0)
            _respond(connection, "404 Not Found")
            return
        try:
            self._send(connection, file, _range_of(head), body=method == "GET")
        finally:
            os.close(file)

    def _send(self, connection: socket.socket, file: int, asked: str | None, *, body: bool) -> None:
        about = os.fstat(file)
        start, stop = _resolve(asked, about.st_size)
        if start >= stop:
            self._count(0)
            _respond(connection, "416 Range Not Satisfiable", fields=f"Content-Range: bytes */{about.st_size}\r\n")
            return
        status = "200 OK"
        fields = f'Accept-Ranges: bytes\r\nETag: "{about.st_mtime_ns:x}-{about.st_size:x}"\r\n'
        if asked is not None:
            status = "206 Partial Content"
            fields += f"Content-Range: bytes {start}-{stop - 1}/{about.st_size}\r\n"
        self._count(stop - start if body else 0)
        connection.sendall(_head(status, stop - start, fields), socket.MSG_MORE if body else 0)
        while body and start < stop:
            start += os.sendfile(connection.fileno(), file, start, stop - start)

    def _count(self, sent: int) -> None:
        with self._lock:
            self._counts.requests += 1
            self._counts.bytes += sent


def _range_of(head: str) -> str | None:
    for line in head.split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "range":
            return value.strip().removeprefix("bytes=")
    return None


def _resolve(asked: str | None, size: int) -> tuple[int, int]:
    if asked is None:
        return 0, size
    first, _, last = asked.partition("-")
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(int(last) + 1, size) if last else size


def _head(status: str, length: int, fields: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{fields}\r\n".encode("latin-1")


def _respond(connection: socket.socket, status: str, body: bytes = b"", fields: str = "") -> None:
    connection.sendall(_head(status, len(body), fields) + body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--wait", type=float, default=0.03, help="seconds before each answer (%(default)s)")
    options = parser.parse_args()
    server = _Server(options.root, options.wait)
    print(server.url, flush=True)
    threading.Thread(target=server.run, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
