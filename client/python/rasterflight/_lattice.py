"""Pixel grids that line up."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from rasterflight._rows import Chip
from rasterflight.errors import GridMismatchError

#: Pixels count as lined up when their corners are this close, in pixels.
_TOLERANCE = 1e-6
_WAY_OUT = "narrow the read by ids= or other filters, or use get_gdf"


class Place(NamedTuple):
    """Rows and columns of a lattice."""

    row: int
    col: int
    height: int
    width: int

    def within(self, outer: "Place") -> tuple[slice, slice]:
        """Index these pixels in an array of the outer ones."""
        row, col = self.row - outer.row, self.col - outer.col
        return slice(row, row + self.height), slice(col, col + self.width)


def union(places: Iterable[Place]) -> Place:
    """Give the smallest rectangle around some."""
    edges = [(p.row, p.col, p.row + p.height, p.col + p.width) for p in places]
    row, col = min(edge[0] for edge in edges), min(edge[1] for edge in edges)
    return Place(row, col, max(edge[2] for edge in edges) - row, max(edge[3] for edge in edges) - col)


@dataclass(frozen=True, slots=True)
class Lattice:
    """The endless grid that a first chip lies on.

    Parameters
    ----------
    first
        The chip; its upper left pixel is row 0, column 0.
    bands
        Names of its bands, for messages.

    Raises
    ------
    GridMismatchError
        The chip has no transform, or one that is rotated or sheared.
    """

    first: Chip
    bands: tuple[str, ...]

    def __post_init__(self) -> None:
        _, b, _, d, _, _ = _transform(self.first)
        if b != 0 or d != 0:
            raise GridMismatchError(
                "rows and columns do not run along the axes of the CRS, so pixels have no x and y coordinates",
                record=self.first.record_id,
                hint="get_gdf and get_numpy read such grids",
            )

    def place(self, chip: Chip, bands: Iterable[str]) -> Place:
        """Find a chip on the lattice.

        Raises
        ------
        GridMismatchError
            It is in another CRS, has other pixels, or lies between these.
        """
        if chip.crs != self.first.crs:
            one, other = self._names(chip, bands)
            raise GridMismatchError(
                f"the rasters are in different CRS: {self.first.crs} ({one}) and {chip.crs} ({other})", hint=_WAY_OUT
            )
        a, b, c, d, e, f = _transform(self.first)
        own_a, own_b, own_c, own_d, own_e, own_f = _transform(chip)
        # both ends: a difference in pixel size that is lost at one pixel shows at the other end of a chip
        edges = (
            (own_c - c) / a,
            (own_c + own_a * chip.width - c) / a,
            (own_f - f) / e,
            (own_f + own_e * chip.height - f) / e,
        )
        col, right, row, bottom = map(round, edges)
        if (own_b, own_d) != (b, d) or (right - col, bottom - row) != (chip.width, chip.height):
            one, other = self._names(chip, bands)
            raise GridMismatchError(
                f"the rasters have pixels of different size: {a:g} x {e:g} ({one}) and {own_a:g} x {own_e:g} ({other})",
                hint=_WAY_OUT,
            )
        shift = max(abs(edge - round(edge)) for edge in edges)
        if shift > _TOLERANCE:
            one, other = self._names(chip, bands)
            raise GridMismatchError(
                f"the grids do not line up: {other} lies {shift:.3g} of a pixel ({a:g} x {e:g}) off {one}",
                hint=_WAY_OUT,
            )
        return Place(row, col, chip.height, chip.width)

    def transform(self, extent: Place, chips: Iterable[tuple[Place, Chip]]) -> tuple[float, ...]:
        """Give the transform of an extent, with an origin exactly as some chip has it."""
        a, b, c, d, e, f = _transform(self.first)
        for place, chip in chips:
            if place.col == extent.col:
                c = _transform(chip)[2]
            if place.row == extent.row:
                f = _transform(chip)[5]
        return a, b, c, d, e, f

    def bounds(self, place: Place) -> tuple[float, float, float, float]:
        """Give the extent of some pixels: minx, miny, maxx, maxy."""
        a, _, c, _, e, f = _transform(self.first)
        x = sorted((c + a * place.col, c + a * (place.col + place.width)))
        y = sorted((f + e * place.row, f + e * (place.row + place.height)))
        return x[0], y[0], x[1], y[1]

    def _names(self, chip: Chip, bands: Iterable[str]) -> tuple[str, str]:
        one, other = f"record {self.first.record_id}", f"record {chip.record_id}"
        if one != other:
            return one, other
        return f"{one}, {', '.join(self.bands)}", f"{other}, {', '.join(bands)}"


def _transform(chip: Chip) -> list[float]:
    if chip.transform is None:
        raise GridMismatchError("the raster has no transform", record=chip.record_id, hint=_WAY_OUT)
    return chip.transform
