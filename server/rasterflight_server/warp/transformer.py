"""From pixels of the target to places in the source, by GDAL's approximate transformer.

GDAL projects only the ends and the middle of a row of target pixels, and lays a straight line between them where the middle lies within
an eighth of a source pixel of it; else it halves the row and tries again. To take the same source pixel as GDAL for every pixel of
the target, its error has to be had as well.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from affine import Affine

from rasterflight_server.types import Grid

F64: TypeAlias = npt.NDArray[np.float64]
#: Coordinates (x, y) in one CRS to coordinates in another, element by element; what has no place there becomes infinite or NaN.
Projection: TypeAlias = Callable[[F64, F64], tuple[F64, F64]]

#: Rows as short as this are projected pixel by pixel.
_SHORT = 5

#: Part of some rows: which rows, first point, number of points, places of the first, middle and last point as (2, 3, rows).
_Piece: TypeAlias = tuple[npt.NDArray[np.intp], int, int, F64]


@dataclass(frozen=True, slots=True)
class Transformer:
    """Pixel coordinates of a target to those of a source; (0, 0) is the outer corner of the first pixel, x goes right and y down."""

    source: Affine
    target: Affine
    #: From the CRS of the target to that of the source; None: they are the same.
    to_source: Projection | None
    #: By how many source pixels (dx + dy) a place may be off.
    tolerance: float = 0.125
    #: Longitude in degrees that lies in the middle of the source: places are sought within half a turn of it. None: x is no longitude.
    meridian: float | None = None

    @property
    def separable(self) -> bool:
        """Places in x depend on the column alone, and in y on the row."""
        return self.to_source is None and not (self.source.b or self.source.d or self.target.b or self.target.d)

    @property
    def whole_pixels(self) -> bool:
        """Target pixels are source pixels: the grids differ by whole rows and columns alone (within 1e-6 of a pixel)."""
        one, other = self.source, self.target
        if self.to_source is not None or (one.a, one.b, one.d, one.e) != (other.a, other.b, other.d, other.e):
            return False
        offsets = np.asarray(_to_pixels(self.source, np.array(other.c), np.array(other.f)))
        return bool((np.abs(offsets - np.round(offsets)) <= 1e-6).all())  # noqa: PLR2004

    def exact(self, x: F64, y: F64) -> tuple[F64, F64]:
        """Places in the source, each projected by itself.

        Parameters
        ----------
        x, y
            Pixel coordinates in the target, of shapes that broadcast.

        Returns
        -------
        tuple
            Pixel coordinates x, y in the source, NaN where a place does not project.
        """
        t = self.target
        x, y = t.c + x * t.a + y * t.b, t.f + x * t.d + y * t.e
        if self.to_source is not None:
            shape = x.shape
            x, y = self.to_source(x.ravel(), y.ravel())
            lost = ~(np.isfinite(x) & np.isfinite(y))
            if lost.any():
                x, y = np.where(lost, np.nan, x), np.where(lost, np.nan, y)
            if self.meridian is not None:
                x = np.where(x < self.meridian - 180, x + 360, np.where(x > self.meridian + 180, x - 360, x))
            x, y = x.reshape(shape), y.reshape(shape)
        return _to_pixels(self.source, x, y)

    def rows(self, first: float, count: int, y: F64, columns: slice) -> tuple[F64, F64]:
        """Places of whole rows of the target, as the approximate transformer finds them.

        Parameters
        ----------
        first
            x of the first point of each row; further points follow one pixel apart.
        count
            Points in a row: the ends and the middle of the row decide how it is approximated.
        y
            Of the rows, shape (rows,).
        columns
            Points that are wanted (start and stop, within ``count``).

        Returns
        -------
        tuple
            Pixel coordinates x, y in the source, of shape (rows, wanted), NaN where a place does not project. When ``separable``,
            of shapes (1, wanted) and (rows, 1), which broadcast to that.
        """
        if self.separable:
            across, _ = _Row(self, first, count, y[:1], columns).places()
            _, down = self.exact(np.full_like(y, first), y)
            return across, down[:, None]
        return _Row(self, first, count, y, columns).places()


class _Row:
    """Rows under way: pieces of them still to be approximated, and the places found so far."""

    def __init__(self, transformer: Transformer, first: float, count: int, y: F64, columns: slice) -> None:
        self._transformer = transformer
        self._first = first
        self._count = count
        self._y = y
        self._columns = columns
        self._found = np.empty((2, len(y), columns.stop - columns.start))

    def places(self) -> tuple[F64, F64]:
        rows = np.arange(len(self._y))
        if self._count <= _SHORT:
            self._project(rows, 0, self._count)
            return self._found[0], self._found[1]
        known = self._at(rows, [0, (self._count - 1) // 2, self._count - 1])
        pending = [(rows, 0, self._count, known)]
        while pending:
            pending.extend(self._settle(*pending.pop()))
        return self._found[0], self._found[1]

    def _settle(self, rows: npt.NDArray[np.intp], start: int, count: int, known: F64) -> list[_Piece]:
        """Find the places of one piece of rows, of which start, middle and end are known: (2, 3, rows); what remains is given back."""
        if start >= self._columns.stop or start + count <= self._columns.start:
            return []
        lost = np.isnan(known).any(axis=(0, 1))
        if lost.any():
            self._project(rows[lost], start, count)
            rows, known = rows[~lost], known[:, :, ~lost]
        middle = (count - 1) // 2
        begin, half, end = known[:, 0], known[:, 1], known[:, 2]
        step = (end - begin) / (count - 1)
        far = np.abs(begin + step * middle - half).sum(axis=0) > self._transformer.tolerance
        near = ~far
        if near.any():
            self._interpolate(rows[near], start, count, begin[:, near], step[:, near])
        if not far.any():
            return []
        return self._halve(rows[far], start, count, known[:, :, far])

    def _halve(self, rows: npt.NDArray[np.intp], start: int, count: int, known: F64) -> list[_Piece]:
        """Two pieces out of one; of these the first ends one point before the middle."""
        middle = (count - 1) // 2
        rest = count - middle
        inner = self._at(rows, [start + (middle - 1) // 2, start + middle - 1, start + middle + (rest - 1) // 2])
        needed = [point for point, size in ((0, middle), (1, middle), (2, rest)) if size > _SHORT]
        lost = np.isnan(inner[:, needed]).any(axis=(0, 1))
        if lost.any():
            self._project(rows[lost], start, count)
            rows, known, inner = rows[~lost], known[:, :, ~lost], inner[:, :, ~lost]
        remaining: list[_Piece] = []
        for piece_start, piece_count, piece_known in (
            (start, middle, (known[:, 0], inner[:, 0], inner[:, 1])),
            (start + middle, rest, (known[:, 1], inner[:, 2], known[:, 2])),
        ):
            if piece_count <= _SHORT:
                self._project(rows, piece_start, piece_count)
            else:
                remaining.append((rows, piece_start, piece_count, np.stack(piece_known, axis=1)))
        return remaining

    def _at(self, rows: npt.NDArray[np.intp], points: list[int]) -> F64:
        """Places of some points of rows, projected: (2, points, rows)."""
        x = self._first + np.asarray(points, dtype=np.float64)[:, None]
        return np.stack(self._transformer.exact(np.broadcast_to(x, (len(points), len(rows))), self._y[rows][None, :]))

    def _project(self, rows: npt.NDArray[np.intp], start: int, count: int) -> None:
        """Project each wanted point of a piece of rows by itself."""
        wanted = self._wanted(start, count)
        x = self._first + np.arange(wanted.start, wanted.stop, dtype=np.float64)[None, :]
        shape = len(rows), x.shape[1]
        places = self._transformer.exact(np.broadcast_to(x, shape), np.broadcast_to(self._y[rows][:, None], shape))
        offset = self._columns.start
        self._found[:, rows, wanted.start - offset : wanted.stop - offset] = places

    def _interpolate(self, rows: npt.NDArray[np.intp], start: int, count: int, begin: F64, step: F64) -> None:
        """Lay a straight line along a piece of rows."""
        wanted = self._wanted(start, count)
        along = np.arange(wanted.start - start, wanted.stop - start, dtype=np.float64)
        offset = self._columns.start
        there = slice(wanted.start - offset, wanted.stop - offset)
        if len(rows) == len(self._y):
            np.multiply(step[:, :, None], along, out=self._found[:, :, there])
            self._found[:, :, there] += begin[:, :, None]
        else:
            self._found[:, rows, there] = begin[:, :, None] + step[:, :, None] * along

    def _wanted(self, start: int, count: int) -> slice:
        begin = max(start, self._columns.start)
        return slice(begin, max(begin, min(start + count, self._columns.stop)))


def _to_pixels(transform: Affine, x: F64, y: F64) -> tuple[F64, F64]:
    """Coordinates to pixels, by the arithmetic of ``GDALInvGeoTransform``."""
    a, b, c, d, e, f = transform[:6]
    if b == 0.0 and d == 0.0:
        return -c / a + x * (1.0 / a), -f / e + y * (1.0 / e)
    per_determinant = 1.0 / (a * e - b * d)
    column = (b * f - c * e) * per_determinant
    row = (-a * f + c * d) * per_determinant
    return (
        column + x * (e * per_determinant) + y * (-b * per_determinant),
        row + x * (-d * per_determinant) + y * (a * per_determinant),
    )


def middle_meridian(source: Grid) -> float | None:
    """Longitude in the middle of a source in degrees, as ``InsertCenterLong`` has it; None: the source goes round the world and on."""
    t = source.transform
    corners = [t.c + col * t.a + row * t.b for col in (0, source.width) for row in (0, source.height)]
    west, east = min(corners), max(corners)
    if east - west > 360 + max(abs(t.a), abs(t.b)) * 1.05:
        return None
    # GDAL passes it on as text.
    return float(f"{(east + west) / 2:g}")
