"""Where the rows of a request begin: after those that an earlier stream has sent."""

from dataclasses import dataclass

from rasterflight_protocol import ErrorCode
from rasterflight_protocol.v1.read_pb2 import LAYOUT_PIXELS, Position, ReadRequest
from rasterflight_server.errors import RequestError


@dataclass(frozen=True, slots=True)
class Start:
    """A ``Position``, checked; what it pins stands in the request itself."""

    #: Records that are through, and rows of the one after these.
    records: int = 0
    rows: int = 0
    #: Points of an exchange that are through.
    points: int = 0
    nbytes: int = 0
    #: In the pixels layout: rows that are through of the pixels after all that.
    pixels: int = 0

    def check(self, records: int, rows: int | None = None) -> None:
        """Refuse a place that the stream does not have.

        Parameters
        ----------
        records
            Records of the stream.
        rows
            Rows of the record that is partly through; None: not known yet.
        """
        if self.records > records or (self.records == records and self.rows):
            raise _bad(f"the read has {records} records, and {self.records} are said to be through")
        if rows is not None and self.rows > rows:
            raise _bad(f"record {self.records} of the read has {rows} rows, and {self.rows} are said to be through")

    def check_pixels(self, left: int) -> None:
        """Refuse more pixels than there were in one piece of the stream, of which so many are ``left``."""
        if left:
            raise _bad(f"there are {self.pixels - left} pixels at that place, and {self.pixels} are said to be through")


#: No count is as large; sums of two of them fit into a field.
_LIMIT = 1 << 60


def parse_start(message: ReadRequest) -> Start:
    """Check where the rows are to begin.

    Raises
    ------
    RequestError
        It is no position that a stream for this request could have told.
    """
    told = message.start
    for field in Position.DESCRIPTOR.fields_by_name:
        value = getattr(told, field)
        if isinstance(value, int) and not 0 <= value < _LIMIT:
            raise _bad(f"{field} is {value}")
    if told.snapshot and message.snapshot and told.snapshot != message.snapshot:
        raise _bad("it is of another snapshot than the request")
    if message.HasField("start") and not told.snapshot:
        raise _bad("it does not say of which snapshot it is")
    if told.pixels and message.layout != LAYOUT_PIXELS:
        raise _bad(f"pixels is {told.pixels}, and no pixels layout is asked for")
    return Start(told.records, told.rows, told.points, told.bytes, told.pixels)


def _bad(what: str) -> RequestError:
    hint = "send back the position that came with the last batch, as it came"
    return RequestError(ErrorCode.BAD_REQUEST, f"start: {what}", field="start", hint=hint)
