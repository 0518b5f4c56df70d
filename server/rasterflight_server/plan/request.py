"""A ticket, checked: what can be said to be wrong before anything is looked up."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rasterflight_protocol import ErrorCode
from rasterflight_protocol.v1.read_pb2 import (
    COMPRESSION_LZ4,
    COMPRESSION_NONE,
    COMPRESSION_UNSPECIFIED,
    COMPRESSION_ZSTD,
    LAYOUT_CHIPS,
    LAYOUT_OUTLINES,
    LAYOUT_PIXELS,
    LAYOUT_POINTS,
    LAYOUT_RECORDS,
    LAYOUT_UNSPECIFIED,
    ON_ERROR_RAISE,
    ON_ERROR_SKIP,
    ON_ERROR_UNSPECIFIED,
    VALUES_RAW,
    VALUES_SCALED,
    VALUES_UNSPECIFIED,
    Filter,
    GridOptions,
    Layout,
    ReadRequest,
)
from rasterflight_server.errors import RequestError
from rasterflight_server.plan.areas import Areas
from rasterflight_server.plan.gridoptions import Target, parse_target
from rasterflight_server.plan.limits import USUAL, Allowance
from rasterflight_server.plan.points import Points, check_bands, parse_points
from rasterflight_server.plan.start import Start, parse_start
from rasterflight_server.plan.ticketsize import check_parts
from rasterflight_server.plan.upload import FindUpload, no_uploads
from rasterflight_server.types import Window

MIB = 1 << 20
#: Where throughput peaks.
DEFAULT_BATCH_BYTES = 4 * MIB
#: Well below the 16 MiB above which Flight clients in Go refuse a message.
MAX_BATCH_BYTES = 8 * MIB
_MIN_BATCH_BYTES = 1 << 16
#: As Arrow names them.
_CODECS = {COMPRESSION_UNSPECIFIED: None, COMPRESSION_NONE: None, COMPRESSION_LZ4: "lz4", COMPRESSION_ZSTD: "zstd"}
#: Fields of GridOptions that mean nothing to single pixels.
_OF_GRIDS = frozenset(GridOptions.DESCRIPTOR.fields_by_name) - {"masked", "values"}
_NOT_OF_POINTS = frozenset(["shard", "columns", "geometry_ids"])
_LAYOUTS = (LAYOUT_CHIPS, LAYOUT_RECORDS, LAYOUT_POINTS, LAYOUT_OUTLINES, LAYOUT_PIXELS)


@dataclass(frozen=True, slots=True)
class Request:
    """A ReadRequest whose every field makes sense by itself."""

    collection: str
    bands: Sequence[str]
    areas: Areas | None
    windows: Sequence[Window] | None
    #: 0-based numbers of the areas or windows that take part; None: all.
    numbers: Sequence[int] | None
    #: Of the points layout, and only of it.
    points: Points | None
    filters: Sequence[Filter]
    #: The areas inside ``filters``, by the number of the filter.
    filter_areas: Sequence[Areas]
    all_touched: bool
    #: The grid that the pixels are to be on.
    target: Target
    #: Invalid pixels are to be null; always so in the pixels layout.
    masked: bool
    #: Pixels are to be physical values.
    scaled: bool
    layout: Layout
    #: Names of the columns that are to come; none: all.
    columns: Sequence[str]
    skip_errors: bool
    snapshot: str
    shard_index: int
    shard_count: int
    batch_bytes: int
    #: How buffers travel, as Arrow names it; None: as they are.
    compression: str | None
    #: How much it may ask for.
    allowance: Allowance
    #: Rows before it are left out.
    start: Start
    message: ReadRequest

    @property
    def with_pixels(self) -> bool:
        """Pixels come back, by areas or windows."""
        return self.layout in (LAYOUT_CHIPS, LAYOUT_PIXELS)

    @property
    def states_batch_bytes(self) -> bool:
        """The size of batches is the caller's choice, or that of an earlier stream, and not the server's."""
        return self.message.batch_bytes > 0 or self.message.start.batch_bytes > 0

    @property
    def without_pixels(self) -> bool:
        """No pixels are asked for, but rows of the index, or where chips lie."""
        return self.layout in (LAYOUT_RECORDS, LAYOUT_OUTLINES)

    @property
    def wants_validity(self) -> bool:
        """The answer depends on which pixels are valid."""
        return self.masked or self.scaled or (self.points is not None and self.points.sampling.wants_validity)

    def reads(self, band: str) -> bool:
        """Whether the pixels of a band are to be read; if not, it only says where pixels are."""
        return not self.columns or band in self.columns


def parse_request(
    message: ReadRequest,
    uploads: FindUpload = no_uploads,
    allowance: Allowance = USUAL,
) -> Request:
    """Check a ReadRequest field by field.

    Parameters
    ----------
    uploads
        Finds areas that went up before.
    allowance
        How much it may ask for.

    Raises
    ------
    RequestError
        Naming the field at fault.
    """
    if not message.collection:
        raise _bad("no collection is named", "collection", "ListFlights tells what there is")
    check_parts(message)
    layout = _layout(message)
    bands = list(message.bands)
    _check_use(message, layout)
    if layout != LAYOUT_RECORDS:
        _check_bands(bands)
    index, count = _shard(message)
    start = parse_start(message)
    where = message.WhichOneof("where")
    areas = Areas(message.geometries, "geometries", uploads, allowance) if where == "geometries" else None
    windows = _windows(message, allowance) if where == "windows" else None
    return Request(
        collection=message.collection,
        bands=bands,
        areas=areas,
        windows=windows,
        numbers=_numbers(message, areas if windows is None else windows),
        points=_points(message) if where == "points" else None,
        filters=list(message.filters),
        filter_areas=[
            Areas(filter_.geometries, f"filters[{number}].geometries", uploads, allowance)
            for number, filter_ in enumerate(message.filters)
            if filter_.HasField("geometries")
        ],
        all_touched=message.grid.all_touched,
        target=parse_target(message.grid, bands),
        masked=message.grid.masked or layout == LAYOUT_PIXELS,
        scaled=_scaled(message),
        layout=layout,
        columns=list(message.columns),
        skip_errors=_skip_errors(message),
        snapshot=message.snapshot or message.start.snapshot,
        shard_index=index,
        shard_count=count,
        batch_bytes=_batch_bytes(message),
        compression=_compression(message),
        allowance=allowance,
        start=start,
        message=message,
    )


def _layout(message: ReadRequest) -> Layout:
    if message.layout == LAYOUT_UNSPECIFIED:
        return LAYOUT_CHIPS
    if message.layout not in _LAYOUTS:
        raise _bad(
            f"layout {message.layout} is not known to this server",
            "layout",
            f"use {', '.join(map(Layout.Name, _LAYOUTS))}",
        )
    return message.layout


def _check_use(message: ReadRequest, layout: Layout) -> None:
    """Refuse what a layout has no use for."""
    where = message.WhichOneof("where")
    if layout == LAYOUT_RECORDS and (message.bands or where in ("windows", "points")):
        field = "bands" if message.bands else str(where)
        raise _bad(f"the records layout has no use for {field}", field, "leave the field out, or ask for chips")
    if layout not in (LAYOUT_POINTS, LAYOUT_RECORDS) and where == "points":
        raise _bad("points are for the points layout", "points", "ask for LAYOUT_POINTS, or for areas or windows")
    if layout == LAYOUT_POINTS:
        if where != "points":
            raise _bad("the points layout takes points", "points", "give points, or ask for another layout")
        unused = [f"grid.{field.name}" for field, _ in message.grid.ListFields() if field.name in _OF_GRIDS]
        unused += [field.name for field, _ in message.ListFields() if field.name in _NOT_OF_POINTS]
        for field in unused:
            raise _bad(f"the points layout has no use for {field}", field, "leave the field out")
    told = message.grid
    if where == "windows" and (told.target_crs or told.resolution or told.HasField("bounds") or told.anchor):
        raise _bad(
            "they count the pixels of a grid that is not known before the read",
            "windows",
            "say all of the grid in grid.grid, or read the windows on the records' own grids",
        )


def _numbers(message: ReadRequest, places: Areas | Sequence[Window] | None) -> list[int] | None:
    if not message.geometry_ids:
        return None
    if places is None:
        raise _bad("there are no areas or windows to choose from", "geometry_ids", "leave the field out")
    for number in message.geometry_ids:
        if not 1 <= number <= len(places):
            raise _bad(f"there is no {number}", "geometry_ids", f"they run from 1 to {len(places)}")
    return sorted({number - 1 for number in message.geometry_ids})


def _points(message: ReadRequest) -> Points:
    points = parse_points(message.points)
    check_bands(points, len(message.bands))
    return points


def _check_bands(bands: Sequence[str]) -> None:
    if not bands:
        raise _bad("no band is named", "bands", "name at least one band of the collection")
    twice = sorted(band for band, count in Counter(bands).items() if count > 1)
    if twice:
        raise _bad(f"named twice: {', '.join(map(repr, twice))}", "bands", "name each band once")


def _windows(message: ReadRequest, allowance: Allowance) -> list[Window]:
    allowance.check("geometries", len(message.windows.values))
    windows = [Window(w.col_off, w.row_off, w.width, w.height) for w in message.windows.values]
    if not windows:
        raise _bad("there is no window in the list", "windows", "give at least one")
    limit = 1 << 31
    for number, window in enumerate(windows):
        if window.width <= 0 or window.height <= 0:
            raise _bad(f"{tuple(window)} has no pixels", f"windows[{number}]", "width and height must be positive")
        if max(map(abs, window)) > limit:
            raise _bad(f"{tuple(window)} is larger than any raster", f"windows[{number}]", "")
    return windows


def _skip_errors(message: ReadRequest) -> bool:
    if message.on_error not in (ON_ERROR_UNSPECIFIED, ON_ERROR_RAISE, ON_ERROR_SKIP):
        raise _bad(
            f"on_error {message.on_error} is not known to this server",
            "on_error",
            "use ON_ERROR_RAISE or ON_ERROR_SKIP",
        )
    return message.on_error == ON_ERROR_SKIP


def _scaled(message: ReadRequest) -> bool:
    values = message.grid.values
    if values not in (VALUES_UNSPECIFIED, VALUES_RAW, VALUES_SCALED):
        raise _bad(f"{values} is not known to this server", "grid.values", "use VALUES_RAW or VALUES_SCALED")
    return values == VALUES_SCALED


def _shard(message: ReadRequest) -> tuple[int, int]:
    if not message.HasField("shard"):
        return 0, 1
    index, count = message.shard.index, message.shard.count
    if not 0 <= index < count:
        raise _bad(f"shard {index} of {count} does not exist", "shard", "index runs from 0 to count - 1")
    return index, count


def _batch_bytes(message: ReadRequest) -> int:
    size = message.start.batch_bytes or message.batch_bytes
    if size == 0:
        return DEFAULT_BATCH_BYTES
    if not _MIN_BATCH_BYTES <= size <= MAX_BATCH_BYTES:
        raise _bad(f"{size} is out of range", "batch_bytes", f"between {_MIN_BATCH_BYTES} and {MAX_BATCH_BYTES}, or 0")
    return size


def _compression(message: ReadRequest) -> str | None:
    if message.compression not in _CODECS:
        raise _bad(
            f"{message.compression} is not known to this server",
            "compression",
            "use COMPRESSION_NONE, COMPRESSION_LZ4 or COMPRESSION_ZSTD",
        )
    return _CODECS[message.compression]


def _bad(message: str, field: str, hint: str) -> RequestError:
    return RequestError(ErrorCode.BAD_REQUEST, f"{field}: {message}", field=field, hint=hint)
