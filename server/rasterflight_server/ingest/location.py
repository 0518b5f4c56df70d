"""Where a record lies: the footprint of its catalog, held against its rasters."""

from collections.abc import Iterable, Sequence
from typing import Final

import shapely
from shapely.geometry.base import BaseGeometry

from rasterflight_server.ingest.footprint import Floats, corner_bounds, outline
from rasterflight_server.types import Grid
from rasterflight_server.types.lonlat import HALF_TURN, Box

_INSTEAD: Final = "the outline of the raster counts"


def locate(
    footprint: BaseGeometry | None, bounds: Box, grids: Sequence[Grid]
) -> tuple[BaseGeometry | None, str | None]:
    """Where a record lies: as its catalog says, or as its rasters do where that says nothing, or something that is clearly a slip.

    Parameters
    ----------
    footprint
        What the catalog says, as ``read_footprint`` returns it; None: nothing.
    bounds
        Those of the footprint; without one, of no account.
    grids
        Those of the record's rasters.

    Returns
    -------
    tuple
        The footprint, and in words what is odd about that of the catalog.
    """
    if footprint is not None and _narrow(footprint, bounds) and _plausible(bounds, grids):
        return footprint, None
    found = next((shape for shape in map(outline, grids) if shape is not None), None)
    if footprint is None or found is None:
        return found or footprint, None
    if not _narrow(footprint, bounds) and _narrow(found, found.bounds):
        return found, f"its geometry crosses the antimeridian without being cut there: {_INSTEAD}"
    if footprint.intersects(found):
        return footprint, None
    if shapely.transform(footprint, _swapped).intersects(found):
        return found, f"its geometry has latitude before longitude: {_INSTEAD}"
    return footprint, "its geometry lies elsewhere than its raster: it is found by its geometry"


def _narrow(footprint: BaseGeometry, bounds: Box) -> bool:
    """Whether no part reaches around more than half of the earth, as what crosses the antimeridian uncut seems to."""
    west, _, east, _ = bounds
    if east - west <= HALF_TURN:
        return True
    parts = [part.bounds for part in getattr(footprint, "geoms", [footprint])]
    return all(east - west <= HALF_TURN for west, _, east, _ in parts)


def _plausible(bounds: Box, grids: Iterable[Grid]) -> bool:
    """Whether the bounds of a footprint meet those of the raster; telling the outlines apart would take ten times as long."""
    found = next((each for each in map(corner_bounds, grids) if each is not None), None)
    if found is None:
        return True
    west, south, east, north = bounds
    minx, miny, maxx, maxy = found
    return minx <= east and maxx >= west and miny <= north and maxy >= south


def _swapped(coordinates: Floats) -> Floats:
    return coordinates[:, ::-1]
