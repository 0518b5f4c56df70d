"""Where chunks are read from: a server, as it is reached from any process."""

import os
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from rasterflight._connection import Address, Connection
from rasterflight._opening import open_stream
from rasterflight._stream import Stream
from rasterflight_protocol import unpack


@dataclass(frozen=True, slots=True)
class Source:
    """A server; what travels to another process is where it is, and the token if the user gave one."""

    address: Address
    #: Of one chunk, in seconds; None: that of the connection.
    timeout: float | None
    #: Keeps a private server running as long as this process has the source.
    owner: object = field(default=None, repr=False, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return Source, (self.address, self.timeout)

    def open(self, ticket: bytes) -> Stream:
        """Start the read of a ticket whose pixels will be copied."""
        connection = _connection(self.address, os.getpid())
        return open_stream(connection, unpack(ticket), self.timeout, None, self.owner, aligned=False)


@lru_cache(maxsize=16)
def _connection(address: Address, _process: int) -> Connection:
    """One connection for all chunks of a process; not that of another one, from which this may have been forked."""
    return address.connect()
