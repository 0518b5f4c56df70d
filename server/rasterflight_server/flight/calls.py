"""What is known about each call before it is answered: its id, who makes it, and whether the server still takes calls."""

import hashlib
import re
import threading
import uuid

import pyarrow.flight as fl

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import ServiceError
from rasterflight_server.flight.boundary import flight_error
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
    """Gives each call an id (the caller's own, when it sent one) and refuses calls while the server drains."""

    NAME = "call"

    def __init__(self) -> None:
        self._draining = threading.Event()

    def drain(self) -> None:
        """Refuse calls from now on."""
        self._draining.set()

    def start_call(self, info: fl.CallInfo, headers: dict[str, list[str]]) -> Call:  # noqa: ARG002 - Flight's signature
        """Begin a call."""
        sent = headers.get(REQUEST_ID_HEADER, [""])[0]
        request_id = sent if _USABLE_ID.fullmatch(sent) else uuid.uuid4().hex
        if self._draining.is_set():
            draining = ServiceError(
                ErrorCode.DRAINING, "the server is shutting down", hint="try again, or try another server"
            )
            raise flight_error(draining, request_id)
        return Call(request_id, _caller(headers.get("authorization", [])))


def request_id(context: fl.ServerCallContext) -> str:
    """The id of the call."""
    call = context.get_middleware(CallFactory.NAME)
    return call.request_id if isinstance(call, Call) else ""


def caller(context: fl.ServerCallContext) -> Caller:
    """Who makes the call."""
    call = context.get_middleware(CallFactory.NAME)
    return call.caller if isinstance(call, Call) else ANONYMOUS


def account(context: fl.ServerCallContext) -> str:
    """Under which name limits of callers are kept; those who do not say who they are count by address, where they have one."""
    return caller(context).key or context.peer().rpartition(":")[0]


def _caller(credentials: list[str]) -> Caller:
    return Caller(hashlib.sha256(repr(credentials).encode()).hexdigest()) if any(credentials) else ANONYMOUS
