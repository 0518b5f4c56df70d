"""Buffers that decoding works in, and with them the right to decode."""

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]


class Scratch:
    """Two byte buffers that grow to the largest tile seen and are used again and again.

    A decoder reads back its own output, so a buffer must never be shared between threads.
    """

    def __init__(self) -> None:
        self._inflated: Bytes = np.empty(0, np.uint8)
        self._restored: Bytes = np.empty(0, np.uint8)

    def inflated(self, nbytes: int) -> Bytes:
        """Room for the output of the codec."""
        if self._inflated.size < nbytes:
            self._inflated = np.empty(nbytes, np.uint8)
        return self._inflated[:nbytes]

    def restored(self, nbytes: int) -> Bytes:
        """Room for pixels with the predictor undone."""
        if self._restored.size < nbytes:
            self._restored = np.empty(nbytes, np.uint8)
        return self._restored[:nbytes]

    def let_go(self, data: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return what was made in a buffer as memory of its own: mostly the buffer itself, and the scratch takes a new one."""
        for name in ("_inflated", "_restored"):
            buffer: Bytes = getattr(self, name)
            if np.may_share_memory(data, buffer):
                if data.nbytes < buffer.nbytes:
                    return data.copy()
                setattr(self, name, np.empty(0, np.uint8))
        return data


class ScratchPool:
    """As many scratches as tiles may be decoded at the same time."""

    def __init__(self, size: int) -> None:
        self._free: queue.SimpleQueue[Scratch] = queue.SimpleQueue()
        for _ in range(size):
            self._free.put(Scratch())

    @contextmanager
    def take(self) -> Iterator[Scratch]:
        """Wait for a scratch and hold it."""
        scratch = self._free.get()
        try:
            yield scratch
        finally:
            self._free.put(scratch)
