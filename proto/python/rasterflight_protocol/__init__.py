"""What the rasterflight client and server have in common: messages, Arrow schemas, error codes."""

from rasterflight_protocol.bands import BandField, Categories, Colormap, nodata_pixel
from rasterflight_protocol.errors import ERROR_TRAILER, ErrorCode
from rasterflight_protocol.schemas import band_fields, chips_schema, pixels_schema, points_schema, records_schema
from rasterflight_protocol.tickets import TicketError, pack, unpack

__all__ = [
    "ERROR_TRAILER",
    "BandField",
    "Categories",
    "Colormap",
    "ErrorCode",
    "TicketError",
    "band_fields",
    "chips_schema",
    "nodata_pixel",
    "pack",
    "pixels_schema",
    "points_schema",
    "records_schema",
    "unpack",
]
