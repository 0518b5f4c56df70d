"""Memory that a server on the same machine puts batches into, instead of sending them."""

import mmap
import os
import secrets
import weakref
from contextlib import suppress
from typing import Any, Final, NamedTuple, Self

import numpy as np
import pyarrow as pa
from google.protobuf.message import DecodeError

from rasterflight.errors import ProtocolError
from rasterflight_protocol.handover import HANDOVER_HEADER, MEMORY_BYTES, SLOT_BYTES, SLOTS, memory_name, slot_begin
from rasterflight_protocol.v1.plan_pb2 import Handover, Progress

#: Slots that are lent at a time; the others are for batches to come.
_MOST_LENT: Final = SLOTS - 2


class Chunk(NamedTuple):
    """What is taken from a FlightStreamReader."""

    data: pa.RecordBatch
    app_metadata: Any


class Memory:
    """For the batches of one call; what the server does not write to takes nothing.

    Parameters
    ----------
    file
        Its descriptor, which is closed with it.
    nonce
        Of its name.

    Raises
    ------
    OSError
        The system does not give it.
    """

    def __init__(self, file: int, nonce: str) -> None:
        import fcntl  # not on every system

        weakref.finalize(self, os.close, file)
        os.ftruncate(file, MEMORY_BYTES)
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        self._memory = np.frombuffer(mmap.mmap(file, MEMORY_BYTES), np.uint8)
        self._lent: set[int] = set()
        #: Of the call, tells the server where it is.
        self.header = HANDOVER_HEADER.encode(), f"{os.getpid()}/{file}/{nonce}".encode()

    @classmethod
    def make(cls, url: str) -> Self | None:
        """Make some where the server is on this machine, and the system has it."""
        if not url.startswith("grpc+unix:") or not hasattr(os, "memfd_create"):
            return None
        nonce = secrets.token_hex(16)
        try:
            return cls(os.memfd_create(memory_name(nonce), os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), nonce)
        except OSError:
            return None

    def take(self, where: Handover, *, lent: bool) -> pa.RecordBatch:
        """Take a batch.

        Parameters
        ----------
        lent
            It is let go before long, and may stay where it is.

        Raises
        ------
        ProtocolError
            There is none.
        """
        if not (0 <= where.slot < SLOTS and 0 < where.length <= SLOT_BYTES):
            raise ProtocolError("the server says that rows are where it has no memory")
        begin = slot_begin(where.slot)
        rows = self._memory[begin : begin + where.length]
        loan = _Loan(self._memory, where.slot, self._lent)
        if lent and len(self._lent) <= _MOST_LENT:
            buffer = pa.foreign_buffer(rows.ctypes.data, len(rows), loan)
        else:
            buffer = pa.allocate_buffer(len(rows))
            np.frombuffer(buffer, np.uint8)[:] = rows
        del loan
        return pa.ipc.open_stream(buffer).read_next_batch()


class _Loan:
    """A slot in use; when this goes, the server may write there again."""

    def __init__(self, memory: np.ndarray, slot: int, lent: set[int]) -> None:
        self._memory = memory
        self._slot = slot
        self._lent = lent
        self._process = os.getpid()
        lent.add(slot)

    def __del__(self) -> None:
        if os.getpid() == self._process:  # in a fork, it is not the last one
            self._lent.discard(self._slot)
            self._memory[self._slot] = 0


class Receiving:
    """Reads like the FlightStreamReader of a call; batches come from it, or out of memory, see `Memory.take`."""

    def __init__(self, reader: Any, memory: Memory, *, lent: bool = False) -> None:
        self._reader = reader
        self._memory: Memory | None = memory
        self._lent = lent

    @property
    def schema(self) -> pa.Schema:
        """Waits until the server has begun."""
        return self._reader.schema

    def read_chunk(self) -> Any:
        """Waits for the next rows; StopIteration: there are no more."""
        try:
            chunk = self._reader.read_chunk()
        except BaseException:
            # The call is over; who keeps the error keeps this object.
            self._memory = None
            raise
        progress = Progress()
        if chunk.app_metadata is not None:
            with suppress(DecodeError):  # of another server
                progress.ParseFromString(chunk.app_metadata.to_pybytes())
        if self._memory is not None and progress.HasField("handover"):
            return Chunk(self._memory.take(progress.handover, lent=self._lent), chunk.app_metadata)
        return chunk

    def cancel(self) -> None:
        """Ends the call."""
        self._reader.cancel()
