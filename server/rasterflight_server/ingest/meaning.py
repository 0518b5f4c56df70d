"""What pixels stand for: what the tags of a directory say besides how they are stored."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from rasterflight_protocol import Colormap, nodata_pixel
from rasterflight_server.ingest.colorinterp import COLOR_TAGS, color_interpretation, read_colormap
from rasterflight_server.ingest.gdal import TEXT_TAGS, Metadata, finite, read_metadata
from rasterflight_server.ingest.ifd import Directory, DirectoryPart
from rasterflight_server.ingest.nodata import Nodata, parse_nodata
from rasterflight_server.types import BandMeta, Level

_GDAL_METADATA, _GDAL_NODATA = 42112, 42113
#: All that the meaning of pixels depends on, but for their layout.
_TAGS: Final = frozenset([_GDAL_METADATA, _GDAL_NODATA, *COLOR_TAGS, *TEXT_TAGS])
#: Name among the tags of the file; a pixel is invalid where all bands hold their value.
_NODATA_VALUES: Final = "NODATA_VALUES"
_MAX_NODATA_VALUES: Final = 16


@dataclass(frozen=True, slots=True)
class Meaning:
    """The meaning of the pixels of a file; see ``Profile`` and ``Asset``."""

    bands: tuple[BandMeta, ...]
    nodata: Nodata
    nodata_values: tuple[str, ...] | None
    colormap: Colormap | None
    tags: str


def read_meaning(page: Directory, level: Level) -> Meaning:
    """Read nodata, GDAL_METADATA and colours of the directory of an image."""
    part = page.part(_TAGS)
    return _meaning(page, level) if part is None else _known_meaning(part, level)


@lru_cache(maxsize=1024)
def _known_meaning(part: DirectoryPart, level: Level) -> Meaning:
    return _meaning(part, level)


def _meaning(page: Directory, level: Level) -> Meaning:
    metadata = read_metadata(page, page.text(_GDAL_METADATA), level.samples)
    nodata = parse_nodata(page.text(_GDAL_NODATA), level.dtype)
    held = None if nodata.value is None or level.dtype[0] in "fc" else nodata_pixel(nodata.value, level.dtype)
    return Meaning(
        bands=_bands(metadata, color_interpretation(page, level)),
        nodata=nodata,
        nodata_values=_nodata_values(metadata, level),
        colormap=read_colormap(page, level, None if held is None else int(held)),
        tags=metadata.to_json(),
    )


def _bands(metadata: Metadata, colors: list[str]) -> tuple[BandMeta, ...]:
    return tuple(
        BandMeta(
            scale=finite(roles.get("scale")),
            offset=finite(roles.get("offset")),
            unit=roles.get("unit") or None,
            description=roles.get("description") or None,
            colorinterp=roles.get("colorinterp", color).lower(),
        )
        for roles, color in zip(metadata.roles, colors, strict=True)
    )


def _nodata_values(metadata: Metadata, level: Level) -> tuple[str, ...] | None:
    texts = metadata.file.get(_NODATA_VALUES, "").split()
    if len(texts) != level.samples or len(texts) > _MAX_NODATA_VALUES:
        return None
    values = [parse_nodata(text, level.dtype).value for text in texts]
    return tuple(value for value in values if value is not None) if None not in values else None
