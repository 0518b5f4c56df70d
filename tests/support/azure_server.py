"""A real Azure Blob service on the loopback: Azurite, which checks keys and signatures, and when these end.

It is a package of npm, put into the user's cache when it is first needed.
"""

import base64
import hashlib
import hmac
import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import obstore
from obstore.store import AzureStore

from support.binaries import fetched
from support.process import Process

_VERSION = "3.35.0"
_MAIN = "node_modules/azurite/dist/src/blob/main.js"
#: Those that Azurite comes with.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_LISTENS = re.compile(r"successfully listens on (http://\S+)")


class AzureServer(Process):
    """Starts the server; a context manager.

    Parameters
    ----------
    root
        An empty folder for all that it writes.
    """

    def __init__(self, root: Path) -> None:
        command = ["install", "--prefix", "{}", "--no-audit", "--no-fund", f"azurite@{_VERSION}"]
        main = fetched(f"azurite-{_VERSION}", "npm", command, _MAIN, {})
        options = ["--blobPort", "0", "--location", root, "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
        super().__init__(["node", main, *options], root, lambda log: _LISTENS.search(log) is not None)

    @property
    def url(self) -> str:
        """With the account, as endpoints of Azure are given."""
        found = _LISTENS.search(self.log.read_text())
        assert found is not None
        return f"{found[1]}/{ACCOUNT}"

    def put(self, container: str, key: str, data: bytes) -> None:
        """Write a blob; its container must be there."""
        obstore.put(self._store(container), key, data, use_multipart=False)

    def make(self, container: str, *, public: bool = False) -> None:
        """Make a container, of which anybody may read the blobs or nobody but the account."""
        import urllib.request

        now = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        headers = {"x-ms-date": now, "x-ms-version": "2021-12-02"}
        if public:
            headers["x-ms-blob-public-access"] = "blob"
        named = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
        # In the URL of the emulator the account comes twice: as owner, and as part of the path.
        told = f"PUT{chr(10) * 12}{named}/{ACCOUNT}/{ACCOUNT}/{container}\nrestype:container"
        headers |= {"Authorization": f"SharedKey {ACCOUNT}:{_sign(told)}", "Content-Length": "0"}
        request = urllib.request.Request(f"{self.url}/{container}?restype=container", method="PUT", headers=headers)
        with urllib.request.urlopen(request, timeout=10):
            pass

    def _store(self, container: str) -> AzureStore:
        return AzureStore(
            container,
            config={"account_name": ACCOUNT, "account_key": KEY, "endpoint": self.url},
            client_options={"allow_http": True},
        )


def signature(container: str, end: datetime, *, key: str = KEY) -> str:
    """A shared access signature for reading the blobs of a container until some time."""
    until, version = end.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "2021-12-02"
    # Permissions, start, end, what, then fields that are left empty; as the service puts them together again.
    told = ["r", "", until, f"/blob/{ACCOUNT}/{container}", "", "", "", version, "c", *[""] * 7]
    query = {"sp": "r", "se": until, "sv": version, "sr": "c", "sig": _sign("\n".join(told), key)}
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())


def _sign(text: str, key: str = KEY) -> str:
    digest = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()
