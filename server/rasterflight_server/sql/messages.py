"""Messages of Flight SQL, from a pool of their own: any runtime of protobuf loads them, beside any other package that has them."""

from importlib.resources import files
from typing import Any, Final

from google.protobuf import any_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import DecodeError, Message

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError

_FLIGHT: Final = "arrow.flight.protocol."
_SQL: Final = f"{_FLIGHT}sql."
_TYPE_URL: Final = "type.googleapis.com/"


def _load() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for file in FileDescriptorSet.FromString(files(__package__).joinpath("flightsql.binpb").read_bytes()).file:
        pool.Add(file)
    return pool


_POOL: Final = _load()


def make(name: str, **fields: Any) -> Message:
    """Make a message of Flight SQL, or of Flight when SQL has none of that name."""
    return _class(name)(**fields)


def name_of(message: Message) -> str:
    """Name of a message without its package."""
    return str(message.DESCRIPTOR.name)


def pack(message: Message) -> bytes:
    """Serialise a message inside an Any."""
    url = _TYPE_URL + message.DESCRIPTOR.full_name
    return any_pb2.Any(type_url=url, value=message.SerializeToString()).SerializeToString()


def is_sql(command: bytes | None) -> bool:
    """Whether a command or ticket belongs to Flight SQL."""
    return _envelope(command or b"").type_url.startswith(_TYPE_URL + _SQL)


def unpack(command: bytes) -> Message:
    """Read a message inside an Any.

    Raises
    ------
    RequestError
        BAD_REQUEST: it is none of Flight SQL's, or not one that is answered here.
    """
    envelope = _envelope(command)
    name = envelope.type_url.removeprefix(_TYPE_URL + _SQL)
    try:
        return _class(name).FromString(envelope.value)
    except KeyError:
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            f"{name[:100] or 'nothing'!r} is not answered here",
            field="command",
            hint="this service answers queries and questions about tables; it is read-only, without transactions and Substrait",
        ) from None
    except DecodeError:
        raise RequestError(ErrorCode.BAD_REQUEST, f"the {name} is damaged", field="command") from None


def read(name: str, body: bytes) -> Any:
    """Read a message that comes without an Any.

    Raises
    ------
    RequestError
        BAD_REQUEST: it is damaged.
    """
    try:
        return _class(name).FromString(body)
    except DecodeError:
        raise RequestError(ErrorCode.BAD_REQUEST, f"the {name} is damaged", field="body") from None


def _envelope(command: bytes) -> any_pb2.Any:
    try:
        return any_pb2.Any.FromString(command)
    except DecodeError:
        return any_pb2.Any()


def _class(name: str) -> type[Message]:
    """Class of a message; KeyError: there is none."""
    try:
        found = _POOL.FindMessageTypeByName(_SQL + name)
    except KeyError:
        found = _POOL.FindMessageTypeByName(_FLIGHT + name)
    return message_factory.GetMessageClass(found)
