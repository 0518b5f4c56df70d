"""The grid that pixels are put on: as people say it, made into the grid options of a request."""

import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypedDict, get_args

from rasterflight._crs import crs_text
from rasterflight._like import target_grid
from rasterflight.errors import BadRequestError
from rasterflight_protocol.v1 import read_pb2
from rasterflight_protocol.v1.read_pb2 import VALUES_RAW, VALUES_SCALED, BBox, GridOptions

Values = Literal["raw", "scaled"]
Resampling = Literal["nearest", "bilinear", "cubic", "average", "mode"]
_VALUES: Final = {"raw": VALUES_RAW, "scaled": VALUES_SCALED}
_RESAMPLING: Final = {name: getattr(read_pb2, f"RESAMPLING_{name.upper()}") for name in get_args(Resampling)}
#: Keywords that ask for one grid; how pixels get there does not.
_PLACING: Final = ("target_crs", "resolution", "bounds", "align", "like")


class GridKeywords(TypedDict, total=False):
    """Which grid the pixels come on. None is given by default: pixels come as they are stored."""

    target_crs: Any
    """CRS of the pixels, as an EPSG number, text or an object with ``to_wkt()``; the default is that of the records, and of
    most of them where they differ."""
    resolution: float | Sequence[float]
    """Size of the pixels in units of their CRS: a number, or ``(x, y)``. The default is that of the finest raster, by GDAL's rule
    in another CRS. Where it is coarser than the files, the overview that rasterio would take is read."""
    resampling: str | Mapping[str, str]
    """How pixels of another grid are made, as rasterio and GDAL mean it: ``"nearest"``, ``"bilinear"``, ``"cubic"``, ``"average"``
    or ``"mode"``; one for all, or by band, others as by default: ``"bilinear"``, and ``"nearest"`` for bands of classes.
    ``"nearest"`` and ``"mode"`` keep dtype and nodata; with others, pixels that are resampled are float32 (float64 from
    float64 and from whole numbers of 32 bits and more), and NaN where there is none."""
    bounds: Sequence[float]
    """Extent of the grid, ``(minx, miny, maxx, maxy)`` in its CRS; its upper left corner is a corner of a pixel."""
    align: float | Sequence[float]
    """Instead: any corner of pixels, a number or ``(x, y)`` in units of the CRS, so that 0 snaps them to multiples of the
    resolution. The default is that of the finest raster, or its upper left corner in another CRS."""
    like: Any
    """The grid itself: that of an xarray Dataset or DataArray (as rioxarray reads it), of a GeoBox (odc-geo), of an open rasterio
    dataset, or a dict of ``crs``, ``transform``, ``width`` and ``height``."""


def is_placed(keywords: GridKeywords) -> bool:
    """Whether one grid is asked for."""
    return any(keywords.get(name) is not None for name in _PLACING)


def is_given(keywords: GridKeywords) -> bool:
    """Whether any of the keywords is given."""
    return any(value is not None for value in keywords.values())


def crs_of(grid: GridOptions) -> str | None:
    """CRS that pixels were asked for in; None: that of the records."""
    return grid.target_crs or grid.grid.crs or None


def is_whole(grid: GridOptions) -> bool:
    """Whether the extent of the grid was asked for."""
    return grid.HasField("bounds") or grid.HasField("grid")


def grid_message(
    keywords: GridKeywords,
    *,
    bands: Iterable[str] = (),
    all_touched: bool = False,
    masked: bool = False,
    values: str = "raw",
) -> GridOptions:
    """Say how pixels are taken, and on which grid they come.

    Parameters
    ----------
    keywords
        See `GridKeywords`; those that are None are not given.
    bands
        Those asked for, which alone can be resampled.
    all_touched, masked, values
        As at `Collection.read`.

    Raises
    ------
    BadRequestError
        A value cannot be used, or two of them contradict each other; names the keyword.
    TypeError
        A CRS or ``like`` is of no accepted kind.
    """
    if values not in _VALUES:
        raise BadRequestError(f"values is {values!r}, expected 'raw' or 'scaled'", field="values")
    _check_combination(keywords)
    message = GridOptions(
        all_touched=all_touched,
        masked=masked,
        values=_VALUES[values],
        common=is_placed(keywords),
    )
    _place(message, keywords)
    resampling = keywords.get("resampling")
    if isinstance(resampling, Mapping):
        _check_bands(resampling, list(bands))
        message.band_resampling.update({band: _resampling(name) for band, name in resampling.items()})
    elif resampling is not None:
        message.resampling = _resampling(resampling)
    return message


def _check_combination(keywords: GridKeywords) -> None:
    given = [name for name in _PLACING if keywords.get(name) is not None]
    if "like" in given and len(given) > 1:
        others = ", ".join(name for name in given if name != "like")
        raise BadRequestError(f"like says the whole grid, but so do {others}: give one or the other", field="like")
    if "bounds" in given and "align" in given:
        raise BadRequestError(
            "bounds and align both say where pixels begin: give one of them",
            field="align",
            hint="the upper left corner of bounds is a corner of a pixel",
        )


def _place(message: GridOptions, keywords: GridKeywords) -> None:
    given: dict[str, Any] = {name: value for name, value in keywords.items() if value is not None}
    if "target_crs" in given:
        message.target_crs = crs_text(given["target_crs"])
    if "resolution" in given:
        message.resolution.extend(_sizes(given["resolution"]))
    if "bounds" in given:
        message.bounds.CopyFrom(_bounds(given["bounds"]))
    if "align" in given:
        message.anchor.extend(_pair(given["align"], "align", "a number, or (x, y)"))
    if "like" in given:
        message.grid.CopyFrom(target_grid(given["like"]))


def _sizes(value: Any) -> list[float]:
    expected = "a number above 0, or (x, y)"
    sizes = _pair(value, "resolution", expected)
    if min(sizes) <= 0:
        raise _unusable(value, "resolution", expected)
    return sizes


def _pair(value: Any, field: str, expected: str) -> list[float]:
    """Read one number or two; one stays one."""
    found = _numbers(value if isinstance(value, Iterable) and not isinstance(value, str) else [value])
    if found is None or len(found) not in (1, 2):
        raise _unusable(value, field, expected)
    return found


def _bounds(value: Any) -> BBox:
    expected = "(minx, miny, maxx, maxy)"
    found = _numbers(value) if isinstance(value, Iterable) and not isinstance(value, str) else None
    if found is None or len(found) != len(BBox.DESCRIPTOR.fields):
        raise _unusable(value, "bounds", expected)
    minx, miny, maxx, maxy = found
    if minx >= maxx or miny >= maxy:
        raise _unusable(value, "bounds", f"{expected} with a size above 0")
    return BBox(minx=minx, miny=miny, maxx=maxx, maxy=maxy)


def _numbers(values: Iterable[Any]) -> list[float] | None:
    items = list(values)
    if not all(isinstance(item, numbers.Real) and math.isfinite(item) for item in items):
        return None
    return [float(item) for item in items]


def _unusable(value: Any, field: str, expected: str) -> BadRequestError:
    return BadRequestError(f"{field} is {value!r}, expected {expected}", field=field)


def _check_bands(resampling: Mapping[str, Any], bands: list[str]) -> None:
    if unknown := [band for band in resampling if band not in bands]:
        raise BadRequestError(
            f"resampling names {', '.join(map(repr, unknown))}, but the read is of {', '.join(bands)}",
            field="resampling",
        )


def _resampling(value: Any) -> Any:
    # members of rasterio.enums.Resampling are taken by their name
    name = getattr(value, "name", value)
    if not isinstance(name, str) or name not in _RESAMPLING:
        raise BadRequestError(f"resampling is {name!r}, expected one of {', '.join(_RESAMPLING)}", field="resampling")
    return _RESAMPLING[name]
