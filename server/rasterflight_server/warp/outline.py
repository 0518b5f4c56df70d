"""The outline of a source as it looks in another CRS, and the grid that GDAL lays over it (``GDALSuggestedWarpOutput2``)."""

import math
from collections.abc import Sequence

import numpy as np
from affine import Affine

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.types import Grid
from rasterflight_server.warp.transformer import F64, Projection, Transformer

#: Fewest and most steps in which an edge of the source is looked at, and pixels of a step.
_FEWEST, _MOST, _STEP = 20, 100, 50
#: How often an interval is halved to find where in it the outline is torn.
_BISECTIONS = 16
#: By what part of a pixel a whole row of pixels shrinks, so that its last pixel comes to lie in the source.
_SHRINKING = (0.0, 0.001, 0.01, 0.1, 1.0)
#: Degrees between neighbours on the outline that are taken for a jump over the antimeridian.
_JUMP = 200.0
#: Pixels by which a pole may lie beside the source, and degrees by which it may be missed.
_BESIDE, _AT_POLE = 1e-5, 1e-6


class Outline:
    """Points along the edges of a source in the CRS of a target; points all over it where an edge does not project there and back."""

    def __init__(self, source: Grid, to_target: Projection | None, to_source: Projection | None) -> None:
        self._source = source
        self._forward = Transformer(Affine.identity(), source.transform, to_target)
        self._backward = Transformer(source.transform, Affine.identity(), to_source)
        width, height = source.width, source.height
        self._steps = steps = min(max(int(min(width, height) / _STEP + 0.5), _FEWEST), _MOST)
        ratio = np.arange(steps + 1) * (1.0 / steps)
        ratio[-1] = 1.0
        none, one = np.zeros_like(ratio), np.ones_like(ratio)
        col, row = np.concatenate([ratio, ratio, none, one]) * width, np.concatenate([none, one, ratio, ratio]) * height
        x, y = self._forward.exact(col, row)
        self._x, self._y = self._settled(x, y), y
        #: How many of the points lie in lines along the rows of the source, ``steps`` + 1 in each.
        self._in_lines = 2 * (steps + 1)
        if not self._comes_back(col, row):
            col, row = (points.ravel() for points in np.meshgrid(ratio * width, ratio * height))
            self._x, self._y = self._forward.exact(col, row)
            self._in_lines = len(col)
        self._row = row

    def grid(self, poles: Sequence[tuple[float, float]], *, degrees: bool) -> tuple[Affine, int, int]:
        """The transform, width and height of the grid; parameters as of ``default_target``.

        Raises
        ------
        RequestError
            BAD_REQUEST: hardly any point projects.
        """
        low, high = self._bounds()
        if degrees:
            self._take_in_poles(poles, low, high)
        self._take_in_sides(low, high, degrees=degrees)
        dx, dy = self._x[-1] - self._x[0], self._y[-1] - self._y[0]
        if not (np.isfinite(dx) and np.isfinite(dy) and dx != 0.0 and dy != 0.0):
            dx, dy = high - low
        pixel = math.sqrt(dx * dx + dy * dy) / math.sqrt(self._source.width**2 + self._source.height**2)
        width, height = (max(1, int(length / pixel + 0.5)) for length in high - low)
        along = np.minimum(np.arange(21) * 0.05, 1.0)
        across = down = pixel
        for ratio in _SHRINKING:
            across = pixel - pixel * ratio / width
            if self._meets(low[0] + width * across, high[1] - pixel * along * height, across, pixel):
                break
        else:
            across = pixel
        for ratio in _SHRINKING:
            down = pixel - pixel * ratio / height
            if self._meets(low[0] + across * along * width, high[1] - height * down, across, down):
                break
        else:
            down = pixel
        right, bottom = low[0] + width * across, high[1] - height * down
        if degrees and ((high[0] <= 180 < right) or high[0] == 180):  # noqa: PLR2004
            across = (180 - low[0]) / width
        if degrees and low[1] >= -90 > bottom:  # noqa: PLR2004
            down = (high[1] + 90) / height
        return Affine(float(across), 0.0, float(low[0]), 0.0, -float(down), float(high[1])), width, height

    def _settled(self, x: F64, y: F64) -> F64:
        """Points on the antimeridian moved to the side of all others."""
        there = np.isfinite(x)
        for sign in (-1.0, 1.0) if there.any() else ():
            on_seam = np.abs(x + sign * 180.0) < 1e-8  # noqa: PLR2004
            fits = ((sign * x > 0) & (sign * x <= 180)) | on_seam  # noqa: PLR2004
            if not fits[there][0]:
                continue
            if fits[there].all() and on_seam.any():
                one = np.stack(self._backward.exact(np.full(on_seam.sum(), -sign * 180.0), y[on_seam]))
                other = np.stack(self._backward.exact(np.full(on_seam.sum(), sign * 180.0), y[on_seam]))
                x = x.copy()
                x[on_seam] = np.where((np.abs(one - other) < 1e-8).all(axis=0), sign * 180.0, x[on_seam])  # noqa: PLR2004
            break
        return x

    def _comes_back(self, col: F64, row: F64) -> bool:
        if np.isnan(self._x).any():
            return False
        back_col, back_row = self._backward.exact(self._x, self._y)
        near = np.abs(back_col - col) <= self._source.width / self._steps
        return bool((near & (np.abs(back_row - row) <= self._source.height / self._steps)).all())

    def _bounds(self) -> tuple[F64, F64]:
        lost = np.isnan(self._x)
        if lost.sum() > lost.size - 10:
            raise RequestError(
                ErrorCode.BAD_REQUEST,
                "the target CRS cannot express the area of the pixels",
                field="target_crs",
                hint="choose a CRS that is made for this part of the world",
            )
        x, y = self._torn()
        points = np.stack([np.concatenate([self._x, x]), np.concatenate([self._y, y])])
        return np.nanmin(points, axis=1), np.nanmax(points, axis=1)

    def _torn(self) -> tuple[F64, F64]:
        """Points on both sides of where lines begin and end to project, or go over 0, which may be where the world is torn."""
        points = self._steps + 1
        after = np.arange(self._in_lines).reshape(-1, points)[:, 1:].ravel()
        lost = np.isnan(self._x)
        with np.errstate(invalid="ignore"):
            torn = (lost[after - 1] != lost[after]) | (self._x[after - 1] * self._x[after] < 0)
        after = after[torn]
        width, height = self._source.width, self._source.height
        line = after // points * (self._steps if self._in_lines == 2 * points else 1)
        row = line.astype(np.float64) * height / self._steps
        begin, end = (
            (after % points - 1.0) * width / self._steps,
            (after % points).astype(np.float64) * width / self._steps,
        )
        x_begin, lost_begin, lost_end = self._x[after - 1].copy(), lost[after - 1].copy(), lost[after].copy()
        found: list[tuple[F64, F64]] = []
        for _ in range(_BISECTIONS if after.size else 0):
            middle = (begin + end) / 2.0
            x, y = self._forward.exact(middle, row)
            found.append((x, y))
            there = np.isfinite(x)
            with np.errstate(invalid="ignore"):
                to_end = there & (lost_begin | (x_begin * x < 0)) | ~there & ~lost_begin & lost_end
            to_begin = there & ~to_end | ~there & lost_begin
            lost_end &= ~(there & to_end)
            lost_begin &= ~(there & to_begin)
            end, begin = np.where(to_end, middle, end), np.where(to_begin, middle, begin)
            x_begin = np.where(there & to_begin, x, x_begin)
        if not found:
            return np.empty(0), np.empty(0)
        return np.concatenate([x for x, _ in found]), np.concatenate([y for _, y in found])

    def _take_in_poles(self, poles: Sequence[tuple[float, float]], low: F64, high: F64) -> None:
        for x, y in poles:
            col, row = ~self._source.transform * (x, y)
            beside = max(-col, col - self._source.width, -row, row - self._source.height)
            latitude = float(self._forward.exact(np.array([col]), np.array([row]))[1][0])
            if not (beside <= _BESIDE and abs(abs(latitude) - 90.0) <= _AT_POLE):
                continue
            low[0], high[0] = -180.0, 180.0
            low[1], high[1] = (-90.0, high[1]) if latitude < 0 else (low[1], 90.0)

    def _take_in_sides(self, low: F64, high: F64, *, degrees: bool) -> None:
        """Bounds as ``OGRCoordinateTransformation::TransformBounds`` finds them: from corners and two places on each side."""
        if not self._source.axis_aligned:
            return
        ratio = np.arange(3) / 3
        none, one = np.zeros(3), np.ones(3)
        col = np.concatenate([none, ratio, one, 1 - ratio]) * self._source.width
        row = np.concatenate([ratio, one, 1 - ratio, none]) * self._source.height
        x, y = self._forward.exact(col, row)
        if not np.isfinite(x).any() or (degrees and (np.abs(np.diff(x, append=x[:1])) >= _JUMP).any()):
            return
        np.minimum(low, [np.nanmin(x), np.nanmin(y)], out=low)
        np.maximum(high, [np.nanmax(x), np.nanmax(y)], out=high)

    def _meets(self, x: F64 | float, y: F64 | float, across: float, down: float) -> bool:
        """Whether any of the places on a line has a way to the source and back that ends within a pixel of it."""
        x, y = np.broadcast_arrays(x, y)
        back_x, back_y = self._forward.exact(*self._backward.exact(x, y))
        return bool(((np.abs(back_x - x) <= across) & (np.abs(back_y - y) <= down)).any())
