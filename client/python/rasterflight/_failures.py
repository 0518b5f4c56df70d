"""From the errors of pyarrow to the errors of this package."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pyarrow as pa
from google.protobuf.message import DecodeError
from pyarrow import flight

from rasterflight import errors
from rasterflight._tlsfailures import cause
from rasterflight_protocol.v1.error_pb2 import ErrorDetail

_BY_CODE: Final[dict[str, type[errors.RasterflightError]]] = {
    cls.code: cls
    for cls in (
        errors.BadGeometryError,
        errors.BadRequestError,
        errors.BusyError,
        errors.CancelledError,
        errors.CollectionNotFoundError,
        errors.CrsRequiredError,
        errors.DeadlineError,
        errors.DrainingError,
        errors.ForbiddenError,
        errors.InternalServerError,
        errors.LimitExceededError,
        errors.NoDataFound,
        errors.RecordNotFoundError,
        errors.SourceChangedError,
        errors.SourceCorruptError,
        errors.SourceForbiddenError,
        errors.SourceNotFoundError,
        errors.SourceUnavailableError,
        errors.StaleSnapshotError,
        errors.UnauthenticatedError,
        errors.UnknownBandError,
        errors.UnsupportedCodecError,
        errors.UnsupportedLayoutError,
        errors.UploadNotFoundError,
    )
}

#: For answers without detail: a proxy on the way, another service, no service at all.
_BY_CLASS: Final[tuple[tuple[type[Exception], type[errors.RasterflightError]], ...]] = (
    (flight.FlightUnavailableError, errors.ServerUnavailableError),
    (flight.FlightTimedOutError, errors.DeadlineError),
    (flight.FlightCancelledError, errors.CancelledError),
    (pa.ArrowCancelled, errors.CancelledError),
    (flight.FlightUnauthenticatedError, errors.UnauthenticatedError),
    (flight.FlightUnauthorizedError, errors.ForbiddenError),
    (flight.FlightWriteSizeExceededError, errors.LimitExceededError),
    (flight.FlightInternalError, errors.InternalServerError),
    (flight.FlightServerError, errors.InternalServerError),
)

#: What a connection that cannot be encrypted looks like, among others.
_MAYBE_ENCRYPTION: Final = (errors.ServerUnavailableError, errors.InternalServerError)

#: What pyarrow may raise from a call or while a stream is read; its ArrowIOError is OSError.
_FROM_PYARROW: Final = (flight.FlightError, pa.ArrowException, OSError)


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Raise errors of pyarrow as errors of this package; ``url`` is named where nobody answers."""
    try:
        yield
    except (errors.RasterflightError, MemoryError):
        raise
    except _FROM_PYARROW as error:
        # the original repeats the message, with the addresses and internals of gRPC around it
        raise translate(error, url) from None


def translate(error: Exception, url: str) -> errors.RasterflightError:
    """Find the error of this package for one of pyarrow: by the server's detail, without it by class."""
    detail = _detail(error)
    if detail is not None:
        return _from_detail(detail)
    message = _bare_message(error)
    found = next((cls for raised, cls in _BY_CLASS if isinstance(error, raised)), errors.ProtocolError)
    if found is errors.ProtocolError:
        return found(f"the answer of {url} is not as the protocol says: {message}")
    encryption = cause(url, message) if found in _MAYBE_ENCRYPTION else None
    if encryption is not None:
        why, hint = encryption
        return errors.TlsError(f"no connection to {url}: {why}", hint=hint)
    if found is errors.ServerUnavailableError:
        hint = "start one with `rasterflight-server serve`, or use rasterflight.local(...)"
        return found(f"no server answers at {url}: {message}", hint=hint)
    if found is errors.DeadlineError:
        return found(f"no answer from {url} within the timeout", hint="pass a longer timeout=, or ask for less")
    return found(message)


def _from_detail(detail: ErrorDetail) -> errors.RasterflightError:
    # a code that a newer server made up still says all that it has to say
    return _BY_CODE.get(detail.code, errors.RasterflightError)(
        detail.message,
        code=detail.code,
        hint=detail.hint,
        retryable=detail.retryable,
        retry_after=detail.retry_after or None,
        request_id=detail.request_id,
        collection=detail.collection,
        record=detail.record,
        asset=detail.asset,
        field=detail.field,
    )


def _detail(error: Exception) -> ErrorDetail | None:
    extra = getattr(error, "extra_info", None)
    if not extra:
        return None
    detail = ErrorDetail()
    try:
        detail.ParseFromString(bytes(extra))
    except DecodeError:
        return None
    return detail if detail.code else None


def _bare_message(error: Exception) -> str:
    """The words of the server, without what gRPC and Arrow add behind (and the traceback of a careless server)."""
    text = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    text = text.removeprefix("Flight returned unavailable error, with message: ")
    for marker in (". Detail: ", ". gRPC client debug context:", ". Client context:", "\nTraceback"):
        text = text.partition(marker)[0]
    return text.strip()
