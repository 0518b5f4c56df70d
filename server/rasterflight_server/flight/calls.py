"""What is known about each call before it is answered: its id, who makes it, and whether the server still takes calls."""

import re
import uuid
from collections.abc import Sequence

import pyarrow.flight as fl

from rasterflight_protocol.handover import HANDOVER_HEADER
from rasterflight_server.errors import ServiceError
from rasterflight_server.flight.boundary import bug, flight_error
from rasterflight_server.flight.identity import credentials
from rasterflight_server.flight.identity.gate import Gate
from rasterflight_server.flight.identity.peers import address_of
from rasterflight_server.flight.life import Life
from rasterflight_server.flight.observe.observer import Observer
from rasterflight_server.flight.observe.tally import CALL, Tally
from rasterflight_server.types.caller import ANONYMOUS, Caller

REQUEST_ID_HEADER = "x-request-id"
_USABLE_ID = re.compile(r"[\w.:/+=-]{1,128}", re.ASCII)


class Call(fl.ServerMiddleware):
    """One call."""

    def __init__(
        self,
        request_id: str,
        gate: Gate,
        authorization: Sequence[str],
        *,
        tally: Tally,
        observer: Observer,
        offer: str = "",
        welcome: str | None = None,
    ) -> None:
        self.request_id = request_id
        #: Nobody yet: ``identify`` finds out, as soon as it is known where the call comes from.
        self.caller = ANONYMOUS
        self.tally = tally
        #: Memory for batches, see ``Handover``.
        self.offer = offer
        self._observer = observer
        self._gate = gate
        self._authorization = authorization
        self._identified = False
        self._welcome = welcome

    def identify(self, context: fl.ServerCallContext) -> Caller:
        """Who makes the call; raises as ``Gate.identify``."""
        if not self._identified:
            self.caller = self._gate.identify(self._authorization, context.peer(), context.peer_identity())
            self.tally.made_by(self.caller.name)
            self._identified = True
        return self.caller

    def sending_headers(self) -> dict[str, str]:
        """Tell the caller the id, so that both logs can be laid side by side; and after a handshake, what to send from now on."""
        token = {} if self._welcome is None else {credentials.HEADER: f"Bearer {self._welcome}"}
        return {REQUEST_ID_HEADER: self.request_id, **token}

    def call_completed(self, exception: Exception | None) -> None:
        """Tell of the call."""
        self._observer.end(self.tally, exception)


class CallFactory(fl.ServerMiddlewareFactory):
    """Gives each call an id (the caller's own, when it sent one), answers handshakes, and refuses calls while the server drains.

    Actions are let through: one of them tells how the server is, and which it is, is not known here.

    Parameters
    ----------
    gate
        Who is let in.
    life
        Whether calls are taken.
    observer
        Told of each call, also of those that are refused.
    """

    NAME = CALL

    def __init__(self, gate: Gate, life: Life, observer: Observer) -> None:
        self._gate = gate
        self._life = life
        self._observer = observer

    def start_call(self, info: fl.CallInfo, headers: dict[str, list[str]]) -> Call:
        """Begin a call."""
        sent = headers.get(REQUEST_ID_HEADER, [""])[0]
        request_id = sent if _USABLE_ID.fullmatch(sent) else uuid.uuid4().hex
        authorization = headers.get(credentials.HEADER, [])
        tally = self._observer.begin(info.method, request_id, headers)
        try:
            if info.method != fl.FlightMethod.DO_ACTION:
                self._life.check_open()
            # Arrow shows the handshake itself nothing of the call.
            shaking = info.method == fl.FlightMethod.HANDSHAKE
            welcome = self._gate.welcome(authorization) if shaking else None
        except BaseException as error:  # noqa: BLE001 - see bug
            told = error if isinstance(error, ServiceError) else bug(request_id)
            tally.failed(told.code)
            self._observer.end(tally)
            raise flight_error(told, request_id) from None
        offer = headers.get(HANDOVER_HEADER, [""])[0]
        return Call(
            request_id, self._gate, authorization, tally=tally, observer=self._observer, offer=offer, welcome=welcome
        )


def request_id(context: fl.ServerCallContext) -> str:
    """The id of the call."""
    return _call(context).request_id


def offer(context: fl.ServerCallContext) -> str:
    """Memory that the caller offers for batches; empty: none."""
    return _call(context).offer


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
