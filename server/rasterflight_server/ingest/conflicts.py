"""What a catalog says of a file, held against what the file says of itself."""

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from affine import Affine
from pyproj import CRS

from rasterflight_server.ingest.bands import sample_hints
from rasterflight_server.ingest.header import Header
from rasterflight_server.ingest.nodata import parse_nodata
from rasterflight_server.ingest.sources import AssetSource, Notice
from rasterflight_server.types import Grid

#: Pixels by which two grids may miss each other: catalogs round.
_PIXELS: Final = 0.01


def find_conflicts(record: str, files: Sequence[tuple[AssetSource, Header]]) -> list[Notice]:
    """Name what differs, once for each kind, by the first file of the record of which it does; the file counts.

    Shape, CRS, transform, pixel type, nodata, scale and offset are compared, as far as both speak.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for source, header in files:
        first: dict[str, str] = {}
        for kind, words in _differences(source, header):
            first.setdefault(kind, words)
        for kind, words in first.items():
            found.setdefault(kind, []).append((source.key, words))
    return [
        Notice(record, places[0][0], f"{places[0][1]}: the file counts{_more(len(places) - 1)}")
        for places in found.values()
    ]


def _more(others: int) -> str:
    return f" (so in {others} more of its files)" if others else ""


def _differences(source: AssetSource, header: Header) -> Iterator[tuple[str, str]]:
    grid, profile = header.grid, header.profile
    level = profile.levels[0]
    if source.shape is not None and source.shape != (grid.height, grid.width):
        yield "shape", _differ("proj:shape", list(source.shape), [grid.height, grid.width])
    elif source.transform is not None and header.located and not _same_place(source.transform, grid):
        yield "transform", _differ("proj:transform", _numbers(source.transform), _numbers(grid.transform))
    if source.crs is not None and grid.crs is not None and not _same_crs(source.crs, grid.crs):
        yield "crs", _differ("the CRS", _name(source.crs), _name(grid.crs))
    for hint, band in zip(sample_hints(source, level.samples), profile.bands, strict=True):
        if hint.dtype is not None and hint.dtype != level.dtype:
            yield "dtype", _differ("data_type", hint.dtype, level.dtype)
        said = None if hint.nodata is None else parse_nodata(hint.nodata, level.dtype).value
        if said is not None and profile.nodata is not None and said != profile.nodata:
            yield "nodata", _differ("nodata", said, profile.nodata)
        for kind in ("scale", "offset"):
            one, other = getattr(hint, kind), getattr(band, kind)
            if one is not None and other is not None and not math.isclose(one, other, rel_tol=1e-6):
                yield kind, _differ(kind, one, other)


def _differ(what: str, said: object, found: object) -> str:
    return f"{what} is {said} in the catalog and {found} in the file"


def _same_place(transform: Affine, grid: Grid) -> bool:
    """Whether all corners lie within a part of a pixel of each other."""
    if transform == grid.transform:
        return True
    size = max(abs(grid.transform.a), abs(grid.transform.b)), max(abs(grid.transform.e), abs(grid.transform.d))
    for corner in ((0, 0), (grid.width, 0), (0, grid.height)):
        moved = zip(transform * corner, grid.transform * corner, size, strict=True)
        if any(abs(one - other) > _PIXELS * pixel for one, other, pixel in moved):
            return False
    return True


@lru_cache(maxsize=1024)
def _same_crs(one: str, other: str) -> bool:
    if one == other:
        return True
    return CRS.from_user_input(one).equals(CRS.from_user_input(other), ignore_axis_order=True)


def _name(crs: str) -> str:
    return CRS.from_user_input(crs).name if "[" in crs else crs


def _numbers(transform: Affine) -> list[float]:
    return list(transform[:6])
