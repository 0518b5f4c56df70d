"""What is known about each call before it is answered: its id, who makes it, and whether the server still takes calls."""

import hashlib
import re
import uuid

import pyarrow.flight as fl

from rasterflight_server.errors import ServiceError
from rasterflight_server.flight.boundary import flight_error
from rasterflight_server.flight.life import Life
from rasterflight_server.types.caller import ANONYMOUS, Caller

REQUEST_ID_HEADER = "x-request-id"
_USABLE_ID = re.compile(r"[\w.:/+=-]{1,128}", re.ASCII)


class Call(fl.ServerMiddleware):
    """One call."""

    def __init__(self, request_id: str, caller: Caller) -> None:
        self.request_id = request_id
        self.caller = caller

    def sending_headers(self) -> dict[str, str]:
        """Tell the caller the id, so that both logs can be laid side by side."""
        return {REQUEST_ID_HEADER: self.request_id}


class CallFactory(fl.ServerMiddlewareFactory):
    """Gives each call an id (the caller's own, when it sent one) and refuses calls while the server drains.

    Actions are let through: one of them tells how the server is, and which it is, is not known here.
    """

    NAME = "call"

    def __init__(self, life: Life) -> None:
        self._life = life

    def start_call(self, info: fl.CallInfo, headers: dict[str, list[str]]) -> Call:
        """Begin a call."""
        sent = headers.get(REQUEST_ID_HEADER, [""])[0]
        request_id = sent if _USABLE_ID.fullmatch(sent) else uuid.uuid4().hex
        if info.method != fl.FlightMethod.DO_ACTION:
            try:
                self._life.check_open()
            except ServiceError as draining:
                raise flight_error(draining, request_id) from None
        return Call(request_id, _caller(headers.get("authorization", [])))


def request_id(context: fl.ServerCallContext) -> str:
    """The id of the call."""
    call = context.get_middleware(CallFactory.NAME)
    return call.request_id if isinstance(call, Call) else ""


def caller(context: fl.ServerCallContext) -> Caller:
    """Who makes the call."""
    call = context.get_middleware(CallFactory.NAME)
    return call.caller if isinstance(call, Call) else ANONYMOUS


def _caller(credentials: list[str]) -> Caller:
    return Caller(hashlib.sha256(repr(credentials).encode()).hexdigest()) if any(credentials) else ANONYMOUS
