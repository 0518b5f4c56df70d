"""The header of a GeoTIFF, as far as reading its tiles needs it."""

from dataclasses import dataclass
from typing import Final

from affine import Affine

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.ingest.geokeys import has_control_points, read_crs, read_geokeys, read_transform
from rasterflight_server.ingest.ifd import Directory, read_directories
from rasterflight_server.ingest.masks import find_masks
from rasterflight_server.ingest.meaning import read_meaning
from rasterflight_server.ingest.pages import read_level
from rasterflight_server.ingest.ranges import read_ranges
from rasterflight_server.store import Prefix, ReadAhead, Source
from rasterflight_server.types import Grid, Identity, Level, Profile, TileRanges

_SUBFILE, _OLD_SUBFILE = 254, 255
_REDUCED, _MASK = 1, 4
_OLD_REDUCED: Final = 2
_MAX_HEADER_BYTES: Final = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says about itself."""

    #: None: whoever read the header did not keep it.
    identity: Identity | None
    profile: Profile
    #: The transform is the identity where the file has none.
    grid: Grid
    #: The file says where its pixels are.
    located: bool
    #: One for each level of the profile, then one for each of its masks.
    tiles: tuple[TileRanges, ...]
    #: As ``Asset.tags``.
    tags: str = ""


def read_header(source: Source, prefix: Prefix | None = None) -> Header:
    """Read the header of a GeoTIFF: its image, the overviews and the mask of it, and where all their tiles lie.

    Thumbnails and further images in the file are passed over, and so are overviews that cannot be read.

    Parameters
    ----------
    source
        The file.
    prefix
        Says how many bytes to fetch at first, and learns from this file.

    Raises
    ------
    SourceError
        UNSUPPORTED_LAYOUT, UNSUPPORTED_CODEC, SOURCE_CORRUPT (not a TIFF, damaged, truncated), or as the source.
    """
    file = ReadAhead(source, _MAX_HEADER_BYTES, None if prefix is None else prefix.size)
    image, *others = read_directories(file)
    full = read_level(image)
    pages = [(full, image)]
    for page in others:
        level = _overview(page, pages[-1][0])
        if level is not None:
            pages.append((level, page))
    masks = find_masks(full, others)
    places = [read_ranges(page, level, file.size) for level, page in (*pages, *masks)]
    levels = tuple(level for level, _ in places)
    meaning = read_meaning(image, full)
    keys = read_geokeys(image)
    transform = read_transform(image, keys)
    if prefix is not None:
        prefix.learn(file.extent)
    return Header(
        identity=source.identity(),
        profile=Profile(
            levels=levels[: len(pages)],
            masks=levels[len(pages) :],
            bands=meaning.bands,
            nodata=meaning.nodata.value,
            fill=meaning.nodata.fill,
            nodata_values=meaning.nodata_values,
            colormap=meaning.colormap,
        ),
        grid=Grid(
            width=full.width,
            height=full.height,
            transform=transform or Affine.identity(),
            crs=read_crs(keys) if transform or not has_control_points(image) else None,
        ),
        located=transform is not None,
        tiles=tuple(ranges for _, ranges in places),
        tags=meaning.tags,
    )


def _overview(page: Directory, before: Level) -> Level | None:
    """Read a page as the overview after ``before``; None when it is not one, or one that cannot be read."""
    subfile = page.integer(_SUBFILE, 0)
    reduced = subfile & _REDUCED or page.integer(_OLD_SUBFILE, 0) == _OLD_REDUCED
    if not reduced or subfile & _MASK:
        return None
    try:
        level = read_level(page)
    except SourceError as error:
        if error.code is ErrorCode.SOURCE_CORRUPT:
            raise
        return None
    alike = (level.samples, level.dtype) == (before.samples, before.dtype)
    smaller = level.width <= before.width and level.height <= before.height
    return level if alike and smaller and (level.width, level.height) != (before.width, before.height) else None
