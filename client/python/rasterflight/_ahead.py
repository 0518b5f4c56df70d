"""Reading a stream one batch ahead, on a thread of its own.

pyarrow does not hear Ctrl-C while it waits for the server; a thread that waits on a queue does. And the next batch
comes in while this one is used.
"""

import queue
import threading
import weakref
from contextlib import suppress
from typing import Any

_JOIN_SECONDS = 5.0
_LOOK_UP_SECONDS = 0.5


class ReadAhead:
    """Takes chunks from a FlightStreamReader as they come, at most two ahead of the caller.

    Parameters
    ----------
    reader
        The FlightStreamReader. It is cancelled when this object is closed or dropped, and when the interpreter ends.
    """

    def __init__(self, reader: Any) -> None:
        chunks: queue.Queue[Any] = queue.Queue(maxsize=1)
        thread = threading.Thread(target=_pull, args=(reader, chunks), name="rasterflight-read", daemon=True)
        self._chunks = chunks
        self._end = weakref.finalize(self, _end, reader, chunks, thread)
        thread.start()

    def next(self) -> Any:
        """Wait for the next chunk; None at the end of the stream.

        Raises
        ------
        Exception
            Whatever the reader raised.
        """
        if not self._end.alive:
            return None
        chunk = self._wait()
        if chunk is None or isinstance(chunk, BaseException):
            self._end.detach()
        if isinstance(chunk, BaseException):
            raise chunk
        return chunk

    def _wait(self) -> Any:
        while True:
            # a signal that another thread of the process received wakes nobody here: look up now and then
            with suppress(queue.Empty):
                return self._chunks.get(timeout=_LOOK_UP_SECONDS)

    def close(self) -> None:
        """Cancel what is not read yet; nothing happens after the end."""
        self._end()


def _pull(reader: Any, chunks: queue.Queue[Any]) -> None:
    while True:
        try:
            item = reader.read_chunk()
        except StopIteration:
            item = None
        except BaseException as error:  # noqa: BLE001 - handed over and raised in the thread that reads the stream
            item = error
        chunks.put(item)
        if item is None or isinstance(item, BaseException):
            return


def _end(reader: Any, chunks: queue.Queue[Any], thread: threading.Thread) -> None:
    reader.cancel()
    # the thread may be about to put a chunk that nobody will take
    while thread.is_alive():
        try:
            if isinstance(chunks.get(timeout=_JOIN_SECONDS), BaseException | None):
                break
        except queue.Empty:
            break
    thread.join(_JOIN_SECONDS)
