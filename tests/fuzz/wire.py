"""Cases sent to a real server, message by message, past all that a Flight client would refuse to send."""

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import Any

import grpc

from fuzz.cases import Case, Frame, begins
from fuzz.judge import Bug, complaint, telling
from rasterflight_protocol import ERROR_TRAILER
from rasterflight_protocol.v1.error_pb2 import ErrorDetail

#: An answer that takes longer is taken for one that never comes.
PATIENCE = 30.0
_SERVICE = "/arrow.flight.protocol.FlightService/"
_MESSAGES = 4
_BODY = 1000


class Wire:
    """A connection.

    Parameters
    ----------
    url
        Of the server: ``grpc://HOST:PORT``.
    """

    def __init__(self, url: str) -> None:
        self._channel = grpc.insecure_channel(url.removeprefix("grpc://"), [("grpc.max_receive_message_length", -1)])

    def close(self) -> None:
        self._channel.close()

    def __call__(self, case: Case) -> str:
        """The code of the answer.

        Raises
        ------
        Bug
            It is none that a caller may see.
        """
        call: Any = None
        try:
            if case.frames or case.rpc in ("DoPut", "DoExchange"):
                call = self._channel.stream_stream(_SERVICE + case.rpc)(_data(case), timeout=PATIENCE)
            else:
                call = self._channel.unary_stream(_SERVICE + case.rpc)(_asked(case), timeout=PATIENCE)
            with closing(_Cancelling(call)):
                for _ in islice(call, _MESSAGES):
                    pass
        except grpc.RpcError as error:
            return _judged(case, error)
        return "OK"


def _judged(case: Case, error: Any) -> str:
    text = error.details() or ""
    trailers = {key: value for key, value in error.trailing_metadata() or () if key == ERROR_TRAILER}
    if not trailers:
        if case.rpc in ("DoPut", "DoExchange") and not begins(case.frames) and not telling(text):
            return "ARROW"  # it reads the schema by itself, before anybody else is asked
        raise Bug(f"{error.code().name} without a detail: {text}")
    detail = ErrorDetail.FromString(trailers[ERROR_TRAILER])
    if wrong := complaint(detail, text):
        raise Bug(wrong)
    return detail.code


class _Cancelling:
    def __init__(self, call: Any) -> None:
        self.close = call.cancel


def _asked(case: Case) -> bytes:
    if case.rpc == "DoGet":
        return _field(1, case.command)
    if case.rpc == "DoAction":
        return _field(1, case.name.encode()) + _field(2, case.command)
    return _descriptor(case)


def _descriptor(case: Case) -> bytes:
    return b"\x08\x01" + _field(3, case.command) if case.name == "path" else b"\x08\x02" + _field(2, case.command)


def _data(case: Case) -> Iterator[bytes]:
    descriptor = _field(1, _descriptor(case))
    for frame in case.frames or (Frame(b"", b""),):
        yield descriptor + _field(2, frame.header) + _field(_BODY, frame.body)
        descriptor = b""


def _field(number: int, value: bytes) -> bytes:
    """A field of bytes of a protobuf message."""
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes([*made, value])
