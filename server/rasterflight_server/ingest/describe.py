"""What a file is, in one sentence for people."""

from rasterflight_server.ingest.header import Header
from rasterflight_server.read.codecs import CODECS, NONE
from rasterflight_server.types import Grid, Level

_PREDICTORS = {2: " of horizontal differences", 3: " of floating point differences"}


def describe(header: Header) -> str:
    """Say size, bands, type, layout, codec, place, overviews, mask and nodata of a file."""
    profile = header.profile
    full = profile.levels[0]
    return ", ".join(
        [
            f"{full.width} x {full.height} pixels",
            _bands(full),
            _layout(full),
            _codec(full),
            _place(header.grid),
            _count(len(profile.levels) - 1, "overview"),
            "a mask" if profile.masks else "no mask",
            "no nodata" if profile.nodata is None else f"nodata {profile.nodata}",
        ]
    )


def _bands(level: Level) -> str:
    stored = f" (stored as {level.stored})" if level.stored else ""
    order = ", big-endian" if level.big_endian else ""
    planes = ", one after the other" if level.planar_separate else ""
    return f"{_count(level.samples, 'band')} of {level.dtype}{stored}{order}{planes}"


def _layout(level: Level) -> str:
    if level.striped:
        return f"strips of {_count(level.tile_height, 'row')}"
    return f"tiles of {level.tile_width} x {level.tile_height}"


def _codec(level: Level) -> str:
    if level.compression == NONE:
        return "not compressed"
    return CODECS[level.compression][0] + _PREDICTORS.get(level.predictor, "")


def _place(grid: Grid) -> str:
    if grid.crs is None:
        return "no CRS (read it by pixel windows)"
    name = grid.crs if '"' not in grid.crs else "a CRS of its own"
    if not grid.located:
        return f"{name} without a transform (read it by pixel windows)"
    return name if grid.axis_aligned else f"{name} on a rotated grid (read it by pixel windows)"


def _count(number: int, what: str) -> str:
    if number == 0:
        return f"no {what}s"
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
