"""Points as people have them, made into coordinates."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from rasterflight._arrow import Column, frame_table, is_arrow, open_arrow
from rasterflight._crs import AUTO, told_crs, untold_crs
from rasterflight._frames import frame_crs, frame_parts, is_geo
from rasterflight._geoarrow import Encoding, is_wkb, told_encoding
from rasterflight._pointcolumns import PointColumns, column_coordinates
from rasterflight._pointitems import item_coordinates
from rasterflight._shapes import object_array, point_coordinates
from rasterflight.errors import BadGeometryError, ColumnCollisionError


@dataclass(frozen=True)
class PointSet:
    """Points in the order given."""

    #: Coordinates, float64, all finite.
    x: np.ndarray
    y: np.ndarray
    #: CRS of the coordinates: text that PROJ understands.
    crs: str
    #: The other columns of a table of points, row by row as the points; None: there are none.
    columns: pa.Table | None = None

    def __len__(self) -> int:
        return len(self.x)

    def slice(self, start: int, stop: int) -> "PointSet":
        """Some of the points, without a copy."""
        columns = None if self.columns is None else self.columns.slice(start, stop - start)
        return PointSet(self.x[start:stop], self.y[start:stop], self.crs, columns)


def point_sets(
    points: Any,
    *,
    size: int,
    geometry_crs: Any = AUTO,
    geometry_column: str | None = None,
    x_column: str | None = None,
    y_column: str | None = None,
) -> Iterator[PointSet]:
    """Read points in any accepted form, some at a time; of a stream, no more is taken than the next set needs.

    Parameters
    ----------
    points
        A tuple ``(x, y)``, a Shapely Point, WKB or EWKB bytes, a GeoJSON dict (Point, Feature, FeatureCollection), or
        a list of these; a NumPy array of shape (n, 2); a GeoSeries or GeoDataFrame; an Arrow array (WKB, GeoArrow); a
        pandas DataFrame, or any table or stream with ``__arrow_c_stream__``. Z and M are left behind. A MultiPoint of
        one point is a point; other geometries are errors.
    geometry_crs
        ``"auto"``, text that PROJ understands, an EPSG number, or an object with ``to_wkt()`` (pyproj). ``"auto"``:
        what a table, frame or GeoArrow array says, and it must; for everything else lon/lat (OGC:CRS84). The SRID
        inside EWKB is ignored.
    geometry_column
        The column of a table that holds the points; None: the only one that says that it holds geometries.
    x_column, y_column
        Instead of a geometry column, two columns of a table with numbers of any type.
    size
        Points of a set, at most; all sets but the last have as many.

    Returns
    -------
    iterator of PointSet
        At least one, so that an empty input still tells its CRS and columns. Its ``columns`` are those of a table that do
        not hold the coordinates, without the index of a frame. What the input says about the whole is checked at once, the
        points when their turn comes.

    Raises
    ------
    BadGeometryError
        A point is missing, empty or not finite, or a geometry is no point; names it, from 0.
    BadRequestError
        The columns named are not there, or not clear.
    CrsRequiredError
        A table, frame or GeoArrow array without CRS, or with another than ``geometry_crs``.
    TypeError
        The input is of no accepted kind.
    """
    return _cut(_open(points, geometry_crs, _Names(geometry_column, x_column, y_column)), size)


def check_point_columns(columns: Iterable[str], taken: Collection[str]) -> None:
    """Refuse points whose own columns have names that the result uses.

    Raises
    ------
    ColumnCollisionError
        Lists them.
    """
    if found := [name for name in columns if name in taken]:
        raise ColumnCollisionError(
            f"the result has columns of its own named {', '.join(found)}", hint="rename those of the points"
        )


@dataclass(frozen=True)
class _Names:
    """Names of columns as the caller gave them."""

    geometry: str | None
    x: str | None
    y: str | None

    @property
    def any(self) -> bool:
        return any(name is not None for name in (self.geometry, self.x, self.y))


@dataclass(frozen=True)
class _Source:
    """Points to come."""

    #: None of them, with CRS and columns.
    empty: PointSet
    pieces: Iterable[PointSet]


def _open(points: Any, geometry_crs: Any, names: _Names) -> _Source:
    if is_geo(points):
        return _from_frame(points, geometry_crs, names)
    if is_arrow(points):
        opened = open_arrow(points)
        if isinstance(opened, pa.RecordBatchReader):
            return _from_reader(opened, geometry_crs, names)
        _refuse_names(names, "an array")
        return _whole(*_from_column(opened, geometry_crs))
    _refuse_names(names, "no table")
    return _whole(*item_coordinates(points, geometry_crs))


def _refuse_names(names: _Names, what: str) -> None:
    if names.any:
        raise TypeError(f"geometry_column=, x_column= and y_column= name columns of a table, and points= is {what}")


def _whole(xy: np.ndarray, crs: str, columns: pa.Table | None = None) -> _Source:
    x, y = (np.ascontiguousarray(xy[:, axis], np.float64) for axis in (0, 1))
    _check_finite(x, y, 0)
    whole = PointSet(x, y, crs, columns)
    return _Source(whole.slice(0, 0), [whole])


def _from_frame(frame: Any, geometry_crs: Any, names: _Names) -> _Source:
    if names.x is not None or names.y is not None:
        if not hasattr(frame, "columns"):
            _refuse_names(names, "a GeoSeries")
        # which CRS the numbers of these columns are in, the geometries beside them do not say
        return _from_reader(frame_table(frame).to_reader(), geometry_crs, names)
    series, rest = frame_parts(frame, names.geometry)
    columns = None if rest is None or not len(rest.columns) else frame_table(rest)
    crs = frame_crs(series.crs, geometry_crs, "points")
    return _whole(point_coordinates(object_array(series.array), 0), crs, columns)


def _from_reader(reader: pa.RecordBatchReader, geometry_crs: Any, names: _Names) -> _Source:
    columns = PointColumns(reader.schema, names.geometry, names.x, names.y)
    crs = told_crs(columns.crs, geometry_crs, "points")
    nothing = np.empty(0)
    return _Source(PointSet(nothing, nothing, crs, columns.others([])), _read(reader, columns, crs))


def _read(reader: pa.RecordBatchReader, columns: PointColumns, crs: str) -> Iterator[PointSet]:
    first = 0
    for batch in reader:
        x, y = columns.coordinates(batch, first)
        _check_finite(x, y, first)
        yield PointSet(x, y, crs, columns.others([batch]))
        first += len(batch)


def _from_column(column: Column, geometry_crs: Any) -> tuple[np.ndarray, str]:
    encoding = told_encoding(column.field)
    if encoding is not None:
        crs = told_crs(encoding.crs, geometry_crs, "points")
    elif is_wkb(column.field.type):
        encoding, crs = Encoding("wkb"), untold_crs(geometry_crs)
    else:
        raise TypeError(f"points is an array of {column.field.type}, expected WKB or a type of GeoArrow")
    return column_coordinates(column.chunks, encoding, 0), crs


def _check_finite(x: np.ndarray, y: np.ndarray, first: int) -> None:
    finite = np.isfinite(x) & np.isfinite(y)
    if not finite.all():
        index = int(np.argmin(finite))
        raise BadGeometryError(
            f"point {first + index} ({x[index]}, {y[index]}) has a coordinate that is missing, NaN or infinite",
            field="points",
            hint="drop such points first",
        )


def _joined(sets: Sequence[PointSet]) -> PointSet:
    tables = [one.columns for one in sets if one.columns is not None]
    x, y = (np.concatenate([getattr(one, axis) for one in sets]) for axis in "xy")
    return PointSet(x, y, sets[0].crs, pa.concat_tables(tables) if tables else None)


def _cut(source: _Source, size: int) -> Iterator[PointSet]:
    """Re-cut what comes into sets of one size."""
    waiting, count, seen = [source.empty], 0, False
    for piece in source.pieces:
        start = 0
        while len(piece) - start >= size - count:
            stop = start + size - count
            yield _joined([*waiting, piece.slice(start, stop)])
            waiting, count, start, seen = [source.empty], 0, stop, True
        waiting.append(piece.slice(start, len(piece)))
        count += len(piece) - start
    if count or not seen:
        yield _joined(waiting)
