"""Tickets: a ReadRequest as bytes and back."""

from google.protobuf import json_format
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError

from rasterflight_protocol.v1.read_pb2 import ReadRequest


class TicketError(ValueError):
    """The bytes are not a ticket."""


def pack(request: ReadRequest) -> bytes:
    """Serialise a request as a ticket (a ``google.protobuf.Any``)."""
    any_message = Any()
    any_message.Pack(request, deterministic=True)
    return any_message.SerializeToString(deterministic=True)


def unpack(ticket: bytes) -> ReadRequest:
    """Read a ticket: ``google.protobuf.Any``, or the canonical JSON form of a ReadRequest.

    Raises
    ------
    TicketError
        The bytes are neither, or name a field or an enum value that ReadRequest does not have.
    """
    if ticket.lstrip()[:1] == b"{":
        return _from_json(ticket)
    envelope = Any()
    try:
        envelope.ParseFromString(ticket)
    except DecodeError:
        raise TicketError(
            "the ticket is neither a google.protobuf.Any nor the JSON form of a rasterflight.v1.ReadRequest"
        ) from None
    request = ReadRequest()
    if envelope.TypeName() != request.DESCRIPTOR.full_name:
        kind = envelope.type_url.rpartition("/")[2] or "nothing"
        raise TicketError(f"the ticket holds {kind[:100]!r}, expected 'rasterflight.v1.ReadRequest'")
    try:
        envelope.Unpack(request)
    except DecodeError:
        raise TicketError("the ReadRequest inside the ticket is damaged") from None
    return request


def _from_json(ticket: bytes) -> ReadRequest:
    try:
        return json_format.Parse(ticket.decode("utf-8"), ReadRequest())
    except (json_format.ParseError, UnicodeDecodeError) as error:
        raise TicketError(f"the JSON ticket is not a ReadRequest: {error}") from None
    except RecursionError:
        raise TicketError("the JSON ticket is nested too deeply") from None
