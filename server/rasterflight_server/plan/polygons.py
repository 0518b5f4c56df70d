"""Polygons as they came in, parsed and checked once."""

from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.plan.limits import USUAL, Allowance
from rasterflight_server.plan.wkb import tamed

#: Largest area, as WKB.
MAX_AREA_BYTES = 4 << 20
#: Areas that are parsed in one go.
_TOGETHER = 1 << 14
_POLYGONS = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)


class Polygons:
    """Polygons and multipolygons in no particular CRS; never changed, so that requests may share them.

    Parameters
    ----------
    geometries
        Shapely geometries, neither empty nor with coordinates that are not finite.
    """

    def __init__(self, geometries: npt.NDArray[np.object_]) -> None:
        self.geometries = geometries

    @classmethod
    def from_wkb(cls, values: npt.NDArray[np.object_], field: str, allowance: Allowance = USUAL) -> "Polygons":
        """Parse ISO WKB or EWKB.

        Raises
        ------
        RequestError
            BAD_GEOMETRY, naming the first geometry at fault. LIMIT_EXCEEDED: a geometry is too large, or there are too many vertices;
            before anything is parsed.
        """
        sizes = np.fromiter(map(len, values), np.int64, len(values))
        # Parsed, it has two dimensions, of up to four.
        _check_sizes(sizes, 2 * MAX_AREA_BYTES, field)
        values, vertices = values.copy(), 0
        for piece in allowance.pieces(len(values), _TOGETHER):
            values[piece], more = tamed(values[piece])
            vertices += more
        allowance.check("vertices", vertices)
        geometries = np.empty(len(values), dtype=object)
        for piece in allowance.pieces(len(values), _TOGETHER):
            geometries[piece] = _parsed(values[piece], piece.start, field)
        return cls(geometries)

    @cached_property
    def wkb(self) -> pa.LargeBinaryArray:
        """Two-dimensional ISO WKB."""
        return pa.array(shapely.to_wkb(self.geometries, output_dimension=2), pa.large_binary())

    @cached_property
    def wkb_sizes(self) -> npt.NDArray[np.int64]:
        """Bytes of each as WKB."""
        sizes: npt.NDArray[np.int64] = pc.binary_length(self.wkb).to_numpy()
        return sizes

    def check_sizes(self, field: str) -> None:
        """Refuse a polygon that is too large: it travels with each of its rows, and a row must fit into a message.

        Raises
        ------
        RequestError
            LIMIT_EXCEEDED.
        """
        _check_sizes(self.wkb_sizes, MAX_AREA_BYTES, field)


def _parsed(values: npt.NDArray[np.object_], begin: int, field: str) -> npt.NDArray[np.object_]:
    """Some of the areas, which begin with this one; checked."""
    with np.errstate(invalid="ignore"):  # NaN in what is damaged
        geometries = np.asarray(shapely.from_wkb(values, on_invalid="ignore"), dtype=object)
    kinds = shapely.get_type_id(geometries)
    finite = np.isfinite(shapely.bounds(geometries)).all(axis=1) & _all_finite(geometries)
    empty = shapely.is_empty(geometries)
    usable = np.isin(kinds, [int(kind) for kind in _POLYGONS]) & finite & ~empty
    if not usable.all():
        first = int(np.argmin(usable))
        message, hint = _complaint(geometries[first], empty=bool(empty[first]))
        number = begin + first
        raise RequestError(
            ErrorCode.BAD_GEOMETRY, f"geometry {number + 1} {message}", field=f"{field}.wkb[{number}]", hint=hint
        )
    return geometries


def _check_sizes(sizes: npt.NDArray[np.int64], most: int, field: str) -> None:
    if sizes.max(initial=0) > most:
        largest = int(np.argmax(sizes))
        raise RequestError(
            ErrorCode.LIMIT_EXCEEDED,
            f"geometry {largest + 1} takes {sizes[largest]} bytes as WKB, the limit is {MAX_AREA_BYTES}",
            field=field,
            hint="simplify it, or split it",
        )


def _all_finite(geometries: npt.NDArray[np.object_]) -> npt.NDArray[np.bool_]:
    coordinates, index = shapely.get_coordinates(geometries, return_index=True)
    finite = np.ones(len(geometries), dtype=bool)
    finite[index[~np.isfinite(coordinates).all(axis=1)]] = False
    return finite


def _complaint(geometry: shapely.Geometry | None, *, empty: bool) -> tuple[str, str]:
    if geometry is None:
        return "is not valid WKB", ""
    kind = shapely.GeometryType(int(shapely.get_type_id(geometry)))
    if kind is shapely.GeometryType.GEOMETRYCOLLECTION:
        return "is a GEOMETRYCOLLECTION, not a polygon", "split it into polygons"
    if kind not in _POLYGONS:
        return f"is a {kind.name}, not a polygon", "use sample_points for points; buffer lines to make areas"
    if empty:
        return "is empty", "drop empty geometries first"
    return "has a coordinate that is NaN or infinite", "drop or mend the geometry first"
