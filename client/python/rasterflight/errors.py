"""Everything that can go wrong, as one tree; each class is also the builtin that a caller would catch.

RasterflightError
├── BadRequestError            ValueError           BAD_REQUEST
│   ├── BadGeometryError                            BAD_GEOMETRY
│   ├── CrsRequiredError                            CRS_REQUIRED
│   ├── LimitExceededError                          LIMIT_EXCEEDED
│   └── UnknownBandError       KeyError             UNKNOWN_BAND
├── NoDataFound                ValueError           NO_DATA
├── NotFoundError              KeyError
│   ├── CollectionNotFoundError                     COLLECTION_NOT_FOUND
│   ├── RecordNotFoundError                         RECORD_NOT_FOUND
│   └── UploadNotFoundError                         UPLOAD_NOT_FOUND
├── StaleSnapshotError         RuntimeError         STALE_SNAPSHOT
├── UnsupportedError           NotImplementedError
│   ├── UnsupportedCodecError                       UNSUPPORTED_CODEC
│   └── UnsupportedLayoutError                      UNSUPPORTED_LAYOUT
├── AccessError                PermissionError
│   ├── ForbiddenError                              FORBIDDEN
│   └── UnauthenticatedError                        UNAUTHENTICATED
├── SourceError                OSError              a file that the index names
│   ├── SourceChangedError                          SOURCE_CHANGED
│   ├── SourceCorruptError                          SOURCE_CORRUPT
│   ├── SourceForbiddenError   PermissionError      SOURCE_FORBIDDEN
│   ├── SourceNotFoundError    FileNotFoundError    SOURCE_NOT_FOUND
│   └── SourceUnavailableError ConnectionError      SOURCE_UNAVAILABLE
├── ServerUnavailableError     ConnectionError      no server answers
│   ├── BusyError                                   BUSY
│   ├── DrainingError                               DRAINING
│   └── TlsError                                    no encrypted connection comes about
├── DeadlineError              TimeoutError         DEADLINE
├── CancelledError             RuntimeError         CANCELLED
├── InternalServerError        RuntimeError         INTERNAL
├── ProtocolError              RuntimeError         the answer is not what the protocol says
├── ServerStartError           RuntimeError         the server of ``local()`` did not start
└── ResultError                ValueError           the pixels do not fit the form asked for
    ├── ColumnCollisionError                        get_gdf, get_xarray(masked=True)
    ├── GridMismatchError                           get_xarray, get_gdf
    ├── MergeConflictError                          get_xarray(xr_combine="merge")
    ├── MixedDtypesError                            get_numpy
    ├── NodataVariesError                           get_xarray
    ├── RaggedShapesError                           get_numpy
    └── TooSparseError                              get_xarray
"""

import re


class RasterflightError(Exception):
    """Base of all errors of this package.

    Parameters
    ----------
    message
        What went wrong; names the thing at fault.
    code
        Code of the service (``rasterflight_protocol.ErrorCode``); the class knows it, unless the server is newer
        than this client. Empty for errors that arise in the client.
    hint
        The way out.
    retryable
        The same call may succeed later.
    retry_after
        Seconds that the server asks to wait before a retry; None: it does not say.
    request_id
        What to quote to the operator of the server.
    collection, record, asset
        What the error is about, as far as it is known.
    field
        Field of the request at fault, for example ``"filters[0].date_range"``.
    """

    code: str = ""
    retryable: bool = False

    def __init__(
        self,
        message: str = "",
        *,
        code: str = "",
        hint: str = "",
        retryable: bool | None = None,
        retry_after: float | None = None,
        request_id: str = "",
        collection: str = "",
        record: str = "",
        asset: str = "",
        field: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.retryable = type(self).retryable if retryable is None else retryable
        self.retry_after = retry_after
        self.hint = hint
        self.request_id = request_id
        self.collection = collection
        self.record = record
        self.asset = asset
        self.field = field

    def __str__(self) -> str:
        # also keeps KeyError from showing the repr of its message
        parts = (self.collection, self.record, self.asset)
        about = "/".join(part for part in parts if part and not _names(self.message, part))
        text = f"{about}: {self.message}" if about else self.message
        return f"{text} ({self.hint})" if self.hint else text


def _names(message: str, thing: str) -> bool:
    """Whether a message already names a thing, as a word of its own."""
    return re.search(rf"(?<![\w-]){re.escape(thing)}(?![\w-])", message) is not None


class BadRequestError(RasterflightError, ValueError):
    """A parameter is missing, out of range or contradicts another."""

    code = "BAD_REQUEST"


class BadGeometryError(BadRequestError):
    """A geometry cannot be used as an area."""

    code = "BAD_GEOMETRY"


class CrsRequiredError(BadRequestError):
    """Coordinates came without a CRS, or with one that is not known."""

    code = "CRS_REQUIRED"


class LimitExceededError(BadRequestError):
    """The request asks for more than the server allows."""

    code = "LIMIT_EXCEEDED"


class UnknownBandError(BadRequestError, KeyError):
    """The collection has no band of this name."""

    code = "UNKNOWN_BAND"


class NoDataFound(RasterflightError, ValueError):  # noqa: N818 - a result more than a fault, and scripts know the name
    """The request is fine, and nothing answers it; the message says which step emptied the result."""

    code = "NO_DATA"


class NotFoundError(RasterflightError, KeyError):
    """Nothing has this name."""


class CollectionNotFoundError(NotFoundError):
    """The server has no collection of this name."""

    code = "COLLECTION_NOT_FOUND"


class RecordNotFoundError(NotFoundError):
    """The collection has no record with this id."""

    code = "RECORD_NOT_FOUND"


class UploadNotFoundError(NotFoundError):
    """Areas that were sent up before are not on the server any more: plan or read again."""

    code = "UPLOAD_NOT_FOUND"


class StaleSnapshotError(RasterflightError, RuntimeError):
    """The index changed since the ticket was made: plan again."""

    code = "STALE_SNAPSHOT"


class UnsupportedError(RasterflightError, NotImplementedError):
    """The server cannot do this."""


class UnsupportedCodecError(UnsupportedError):
    """A file is compressed in a way that the server does not read."""

    code = "UNSUPPORTED_CODEC"


class UnsupportedLayoutError(UnsupportedError):
    """The pixels of a file lie in a way, or rows are asked for in a shape, that the server does not know."""

    code = "UNSUPPORTED_LAYOUT"


class AccessError(RasterflightError, PermissionError):
    """The server does not let this caller in."""


class ForbiddenError(AccessError):
    """The token is good, and may not do this."""

    code = "FORBIDDEN"


class UnauthenticatedError(AccessError):
    """The token is missing, wrong or expired."""

    code = "UNAUTHENTICATED"


class SourceError(RasterflightError, OSError):
    """A file that the index names, as the server meets it."""


class SourceChangedError(SourceError):
    """A file is not the one that was indexed."""

    code = "SOURCE_CHANGED"


class SourceCorruptError(SourceError):
    """A file is damaged."""

    code = "SOURCE_CORRUPT"


class SourceForbiddenError(SourceError, PermissionError):
    """The server may not read a file."""

    code = "SOURCE_FORBIDDEN"


class SourceNotFoundError(SourceError, FileNotFoundError):
    """A file is not there."""

    code = "SOURCE_NOT_FOUND"


class SourceUnavailableError(SourceError, ConnectionError):
    """The store of a file does not answer."""

    code = "SOURCE_UNAVAILABLE"
    retryable = True


class ServerUnavailableError(RasterflightError, ConnectionError):
    """No server answers at the URL."""

    retryable = True


class BusyError(ServerUnavailableError):
    """The server has as much to do as it takes on; ``retry_after`` says when to come back."""

    code = "BUSY"


class DrainingError(ServerUnavailableError):
    """The server is about to stop and takes no new calls."""

    code = "DRAINING"


class TlsError(ServerUnavailableError):
    """No encrypted connection to the server comes about: certificates, or one side does not encrypt."""

    retryable = False


class DeadlineError(RasterflightError, TimeoutError):
    """The call took longer than it may."""

    code = "DEADLINE"
    retryable = True


class CancelledError(RasterflightError, RuntimeError):
    """The call was cancelled."""

    code = "CANCELLED"


class InternalServerError(RasterflightError, RuntimeError):
    """A fault of the server; ``request_id`` finds it in the log there."""

    code = "INTERNAL"


class ProtocolError(RasterflightError, RuntimeError):
    """What came back is not what the protocol says: another service at this URL, or a stream cut short."""


class ServerStartError(RasterflightError, RuntimeError):
    """The private server of ``local()`` did not start."""


class ResultError(RasterflightError, ValueError):
    """The pixels are there, and do not fit the form asked for."""


class ColumnCollisionError(ResultError):
    """Columns of the areas have names that the result uses itself."""


class GridMismatchError(ResultError):
    """The pixels lie on grids that do not line up, or in several CRS."""


class MergeConflictError(ResultError):
    """Two records of the same time have different valid values at one pixel."""


class MixedDtypesError(ResultError):
    """The bands differ in pixel type, and one array has only one."""


class NodataVariesError(ResultError):
    """The records differ in their nodata value, and one variable has only one."""


class RaggedShapesError(ResultError):
    """The windows differ in shape, and one array has only one."""


class TooSparseError(ResultError):
    """Areas far apart would fill one dense cube with almost nothing."""
