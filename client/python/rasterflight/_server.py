"""A server of one's own, as a subprocess."""

import importlib.util
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from rasterflight.errors import ServerStartError

_MODULE = "rasterflight_server"
_READY = b"listening on "
# what the server is given to end by itself, then to end when told
_GRACE_SECONDS = 3.0


class PrivateServer:
    """A server on a unix socket in a folder that only this user can enter.

    It ends with `close`, when this object is dropped, and when the interpreter ends; its own doing when this process is
    killed: its standard input is a pipe that closes then.

    Parameters
    ----------
    collections
        Name to directory of the index.
    startup_timeout
        Seconds that the server may take to say that it listens.

    Raises
    ------
    ServerStartError
        The server is not installed, or did not start; says why.
    ValueError
        There is no collection.
    """

    def __init__(self, collections: Mapping[str, str | os.PathLike[str]], startup_timeout: float) -> None:
        if not collections:
            raise ValueError("collections is empty, expected names and directories: {'s2': 'path/to/index'}")
        if importlib.util.find_spec(_MODULE) is None:
            raise ServerStartError("the server is not installed", hint='pip install "rasterflight[server]"')
        folder = Path(tempfile.mkdtemp(prefix="rasterflight-"))
        self.url = f"grpc+unix://{folder / 'rf.sock'}"
        arguments = [f"--collection={name}={os.fspath(path)}" for name, path in collections.items()]
        log = folder / "stderr"
        with log.open("wb") as stderr:
            process = subprocess.Popen(  # noqa: S603 - our own module, and names that go as one argument each
                [sys.executable, "-m", _MODULE, "serve", "--isolated", "--listen", self.url, *arguments, "--lifeline"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                process_group=0,  # Ctrl-C is for the reader, who may go on; not for the server
            )
        self._end = weakref.finalize(self, _end, process, folder, os.getpid())
        try:
            _wait_until_ready(process, log, startup_timeout)
            log.unlink()  # only the socket stays, which the server removes with its folder when this process is killed
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the server and remove its folder."""
        self._end()


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path, startup_timeout: float) -> None:
    assert process.stdout is not None
    deadline = time.monotonic() + startup_timeout
    said = b""
    while not any(line.startswith(_READY) for line in said.splitlines(keepends=True) if line.endswith(b"\n")):
        if not _readable(process.stdout, deadline - time.monotonic()):
            raise ServerStartError(f"the server did not listen within {startup_timeout:g} seconds")
        chunk = os.read(process.stdout.fileno(), 4096)
        if not chunk:
            process.wait()
            raise ServerStartError(f"the server did not start: {_last_words(log, process.returncode)}")
        said += chunk


def _readable(pipe: IO[bytes], seconds: float) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        return bool(selector.select(max(0.0, seconds)))


def _last_words(log: Path, returncode: int) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines or [f"it ended with status {returncode} and said nothing"])[-1]


def _end(process: subprocess.Popen[bytes], folder: Path, owner: int) -> None:
    if os.getpid() != owner:
        return  # a fork holds a copy of this object, not the server
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    for insist in (process.terminate, process.kill):
        try:
            process.wait(_GRACE_SECONDS)
            break
        except subprocess.TimeoutExpired:
            insist()
    process.wait()
    process.stdout.close()
    shutil.rmtree(folder, ignore_errors=True)
