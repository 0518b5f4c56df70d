"""Footprints of records on a map."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rasterflight._extras import need
from rasterflight.errors import BadRequestError, NoDataFound

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TURN: Final = 360.0
#: Texts with more values than this are not told apart by colour.
_MOST_KINDS: Final = 20
#: Part of the map left free around the footprints.
_MARGIN: Final = 0.05
#: Beyond, a degree of longitude is drawn as wide as there.
_STEEPEST: Final = 80.0
_ALPHA: Final = (0.08, 0.45)


def plot_footprints(records: pa.Table, column: str | None, ax: Any, style: Mapping[str, Any]) -> "Axes":
    """Draw the footprints of records; see `Collection.plot`."""
    pyplot, collections = need("matplotlib.pyplot", "plot"), need("matplotlib.collections", "plot")
    values = None if column is None else _column(records, column)
    outlines, owners = _outlines(records["geometry"])
    if not outlines:
        raise NoDataFound("none of the records has a footprint", hint="read them, they may lie somewhere nevertheless")
    outlines, centred = _around_antimeridian(outlines)
    if ax is None:
        _, ax = pyplot.subplots(figsize=(8, 6), layout="constrained")
    # Where many lie over one another, they must shine through.
    alpha = min(_ALPHA[1], max(_ALPHA[0], 3 / math.sqrt(len(outlines))))
    drawn = {"alpha": alpha, "edgecolor": "face", "linewidth": 0.8} | dict(style)
    shapes = collections.PolyCollection(outlines, **drawn)
    if values is not None:
        _colour(ax, shapes, values.take(pa.array(owners)), str(column), drawn)
    ax.add_collection(shapes, autolim=False)
    _frame(ax, np.concatenate(outlines), centred=centred)
    return ax  # type: ignore[no-any-return]


def _column(records: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in records.schema.names:
        raise BadRequestError(
            f"the records have no column {name!r}", hint=f"columns: {', '.join(records.schema.names)}"
        )
    values = records[name]
    if pa.types.is_nested(values.type) or pa.types.is_binary(values.type):
        raise BadRequestError(f"column {name!r} is {values.type}, which no colour stands for")
    return values


def _outlines(geometries: pa.ChunkedArray) -> tuple[list[npt.NDArray[np.float64]], npt.NDArray[np.int64]]:
    """Outer rings of all parts, shape (n, 2), and the number of the record that each belongs to."""
    shapely = need("shapely", "plot")
    storage = pa.chunked_array(
        [chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk for chunk in geometries.chunks], pa.binary()
    )
    shapes = shapely.from_wkb(storage.to_numpy())
    parts, owners = shapely.get_parts(shapes, return_index=True)
    rings = shapely.get_exterior_ring(parts)
    kept = ~(shapely.is_missing(rings) | shapely.is_empty(rings))
    coordinates, numbers = shapely.get_coordinates(rings[kept], return_index=True)
    starts = np.flatnonzero(np.diff(numbers)) + 1
    outlines = np.split(coordinates, starts) if len(coordinates) else []
    return outlines, owners[kept]


def _around_antimeridian(
    outlines: list[npt.NDArray[np.float64]],
) -> tuple[list[npt.NDArray[np.float64]], bool]:
    """Longitudes from 0 to 360 where all footprints lie in one half of the globe only if they are counted so."""
    middles = np.array([(ring[:, 0].min() + ring[:, 0].max()) / 2 for ring in outlines])
    west = np.array([ring[:, 0].min() for ring in outlines])
    east = np.array([ring[:, 0].max() for ring in outlines])
    turn = np.where(middles < 0, _TURN, 0.0)
    plain, turned = east.max() - west.min(), (east + turn).max() - (west + turn).min()
    if plain <= _TURN / 2 or turned > _TURN / 2:
        return outlines, False
    return [ring + np.array([shift, 0.0]) for ring, shift in zip(outlines, turn, strict=True)], True


def _colour(ax: Any, shapes: Any, values: pa.ChunkedArray, name: str, style: Mapping[str, Any]) -> None:
    """Colour by numbers or times with a bar beside, or by kinds with a legend."""
    pyplot = need("matplotlib.pyplot", "plot")
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_boolean(kind):
        _colour_kinds(ax, shapes, values, name, style)
        return
    if pa.types.is_temporal(kind):
        numbers = values.cast(pa.timestamp("us")).to_numpy(zero_copy_only=False).astype("datetime64[us]")
        dates = need("matplotlib.dates", "plot")
        shapes.set_array(np.ma.masked_invalid(np.where(np.isnat(numbers), np.nan, dates.date2num(numbers))))
        locator = dates.AutoDateLocator()
        options = {"ticks": locator, "format": dates.ConciseDateFormatter(locator)}
    else:
        numbers = pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        shapes.set_array(np.ma.masked_invalid(numbers))
        options = {}
    bar = pyplot.colorbar(shapes, ax=ax, label=name, shrink=0.7, **options)
    bar.solids.set(alpha=1)


def _colour_kinds(ax: Any, shapes: Any, values: pa.ChunkedArray, name: str, style: Mapping[str, Any]) -> None:
    pyplot, patches = need("matplotlib.pyplot", "plot"), need("matplotlib.patches", "plot")
    texts = ["-" if value is None else str(value) for value in values.to_pylist()]
    kinds = sorted(set(texts))
    if len(kinds) > _MOST_KINDS:
        raise BadRequestError(f"column {name!r} has {len(kinds)} different values, colours tell {_MOST_KINDS} apart")
    cycle = pyplot.get_cmap("tab10" if len(kinds) <= 10 else "tab20")  # noqa: PLR2004 - colours that they have
    colours = {kind: cycle(number) for number, kind in enumerate(kinds)}
    faces = np.array([colours[text] for text in texts])
    faces[:, 3] = style["alpha"]
    shapes.set(facecolor=faces, edgecolor=faces, alpha=None)
    handles = [patches.Patch(color=colour, label=kind) for kind, colour in colours.items()]
    ax.legend(handles=handles, title=name, loc="best", fontsize="small")


def _frame(ax: Any, points: npt.NDArray[np.float64], *, centred: bool) -> None:
    """Room for all footprints, degrees of about the same size both ways, and longitudes as people write them."""
    ticker = need("matplotlib.ticker", "plot")
    (left, bottom), (right, top) = points.min(axis=0), points.max(axis=0)
    margin = _MARGIN * max(right - left, top - bottom, 1e-6)
    if ax.get_autoscale_on():
        ax.set_xlim(left - margin, right + margin)
        ax.set_ylim(max(bottom - margin, -90), min(top + margin, 90))
        latitude = min(abs(bottom + top) / 2, _STEEPEST)
        ax.set_aspect(1 / math.cos(math.radians(latitude)))
    if centred:
        ax.xaxis.set_major_formatter(ticker.FuncFormatter(lambda lon, _: f"{(lon + 180) % _TURN - 180:g}"))
    ax.set(xlabel="longitude", ylabel="latitude")
