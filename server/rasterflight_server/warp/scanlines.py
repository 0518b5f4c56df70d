"""Rows of the target as places in the source, by GDAL's approximate transformer.

GDAL projects only the ends and the middle of a row of target pixels, and lays a straight line between the ends where the middle lies
within an eighth of a source pixel of it; else it halves the row and tries again. To take the same source pixel as GDAL for every pixel
of the target, its error has to be had as well.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from rasterflight_server.warp.transformer import F64, Transformer

#: Rows as short as this are projected point by point.
_SHORT = 5

_Rows: TypeAlias = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class _Piece:
    """Part of some rows."""

    #: Which rows, in order.
    rows: _Rows
    #: First point, and number of points.
    start: int
    count: int


@dataclass(frozen=True, slots=True)
class _Line:
    """Part of some rows that is taken for straight."""

    piece: _Piece
    #: Place of the first point, and from one point to the next: (2, rows).
    begin: F64
    step: F64


class Scanlines:
    """Rows of points, one pixel apart.

    Parameters
    ----------
    transformer
        From target to source.
    first
        x of the first point of each row.
    count
        Points in a row: the ends and the middle of the row decide how it is approximated.
    y
        Of the rows, shape (rows,).
    """

    def __init__(self, transformer: Transformer, first: float, count: int, y: F64) -> None:
        self._transformer = transformer
        self._first = first
        self._count = count
        self._y = y
        self._lines: list[_Line] = []
        self._exact: list[_Piece] = []
        # All rows are alike where x and y are apart.
        whole = _Piece(np.arange(1 if transformer.separable else len(y)), 0, count)
        if count <= _SHORT:
            self._exact.append(whole)
            return
        pending = [(whole, self._at(whole.rows, [0, (count - 1) // 2, count - 1]))]
        while pending:
            pending.extend(self._settle(*pending.pop()))

    def places(self, rows: slice, columns: slice) -> tuple[F64, F64]:
        """Places of some of the points.

        Parameters
        ----------
        rows, columns
            Which (start and stop).

        Returns
        -------
        tuple
            Pixel coordinates x, y in the source, of shape (rows, columns), NaN where a place does not project. Where x and y are
            ``separable``, of shapes (1, columns) and (rows, 1), which broadcast to that.
        """
        if self._transformer.separable:
            x = self._filled(slice(0, 1), columns)[0]
            y = self._y[rows][:, None]
            return x, self._transformer.exact(np.full_like(y, self._first), y)[1]
        found = self._filled(rows, columns)
        return found[0], found[1]

    def _filled(self, rows: slice, columns: slice) -> F64:
        found = np.empty((2, rows.stop - rows.start, columns.stop - columns.start))
        for line in self._lines:
            there = _within(line.piece, rows, columns)
            if there is None:
                continue
            into, part, points = there
            along = np.arange(points.start, points.stop, dtype=np.float64) - line.piece.start
            begin, step = line.begin[:, part, None], line.step[:, part, None]
            across = slice(points.start - columns.start, points.stop - columns.start)
            if isinstance(into, slice):
                np.multiply(step, along, out=found[:, into, across])
                found[:, into, across] += begin
            else:
                found[:, into, across] = begin + step * along
        for piece in self._exact:
            there = _within(piece, rows, columns)
            if there is not None:
                into, part, points = there
                across = slice(points.start - columns.start, points.stop - columns.start)
                found[:, into, across] = self._project(piece.rows[part], points)
        return found

    def _settle(self, piece: _Piece, known: F64) -> list[tuple[_Piece, F64]]:
        """Approximate a piece of which first, middle and last point are known, (2, 3, rows); what remains is given back."""
        lost = np.isnan(known).any(axis=(0, 1))
        if lost.any():
            self._exact.append(_Piece(piece.rows[lost], piece.start, piece.count))
            piece, known = _Piece(piece.rows[~lost], piece.start, piece.count), known[:, :, ~lost]
        begin, middle, end = known[:, 0], known[:, 1], known[:, 2]
        step = (end - begin) / (piece.count - 1)
        away = np.abs(begin + step * ((piece.count - 1) // 2) - middle).sum(axis=0)
        far = away > self._transformer.tolerance
        near = ~far
        if near.any():
            rows = _Piece(piece.rows[near], piece.start, piece.count)
            self._lines.append(_Line(rows, begin[:, near], step[:, near]))
        if not far.any():
            return []
        return self._halve(_Piece(piece.rows[far], piece.start, piece.count), known[:, :, far])

    def _halve(self, piece: _Piece, known: F64) -> list[tuple[_Piece, F64]]:
        """Two pieces out of one; of these the first ends one point before the middle."""
        start, middle = piece.start, (piece.count - 1) // 2
        rest = piece.count - middle
        inner = self._at(piece.rows, [start + (middle - 1) // 2, start + middle - 1, start + middle + (rest - 1) // 2])
        needed = [point for point, size in ((0, middle), (1, middle), (2, rest)) if size > _SHORT]
        lost = np.isnan(inner[:, needed]).any(axis=(0, 1))
        rows = piece.rows
        if lost.any():
            self._exact.append(_Piece(rows[lost], start, piece.count))
            rows, known, inner = rows[~lost], known[:, :, ~lost], inner[:, :, ~lost]
        halves = (
            (_Piece(rows, start, middle), (known[:, 0], inner[:, 0], inner[:, 1])),
            (_Piece(rows, start + middle, rest), (known[:, 1], inner[:, 2], known[:, 2])),
        )
        self._exact.extend(half for half, _ in halves if half.count <= _SHORT)
        return [(half, np.stack(places, axis=1)) for half, places in halves if half.count > _SHORT]

    def _at(self, rows: _Rows, points: list[int]) -> F64:
        """Places of some points of rows, projected: (2, points, rows)."""
        x = self._first + np.asarray(points, dtype=np.float64)[:, None]
        return np.stack(self._transformer.exact(np.broadcast_to(x, (len(points), len(rows))), self._y[rows][None, :]))

    def _project(self, rows: _Rows, points: slice) -> F64:
        """Places of all points of a piece of rows, each projected: (2, rows, points)."""
        x = self._first + np.arange(points.start, points.stop, dtype=np.float64)[None, :]
        shape = len(rows), x.shape[1]
        return np.stack(
            self._transformer.exact(np.broadcast_to(x, shape), np.broadcast_to(self._y[rows][:, None], shape))
        )


def _within(piece: _Piece, rows: slice, columns: slice) -> tuple[slice | _Rows, slice, slice] | None:
    """What of a piece lies in some rows and columns: rows counted from the first of these, rows of the piece, points."""
    points = slice(max(piece.start, columns.start), min(piece.start + piece.count, columns.stop))
    low, high = np.searchsorted(piece.rows, [rows.start, rows.stop])
    if points.stop <= points.start or low == high:
        return None
    into = piece.rows[low:high] - rows.start
    if into[-1] - into[0] + 1 == len(into):
        return slice(int(into[0]), int(into[-1]) + 1), slice(low, high), points
    return into, slice(low, high), points
