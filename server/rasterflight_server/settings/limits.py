"""``[limits]``: what a request, a caller and all together may take."""

from dataclasses import dataclass, field, replace

from rasterflight_server.settings.kinds import ByteSize, Positive, Time


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimits:
    """What one request may ask for; None: as much as it likes. A collection's own ``[limits]`` hold besides, and the tighter one counts.

    What a plan keeps in memory has a limit from the start, so that no single request can take all of it; what is only
    streamed has none, since a stream holds the same few batches however long it is.
    """

    geometries: Positive | None = 1_000_000
    """Areas or windows; each takes about a kilobyte."""

    vertices: Positive | None = 20_000_000
    """Vertices of all its areas, counted before they are parsed; each takes some 100 bytes in the CRS of the records."""

    records: Positive | None = 250_000
    """Records that match, of a read of pixels or points; each takes some kilobytes while it is planned and read."""

    chips: Positive | None = 10_000_000
    """Pairs of record and area; each takes some 50 bytes."""

    pixels: Positive | None = None
    """Pixels of all bands."""

    bytes: ByteSize | None = None
    """Bytes of pixels that would be sent."""

    seconds: Time | None = None
    """How long a request may take: to be planned, and to be streamed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerLimits:
    """What one caller may have at once; None: as much as there is. Callers who do not say who they are count by address.

    They hold in each of several processes, since a connection stays with one of them; there, those who do not say who they are
    count as one.
    """

    streams: Positive | None = None
    """Streams that run; those beyond wait."""

    bytes_in_flight: ByteSize | None = None
    """Bytes that his streams have reserved for batches on their way."""

    uploads: ByteSize | None = 512 << 20
    """Bytes of areas that he has sent up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """What a request, a caller and all together may take. ``streams`` and ``queue`` are of all processes, which have equal parts of them."""

    streams: Positive = 256
    """Streams that run at once; those beyond wait."""

    queue: int = 64
    """Streams that may wait; those beyond are BUSY at once."""

    queue_seconds: float = 5.0
    """How long a stream waits before it is BUSY."""

    stalled_seconds: Time = 300.0
    """A stream from which nothing is read for so long is ended; after as long again its connection is closed, if no other stream runs on it."""

    request: RequestLimits = field(default_factory=RequestLimits)
    """``[limits.request]``"""

    caller: CallerLimits = field(default_factory=CallerLimits)
    """``[limits.caller]``"""

    def part(self, processes: int) -> "LimitSettings":
        """What one of several processes may take."""
        return replace(self, streams=max(1, self.streams // processes), queue=max(1, self.queue // processes))
