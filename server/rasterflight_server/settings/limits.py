"""``[limits]``: what a request, a caller and all together may take."""

from dataclasses import dataclass, field

from rasterflight_server.settings.kinds import ByteSize


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimits:
    """What one request may ask for; None: as much as it likes. A collection's own ``[limits]`` hold besides."""

    geometries: int | None = None
    """Areas or windows."""

    vertices: int | None = None
    """Vertices of all its areas."""

    records: int | None = None
    pixels: int | None = None
    """Pixels of all bands."""

    bytes: ByteSize | None = None
    """Bytes of pixels that would be sent."""

    seconds: float | None = None
    """How long a stream may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerLimits:
    """What one caller may have at once; None: as much as there is."""

    streams: int | None = None
    bytes_in_flight: ByteSize | None = None
    """Bytes that his streams have reserved."""

    uploads: ByteSize | None = None
    """Bytes of areas that he has sent up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """What a request, a caller and all together may take."""

    streams: int = 256
    """Streams that run at once; those beyond wait."""

    queue: int = 64
    """Streams that may wait; those beyond are BUSY at once."""

    queue_seconds: float = 5.0
    """How long a stream waits before it is BUSY."""

    stalled_seconds: float = 300.0
    """A stream from which nothing is read for so long is ended."""

    request: RequestLimits = field(default_factory=RequestLimits)
    """``[limits.request]``"""

    caller: CallerLimits = field(default_factory=CallerLimits)
    """``[limits.caller]``"""
