"""Small reads at any place of a file, in few requests."""

from typing import Final

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.store.source import Data, Source, truncated

#: Enough for the header of a usual cloud-optimised GeoTIFF.
PREFIX: Final = 64 * 1024


class ReadAhead:
    """Reads of a header: the first fetches a prefix of the file, which mostly holds everything that follows.

    Parameters
    ----------
    source
        Stays open; the caller closes it.
    limit
        Bytes that may be fetched in total. A header that claims to need more is taken for damaged.
    """

    def __init__(self, source: Source, limit: int) -> None:
        self._source = source
        self._budget = limit
        prefix = source.read_prefix(PREFIX)
        self._chunks: list[tuple[int, Data]] = [(0, prefix)]
        self._step = PREFIX
        #: Size of the file in bytes.
        self.size = source.identity().size

    def read(self, offset: int, length: int) -> Data:
        """Exactly ``length`` bytes from ``offset`` on.

        Raises
        ------
        SourceError
            SOURCE_CORRUPT when they lie outside the file or go beyond the limit; else as the source.
        """
        if offset + length > self.size:
            raise truncated(offset, length, self.size)
        for start, chunk in self._chunks:
            if start <= offset and offset + length <= start + len(chunk):
                return chunk[offset - start : offset - start + length]
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
