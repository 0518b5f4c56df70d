"""Masks inside a file: directories that say which pixels of the image are valid."""

from collections.abc import Iterable
from typing import Final

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.ingest.ifd import Directory
from rasterflight_server.ingest.pages import read_level
from rasterflight_server.types import Level

_SUBFILE: Final = 254
_REDUCED, _MASK = 1, 4


def find_masks(image: Level, pages: Iterable[Directory]) -> list[tuple[Level, Directory]]:
    """Find the mask of an image, and the overviews of the mask from fine to coarse.

    As for GDAL, the first directory that calls itself a mask is it, if it has bytes or bits, and one sample or as many as
    the image. Overviews that cannot be read are passed over.

    Raises
    ------
    SourceError
        The mask cannot be read: without it, invalid pixels would be taken for valid ones.
    """
    found: list[tuple[Level, Directory]] = []
    for page in pages:
        subfile = page.integer(_SUBFILE, 0)
        if not subfile & _MASK or bool(subfile & _REDUCED) != bool(found):
            continue
        level = _read(page, overview=bool(found))
        if level is None or level.dtype != "uint8" or level.samples not in (1, image.samples):
            continue
        finer = found[-1][0] if found else image
        smaller = (level.width, level.height) < (finer.width, finer.height)
        same = (level.width, level.height) == (image.width, image.height)
        if smaller if found else same:
            found.append((level, page))
    return found


def _read(page: Directory, *, overview: bool) -> Level | None:
    try:
        return read_level(page)
    except SourceError as error:
        if not overview:
            raise SourceError(error.code, f"the mask of the file: {error.message}", hint=error.hint) from error
        if error.code is ErrorCode.SOURCE_CORRUPT:
            raise
        return None
