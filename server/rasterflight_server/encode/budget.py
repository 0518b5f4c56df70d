"""How much memory the streams of a process may take together: for the batches on their way, and to work ahead of their readers."""

import threading
from typing import Final

MIB: Final = 1 << 20
#: Batches that streams are sending, or that wait for a reader to take them.
SENDING_BYTES: Final = 192 * MIB
#: Batches that streams have ready, or are reading, before it is their turn.
AHEAD_BYTES: Final = 96 * MIB
#: A batch of a stream takes at most this part of what others have left.
_SHARE: Final = 32
#: However many streams there are, batches are not smaller: below it, throughput falls.
SMALLEST_BATCH: Final = MIB // 4


class StreamBudget:
    """Bytes that streams may hold; never waits.

    Every stream holds one batch, which may stay where it is for as long as its reader does not read. So the more of them there are, the
    smaller are the batches of those that begin. A stream that gets nothing to work ahead goes on one batch at a time.

    Parameters
    ----------
    sending, ahead
        Bytes for either.
    """

    def __init__(self, sending: int = SENDING_BYTES, ahead: int = AHEAD_BYTES) -> None:
        self._lock = threading.Lock()
        self._sending = sending
        self._ahead = ahead

    def batch_bytes(self, most: int) -> int:
        """Size of batches for a stream that would begin now and leaves it to the server, at most ``most``."""
        return min(most, max(self._sending // _SHARE, SMALLEST_BATCH))

    def reserve(self, batch_bytes: int, *, exactly: bool) -> int | None:
        """Take what the batch of a stream takes, until it is released.

        Parameters
        ----------
        batch_bytes
            Size of its batches; the most of it, if not ``exactly``.

        Returns
        -------
        int or None
            The size of its batches, which are taken; None: it was to be this one, and there is no room.
        """
        with self._lock:
            size = batch_bytes if exactly else self.batch_bytes(batch_bytes)
            if size > max(self._sending, SMALLEST_BATCH):
                return None
            self._sending -= size
            return size

    def release(self, nbytes: int) -> None:
        """Return what was reserved."""
        with self._lock:
            self._sending += nbytes

    def try_take(self, nbytes: int) -> bool:
        """Take bytes to work ahead with, if there are as many."""
        with self._lock:
            if nbytes > self._ahead:
                return False
            self._ahead -= nbytes
            return True

    def give_back(self, nbytes: int) -> None:
        """Return what was taken."""
        with self._lock:
            self._ahead += nbytes
