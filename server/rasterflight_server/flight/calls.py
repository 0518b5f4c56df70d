"""What is known about each call before it is answered: its id, who makes it, and whether the server still takes calls."""

import re
import threading
import uuid
from collections.abc import Sequence

import pyarrow.flight as fl

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import ServiceError
from rasterflight_server.flight.boundary import flight_error
from rasterflight_server.flight.identity import credentials
from rasterflight_server.flight.identity.gate import Gate
from rasterflight_server.flight.identity.peers import address_of
from rasterflight_server.types.caller import ANONYMOUS, Caller

REQUEST_ID_HEADER = "x-request-id"
_USABLE_ID = re.compile(r"[\w.:/+=-]{1,128}", re.ASCII)


class Call(fl.ServerMiddleware):
    """One call."""

    def __init__(self, request_id: str, gate: Gate, authorization: Sequence[str], welcome: str | None = None) -> None:
        self.request_id = request_id
        #: Nobody yet: ``identify`` finds out, as soon as it is known where the call comes from.
        self.caller = ANONYMOUS
        self._gate = gate
        self._authorization = authorization
        self._identified = False
        self._welcome = welcome

    def identify(self, context: fl.ServerCallContext) -> Caller:
        """Who makes the call; raises as ``Gate.identify``."""
        if not self._identified:
            self.caller = self._gate.identify(self._authorization, context.peer(), context.peer_identity())
            self._identified = True
        return self.caller

    def sending_headers(self) -> dict[str, str]:
        """Tell the caller the id, so that both logs can be laid side by side; and after a handshake, what to send from now on."""
        token = {} if self._welcome is None else {credentials.HEADER: f"Bearer {self._welcome}"}
        return {REQUEST_ID_HEADER: self.request_id, **token}


class CallFactory(fl.ServerMiddlewareFactory):
    """Gives each call an id (the caller's own, when it sent one), answers handshakes, and refuses calls while the server drains.

    Parameters
    ----------
    gate
        Who is let in.
    """

    NAME = "call"

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._draining = threading.Event()

    def drain(self) -> None:
        """Refuse calls from now on."""
        self._draining.set()

    def start_call(self, info: fl.CallInfo, headers: dict[str, list[str]]) -> Call:
        """Begin a call."""
        sent = headers.get(REQUEST_ID_HEADER, [""])[0]
        request_id = sent if _USABLE_ID.fullmatch(sent) else uuid.uuid4().hex
        if self._draining.is_set():
            draining = ServiceError(
                ErrorCode.DRAINING, "the server is shutting down", hint="try again, or try another server"
            )
            raise flight_error(draining, request_id)
        authorization = headers.get(credentials.HEADER, [])
        if info.method != fl.FlightMethod.HANDSHAKE:
            return Call(request_id, self._gate, authorization)
        # Arrow shows the handshake itself nothing of the call.
        try:
            return Call(request_id, self._gate, authorization, self._gate.welcome(authorization))
        except ServiceError as error:
            raise flight_error(error, request_id) from None


def request_id(context: fl.ServerCallContext) -> str:
    """The id of the call."""
    return _call(context).request_id


def caller(context: fl.ServerCallContext) -> Caller:
    """Who makes the call; every RPC asks this before anything else.

    Raises
    ------
    ServiceError
        UNAUTHENTICATED, BUSY: he is not let in.
    """
    return _call(context).identify(context)


def account(context: fl.ServerCallContext) -> str:
    """Under which name limits of callers are kept; those who do not say who they are count by address, where they have one."""
    return caller(context).key or address_of(context.peer())


def _call(context: fl.ServerCallContext) -> Call:
    call = context.get_middleware(CallFactory.NAME)
    assert isinstance(call, Call)
    return call
