"""The way in: a server, and the collections that it serves."""

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from rasterflight._about import TOLD, About
from rasterflight._collection import Collection
from rasterflight._connection import Connection, json_object, schema_of
from rasterflight._credentials import Credentials, Pem, Token
from rasterflight._requests import Compression
from rasterflight._server import PrivateServer

_DEFAULT_URL = "grpc://127.0.0.1:8815"
_COLLECTIONS = pa.schema(
    [
        pa.field("name", pa.utf8(), nullable=False),
        pa.field("records", pa.int64()),
        pa.field("bands", pa.list_(pa.utf8())),
        pa.field("dtype", pa.list_(pa.utf8())),
        pa.field("crs", pa.list_(pa.utf8())),
        pa.field("extent", pa.list_(pa.float64(), 4)),
        pa.field("start", pa.timestamp("us", "UTC")),
        pa.field("end", pa.timestamp("us", "UTC")),
    ]
)


class Client:
    """A connection to a server; made by `connect` or `local`.

    Safe to share between threads. As a context manager, or by `close`, the connection is closed; a server that
    `local` started ends with it.
    """

    def __init__(self, connection: Connection, server: PrivateServer | None = None) -> None:
        self._connection = connection
        self._server = server

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._connection.url

    def collections(self) -> pa.Table:
        """List the collections.

        Returns
        -------
        pyarrow.Table
            ``name``, ``records`` (int64), ``bands`` and ``dtype`` (lists of the same length), ``crs`` (of the rasters),
            ``extent`` (minx, miny, maxx, maxy in lon/lat; null without footprints), ``start`` and ``end`` (time of the
            first and last record, UTC).

        Raises
        ------
        ServerUnavailableError
            No server answers.
        AccessError
            The server does not let this caller in.
        """
        flights = self._connection.list_flights()
        rows = [_overview(About.parse(json_object(info.app_metadata, self.url, having=TOLD))) for info in flights]
        return pa.Table.from_pylist(rows, schema=_COLLECTIONS)

    def collection(self, name: str) -> Collection:
        """Open a collection.

        Raises
        ------
        CollectionNotFoundError
            There is none of this name (a KeyError); lists what there is.
        """
        info = self._connection.describe(name)
        about = About.parse(json_object(info.app_metadata, self.url, having=TOLD))
        return Collection(self._connection, about=about, schema=schema_of(info, self.url), owner=self)

    def healthcheck(self) -> dict[str, Any]:
        """Ask the server how it is.

        Raises
        ------
        ServerUnavailableError
            No server answers.
        """
        return json_object(b"".join(self._connection.action("healthcheck")), self.url)

    def close(self) -> None:
        """Close the connection; running streams end with it."""
        self._connection.close()
        if self._server is not None:
            self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<rasterflight.Client {self.url}>"


def connect(
    url: str | None = None,
    *,
    token: Token | None = None,
    tls_root_certs: Pem | None = None,
    client_certificate: Pem | None = None,
    client_key: Pem | None = None,
    tls_verify: bool = True,
    timeout: float | None = None,
    compression: Compression | None = None,
) -> Client:
    """Connect to a server; it is called first when something is asked of it.

    Parameters
    ----------
    url
        ``grpc://host:port``, ``grpc+tcp://host:port``, ``grpc+tls://host:port`` or ``grpc+unix:///path/to/socket``.
        None: the environment variable ``RASTERFLIGHT_URL``, and without it ``grpc://127.0.0.1:8815``.
    token
        Sent with every call as ``authorization: Bearer``; use ``grpc+tls://`` where others can listen. A function is
        called for each call, and gives the token that holds at the moment. None: the environment variable
        ``RASTERFLIGHT_TOKEN``, if there is one.
    tls_root_certs
        For ``grpc+tls://``: PEM with the roots that the certificate of the server may come from, as a path or as bytes.
        None: the file that ``RASTERFLIGHT_ROOT_CERTS`` names, or else the roots of the system.
    client_certificate, client_key
        PEM that the server is shown if it wants to see a certificate (mTLS), as paths or as bytes. None: the files that
        ``RASTERFLIGHT_CLIENT_CERTIFICATE`` and ``RASTERFLIGHT_CLIENT_KEY`` name, if they do.
    tls_verify
        False: whoever answers is taken for the server. For trials alone.
    timeout
        Seconds that a call may take, a read as a whole; None: no limit. A read can have its own.
    compression
        How rows travel: ``"lz4"`` or ``"zstd"`` pay on links that are slower than the two ends compress, about 4 and 1
        Gbit/s; None: as they are. Results are the same. A `Collection.read` can have its own.

    Raises
    ------
    ValueError
        The URL has another scheme, no host or port, or carries credentials; a token cannot be sent; certificates cannot be
        used, or are given for a connection that is not encrypted; there is no such compression.
    OSError
        A file of certificates cannot be read.

    Warns
    -----
    RuntimeWarning
        The token goes to another machine unencrypted.
    """
    credentials = Credentials(token, tls_root_certs, client_certificate, client_key, tls_verify)
    url = url or os.environ.get("RASTERFLIGHT_URL") or _DEFAULT_URL
    connection = Connection(url, credentials, timeout=timeout, from_environment=True, compression=compression)
    return Client(connection)


def local(
    collections: Mapping[str, str | os.PathLike[str]], *, startup_timeout: float = 30, timeout: float | None = None
) -> Client:
    """Start a private server for some collections, and connect to it.

    The server is another process on this machine, reached by a socket that only this user can open. It ends when the
    client is closed or dropped with all that came from it, when the interpreter ends, and when it is killed.

    Parameters
    ----------
    collections
        Name to directory of the index.
    startup_timeout
        Seconds that the server may take to start.
    timeout
        As at `connect`.

    Raises
    ------
    ServerStartError
        The server is not installed (says how to), or did not start (says why; a RuntimeError).
    """
    server = PrivateServer(collections, startup_timeout)
    return Client(Connection(server.url, timeout=timeout), server)


def _overview(about: About) -> dict[str, Any]:
    return {
        "name": about.name,
        "records": about.records,
        "bands": [band.name for band in about.bands],
        "dtype": [band.dtype for band in about.bands],
        "crs": list(about.crs),
        "extent": about.extent,
        "start": about.start,
        "end": about.end,
    }
