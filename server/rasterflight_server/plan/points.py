"""The points of a request: checked, numbered, and ready in any CRS."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from rasterflight_protocol import ErrorCode
from rasterflight_protocol.limits import MAX_BAND_PIXELS, MAX_PIXELS, MAX_POINTS, window_pixels
from rasterflight_protocol.v1.read_pb2 import (
    MATCH_ALL,
    MATCH_LATEST,
    MATCH_UNSPECIFIED,
    NEIGHBOURHOOD_ALWAYS,
    NEIGHBOURHOOD_IF_CENTER_NODATA,
    NEIGHBOURHOOD_OFF,
    NEIGHBOURHOOD_UNSPECIFIED,
    Neighbourhood,
)
from rasterflight_protocol.v1.read_pb2 import Points as Message
from rasterflight_server.errors import RequestError
from rasterflight_server.plan.crs import LONLAT, parse_crs, transform_points

_FIELD: Final = "points"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How points take their pixels."""

    latest: bool
    max_distance: int
    neighbourhood: Neighbourhood

    @property
    def keeps_windows(self) -> bool:
        """Rows carry the pixels around the point."""
        return self.neighbourhood != NEIGHBOURHOOD_OFF

    @property
    def wants_validity(self) -> bool:
        """The answer depends on which pixels are valid."""
        return self.latest or self.max_distance > 0

    @property
    def window_pixels(self) -> int:
        """Pixels that a point looks at."""
        return window_pixels(self.max_distance)


class Points:
    """Places on the ground, numbered from ``first``.

    Parameters
    ----------
    x, y
        Coordinates, of one length.
    crs
        Text that PROJ understands; x comes before y.
    sampling
        How they take their pixels.
    first
        Number of the first one.

    Raises
    ------
    RequestError
        CRS_REQUIRED, BAD_GEOMETRY naming a point, LIMIT_EXCEEDED.
    """

    def __init__(self, x: Floats, y: Floats, crs: str, sampling: Sampling, first: int = 0) -> None:
        definition = parse_crs(crs, f"{_FIELD}.crs")
        self.crs = definition.name
        #: Its EPSG code; None: it has none.
        self.epsg = definition.epsg
        self.x, self.y = x, y
        self.sampling = sampling
        self.first = first
        self._by_crs: dict[str, tuple[Floats, Floats]] = {}
        _check_numbers(len(x), sampling)
        finite = np.isfinite(x) & np.isfinite(y)
        if not finite.all():
            raise RequestError(
                ErrorCode.BAD_GEOMETRY,
                f"point {first + int(np.argmin(finite))} has a coordinate that is NaN or infinite",
                field=_FIELD,
                hint="drop it first; points are numbered from 0",
            )

    def __len__(self) -> int:
        return len(self.x)

    def to_crs(self, crs: str) -> tuple[Floats, Floats]:
        """X and y in another CRS; infinite where it has no coordinates for a point."""
        if crs not in self._by_crs:
            x, y = transform_points(np.column_stack([self.x, self.y]), self.crs, crs).T
            self._by_crs[crs] = np.ascontiguousarray(x), np.ascontiguousarray(y)
        return self._by_crs[crs]

    @cached_property
    def lonlat(self) -> tuple[Floats, Floats]:
        """Longitude, between -180 and 180, and latitude; refuses points that are nowhere on the earth."""
        lon, lat = self.to_crs(LONLAT)
        finite = np.isfinite(lon) & np.isfinite(lat)
        if not finite.all():
            raise RequestError(
                ErrorCode.BAD_GEOMETRY,
                f"point {self.first + int(np.argmin(finite))} has coordinates that {self.crs} cannot place on the earth",
                field=_FIELD,
                hint="check geometry_crs: are the coordinates really in that CRS?",
            )
        beyond = np.abs(lon) > 180  # noqa: PLR2004, half a turn
        return np.where(beyond, (lon + 180) % 360 - 180, lon), lat


def parse_points(message: Message) -> Points:
    """Check the points of a ticket; there may be none.

    Raises
    ------
    RequestError
        BAD_REQUEST and what ``Points`` raises.
    """
    if len(message.x) != len(message.y):
        raise _bad(f"there are {len(message.x)} x and {len(message.y)} y", _FIELD, "each point has one of both")
    return Points(np.array(message.x, np.float64), np.array(message.y, np.float64), message.crs, _sampling(message))


def _sampling(message: Message) -> Sampling:
    if message.match not in (MATCH_UNSPECIFIED, MATCH_ALL, MATCH_LATEST):
        raise _bad(f"{message.match} is not known to this server", f"{_FIELD}.match", "use MATCH_ALL or MATCH_LATEST")
    distance = message.max_distance_pixels
    if distance < 0:
        raise _bad(f"{distance} is negative", f"{_FIELD}.max_distance_pixels", "0 takes the pixel itself")
    neighbourhood = message.neighbourhood
    if neighbourhood not in Neighbourhood.values():
        raise _bad(
            f"{neighbourhood} is not known to this server",
            f"{_FIELD}.neighbourhood",
            "use NEIGHBOURHOOD_OFF, _ALWAYS or _IF_CENTER_NODATA",
        )
    if neighbourhood == NEIGHBOURHOOD_UNSPECIFIED:
        neighbourhood = NEIGHBOURHOOD_OFF
    if neighbourhood in (NEIGHBOURHOOD_ALWAYS, NEIGHBOURHOOD_IF_CENTER_NODATA) and not distance:
        raise _bad(
            "a neighbourhood reaches as far as max_distance_pixels, which is 0",
            f"{_FIELD}.max_distance_pixels",
            "say how many pixels around the point are wanted",
        )
    return Sampling(message.match == MATCH_LATEST, distance, neighbourhood)


def check_bands(points: Points, bands: int) -> None:
    """Refuse more pixels than are answered at once.

    Raises
    ------
    RequestError
        LIMIT_EXCEEDED.
    """
    if len(points) * points.sampling.window_pixels * bands > MAX_PIXELS:
        raise _too_many(f"{len(points)} points x {points.sampling.window_pixels} pixels x {bands} bands", MAX_PIXELS)


def _check_numbers(count: int, sampling: Sampling) -> None:
    if count > MAX_POINTS:
        raise _too_many(f"{count} points", MAX_POINTS)
    if count * sampling.window_pixels > MAX_BAND_PIXELS:
        raise _too_many(f"{count} points x {sampling.window_pixels} pixels around each", MAX_BAND_PIXELS)


def _too_many(what: str, limit: int) -> RequestError:
    return RequestError(
        ErrorCode.LIMIT_EXCEEDED,
        f"{what} are more than the {limit} that are answered at once",
        field=_FIELD,
        hint="send the points in several sets, by DoExchange or by several requests",
    )


def _bad(message: str, field: str, hint: str) -> RequestError:
    return RequestError(ErrorCode.BAD_REQUEST, f"{field}: {message}", field=field, hint=hint)
