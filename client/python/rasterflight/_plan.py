"""What a read will do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from google.protobuf.message import DecodeError

from rasterflight._connection import schema_of
from rasterflight.errors import ProtocolError
from rasterflight_protocol.v1 import plan_pb2

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024


@dataclass(frozen=True, slots=True)
class Plan:
    """What the server found out about a read before it fetched a pixel."""

    #: Snapshot of the index that the plan was made on.
    snapshot: str
    #: Records that take part.
    records: int
    #: Pairs of record and area that overlap.
    chips: int
    #: Rows that the read will give; None: that takes as long to find out as to read them (pixels of many areas).
    rows: int | None
    #: Distinct TIFF tiles under the windows.
    tiles: int
    #: Bytes of those tiles as they are stored.
    bytes_to_fetch: int
    #: Bytes of pixels that the stream will carry.
    bytes_to_receive: int
    #: CRS of the rasters that take part.
    crs: tuple[str, ...]
    #: ``pyarrow.flight.FlightEndpoint``: parts of the read that can be taken in parallel; in order, they are the read.
    endpoints: tuple[Any, ...]
    #: Schema of the rows.
    schema: pa.Schema
    #: Levels of the files that resampled bands are read from, by band; 0: full resolution, n: the n-th overview.
    levels: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        return (
            f"{_count(self.records, 'record')}, {_count(self.chips, 'chip')}, {_count(self.rows, 'row')}"
            f" in {', '.join(self.crs) or 'no CRS'}\n"
            f"fetch {human_bytes(self.bytes_to_fetch)} in {_count(self.tiles, 'tile')}, "
            f"receive {human_bytes(self.bytes_to_receive)} from {_count(len(self.endpoints), 'endpoint')}\n"
            f"{self._resampled()}snapshot {self.snapshot}"
        )

    def _resampled(self) -> str:
        if not self.levels:
            return ""
        told = (f"{band} from level {', '.join(map(str, levels))}" for band, levels in self.levels.items())
        return f"resample {'; '.join(told)}\n"


def plan_from(info: Any, url: str) -> Plan:
    """Read the plan in a FlightInfo.

    Raises
    ------
    ProtocolError
        There is none.
    """
    told = plan_pb2.Plan()
    try:
        told.ParseFromString(bytes(info.app_metadata))
    except DecodeError:
        raise ProtocolError(f"{url} does not answer as a rasterflight server does: it sent no plan") from None
    return Plan(
        snapshot=told.snapshot,
        records=told.records,
        chips=told.chips,
        rows=None if told.rows < 0 else told.rows,
        tiles=told.tiles,
        bytes_to_fetch=told.bytes_to_fetch,
        bytes_to_receive=told.bytes_to_receive,
        crs=tuple(told.crs),
        endpoints=tuple(info.endpoints),
        schema=schema_of(info, url),
        levels={one.band: tuple(one.levels) for one in told.levels},
    )


def human_bytes(count: int) -> str:
    """Write a number of bytes for people: ``"12.3 MiB"``."""
    size, unit = float(count), 0
    while size >= _STEP and unit + 1 < len(_UNITS):
        size, unit = size / _STEP, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{count} B"


def _count(number: int | None, noun: str) -> str:
    if number is None:
        return f"an unknown number of {noun}s"
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
