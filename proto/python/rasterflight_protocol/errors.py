"""The codes of all errors of the service, and what each means to a caller.

The full story of an error travels as ``rasterflight.v1.ErrorDetail``.
"""

from enum import Enum

#: gRPC trailer that carries a serialised ``rasterflight.v1.ErrorDetail``.
ERROR_TRAILER = "rasterflight-error-bin"


class ErrorCode(Enum):
    """A code; its value says whether the same call may succeed later."""

    #: A field of the request is missing, out of range or contradictory.
    BAD_REQUEST = ("BAD_REQUEST", False)
    #: A geometry cannot be used as an area.
    BAD_GEOMETRY = ("BAD_GEOMETRY", False)
    #: Coordinates came without a CRS, or with one that is not known.
    CRS_REQUIRED = ("CRS_REQUIRED", False)
    UNKNOWN_BAND = ("UNKNOWN_BAND", False)
    LIMIT_EXCEEDED = ("LIMIT_EXCEEDED", False)
    COLLECTION_NOT_FOUND = ("COLLECTION_NOT_FOUND", False)
    RECORD_NOT_FOUND = ("RECORD_NOT_FOUND", False)
    #: The areas that the ticket refers to are not there (any more): send them up again.
    UPLOAD_NOT_FOUND = ("UPLOAD_NOT_FOUND", False)
    #: The index changed since the ticket was made: plan again.
    STALE_SNAPSHOT = ("STALE_SNAPSHOT", False)
    #: The request is fine, and nothing answers it.
    NO_DATA = ("NO_DATA", False)
    UNSUPPORTED_CODEC = ("UNSUPPORTED_CODEC", False)
    UNSUPPORTED_LAYOUT = ("UNSUPPORTED_LAYOUT", False)
    UNAUTHENTICATED = ("UNAUTHENTICATED", False)
    FORBIDDEN = ("FORBIDDEN", False)
    #: SOURCE_*: a file that the index names, as the server meets it.
    SOURCE_FORBIDDEN = ("SOURCE_FORBIDDEN", False)
    SOURCE_NOT_FOUND = ("SOURCE_NOT_FOUND", False)
    SOURCE_CHANGED = ("SOURCE_CHANGED", False)
    SOURCE_CORRUPT = ("SOURCE_CORRUPT", False)
    SOURCE_UNAVAILABLE = ("SOURCE_UNAVAILABLE", True)
    BUSY = ("BUSY", True)
    DRAINING = ("DRAINING", True)
    DEADLINE = ("DEADLINE", True)
    CANCELLED = ("CANCELLED", False)
    INTERNAL = ("INTERNAL", False)

    @property
    def code(self) -> str:
        """The code as it stands in ``ErrorDetail.code``."""
        return self.value[0]

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later."""
        return self.value[1]
