"""Small reads at any place of a file, in few requests."""

import threading
from collections import deque
from typing import Final

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.store.source import Data, Source, truncated

#: Enough for the header of a usual cloud-optimised GeoTIFF.
_FIRST_PREFIX: Final = 64 * 1024
_LEAST_PREFIX: Final = 16 * 1024
#: More is not worth it: what few files need is a second request for these.
_LARGEST_PREFIX: Final = 1024 * 1024
_STEP: Final = 16 * 1024
_REMEMBERED: Final = 256
_LEARNT_EVERY: Final = 16
_SHARE: Final = 0.98


class Prefix:
    """How many bytes to fetch of a file at first, learnt from the files before; for any number of threads.

    Enough for the headers of 98 of 100 of the last files, between 16 KiB and 1 MiB; 64 KiB as long as nothing is known.
    """

    def __init__(self) -> None:
        #: Bytes.
        self.size = _FIRST_PREFIX
        self._lock = threading.Lock()
        self._seen: deque[int] = deque(maxlen=_REMEMBERED)
        self._count = 0

    def learn(self, extent: int) -> None:
        """Take note of where the header of a file ended."""
        with self._lock:
            self._seen.append(extent)
            self._count += 1
            if self._count % _LEARNT_EVERY and extent <= self.size:
                return
            enough = sorted(self._seen)[int(_SHARE * (len(self._seen) - 1))]
            if self._count >= _LEARNT_EVERY or enough > self.size:
                self.size = min(max(-(-enough // _STEP) * _STEP, _LEAST_PREFIX), _LARGEST_PREFIX)


class ReadAhead:
    """Reads of a header: the first fetches a prefix of the file, which mostly holds everything that follows.

    Parameters
    ----------
    source
        Stays open; the caller closes it.
    limit
        Bytes that may be fetched in total. A header that claims to need more is taken for damaged.
    prefix
        Bytes to fetch at first; None: what is usual.
    """

    def __init__(self, source: Source, limit: int, prefix: int | None = None) -> None:
        self._source = source
        self._budget = limit
        size = prefix or _FIRST_PREFIX
        self._chunks: list[tuple[int, Data]] = [(0, source.read_prefix(size))]
        self._step = max(size, _FIRST_PREFIX)
        #: Size of the file in bytes.
        self.size = source.identity().size
        #: End of what was read at the beginning of the file, as far as a prefix may reach.
        self.extent = 0

    def read(self, offset: int, length: int) -> Data:
        """Exactly ``length`` bytes from ``offset`` on.

        Raises
        ------
        SourceError
            SOURCE_CORRUPT when they lie outside the file or go beyond the limit; else as the source.
        """
        end = offset + length
        if end > self.size:
            raise truncated(offset, length, self.size)
        if self.extent < end <= _LARGEST_PREFIX:
            self.extent = end
        for start, chunk in self._chunks:
            if start <= offset and end <= start + len(chunk):
                return chunk[offset - start : end - start]
        return self._fetch(offset, length)[:length]

    def _fetch(self, offset: int, length: int) -> Data:
        # Each miss looks twice as far ahead as the one before: a header of any size takes a handful of requests.
        self._step *= 2
        length = min(max(length, self._step), self.size - offset)
        self._budget -= length
        if self._budget < 0:
            raise SourceError(ErrorCode.SOURCE_CORRUPT, "the header of the file is unreasonably large")
        chunk = self._source.read_range(offset, length)
        self._chunks.append((offset, chunk))
        return chunk
