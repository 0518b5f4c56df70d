"""A real S3 server on the loopback: SeaweedFS, which checks signatures, answers ranges and lists pages."""

import contextlib
import json
import os
import socket
import subprocess
import sysconfig
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

import obstore
from obstore.store import S3Store

ACCESS_KEY = "tester"
SECRET_KEY = "secret-of-tester"
REGION = "us-east-1"
#: Further access keys of the tester, "tester-0" and so on, all with his secret.
KEYS = [f"{ACCESS_KEY}-{number}" for number in range(100)]
#: Anybody may read and list this bucket; all others belong to the tester.
OPEN_BUCKET = "open"
_STARTUP_SECONDS = 60
_PORTS = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
_IDENTITIES = {
    "identities": [
        {"name": "anonymous", "actions": [f"Read:{OPEN_BUCKET}", f"List:{OPEN_BUCKET}"]},
        {
            "name": "tester",
            "credentials": [{"accessKey": key, "secretKey": SECRET_KEY} for key in (ACCESS_KEY, *KEYS)],
            "actions": ["Admin", "Read", "Write", "List"],
        },
    ]
}


class S3Server:
    """Starts the server; a context manager.

    Parameters
    ----------
    root
        An empty folder for all that it writes.
    """

    def __init__(self, root: Path) -> None:
        (root / "data").mkdir()
        (root / "identities.json").write_text(json.dumps(_IDENTITIES))
        names = [*_PORTS, "s3.port", "s3.port.grpc"]
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.url = f"http://127.0.0.1:{ports['s3.port']}"
        self._log = root / "log"
        command = [
            Path(sysconfig.get_path("scripts")) / "weed",
            "server",
            *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={root / 'data'}", f"-s3.config={root / 'identities.json'}"),
            *("-s3", "-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.max=40", "-volume.preStopSeconds=0"),
            *("-master.volumeSizeLimitMB=16", "-master.telemetry=false"),
            *(f"-{name}={port}" for name, port in ports.items()),
        ]
        environment = os.environ | {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=root, env=environment)

    def put(self, bucket: str, key: str, data: bytes) -> None:
        """Write a file; its bucket is made when it is first written to."""
        obstore.put(self._store(bucket), key, data, use_multipart=False)

    def _store(self, bucket: str) -> S3Store:
        return S3Store(
            bucket,
            endpoint=self.url,
            region=REGION,
            access_key_id=ACCESS_KEY,
            secret_access_key=SECRET_KEY,
            client_options={"allow_http": True},
        )

    def __enter__(self) -> Self:
        deadline = time.monotonic() + _STARTUP_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__(None, None, None)
                raise RuntimeError(f"the S3 server does not start:\n{self._log.read_text()[-3000:]}")
            time.sleep(0.05)
        return self

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=1):
                return True
        except urllib.error.HTTPError as error:
            error.close()
            return True
        except OSError:
            return False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on just now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [sock.getsockname()[1] for sock in sockets]
