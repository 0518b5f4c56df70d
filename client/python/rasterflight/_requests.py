"""Keywords of the read methods, made into the parts of a ReadRequest."""

import datetime as dt
import json
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict, cast

import numpy as np

from rasterflight._boxes import bbox_from
from rasterflight._crs import AUTO
from rasterflight._geometries import Areas, areas_from
from rasterflight._grids import GridKeywords
from rasterflight.errors import BadRequestError
from rasterflight_protocol.v1.read_pb2 import (
    COMPRESSION_LZ4,
    COMPRESSION_NONE,
    COMPRESSION_UNSPECIFIED,
    COMPRESSION_ZSTD,
    ON_ERROR_RAISE,
    ON_ERROR_SKIP,
    DateRange,
    Filter,
    Window,
    Windows,
)

Day = str | dt.date | np.datetime64 | None
OnError = Literal["raise", "skip"]
Compression = Literal["none", "lz4", "zstd"]
_COMPRESSION = {
    None: COMPRESSION_UNSPECIFIED,
    "none": COMPRESSION_NONE,
    "lz4": COMPRESSION_LZ4,
    "zstd": COMPRESSION_ZSTD,
}
_ON_ERROR = {"raise": ON_ERROR_RAISE, "skip": ON_ERROR_SKIP}
_SERVER_SIDE = frozenset(["backend", "cloud_config", "data_source"])


class FilterKeywords(TypedDict, total=False):
    """Which records take part. All that are given must hold; none is given by default."""

    cloud_cover_lt: float
    """Keep records whose ``eo:cloud_cover`` (0 to 100) is below this."""
    date_range: tuple[Day, Day]
    """Keep records between these two, both included. A date without a time covers its whole day (UTC), a time without
    a zone is UTC, None is no bound."""
    bbox: Sequence[float]
    """Keep records whose footprint intersects ``(minx, miny, maxx, maxy)``, in lon/lat."""
    split: str | Iterable[str]
    """Keep records with this value, or one of these, in the column ``split_column``."""
    split_column: str
    """The column that ``split`` looks at; ``"split"``."""
    ids: str | Iterable[str]
    """Keep records with this id, or these; each must exist."""
    where: str | Mapping[str, Any]
    """Keep records for which this CQL2 expression is true: text, or the JSON form as text or dict. It may use any column of
    the collection (``"eo:cloud_cover"``, ``view.azimuth``, ``datetime``, and ``geometry``, the footprint in lon/lat). A null never
    matches, and neither does NOT of it: ask with IS NULL."""


class ReadKeywords(GridKeywords, FilterKeywords, total=False):
    """What reads of pixels take besides: the grid, and which records take part."""


def divided(keywords: ReadKeywords) -> tuple[GridKeywords, FilterKeywords]:
    """Tell the keywords of a read apart.

    Raises
    ------
    TypeError
        There is no such keyword.
    """
    _check_names(keywords, ReadKeywords.__annotations__)
    grid = {name: value for name, value in keywords.items() if name in GridKeywords.__annotations__}
    filters = {name: value for name, value in keywords.items() if name not in grid}
    return cast("GridKeywords", grid), cast("FilterKeywords", filters)


def filter_message(
    keywords: Mapping[str, Any], geometries: Any = None, geometry_crs: Any = AUTO, geometry_column: str | None = None
) -> Filter | None:
    """Make the filter that some keywords say; None when they say nothing.

    Raises
    ------
    TypeError
        There is no such keyword.
    BadRequestError
        A value cannot be used; the rest is the server's to check.
    """
    _check_names(keywords, FilterKeywords.__annotations__)
    message = Filter()
    given = {name: value for name, value in keywords.items() if value is not None}
    if "cloud_cover_lt" in given:
        message.cloud_cover_lt = float(given["cloud_cover_lt"])
    if "date_range" in given:
        message.date_range.CopyFrom(_date_range(given["date_range"]))
    if "bbox" in given:
        message.bbox.CopyFrom(bbox_from(given["bbox"]))
    if geometries is not None:
        message.geometries.CopyFrom(areas_from(geometries, geometry_crs, geometry_column).message)
    message.split.extend(_names(given["split"], "split") if "split" in given else ())
    message.split_column = given.get("split_column", "")
    message.ids.extend(_names(given["ids"], "ids") if "ids" in given else ())
    if "where" in given:
        message.where = _expression(given["where"])
    return message if message.ByteSize() else None


def check_max_concurrent(value: int) -> None:
    """Refuse a number of parallel streams that is none.

    Raises
    ------
    ValueError
        It is not an integer from 1 on.
    """
    if not isinstance(value, numbers.Integral) or value < 1:
        raise BadRequestError(f"max_concurrent is {value!r}, expected an integer from 1 on", field="max_concurrent")


def band_names(bands: str | Iterable[str] | None) -> list[str]:
    """Read the bands asked for; one may come without a list.

    Raises
    ------
    BadRequestError
        There is none, or one is named twice.
    """
    names = [] if bands is None else [bands] if isinstance(bands, str) else list(bands)
    if not names:
        raise BadRequestError("no bands are named", field="bands", hint="Collection.bands lists what there is")
    _names(names, "bands")
    for name in names:
        if names.count(name) > 1:
            raise BadRequestError(f"bands names {name!r} more than once", field="bands")
    return names


def column_names(columns: Iterable[str] | None) -> list[str]:
    """Read the columns asked for; none: all.

    Raises
    ------
    BadRequestError
        There is none in the list.
    """
    if isinstance(columns, str):
        raise TypeError(f"columns is {columns!r}, expected a list of names")
    return [] if columns is None else _names(columns, "columns")


def where_from(geometries: Any, windows: Any, geometry_crs: Any, geometry_column: str | None) -> Areas | Windows | None:
    """Read what to cut out of each record: areas, windows, or None for the whole.

    Raises
    ------
    BadRequestError
        Both are given; a window is not four integers with a size above 0.
    RasterflightError
        See `areas_from`.
    """
    if geometries is None:
        return None if windows is None else _windows(windows)
    if windows is not None:
        raise BadRequestError("geometries and windows are both given, expected one of them", field="windows")
    return areas_from(geometries, geometry_crs, geometry_column)


def _windows(windows: Any) -> Windows:
    items = list(windows)
    if items and all(isinstance(item, numbers.Integral) for item in items):
        items = [items]
    if not items:
        raise BadRequestError("windows is empty", field="windows")
    return Windows(values=[_window(item, number) for number, item in enumerate(items, 1)])


def _window(item: Any, number: int) -> Window:
    parts = list(item) if isinstance(item, Iterable) else []
    if len(parts) == len(Window.DESCRIPTOR.fields) and all(isinstance(part, numbers.Integral) for part in parts):
        col_off, row_off, width, height = map(int, parts)
        if width > 0 and height > 0:
            return Window(col_off=col_off, row_off=row_off, width=width, height=height)
    raise BadRequestError(
        f"window {number} is {item!r}, expected integers (col_off, row_off, width, height) with a size above 0",
        field=f"windows[{number - 1}]",
    )


def on_error_value(on_error: str) -> Any:
    """Read ``on_error``.

    Raises
    ------
    BadRequestError
        Neither ``"raise"`` nor ``"skip"``.
    """
    if on_error not in _ON_ERROR:
        raise BadRequestError(f"on_error is {on_error!r}, expected 'raise' or 'skip'", field="on_error")
    return _ON_ERROR[on_error]


def compression_value(compression: str | None) -> Any:
    """Read ``compression``.

    Raises
    ------
    BadRequestError
        There is no such codec.
    """
    if compression not in _COMPRESSION:
        raise BadRequestError(f"compression is {compression!r}, expected 'none', 'lz4' or 'zstd'", field="compression")
    return _COMPRESSION[compression]


def _check_names(keywords: Iterable[str], accepted: Mapping[str, Any]) -> None:
    for name in sorted(_SERVER_SIDE.intersection(keywords)):
        raise TypeError(f"{name}= is not for a read: it is configuration of the collection on the server")
    if unknown := sorted(set(keywords) - accepted.keys()):
        filters = ", ".join(FilterKeywords.__annotations__)
        grid = ", ".join(name for name in GridKeywords.__annotations__ if name in accepted)
        told = f"filters are: {filters}" + (f"; for the grid: {grid}" if grid else "")
        raise TypeError(f"unexpected keyword {', '.join(unknown)}; {told}")


def _expression(where: Any) -> str:
    text = json.dumps(dict(where)) if isinstance(where, Mapping) else where
    if not isinstance(text, str):
        raise TypeError(f"where is {where!r}, expected CQL2 as text, or its JSON form as a dict")
    # on the wire it would mean "no condition"
    if not text.strip():
        raise BadRequestError("where is empty", field="where")
    return text


def _names(value: str | Iterable[str], field: str) -> list[str]:
    names = [value] if isinstance(value, str) else list(value)
    # an empty list on the wire would mean "no condition", the contrary of what it says here
    if not names:
        raise BadRequestError(f"{field} is empty", field=field)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{field} has {name!r}, expected text")
    return names


def _date_range(value: Any) -> DateRange:
    try:
        start, end = (None, None) if isinstance(value, str) else value
    except (TypeError, ValueError):
        start = end = None
    if start is None and end is None:
        raise BadRequestError(
            f"date_range is {value!r}, expected (start, end), of which one may be None", field="date_range"
        )
    return DateRange(start=_iso(start), end=_iso(end))


def _iso(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, dt.date | np.datetime64):
        return value.isoformat() if isinstance(value, dt.date) else str(value)
    raise TypeError(f"date_range has {value!r}, expected ISO 8601 text, a date or a datetime")
