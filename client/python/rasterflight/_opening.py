"""From a request to its plan or its stream, whichever way the areas take."""

from functools import partial
from typing import Any

from rasterflight._connection import Connection
from rasterflight._deadline import Deadline
from rasterflight._progress import Bar
from rasterflight._resuming import Resuming
from rasterflight._stream import Stream
from rasterflight._uploads import SentRequest, not_found
from rasterflight_protocol.v1.read_pb2 import ReadRequest


def open_stream(
    connection: Connection,
    request: ReadRequest,
    timeout: float | None,
    bar: Bar | None,
    owner: object,
    *,
    aligned: bool = True,
) -> Stream:
    """Start a read; areas that went up for it are dropped when it is over. For ``aligned`` see `Connection.open`."""
    deadline = Deadline(connection.seconds(timeout))
    reading = Resuming(connection, request, deadline, partial(connection.open, aligned=aligned))
    return Stream(reading, connection.url, bar, owner, reading.drop)


def plan(connection: Connection, request: ReadRequest, timeout: float | None, *, keep: bool = True) -> Any:
    """Ask for the FlightInfo of a read; areas that went up stay, since its endpoints refer to them, unless told otherwise."""
    deadline = Deadline(connection.seconds(timeout))
    sent = SentRequest(connection, request, deadline)
    try:
        info = connection.plan(sent.message, deadline.left)
    except BaseException as error:
        lost = not_found(error, sent)
        sent.drop()
        if not lost:
            raise
        return connection.plan(request, deadline.left)
    if not keep:
        sent.drop()
    return info
