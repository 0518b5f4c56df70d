"""Batches for callers on the same machine, put into memory that they share instead of onto the socket."""

import fcntl
import mmap
import os
import re
import time
from pathlib import Path
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rasterflight_protocol.handover import MEMORY_BYTES, SLOT_BYTES, SLOTS, memory_name, slot_begin
from rasterflight_protocol.v1.plan_pb2 import Progress
from rasterflight_server.flight.running import Terms

#: Smaller batches are as fast on the socket.
LEAST_BYTES: Final = 100 << 10
#: What ends a stream of Arrow IPC, and room to align what is in it.
_END_BYTES: Final = 64
_OFFER: Final = re.compile(r"([1-9]\d{0,9})/(\d{1,9})/([0-9a-f]{32})", re.ASCII)
#: Slots are looked at again after these seconds, at first and at the most; in between, after an eighth of the time that was waited.
_PAUSES: Final = (0.0002, 0.2)


class Handover:
    """Memory that a caller offers, and what waits in it for him.

    It is a ``memfd`` that he made: it has no path, and is gone when both ends are. That he is the user of this process and on its machine he
    shows by the name of it, which nobody else can know: the kernel lets this process look at his descriptors, and there it is. What is not as it
    should be is no error: batches are sent as ever. It is in use while the context is entered.

    Parameters
    ----------
    offer
        The header of the call; empty: there is none.
    peer
        Where the call comes from, see ``told_peer``.
    """

    def __init__(self, offer: str = "", peer: str = "") -> None:
        self._offer = offer if peer.startswith("unix:") else ""
        self._file: int | None = None
        self._memory: npt.NDArray[np.uint8] | None = None
        #: Bytes of each slot that are there.
        self._there = [0] * SLOTS
        #: Bytes that go with each batch; 0: not known yet.
        self._besides = 0

    def give(self, batch: pa.RecordBatch, progress: Progress, terms: Terms) -> pa.RecordBatch:
        """Put a batch into the memory, once there is a slot for it, and say so in its progress.

        Returns
        -------
        pyarrow.RecordBatch
            What is to be sent: one without rows; or the batch, if it is small, or there is no memory.
        """
        if self._memory is None or batch.nbytes < LEAST_BYTES:
            return batch
        self._besides = self._besides or len(batch.schema.serialize()) + _END_BYTES
        size = pa.ipc.get_record_batch_size(batch) + self._besides
        if size > SLOT_BYTES:
            return batch
        slot = self._free(self._memory[:SLOTS], terms)
        try:
            progress.handover.length = self._write(batch, slot, size)
        except OSError:  # memory is short
            progress.ClearField("handover")
            return batch
        progress.handover.slot = slot
        self._memory[slot] = 1
        return batch.slice(0, 0)

    def _write(self, batch: pa.RecordBatch, slot: int, size: int) -> int:
        """Write a batch with its schema; returns the bytes that this took, ``size`` at the most."""
        assert self._file is not None
        assert self._memory is not None
        begin = slot_begin(slot)
        if size > self._there[slot]:
            # Writing to pages that cannot be had would end this process.
            os.posix_fallocate(self._file, begin, size)
            self._there[slot] = size
        sink = pa.FixedSizeBufferWriter(pa.py_buffer(self._memory[begin : begin + size]))
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        return int(sink.tell())

    def _free(self, waits: npt.NDArray[np.uint8], terms: Terms) -> int:
        """The first slot in which nothing waits: its pages are warm."""
        pause, longest = _PAUSES
        slot = int(waits.argmin())
        if waits[slot]:
            with terms.idle():
                while waits[slot]:
                    time.sleep(pause)
                    terms.check()
                    pause, slot = min(pause * 9 / 8, longest), int(waits.argmin())
        return slot

    def __enter__(self) -> Self:
        self._file = _opened(self._offer)
        self._memory = None if self._file is None else _mapped(self._file)
        return self

    def __exit__(self, *_: object) -> None:
        self._memory = None
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _opened(offer: str) -> int | None:
    """Open the memory that is offered; None: it is none, or not the caller's, or not ours to use."""
    found = _OFFER.fullmatch(offer)
    if found is None:
        return None
    process, descriptor, nonce = found.groups()
    path = Path(f"/proc/{process}/fd/{descriptor}")
    try:
        # Opening does something to pipes and devices, looking at their names does not.
        if str(path.readlink()) != f"/memfd:{memory_name(nonce)} (deleted)":
            return None
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    if _usable(file):
        return file
    os.close(file)
    return None


def _usable(file: int) -> bool:
    """Whether it is memory of this user, and stays as large as it is: writing beyond its end would end this process."""
    found = os.fstat(file)
    try:
        seals = fcntl.fcntl(file, fcntl.F_GET_SEALS)
    except OSError:
        return False
    return found.st_uid == os.geteuid() and found.st_size == MEMORY_BYTES and bool(seals & fcntl.F_SEAL_SHRINK)


def _mapped(file: int) -> npt.NDArray[np.uint8] | None:
    try:
        return np.frombuffer(mmap.mmap(file, MEMORY_BYTES), np.uint8)
    except OSError:
        return None
