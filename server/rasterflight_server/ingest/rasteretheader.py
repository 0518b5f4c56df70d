"""Headers of files by what a collection of rasteret knows of them: as if their tags were read."""

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from affine import Affine

from rasterflight_server.errors import SourceError
from rasterflight_server.ingest.header import Header
from rasterflight_server.ingest.ifd import Directory
from rasterflight_server.ingest.meaning import Meaning, read_meaning
from rasterflight_server.ingest.pages import read_level
from rasterflight_server.ingest.ranges import read_ranges
from rasterflight_server.types import Grid, Level, Profile

_OFFSETS, _COUNTS, _NODATA = 324, 325, 42113
_FORMATS: Final = {"u": 1, "i": 2, "f": 3, "c": 6}
#: No file is as large: where files end is not known.
_ANY_SIZE: Final = 2**62
#: Lengths of the transforms that rasteret has: (a, c, e, f), or the usual six.
_SHORT, _LONG = 4, 6

Numbers = npt.NDArray[np.uint64]


class Layout(NamedTuple):
    """What many files have in common; names are those of rasteret, values those of the TIFF tags."""

    image_width: int
    image_height: int
    tile_width: int
    tile_height: int
    dtype: str
    predictor: int | None
    compression: int | None
    #: Text, so that NaN equals NaN.
    nodata: str | None
    samples_per_pixel: int
    planar_configuration: int | None
    photometric: int | None
    extra_samples: tuple[int, ...] | None


def known_header(
    layout: Layout, transform: Sequence[float] | None, crs: str | None, offsets: Numbers, counts: Numbers
) -> Header | None:
    """Make the header of a file; None where what is known is not enough, or is wrong: the file then has to be opened.

    Parameters
    ----------
    layout
        Shape and codec.
    transform
        (a, c, e, f) or (a, b, c, d, e, f) as ``affine.Affine`` names them.
    crs
        As ``Grid.crs``.
    offsets, counts
        Where the tiles lie, plane after plane.
    """
    try:
        where = _affine(transform)
        if where is None:
            return None
        level, meaning = _read(layout)
        complete = offsets.size == counts.size == level.tiles_across * level.tiles_down * level.planes
        if not complete or max(offsets.max(), counts.max()) > _ANY_SIZE:
            return None
        level, tiles = read_ranges(_Tags({_OFFSETS: offsets, _COUNTS: counts}), level, _ANY_SIZE)
    except (SourceError, TypeError, ValueError, OverflowError):
        return None
    return Header(
        identity=None,
        profile=_profile(level, meaning),
        grid=Grid(level.width, level.height, where, crs),
        located=True,
        tiles=(tiles,),
    )


class _Tags(Directory):
    """A directory whose tags were read by someone else."""

    big_endian = False

    def __init__(self, tags: Mapping[int, npt.NDArray[Any]]) -> None:
        self._tags = tags

    def __contains__(self, tag: int) -> bool:
        return tag in self._tags

    def array(self, tag: int) -> npt.NDArray[Any]:
        return self._tags.get(tag, np.empty(0, np.int64))

    def numbers(self, tag: int) -> list[float]:
        return list(map(float, self.array(tag)))

    def part(self, tags: AbstractSet[int]) -> None:  # noqa: ARG002 - ``_read`` is cached as a whole
        return None

    def _single(self, tag: int) -> int | None:  # noqa: ARG002 - there are no entries
        return None


@lru_cache(maxsize=4096)
def _read(layout: Layout) -> tuple[Level, Meaning]:
    dtype = np.dtype(layout.dtype)
    tags = {
        256: layout.image_width,
        257: layout.image_height,
        258: dtype.itemsize * 8,
        259: layout.compression,
        262: layout.photometric,
        277: layout.samples_per_pixel,
        284: layout.planar_configuration,
        317: layout.predictor,
        322: layout.tile_width,
        323: layout.tile_height,
        338: layout.extra_samples,
        339: _FORMATS.get(dtype.kind),
    }
    page = _Tags(
        {tag: np.atleast_1d(np.array(value, np.uint64)) for tag, value in tags.items() if value is not None}
        | ({} if layout.nodata is None else {_NODATA: np.frombuffer(layout.nodata.encode(), np.uint8)})
    )
    level = read_level(page)
    return level, read_meaning(page, level)


@lru_cache(maxsize=4096)
def _profile(level: Level, meaning: Meaning) -> Profile:
    return Profile(levels=(level,), bands=meaning.bands, nodata=meaning.nodata.value, fill=meaning.nodata.fill)


def _affine(transform: Sequence[float] | None) -> Affine | None:
    values = list(transform or ())
    if len(values) == _SHORT:
        a, c, e, f = values
        values = [a, 0.0, c, 0.0, e, f]
    if len(values) != _LONG or not all(map(math.isfinite, values)):
        return None
    found = Affine(*values)
    return None if found.is_degenerate else found
