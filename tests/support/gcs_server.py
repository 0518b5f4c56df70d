"""A real server of the API of Google Cloud Storage on the loopback: fake-gcs-server. It knows no credentials: a gate in front does.

It is a Go program, built into the user's cache when it is first needed.
"""

import urllib.request
from pathlib import Path
from urllib.parse import quote

from support.binaries import fetched
from support.process import Process
from support.s3_server import free_ports

_VERSION = "1.52.3"


class GcsServer(Process):
    """Starts the server; a context manager.

    Parameters
    ----------
    root
        An empty folder for all that it writes.
    """

    def __init__(self, root: Path) -> None:
        command = ["install", f"github.com/fsouza/fake-gcs-server@v{_VERSION}"]
        environment = {"GOBIN": "{}", "GOFLAGS": "-mod=mod"}
        program = fetched(f"fake-gcs-server-{_VERSION}", "go", command, "fake-gcs-server", environment)
        [port] = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        options = ["-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
        super().__init__([program, *options, "-public-host", f"127.0.0.1:{port}"], root, lambda log: "started" in log)

    def make(self, bucket: str) -> None:
        """Make a bucket."""
        self._post("/storage/v1/b?project=tests", b'{"name": "%s"}' % bucket.encode(), "application/json")

    def put(self, bucket: str, key: str, data: bytes) -> None:
        """Write a file; its bucket must be there."""
        self._post(f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(key, safe='')}", data, "image/tiff")

    def _post(self, path: str, body: bytes, kind: str) -> None:
        request = urllib.request.Request(self.url + path, body, {"Content-Type": kind}, method="POST")
        with urllib.request.urlopen(request, timeout=10):
            pass
