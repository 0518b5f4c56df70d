"""GeoDataFrames and GeoSeries, taken apart; geopandas itself is not needed for it."""

from typing import Any

from rasterflight._columns import nearest_columns
from rasterflight._crs import told_crs
from rasterflight.errors import BadRequestError


def is_geo(value: Any) -> bool:
    """Whether this is a GeoDataFrame or a GeoSeries."""
    return any(cls.__name__ in ("GeoDataFrame", "GeoSeries") for cls in type(value).__mro__)


def frame_parts(frame: Any, geometry_column: str | None) -> tuple[Any, Any]:
    """The GeoSeries that is meant, and the other columns row by row (None: it is a GeoSeries).

    Raises
    ------
    BadRequestError
        The column is not there, or holds no geometries.
    TypeError
        A column of a GeoSeries is named.
    """
    if not hasattr(frame, "columns"):
        if geometry_column is not None:
            raise TypeError("geometry_column= names a column of a GeoDataFrame, and this is a GeoSeries")
        return frame, None
    if geometry_column is not None and geometry_column not in frame.columns:
        raise BadRequestError(
            f"the GeoDataFrame has no column {geometry_column!r}",
            field="geometry_column",
            hint=nearest_columns(geometry_column, frame.columns),
        )
    name = frame.geometry.name if geometry_column is None else geometry_column
    series, columns = frame[name], frame.drop(columns=name).reset_index(drop=True)
    if not hasattr(series, "crs"):
        raise BadRequestError(f"the column {name!r} holds no geometries", field="geometry_column")
    return series, columns


def frame_crs(own: Any, explicit: Any, what: str) -> str:
    """CRS of a GeoSeries; see `told_crs`."""
    return told_crs(None if own is None else str(own.to_string()), explicit, what)
