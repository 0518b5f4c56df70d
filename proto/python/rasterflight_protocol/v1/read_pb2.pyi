from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Match(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MATCH_UNSPECIFIED: _ClassVar[Match]
    MATCH_ALL: _ClassVar[Match]
    MATCH_LATEST: _ClassVar[Match]

class Neighbourhood(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NEIGHBOURHOOD_UNSPECIFIED: _ClassVar[Neighbourhood]
    NEIGHBOURHOOD_OFF: _ClassVar[Neighbourhood]
    NEIGHBOURHOOD_ALWAYS: _ClassVar[Neighbourhood]
    NEIGHBOURHOOD_IF_CENTER_NODATA: _ClassVar[Neighbourhood]

class Resampling(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESAMPLING_UNSPECIFIED: _ClassVar[Resampling]
    RESAMPLING_NEAREST: _ClassVar[Resampling]
    RESAMPLING_BILINEAR: _ClassVar[Resampling]
    RESAMPLING_CUBIC: _ClassVar[Resampling]
    RESAMPLING_AVERAGE: _ClassVar[Resampling]
    RESAMPLING_MODE: _ClassVar[Resampling]

class Values(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VALUES_UNSPECIFIED: _ClassVar[Values]
    VALUES_RAW: _ClassVar[Values]
    VALUES_SCALED: _ClassVar[Values]

class Layout(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LAYOUT_UNSPECIFIED: _ClassVar[Layout]
    LAYOUT_CHIPS: _ClassVar[Layout]
    LAYOUT_RECORDS: _ClassVar[Layout]
    LAYOUT_POINTS: _ClassVar[Layout]
    LAYOUT_OUTLINES: _ClassVar[Layout]
    LAYOUT_PIXELS: _ClassVar[Layout]

class OnError(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ON_ERROR_UNSPECIFIED: _ClassVar[OnError]
    ON_ERROR_RAISE: _ClassVar[OnError]
    ON_ERROR_SKIP: _ClassVar[OnError]

class Compression(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMPRESSION_UNSPECIFIED: _ClassVar[Compression]
    COMPRESSION_NONE: _ClassVar[Compression]
    COMPRESSION_LZ4: _ClassVar[Compression]
    COMPRESSION_ZSTD: _ClassVar[Compression]
MATCH_UNSPECIFIED: Match
MATCH_ALL: Match
MATCH_LATEST: Match
NEIGHBOURHOOD_UNSPECIFIED: Neighbourhood
NEIGHBOURHOOD_OFF: Neighbourhood
NEIGHBOURHOOD_ALWAYS: Neighbourhood
NEIGHBOURHOOD_IF_CENTER_NODATA: Neighbourhood
RESAMPLING_UNSPECIFIED: Resampling
RESAMPLING_NEAREST: Resampling
RESAMPLING_BILINEAR: Resampling
RESAMPLING_CUBIC: Resampling
RESAMPLING_AVERAGE: Resampling
RESAMPLING_MODE: Resampling
VALUES_UNSPECIFIED: Values
VALUES_RAW: Values
VALUES_SCALED: Values
LAYOUT_UNSPECIFIED: Layout
LAYOUT_CHIPS: Layout
LAYOUT_RECORDS: Layout
LAYOUT_POINTS: Layout
LAYOUT_OUTLINES: Layout
LAYOUT_PIXELS: Layout
ON_ERROR_UNSPECIFIED: OnError
ON_ERROR_RAISE: OnError
ON_ERROR_SKIP: OnError
COMPRESSION_UNSPECIFIED: Compression
COMPRESSION_NONE: Compression
COMPRESSION_LZ4: Compression
COMPRESSION_ZSTD: Compression

class ReadRequest(_message.Message):
    __slots__ = ("collection", "bands", "geometries", "windows", "points", "filters", "grid", "layout", "on_error", "snapshot", "shard", "batch_bytes", "compression", "start", "columns", "geometry_ids")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    BANDS_FIELD_NUMBER: _ClassVar[int]
    GEOMETRIES_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    GRID_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_FIELD_NUMBER: _ClassVar[int]
    ON_ERROR_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    BATCH_BYTES_FIELD_NUMBER: _ClassVar[int]
    COMPRESSION_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    GEOMETRY_IDS_FIELD_NUMBER: _ClassVar[int]
    collection: str
    bands: _containers.RepeatedScalarFieldContainer[str]
    geometries: Geometries
    windows: Windows
    points: Points
    filters: _containers.RepeatedCompositeFieldContainer[Filter]
    grid: GridOptions
    layout: Layout
    on_error: OnError
    snapshot: str
    shard: Shard
    batch_bytes: int
    compression: Compression
    start: Position
    columns: _containers.RepeatedScalarFieldContainer[str]
    geometry_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, collection: _Optional[str] = ..., bands: _Optional[_Iterable[str]] = ..., geometries: _Optional[_Union[Geometries, _Mapping]] = ..., windows: _Optional[_Union[Windows, _Mapping]] = ..., points: _Optional[_Union[Points, _Mapping]] = ..., filters: _Optional[_Iterable[_Union[Filter, _Mapping]]] = ..., grid: _Optional[_Union[GridOptions, _Mapping]] = ..., layout: _Optional[_Union[Layout, str]] = ..., on_error: _Optional[_Union[OnError, str]] = ..., snapshot: _Optional[str] = ..., shard: _Optional[_Union[Shard, _Mapping]] = ..., batch_bytes: _Optional[int] = ..., compression: _Optional[_Union[Compression, str]] = ..., start: _Optional[_Union[Position, _Mapping]] = ..., columns: _Optional[_Iterable[str]] = ..., geometry_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class Position(_message.Message):
    __slots__ = ("snapshot", "batch_bytes", "records", "rows", "points", "bytes", "pixels")
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    BATCH_BYTES_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    PIXELS_FIELD_NUMBER: _ClassVar[int]
    snapshot: str
    batch_bytes: int
    records: int
    rows: int
    points: int
    bytes: int
    pixels: int
    def __init__(self, snapshot: _Optional[str] = ..., batch_bytes: _Optional[int] = ..., records: _Optional[int] = ..., rows: _Optional[int] = ..., points: _Optional[int] = ..., bytes: _Optional[int] = ..., pixels: _Optional[int] = ...) -> None: ...

class Geometries(_message.Message):
    __slots__ = ("crs", "bboxes", "wkb", "upload")
    CRS_FIELD_NUMBER: _ClassVar[int]
    BBOXES_FIELD_NUMBER: _ClassVar[int]
    WKB_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_FIELD_NUMBER: _ClassVar[int]
    crs: str
    bboxes: BBoxes
    wkb: WkbList
    upload: str
    def __init__(self, crs: _Optional[str] = ..., bboxes: _Optional[_Union[BBoxes, _Mapping]] = ..., wkb: _Optional[_Union[WkbList, _Mapping]] = ..., upload: _Optional[str] = ...) -> None: ...

class BBox(_message.Message):
    __slots__ = ("minx", "miny", "maxx", "maxy")
    MINX_FIELD_NUMBER: _ClassVar[int]
    MINY_FIELD_NUMBER: _ClassVar[int]
    MAXX_FIELD_NUMBER: _ClassVar[int]
    MAXY_FIELD_NUMBER: _ClassVar[int]
    minx: float
    miny: float
    maxx: float
    maxy: float
    def __init__(self, minx: _Optional[float] = ..., miny: _Optional[float] = ..., maxx: _Optional[float] = ..., maxy: _Optional[float] = ...) -> None: ...

class BBoxes(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedCompositeFieldContainer[BBox]
    def __init__(self, values: _Optional[_Iterable[_Union[BBox, _Mapping]]] = ...) -> None: ...

class WkbList(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, values: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Windows(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedCompositeFieldContainer[Window]
    def __init__(self, values: _Optional[_Iterable[_Union[Window, _Mapping]]] = ...) -> None: ...

class Window(_message.Message):
    __slots__ = ("col_off", "row_off", "width", "height")
    COL_OFF_FIELD_NUMBER: _ClassVar[int]
    ROW_OFF_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    col_off: int
    row_off: int
    width: int
    height: int
    def __init__(self, col_off: _Optional[int] = ..., row_off: _Optional[int] = ..., width: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class Points(_message.Message):
    __slots__ = ("crs", "x", "y", "match", "max_distance_pixels", "neighbourhood")
    CRS_FIELD_NUMBER: _ClassVar[int]
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    MAX_DISTANCE_PIXELS_FIELD_NUMBER: _ClassVar[int]
    NEIGHBOURHOOD_FIELD_NUMBER: _ClassVar[int]
    crs: str
    x: _containers.RepeatedScalarFieldContainer[float]
    y: _containers.RepeatedScalarFieldContainer[float]
    match: Match
    max_distance_pixels: int
    neighbourhood: Neighbourhood
    def __init__(self, crs: _Optional[str] = ..., x: _Optional[_Iterable[float]] = ..., y: _Optional[_Iterable[float]] = ..., match: _Optional[_Union[Match, str]] = ..., max_distance_pixels: _Optional[int] = ..., neighbourhood: _Optional[_Union[Neighbourhood, str]] = ...) -> None: ...

class Filter(_message.Message):
    __slots__ = ("cloud_cover_lt", "date_range", "bbox", "geometries", "split", "split_column", "ids", "where")
    CLOUD_COVER_LT_FIELD_NUMBER: _ClassVar[int]
    DATE_RANGE_FIELD_NUMBER: _ClassVar[int]
    BBOX_FIELD_NUMBER: _ClassVar[int]
    GEOMETRIES_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    SPLIT_COLUMN_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    cloud_cover_lt: float
    date_range: DateRange
    bbox: BBox
    geometries: Geometries
    split: _containers.RepeatedScalarFieldContainer[str]
    split_column: str
    ids: _containers.RepeatedScalarFieldContainer[str]
    where: str
    def __init__(self, cloud_cover_lt: _Optional[float] = ..., date_range: _Optional[_Union[DateRange, _Mapping]] = ..., bbox: _Optional[_Union[BBox, _Mapping]] = ..., geometries: _Optional[_Union[Geometries, _Mapping]] = ..., split: _Optional[_Iterable[str]] = ..., split_column: _Optional[str] = ..., ids: _Optional[_Iterable[str]] = ..., where: _Optional[str] = ...) -> None: ...

class DateRange(_message.Message):
    __slots__ = ("start", "end")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    start: str
    end: str
    def __init__(self, start: _Optional[str] = ..., end: _Optional[str] = ...) -> None: ...

class GridOptions(_message.Message):
    __slots__ = ("all_touched", "target_crs", "masked", "values", "resolution", "resampling", "band_resampling", "common", "bounds", "anchor", "grid", "whole_areas", "part")
    class BandResamplingEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Resampling
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Resampling, str]] = ...) -> None: ...
    ALL_TOUCHED_FIELD_NUMBER: _ClassVar[int]
    TARGET_CRS_FIELD_NUMBER: _ClassVar[int]
    MASKED_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    RESAMPLING_FIELD_NUMBER: _ClassVar[int]
    BAND_RESAMPLING_FIELD_NUMBER: _ClassVar[int]
    COMMON_FIELD_NUMBER: _ClassVar[int]
    BOUNDS_FIELD_NUMBER: _ClassVar[int]
    ANCHOR_FIELD_NUMBER: _ClassVar[int]
    GRID_FIELD_NUMBER: _ClassVar[int]
    WHOLE_AREAS_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    all_touched: bool
    target_crs: str
    masked: bool
    values: Values
    resolution: _containers.RepeatedScalarFieldContainer[float]
    resampling: Resampling
    band_resampling: _containers.ScalarMap[str, Resampling]
    common: bool
    bounds: BBox
    anchor: _containers.RepeatedScalarFieldContainer[float]
    grid: TargetGrid
    whole_areas: bool
    part: BBox
    def __init__(self, all_touched: bool = ..., target_crs: _Optional[str] = ..., masked: bool = ..., values: _Optional[_Union[Values, str]] = ..., resolution: _Optional[_Iterable[float]] = ..., resampling: _Optional[_Union[Resampling, str]] = ..., band_resampling: _Optional[_Mapping[str, Resampling]] = ..., common: bool = ..., bounds: _Optional[_Union[BBox, _Mapping]] = ..., anchor: _Optional[_Iterable[float]] = ..., grid: _Optional[_Union[TargetGrid, _Mapping]] = ..., whole_areas: bool = ..., part: _Optional[_Union[BBox, _Mapping]] = ...) -> None: ...

class TargetGrid(_message.Message):
    __slots__ = ("crs", "transform", "width", "height")
    CRS_FIELD_NUMBER: _ClassVar[int]
    TRANSFORM_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    crs: str
    transform: _containers.RepeatedScalarFieldContainer[float]
    width: int
    height: int
    def __init__(self, crs: _Optional[str] = ..., transform: _Optional[_Iterable[float]] = ..., width: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class Shard(_message.Message):
    __slots__ = ("index", "count")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    index: int
    count: int
    def __init__(self, index: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...
