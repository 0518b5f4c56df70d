"""The grid that a request wants its pixels on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from affine import Affine

from rasterflight_protocol import ErrorCode
from rasterflight_protocol.v1 import read_pb2
from rasterflight_protocol.v1.read_pb2 import BBox, GridOptions, TargetGrid
from rasterflight_server.errors import RequestError
from rasterflight_server.plan.crs import parse_crs
from rasterflight_server.types import Grid
from rasterflight_server.types.lonlat import Box
from rasterflight_server.warp import Resampling

_METHODS: Final[dict[int, Resampling]] = {
    read_pb2.RESAMPLING_NEAREST: Resampling.NEAREST,
    read_pb2.RESAMPLING_BILINEAR: Resampling.BILINEAR,
    read_pb2.RESAMPLING_CUBIC: Resampling.CUBIC,
    read_pb2.RESAMPLING_AVERAGE: Resampling.AVERAGE,
    read_pb2.RESAMPLING_MODE: Resampling.MODE,
}
#: Pixels of a grid that is asked for, along each side.
_MAX_SIDE: Final = 1 << 31
_COEFFICIENTS: Final = 6
#: Far beyond the earth in any unit, and still far from where numbers of pixels leave 64 bits.
_MAX_COORDINATE: Final = 1e9

Pair = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Target:
    """What a request says about the grid of its pixels."""

    #: As ``Definition.name``; "": each record's own, or with ``common`` that of most records.
    crs: str
    #: Size of pixels (x, y); None: not said.
    resolution: Pair | None
    #: None: by what the values of a band are.
    resampling: Resampling | None
    #: The same for single bands.
    of_bands: Mapping[str, Resampling]
    common: bool
    bounds: Box | None
    anchor: Pair | None
    grid: Grid | None
    whole_areas: bool
    #: Nothing outside of this is wanted.
    part: Box | None

    @property
    def asked(self) -> bool:
        """Pixels may have to be put on another grid."""
        return bool(self.crs or self.resolution or self.common or self.bounds or self.anchor or self.grid)

    @property
    def moves(self) -> bool:
        """Something is said about the grid itself, so that pixels need a place on the ground."""
        return bool(self.crs or self.resolution or self.bounds or self.anchor or self.grid)

    @property
    def one_crs(self) -> bool:
        """All pixels come in one CRS, said or not."""
        return bool(self.crs or self.common or self.bounds or self.anchor)


def parse_target(options: GridOptions, bands: Sequence[str]) -> Target:
    """Check the grid options of a ticket.

    Raises
    ------
    RequestError
        Naming the field at fault.
    """
    grid = _grid(options.grid) if options.HasField("grid") else None
    bounds = _box(options.bounds, "grid.bounds") if options.HasField("bounds") else None
    if grid is not None:
        given = {"target_crs": options.target_crs, "resolution": options.resolution, "bounds": bounds}
        for field, value in (given | {"anchor": options.anchor}).items():
            if value:
                raise _bad(f"grid.{field}", "grid.grid says all of the grid already", "leave one of them out")
    if bounds and options.anchor:
        raise _bad("grid.anchor", "grid.bounds says where pixels begin already", "leave one of them out")
    for name in options.band_resampling:
        if name not in bands:
            raise _bad("grid.band_resampling", f"{name[:100]!r} is not among the bands", "name bands as in bands")
    target = Target(
        crs=parse_crs(options.target_crs, "grid.target_crs").name if options.target_crs else "",
        resolution=_pair(options.resolution, "grid.resolution", positive=True),
        resampling=_method(options.resampling, "grid.resampling"),
        of_bands={
            name: method
            for name, value in options.band_resampling.items()
            if (method := _method(value, f"grid.band_resampling[{name}]")) is not None
        },
        common=options.common,
        bounds=bounds,
        anchor=_pair(options.anchor, "grid.anchor", positive=False),
        grid=grid,
        whole_areas=options.whole_areas,
        part=_box(options.part, "grid.part") if options.HasField("part") else None,
    )
    if target.whole_areas and not target.asked:
        raise _bad("grid.whole_areas", "it takes a grid that goes on where records end", "say common, or target_crs")
    return target


def _grid(message: TargetGrid) -> Grid:
    coefficients = list(message.transform)
    if len(coefficients) != _COEFFICIENTS or not all(map(_is_coordinate, coefficients)):
        raise _bad("grid.grid.transform", f"{coefficients} is no transform", "give a, b, c, d, e, f")
    transform = Affine(*coefficients)
    if transform.b or transform.d or not (_is_size(abs(transform.a)) and _is_size(abs(transform.e))):
        raise _bad(
            "grid.grid.transform", f"{coefficients} is rotated, sheared or flat", "b and d are 0, a and e are not"
        )
    for side in ("width", "height"):
        if not 0 < getattr(message, side) <= _MAX_SIDE:
            raise _bad(f"grid.grid.{side}", f"{getattr(message, side)} is out of range", f"between 1 and {_MAX_SIDE}")
    return Grid(message.width, message.height, transform, parse_crs(message.crs, "grid.grid.crs").name)


def _box(message: BBox, field: str) -> Box:
    box = message.minx, message.miny, message.maxx, message.maxy
    if not all(map(_is_coordinate, box)) or box[0] >= box[2] or box[1] >= box[3]:
        raise _bad(field, f"{box} is no extent", "the order is minx, miny, maxx, maxy")
    return box


def _pair(values: Sequence[float], field: str, *, positive: bool) -> Pair | None:
    if not values:
        return None
    numbers = list(values) * (2 if len(values) == 1 else 1)
    if len(numbers) != 2 or not all(map(_is_size if positive else _is_coordinate, numbers)):  # noqa: PLR2004
        raise _bad(field, f"{list(values)} cannot be used", f"give one {'positive ' * positive}number, or x and y")
    return numbers[0], numbers[1]


def _is_coordinate(value: float) -> bool:
    """Whether a number can be a coordinate of anything on earth; NaN cannot."""
    return abs(value) <= _MAX_COORDINATE


def _is_size(value: float) -> bool:
    """Whether a number can be the size of a pixel."""
    return 1 / _MAX_COORDINATE <= value <= _MAX_COORDINATE


def _method(value: int, field: str) -> Resampling | None:
    if value == read_pb2.RESAMPLING_UNSPECIFIED:
        return None
    if value not in _METHODS:
        raise _bad(field, f"{value} is not known to this server", f"use {', '.join(read_pb2.Resampling.keys()[1:])}")
    return _METHODS[value]


def _bad(field: str, message: str, hint: str) -> RequestError:
    return RequestError(ErrorCode.BAD_REQUEST, f"{field}: {message}", field=field, hint=hint)
