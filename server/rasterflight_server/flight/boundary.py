"""The one place where errors become what callers see: nothing else may leave the server.

Anything but a Flight error would send the server's traceback to the caller, so every RPC and every stream runs inside
``guard``: what is meant for the caller is told with its ``ErrorDetail``, what is not is logged here and becomes INTERNAL.
"""

import codecs
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pyarrow.flight as fl

from rasterflight_protocol import ERROR_TRAILER, ErrorCode
from rasterflight_protocol.v1.error_pb2 import ErrorDetail
from rasterflight_server.errors import ServiceError
from rasterflight_server.flight.observe.tally import tally_of

_log = logging.getLogger("rasterflight_server")

#: Callers read trailers only up to 8 KiB.
_MAX_TEXT = 2000

#: Before the detail in ``extra_info``, which gRPC sends as ``grpc-status-details-bin``. Clients in Go look for a google.rpc.Status there, and
#: tell INTERNAL where they seem to find one. Its field 3 is a message, and this is none; to us it is a request id, and the last one counts.
_NO_STATUS = b"\x1a\x01\x07"

#: Codes for which pyarrow has a class of its own (and gRPC a status); all others travel as FlightServerError.
_CLASSES: dict[ErrorCode, type[fl.FlightError]] = {
    ErrorCode.UNAUTHENTICATED: fl.FlightUnauthenticatedError,
    ErrorCode.FORBIDDEN: fl.FlightUnauthorizedError,
    ErrorCode.SOURCE_UNAVAILABLE: fl.FlightUnavailableError,
    ErrorCode.BUSY: fl.FlightUnavailableError,
    ErrorCode.DRAINING: fl.FlightUnavailableError,
    ErrorCode.DEADLINE: fl.FlightTimedOutError,
    ErrorCode.INTERNAL: fl.FlightInternalError,
}


def error_detail(error: ServiceError, request_id: str) -> ErrorDetail:
    """What a caller is told."""
    return ErrorDetail(
        code=error.code.code,
        message=error.message[:_MAX_TEXT],
        request_id=request_id,
        retryable=error.code.retryable,
        collection=error.collection[:_MAX_TEXT],
        record=error.record[:_MAX_TEXT],
        asset=error.asset[:_MAX_TEXT],
        field=error.field[:_MAX_TEXT],
        hint=error.hint[:_MAX_TEXT],
        retry_after=error.retry_after or 0.0,
    )


def flight_error(error: ServiceError, request_id: str) -> fl.FlightError:
    """The Flight error that carries it."""
    detail = error_detail(error, request_id)
    class_ = _CLASSES.get(error.code, fl.FlightServerError)
    extra_info = _NO_STATUS + detail.SerializeToString()
    return class_(f"[{error.code.code}] {str(error)[:_MAX_TEXT]}", extra_info=extra_info)


def without_traceback(error: fl.FlightError) -> Exception:
    """What to raise from ``get_schema``, where Arrow tells callers the traceback of Flight errors too.

    Arrow asks for the text of what was raised. Where that fails, it tells why it failed instead; and what fails outside of
    Python, as this does, has no traceback.
    """
    fail = partial(codecs.strict_errors, error.with_traceback(None))
    class_: type[Exception] = type("Error", (Exception,), {"__str__": staticmethod(fail)})
    return class_()


def bug(request_id: str) -> ServiceError:
    """What to tell instead of the exception that is handled now, which is logged in full.

    The last line of defence, so it is for all that Python can raise: panics of Rust, for one, are no ``Exception``.
    """
    _log.exception("request %s failed", request_id)
    return ServiceError(ErrorCode.INTERNAL, f"the server failed; its log says why under request {request_id}")


@contextmanager
def guard(context: fl.ServerCallContext, request_id: str) -> Iterator[None]:
    """Let nothing but Flight errors out, put the detail into the trailers too, and tell the tally of the call."""
    tally_of(context).answers(context)
    try:
        yield
    except GeneratorExit:
        raise
    except ServiceError as error:
        raise _told(context, error, request_id) from None
    except BaseException as error:
        if isinstance(error, fl.FlightError) and (error.extra_info or context.is_cancelled()):
            raise  # told already, or there is nobody to tell
        raise _told(context, bug(request_id), request_id) from None


def _told(context: fl.ServerCallContext, error: ServiceError, request_id: str) -> fl.FlightError:
    tally_of(context).failed(error.code)
    context.add_trailer(ERROR_TRAILER, error_detail(error, request_id).SerializeToString())
    return flight_error(error, request_id)
