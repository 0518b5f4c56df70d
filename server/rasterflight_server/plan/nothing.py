"""Answers to nothing: which condition of a request left no record, and what the nearest would have been."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from rasterflight_protocol import ErrorCode
from rasterflight_protocol.v1.read_pb2 import Filter
from rasterflight_server.catalog import BandEntry, Collection
from rasterflight_server.catalog.database import BOUNDS
from rasterflight_server.errors import NoDataError, RequestError, ServiceError
from rasterflight_server.plan.areas import Areas
from rasterflight_server.plan.crs import LONLAT
from rasterflight_server.plan.misses import (
    Bits,
    lowest_cloud_cover,
    nearest_date,
    nearest_footprint,
    split_values,
)
from rasterflight_server.plan.request import Request
from rasterflight_server.plan.selection import meeting
from rasterflight_server.types import Grid
from rasterflight_server.types.lonlat import lonlat_boxes

# How much of a value is said back to the caller: characters of a text, and texts of a list.
_SHOWN: Final = 60
_NAMED: Final = 3
_GEOMETRIES: Final = "the geometries"


@dataclass(frozen=True, slots=True)
class _Condition:
    """One condition of a request."""

    #: The keyword that the caller knows it by.
    keyword: str
    #: The same with its value.
    label: str
    #: By record: it matches.
    matches: Bits
    #: What comes nearest among some records; may have nothing to say.
    nearest: Callable[[Bits], str]


def no_records(collection: Collection, request: Request) -> ServiceError:
    """Say why no record matches a request.

    Returns
    -------
    ServiceError
        NO_DATA; UNSUPPORTED_LAYOUT where areas were asked for and none of the records says where it lies.
    """
    total = collection.manifest.records
    conditions = list(_of_filters(collection, request, total))
    if request.areas is not None:
        filtered = _together(conditions, total)
        if filtered.any() and not (filtered & _placed(collection)).any():
            return nowhere(collection, "geometries")
        conditions.append(_of_areas(collection, request.areas, request))
    message, hint = _blame(conditions, total) if total else ("the collection has no records", "")
    return NoDataError(message, collection=collection.name, hint=hint)


def nowhere(collection: Collection, field: str) -> RequestError:
    """Say that none of the rasters that match says where it lies; ``field`` is what cannot be placed on them."""
    return RequestError(
        ErrorCode.UNSUPPORTED_LAYOUT,
        f"no raster that matches the filters says where it lies, so {field} cannot be placed on any",
        collection=collection.name,
        field=field,
        hint="ask for pixel windows instead",
    )


def _blame(conditions: Sequence[_Condition], total: int) -> tuple[str, str]:
    """Message and hint: the one condition that is to blame, or those that exclude each other."""
    others = [_together([c for c in conditions if c is not one], total) for one in conditions]
    for one in conditions:
        if not one.matches.any():
            # Others that match nothing either have no say in what is near.
            return _alone(
                one, _together([c for c in conditions if c is not one and c.matches.any()], total), conditions
            )
    deciding = [(one, rest) for one, rest in zip(conditions, others, strict=True) if rest.any()]
    if len(deciding) == 1:
        return _alone(*deciding[0], conditions)
    labels = _listed([one.label for one, _ in deciding] or [one.label for one in conditions])
    if deciding:
        hints = [_without(one, rest) for one, rest in deciding]
    else:
        hints = [f"alone, {one.keyword} matches {_records(one.matches.sum())}" for one in conditions]
    return f"no record matches {labels} together", "; ".join(hints)


def _alone(one: _Condition, rest: Bits, conditions: Sequence[_Condition]) -> tuple[str, str]:
    count, near = int(rest.sum()), one.nearest(rest)
    hint = near or f"{_records(count)} {'matches' if count == 1 else 'match'} without it"
    if one.label == _GEOMETRIES:
        hint += "; check geometry_crs and the order of coordinates"
        if len(conditions) == 1:
            whose = "the only record does not overlap" if count == 1 else f"none of the {count} records overlaps"
            return f"{whose} the geometries", hint
        matching = "record matches" if count == 1 else "records match"
        return f"{count} {matching} the filters, but none overlaps the geometries", hint
    if not one.matches.any():
        return f"no record matches {one.label}", hint
    return f"{_records(count)} {'matches' if count == 1 else 'match'} the other conditions, but none {one.label}", hint


def _without(one: _Condition, rest: Bits) -> str:
    near = one.nearest(rest)
    return f"without {one.keyword}: {_records(rest.sum())}{', ' if near else ''}{near}"


def _of_filters(collection: Collection, request: Request, total: int) -> Iterator[_Condition]:
    areas = iter(request.filter_areas)
    for item in request.filters:
        for keyword, label, part, nearest in _parts(collection, item):
            request.allowance.go_on()
            yield _Condition(keyword, label, _bits(collection.matching([part]), total), nearest)
        if item.HasField("geometries"):
            condition = _of_areas(collection, next(areas), request)
            yield _Condition("geometries", "the geometries of the filter", condition.matches, condition.nearest)


def _parts(collection: Collection, item: Filter) -> Iterator[tuple[str, str, Filter, Callable[[Bits], str]]]:
    """The conditions of a filter: keyword, label, a filter of it alone, and what comes nearest."""
    if item.HasField("cloud_cover_lt"):
        part = Filter(cloud_cover_lt=item.cloud_cover_lt)
        yield (
            "cloud_cover_lt",
            f"cloud_cover_lt {item.cloud_cover_lt:g}",
            part,
            lambda among: lowest_cloud_cover(collection, among),
        )
    if item.HasField("date_range") and (item.date_range.start or item.date_range.end):
        dates = item.date_range
        label = f"date_range {dates.start or '..'}/{dates.end or '..'}"
        yield "date_range", label, Filter(date_range=dates), lambda among: nearest_date(collection, among, dates)
    if item.HasField("bbox"):
        box = item.bbox
        label = f"bbox ({box.minx:g}, {box.miny:g}, {box.maxx:g}, {box.maxy:g})"
        shape = np.array([shapely.box(*part) for part in lonlat_boxes((box.minx, box.miny, box.maxx, box.maxy))])
        yield "bbox", label, Filter(bbox=box), lambda among: nearest_footprint(collection, among, shape)
    if item.split:
        column = item.split_column or "split"
        part = Filter(split=item.split, split_column=item.split_column)
        yield "split", f"split {_texts(item.split)}", part, lambda among: split_values(collection, among, column)
    if item.ids:
        yield "ids", f"ids {_texts(item.ids)}", Filter(ids=item.ids), _nothing_nearer
    if item.where:
        yield "where", f"where {_short(item.where)}", Filter(where=item.where), _nothing_nearer


def _of_areas(collection: Collection, areas: Areas, request: Request) -> _Condition:
    rows = meeting(collection.select([], areas.lonlat_bounds), areas, request)["row"].to_numpy()
    return _Condition(
        _GEOMETRIES,
        _GEOMETRIES,
        _bits(rows, collection.manifest.records),
        lambda among: nearest_footprint(collection, among, areas.to_crs(LONLAT)),
    )


def no_pixels(collection: Collection, request: Request, entries: Sequence[BandEntry], hits: pa.Table) -> NoDataError:
    """Say why records match a request, but not one pixel of theirs does.

    Parameters
    ----------
    collection, request
        What was asked of whom.
    entries
        The bands asked for.
    hits
        The records that match, as ``Collection.select`` gives them.
    """
    grid = _first_grid(collection, entries, hits)
    name = hits["id"][0].as_py()
    if request.areas is None and request.windows is None:
        return NoDataError(
            f"not one pixel lies on the grid that was asked for, in none of the {_records(len(hits))} that match",
            collection=collection.name,
            hint="read without it, and see where the records are",
        )
    if request.areas is None:
        return NoDataError(
            f"not one pixel lies inside the windows, in none of the {_records(len(hits))} that match",
            collection=collection.name,
            hint=f"the raster of {name!r} has {grid.width} columns and {grid.height} rows",
        )
    places = request.areas.to_crs(grid.crs or "")
    a, _, c, _, e, f = grid.transform[:6]
    raster = shapely.bounds(shapely.MultiPoint([(c, f), (c + a * grid.width, f + e * grid.height)]))
    return NoDataError(
        f"the footprints of {_records(len(hits))} touch the geometries, but not one pixel lies inside",
        collection=collection.name,
        hint=f"in {grid.crs}, the raster of {name!r} covers {_box(raster)}, the geometries {_box(shapely.total_bounds(places))}",
    )


def _first_grid(collection: Collection, entries: Sequence[BandEntry], hits: pa.Table) -> Grid:
    slots = [candidate.slot for entry in entries for candidate in entry.candidates]
    return next(asset.grid for asset in collection.assets(hits["row"][0].as_py(), slots) if asset)


def _nothing_nearer(_: Bits) -> str:
    return ""


def _placed(collection: Collection) -> Bits:
    placed: Bits = collection.column(BOUNDS[0]).is_valid().to_numpy()
    return placed


def _together(conditions: Sequence[_Condition], total: int) -> Bits:
    found: Bits = np.ones(total, dtype=bool)
    for one in conditions:
        found &= one.matches
    return found


def _bits(rows: npt.NDArray[np.int64], total: int) -> Bits:
    bits: Bits = np.zeros(total, dtype=bool)
    bits[rows] = True
    return bits


def _records(count: int) -> str:
    return "1 record" if count == 1 else f"{count} records"


def _listed(labels: Sequence[str]) -> str:
    return " and ".join([", ".join(labels[:-1]), labels[-1]] if len(labels) > 1 else labels)


def _texts(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return ", ".join(repr(_short(text)) for text in texts[:_NAMED]) + more


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _box(bounds: npt.NDArray[np.float64]) -> str:
    return f"({', '.join(f'{bound:.10g}' for bound in bounds)})"
