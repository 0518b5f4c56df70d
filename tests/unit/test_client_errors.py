import inspect
import pickle

import pyarrow as pa
import pytest
from pyarrow import flight

from rasterflight import errors
from rasterflight._failures import translate
from rasterflight_protocol import ErrorCode
from rasterflight_protocol.v1.error_pb2 import ErrorDetail

URL = "grpc://host:1"
TREE = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, errors.RasterflightError)]
BUILTINS = {
    ErrorCode.BAD_REQUEST: ValueError,
    ErrorCode.BAD_GEOMETRY: ValueError,
    ErrorCode.CRS_REQUIRED: ValueError,
    ErrorCode.UNKNOWN_BAND: KeyError,
    ErrorCode.LIMIT_EXCEEDED: ValueError,
    ErrorCode.COLLECTION_NOT_FOUND: KeyError,
    ErrorCode.RECORD_NOT_FOUND: KeyError,
    ErrorCode.UPLOAD_NOT_FOUND: KeyError,
    ErrorCode.STALE_SNAPSHOT: RuntimeError,
    ErrorCode.NO_DATA: ValueError,
    ErrorCode.UNSUPPORTED_CODEC: NotImplementedError,
    ErrorCode.UNSUPPORTED_LAYOUT: NotImplementedError,
    ErrorCode.UNAUTHENTICATED: PermissionError,
    ErrorCode.FORBIDDEN: PermissionError,
    ErrorCode.SOURCE_FORBIDDEN: PermissionError,
    ErrorCode.SOURCE_NOT_FOUND: FileNotFoundError,
    ErrorCode.SOURCE_CHANGED: OSError,
    ErrorCode.SOURCE_CORRUPT: OSError,
    ErrorCode.SOURCE_UNAVAILABLE: ConnectionError,
    ErrorCode.BUSY: ConnectionError,
    ErrorCode.DRAINING: ConnectionError,
    ErrorCode.DEADLINE: TimeoutError,
    ErrorCode.CANCELLED: RuntimeError,
    ErrorCode.INTERNAL: RuntimeError,
}
WITHOUT_DETAIL = {
    flight.FlightCancelledError: errors.CancelledError,
    flight.FlightError: errors.ProtocolError,
    flight.FlightInternalError: errors.InternalServerError,
    flight.FlightServerError: errors.InternalServerError,
    flight.FlightTimedOutError: errors.DeadlineError,
    flight.FlightUnauthenticatedError: errors.UnauthenticatedError,
    flight.FlightUnauthorizedError: errors.ForbiddenError,
    flight.FlightUnavailableError: errors.ServerUnavailableError,
    flight.FlightWriteSizeExceededError: errors.LimitExceededError,
}


def raised(cls, message, extra=b""):
    if cls is flight.FlightWriteSizeExceededError:
        return cls(message, 1, 2)
    return cls(message, extra) if issubclass(cls, flight.FlightError) else cls(message)


@pytest.mark.parametrize("code", ErrorCode)
def test_every_code_has_a_class_of_its_own(code):
    detail = ErrorDetail(
        code=code.code,
        message="it broke",
        hint="mend it",
        retryable=code.retryable,
        retry_after=2.5,
        request_id="q7",
        collection="c",
        record="r",
        asset="a",
        field="f",
    )
    error = translate(flight.FlightServerError("other words", detail.SerializeToString()), URL)
    assert type(error).code == code.code
    assert isinstance(error, BUILTINS[code])
    assert type(error).retryable == code.retryable
    facts = (error.code, error.message, error.hint, error.retryable, error.retry_after, error.request_id)
    assert facts == (code.code, "it broke", "mend it", code.retryable, 2.5, "q7")
    assert (error.collection, error.record, error.asset, error.field) == ("c", "r", "a", "f")
    assert str(error) == "c/r/a: it broke (mend it)"


def test_the_detail_decides_not_the_class():
    detail = ErrorDetail(code="NO_DATA", message="nothing").SerializeToString()
    assert type(translate(flight.FlightUnavailableError("x", detail), URL)) is errors.NoDataFound


def test_a_code_from_the_future_is_still_told():
    detail = ErrorDetail(code="TOO_PURPLE", message="less purple please").SerializeToString()
    error = translate(flight.FlightServerError("x", detail), URL)
    assert type(error) is errors.RasterflightError
    assert (error.code, str(error)) == ("TOO_PURPLE", "less purple please")


def test_every_exception_of_flight_is_mapped():
    classes = {
        cls for _, cls in inspect.getmembers(flight, inspect.isclass) if issubclass(cls, BaseException)
    }  # a class that pyarrow adds must be added above
    assert classes == WITHOUT_DETAIL.keys()


@pytest.mark.parametrize("cls", WITHOUT_DETAIL)
def test_without_detail_the_class_decides(cls):
    for extra in (b"", b"not an ErrorDetail"):
        error = translate(raised(cls, "the words. Detail: Failed. gRPC client debug context: x", extra), URL)
        assert type(error) is WITHOUT_DETAIL[cls]
        assert "gRPC" not in str(error)


@pytest.mark.parametrize("cls", [pa.ArrowInvalid, pa.ArrowKeyError, pa.ArrowNotImplementedError, OSError])
def test_other_errors_of_arrow_break_the_protocol(cls):
    error = translate(cls("odd bytes\nTraceback (most recent call last): ..."), URL)
    assert type(error) is errors.ProtocolError
    assert str(error) == f"the answer of {URL} is not as the protocol says: odd bytes"


def test_nobody_there_says_what_to_do():
    text = str(translate(flight.FlightUnavailableError("refused"), URL))
    assert text == (
        f"no server answers at {URL}: refused "
        "(start one with `rasterflight-server serve`, or use rasterflight.local(...))"
    )


def test_a_timeout_says_what_to_do():
    error = translate(flight.FlightTimedOutError("deadline exceeded"), URL)
    assert isinstance(error, TimeoutError)
    assert "pass a longer timeout=" in str(error)


@pytest.mark.parametrize("cls", TREE)
def test_every_error_reads_well_and_survives_a_process_boundary(cls):
    error = cls("what is wrong", hint="the way out", record="r9")
    assert str(error) == "r9: what is wrong (the way out)"
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (cls, str(error), vars(error))


def test_the_docstring_draws_the_whole_tree():
    drawn = errors.__doc__.split()
    assert [cls.__name__ for cls in TREE if cls.__name__ not in drawn] == []
    assert [cls.code for cls in TREE if cls.code and cls.code not in drawn] == []


def test_what_the_message_names_is_not_named_again():
    assert str(errors.SourceError("B04 of r1 is cut off", record="r1", asset="B04")) == "B04 of r1 is cut off"
