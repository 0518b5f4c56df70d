"""A stream that is taken up where it broke: the rows are those of one that did not."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

import pyarrow as pa
from google.protobuf.message import DecodeError

from rasterflight._connection import Connection
from rasterflight._deadline import Deadline
from rasterflight._failures import translated
from rasterflight._uploads import SentRequest, not_found
from rasterflight.errors import ProtocolError, RasterflightError, ServerUnavailableError, StaleSnapshotError
from rasterflight_protocol.schemas import SNAPSHOT_KEY
from rasterflight_protocol.v1.plan_pb2 import Progress
from rasterflight_protocol.v1.read_pb2 import Position, ReadRequest


class Call(Protocol):
    """A stream under way, such as a FlightStreamReader."""

    @property
    def schema(self) -> pa.Schema:
        """Waits until the server has begun."""

    def read_chunk(self) -> Any:
        """Waits for the next rows; StopIteration: there are no more."""

    def cancel(self) -> None:
        """Ends the call."""


class Resuming:
    """Reads like a FlightStreamReader, and begins another call where one breaks off with an error that may pass.

    Rows of a snapshot are always the same, and each batch says at which place of the read it ends. A new call asks for what
    comes after the last one; the server plans the read anew, and fetches nothing that lies before.

    Parameters
    ----------
    connection
        To the server.
    request
        The read; large areas of it go up before, and once more in the ticket where they are lost with the server.
    deadline
        Of all calls together.
    start
        Begins a call, given its request and the seconds that it may take.
    """

    def __init__(
        self,
        connection: Connection,
        request: ReadRequest,
        deadline: Deadline,
        start: Callable[[ReadRequest, float | None], Call],
    ) -> None:
        self._url = connection.url
        self._request = request
        self._deadline = deadline
        self._start = start
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._attempts = connection.attempts(deadline, self._stopped)
        self._sent = SentRequest(connection, request, deadline)
        self._message = self._sent.message
        self._has_rows = False
        self._next: Position | None = None
        self._call: Call | None = None
        try:
            self.schema: pa.Schema = self._open(None)
        except BaseException:
            self.drop()
            raise

    def read_chunk(self) -> Any:
        """Wait for the next rows.

        Raises
        ------
        StopIteration
            There are no more.
        StaleSnapshotError
            The read broke off, and meanwhile the collection has changed.
        """
        while True:
            assert self._call is not None
            try:
                with translated(self._url, lost=True):
                    chunk = self._call.read_chunk()
            except RasterflightError as error:
                self._resume(error)
            else:
                self._note(chunk)
                return chunk

    def cancel(self) -> None:
        """End the call, and begin no other."""
        with self._lock:
            self._stopped.set()
            call = self._call
        if call is not None:
            call.cancel()

    def drop(self) -> None:
        """Let the server forget what went up for this read."""
        self._sent.drop()

    def _note(self, chunk: Any) -> None:
        self._attempts.answered()
        self._has_rows, self._next = True, None
        if chunk.app_metadata is not None:
            progress = Progress()
            with suppress(DecodeError):  # of another server
                progress.ParseFromString(chunk.app_metadata.to_pybytes())
            if progress.HasField("next"):
                self._next = progress.next

    def _resume(self, error: RasterflightError) -> None:
        if self._has_rows and self._next is None and isinstance(error, ServerUnavailableError):
            # What comes next cannot be told from what is there.
            error.hint = "read again; this read cannot be taken up where it broke off"
            raise error
        schema = self._open(error)
        if schema.equals(self.schema, check_metadata=True):
            return
        self.cancel()
        before, now = (_snapshot(one) for one in (self.schema, schema))
        if before != now:
            raise _changed(self._request.collection, before)
        raise ProtocolError(f"{self._url} goes on with another schema after the read broke off: read again")

    def _open(self, error: RasterflightError | None) -> pa.Schema:
        """Begin a call, as often as it takes; returns its schema."""
        while True:
            if error is not None:
                self._attempts.wait(error)
            try:
                return self._begin()
            except StaleSnapshotError as stale:
                if self._next is None:
                    raise
                raise _changed(self._request.collection, self._next.snapshot) from stale
            except RasterflightError as failed:
                error = failed
                if not_found(failed, self._sent):
                    # The areas went to one server and the request to another: a ticket that holds them goes anywhere.
                    self._sent.drop()
                    self._message = self._request
                    error = None

    def _begin(self) -> pa.Schema:
        message = self._message
        if self._next is not None:
            message = ReadRequest()
            message.CopyFrom(self._message)
            message.start.CopyFrom(self._next)
        call = self._start(message, self._deadline.left)
        with self._lock:
            self._call = call
            stopped = self._stopped.is_set()
        if stopped:
            call.cancel()
        with translated(self._url):
            schema = call.schema
        self._attempts.reached()
        return schema


def _snapshot(schema: pa.Schema) -> str:
    snapshot: bytes = (schema.metadata or {}).get(SNAPSHOT_KEY, b"")
    return snapshot.decode()


def _changed(collection: str, snapshot: str) -> StaleSnapshotError:
    return StaleSnapshotError(
        f"the collection changed in the middle of the read, which broke off: its rows so far are of snapshot {snapshot!r}",
        collection=collection,
        hint="read again",
    )
