from google.protobuf import timestamp_pb2 as _timestamp_pb2
from rasterflight_protocol.v1 import read_pb2 as _read_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Plan(_message.Message):
    __slots__ = ("snapshot", "records", "chips", "rows", "tiles", "bytes_to_fetch", "bytes_to_receive", "crs", "levels")
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    CHIPS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    TILES_FIELD_NUMBER: _ClassVar[int]
    BYTES_TO_FETCH_FIELD_NUMBER: _ClassVar[int]
    BYTES_TO_RECEIVE_FIELD_NUMBER: _ClassVar[int]
    CRS_FIELD_NUMBER: _ClassVar[int]
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    snapshot: str
    records: int
    chips: int
    rows: int
    tiles: int
    bytes_to_fetch: int
    bytes_to_receive: int
    crs: _containers.RepeatedScalarFieldContainer[str]
    levels: _containers.RepeatedCompositeFieldContainer[BandLevels]
    def __init__(self, snapshot: _Optional[str] = ..., records: _Optional[int] = ..., chips: _Optional[int] = ..., rows: _Optional[int] = ..., tiles: _Optional[int] = ..., bytes_to_fetch: _Optional[int] = ..., bytes_to_receive: _Optional[int] = ..., crs: _Optional[_Iterable[str]] = ..., levels: _Optional[_Iterable[_Union[BandLevels, _Mapping]]] = ...) -> None: ...

class BandLevels(_message.Message):
    __slots__ = ("band", "levels")
    BAND_FIELD_NUMBER: _ClassVar[int]
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    band: str
    levels: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, band: _Optional[str] = ..., levels: _Optional[_Iterable[int]] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("bytes_done", "bytes_total", "next", "handover")
    BYTES_DONE_FIELD_NUMBER: _ClassVar[int]
    BYTES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    HANDOVER_FIELD_NUMBER: _ClassVar[int]
    bytes_done: int
    bytes_total: int
    next: _read_pb2.Position
    handover: Handover
    def __init__(self, bytes_done: _Optional[int] = ..., bytes_total: _Optional[int] = ..., next: _Optional[_Union[_read_pb2.Position, _Mapping]] = ..., handover: _Optional[_Union[Handover, _Mapping]] = ...) -> None: ...

class Handover(_message.Message):
    __slots__ = ("slot", "length")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    slot: int
    length: int
    def __init__(self, slot: _Optional[int] = ..., length: _Optional[int] = ...) -> None: ...

class Upload(_message.Message):
    __slots__ = ("id", "areas", "expires")
    ID_FIELD_NUMBER: _ClassVar[int]
    AREAS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    id: str
    areas: int
    expires: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., areas: _Optional[int] = ..., expires: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
