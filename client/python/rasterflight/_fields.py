"""Protobuf messages without their definition: fields by number, as they stand on the wire."""

from collections.abc import Iterator


class UnexpectedFieldError(Exception):
    """A message is not what it was taken for."""


class Fields:
    """The fields of a protobuf message."""

    def __init__(self, message: bytes) -> None:
        self._fields: dict[int, list[int | bytes]] = {}
        for number, value in _fields(message):
            self._fields.setdefault(number, []).append(value)

    def numbers(self) -> list[int]:
        """Numbers of the fields that are there."""
        return list(self._fields)

    def only(self, *numbers: int) -> None:
        """Make sure that there are no other fields."""
        if not self._fields.keys() <= set(numbers):
            raise UnexpectedFieldError

    def packed(self, number: int) -> list[bytes]:
        """The values of a field that is text, a message, or a number of fixed size."""
        found = self._fields.get(number, [])
        if not all(isinstance(value, bytes) for value in found):
            raise UnexpectedFieldError
        return [value for value in found if isinstance(value, bytes)]

    def messages(self, number: int) -> list["Fields"]:
        """The values of a field that is a message."""
        return [Fields(value) for value in self.packed(number)]

    def text(self, number: int) -> str:
        """The value of a field that is text."""
        try:
            return b"".join(self.packed(number)[-1:]).decode()
        except UnicodeDecodeError:
            raise UnexpectedFieldError from None

    def number(self, number: int) -> int:
        """The value of a field that is a whole number; 0 is not written."""
        value = self._fields.get(number, [0])[-1]
        if not isinstance(value, int):
            raise UnexpectedFieldError
        return value


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        match key & 7:
            case 0:
                value, position = _varint(message, position)
                yield key >> 3, value
                continue
            case 1:
                size = 8
            case 2:
                size, position = _varint(message, position)
            case 5:
                size = 4
            case _:
                raise UnexpectedFieldError
        if position + size > len(message):
            raise UnexpectedFieldError
        yield key >> 3, message[position : position + size]
        position += size


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004
            return value, position
