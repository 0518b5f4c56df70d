"""How long a ticket may be, and how much of anything it may hold.

An empty message takes two bytes of a ticket and a hundred bytes of memory, so what a ticket holds is counted before it is parsed.
"""

from collections.abc import Iterator
from typing import Any, Final

from rasterflight_protocol import ErrorCode
from rasterflight_protocol.v1.read_pb2 import ReadRequest
from rasterflight_server.errors import RequestError

#: A set of points, as many as are answered at once, is 16 MiB.
MAX_BYTES: Final = 32 << 20
#: Messages, texts and numbers that are not packed.
MAX_THINGS: Final = 1 << 17
#: Tickets in JSON are for people, and take far more memory than their bytes.
MAX_JSON_BYTES: Final = 4 << 20
MAX_JSON_VALUES: Final = 30_000
MAX_BANDS: Final = 2000
MAX_FILTERS: Final = 100
#: Characters of a name, of a CRS, and of all CQL2 expressions together.
MAX_NAME: Final = 1000
MAX_CRS: Final = 1 << 16
MAX_WHERE: Final = 1 << 20
#: So many bytes cannot hold too much.
_HARMLESS: Final = 1 << 16

_HINT: Final = (
    "send many areas up before (DoPut) and name the upload, ask for many points in several requests, "
    "and write what is long as protobuf instead of JSON"
)
_VALUE_OF_ANY: Final = 2
#: Bit of a byte that is not the last one of a number.
_GOES_ON: Final = 128
#: The fewest bytes of two fields.
_TWO_THINGS: Final = 4
#: Descriptors, whose class depends on how protobuf was built.
_REQUEST: Final[Any] = ReadRequest.DESCRIPTOR


def check_ticket(ticket: bytes) -> None:
    """Refuse a ticket that would take too much memory; one that is not well formed is left to the parser.

    Raises
    ------
    RequestError
        LIMIT_EXCEEDED.
    """
    if ticket[:64].lstrip()[:1] == b"{":
        _check(len(ticket), MAX_JSON_BYTES, "the ticket has {} bytes of JSON", "ticket")
        _check(ticket.count(b","), MAX_JSON_VALUES, "the ticket has {} values in JSON", "ticket")
        return
    _check(len(ticket), MAX_BYTES, "the ticket has {} bytes", "ticket")
    if len(ticket) > _HARMLESS:
        _check(
            _things(ticket), MAX_THINGS, "the ticket has {} or more areas, windows, texts and other things", "ticket"
        )


def check_parts(message: ReadRequest) -> None:
    """Refuse lists and texts that are longer than anything that there is.

    Raises
    ------
    RequestError
        LIMIT_EXCEEDED.
    """
    _check(len(message.bands), MAX_BANDS, "there are {} bands", "bands")
    _check(len(message.filters), MAX_FILTERS, "there are {} filters", "filters")
    for field, text in _names(message):
        _check(len(text), MAX_NAME, f"{field} has {{}} characters", field)
    for field, text in _crs(message):
        _check(len(text), MAX_CRS, f"{field} has {{}} characters", field)
    where = sum(len(item.where) for item in message.filters)
    _check(where, MAX_WHERE, "the expressions have {} characters", "filters.where")


def _names(message: ReadRequest) -> Iterator[tuple[str, str]]:
    yield "collection", message.collection
    yield "snapshot", message.snapshot
    yield "geometries.upload", message.geometries.upload
    for number, band in enumerate(message.bands):
        yield f"bands[{number}]", band
    for band in message.grid.band_resampling:
        yield "grid.band_resampling", band
    for number, item in enumerate(message.filters):
        yield f"filters[{number}].split_column", item.split_column
        yield f"filters[{number}].geometries.upload", item.geometries.upload
        for name in ("start", "end"):
            yield f"filters[{number}].date_range.{name}", getattr(item.date_range, name)


def _crs(message: ReadRequest) -> Iterator[tuple[str, str]]:
    yield "geometries.crs", message.geometries.crs
    yield "points.crs", message.points.crs
    yield "grid.target_crs", message.grid.target_crs
    yield "grid.grid.crs", message.grid.grid.crs
    for number, item in enumerate(message.filters):
        yield f"filters[{number}].geometries.crs", item.geometries.crs


def _check(count: int, most: int, what: str, field: str) -> None:
    if count > most:
        raise RequestError(
            ErrorCode.LIMIT_EXCEEDED,
            f"{what.format(count)}, the limit is {most}",
            field=field,
            hint=_HINT if field == "ticket" else "ask for parts one after the other",
        )


def _things(ticket: bytes) -> int:  # noqa: C901 - one loop: every call in it would double its time
    """Count the fields of a ticket, up to the limit."""
    count = 0
    # Parts to look into: first the Any, in it the request.
    parts: list[tuple[int, int, Any]] = [(0, len(ticket), None)]
    while parts:
        position, end, kind = parts.pop()
        inside = _INSIDE[kind.full_name] if kind else {_VALUE_OF_ANY: _REQUEST}
        while position < end and count <= MAX_THINGS:
            count += 1
            # Most are a byte long; to call a function takes longer than all the rest.
            tag, position = ticket[position], position + 1
            if tag >= _GOES_ON:
                tag, position = _varint(ticket, position - 1)
            if not tag >> 3:
                break  # what is damaged the parser refuses
            match tag & 7:
                case 0:
                    _, position = _varint(ticket, position)
                case 1:
                    position += 8
                case 2:
                    length, position = (ticket[position], position + 1) if position < end else (0, end)
                    if length >= _GOES_ON:
                        length, position = _varint(ticket, position - 1)
                    if length >= _TWO_THINGS and (found := inside.get(tag >> 3)) is not None:
                        parts.append((position, min(position + length, end), found))
                    position += length
                case 5:
                    position += 4
                case _:
                    pass  # groups are unknown to us: their fields are counted one by one
    return count


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    for byte in data[position : position + 10]:
        value |= (byte & 127) << shift
        shift += 7
        if byte < _GOES_ON:
            return value, position + shift // 7
    return 0, len(data)


def _holders(kind: Any, found: dict[str, dict[int, Any]]) -> dict[str, dict[int, Any]]:
    """The messages that may hold any number of things, and by which fields; others need not be looked into."""
    if kind.full_name not in found:
        found[kind.full_name] = fields = {}
        for field in kind.fields:
            inner = field.message_type
            if inner is not None:
                _holders(inner, found)
                if found[inner.full_name] or any(one.is_repeated for one in inner.fields):
                    fields[field.number] = inner
    return found


_INSIDE: Final = _holders(_REQUEST, {})
