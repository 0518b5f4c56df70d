"""Reads of single pixels."""

from itertools import chain
from typing import Any, Unpack

import pyarrow as pa

from rasterflight._crs import AUTO
from rasterflight._exchange import PointsReader
from rasterflight._grids import Values, grid_message
from rasterflight._points import point_sets
from rasterflight._progress import Bar
from rasterflight._requests import (
    FilterKeywords,
    OnError,
    band_names,
    check_max_concurrent,
    filter_message,
    on_error_value,
)
from rasterflight._samples import Match, Neighbourhood, points_message, read_samples
from rasterflight._stream import Stream
from rasterflight._view import Bands, View
from rasterflight_protocol.limits import points_at_once
from rasterflight_protocol.v1.read_pb2 import LAYOUT_POINTS


class PointReads(View):
    """The reads of a collection that take points."""

    def sample_points(
        self,
        points: Any,
        bands: Bands,
        *,
        geometry_column: str | None = None,
        x_column: str | None = None,
        y_column: str | None = None,
        geometry_crs: Any = AUTO,
        match: Match = "all",
        max_distance_pixels: int = 0,
        return_neighbourhood: Neighbourhood = "off",
        masked: bool = False,
        values: Values = "raw",
        on_error: OnError = "raise",
        max_concurrent: int = 50,
        progress: bool = False,
        timeout: float | None = None,
        **filters: Unpack[FilterKeywords],
    ) -> pa.Table:
        """Read the pixels that contain some points. The parameters that are not here are those of `Collection.read`.

        Parameters
        ----------
        points
            A tuple ``(x, y)``, an array of shape (n, 2), a Shapely Point, WKB bytes, a GeoJSON dict, a list of these, a
            GeoSeries or GeoDataFrame, a pandas DataFrame, an Arrow array, or any table or stream with
            ``__arrow_c_stream__`` (pyarrow, Polars, DuckDB).
        geometry_column
            The column of a table that holds the points; None: the only one that says that it holds geometries.
        x_column, y_column
            Instead, the columns of a table that hold the coordinates.
        geometry_crs
            CRS of the points. ``"auto"``: what a table says, and it must; for everything else lon/lat (OGC:CRS84).
        match
            ``"all"``: a row for each record that holds a point. ``"latest"``: one for each point and band, that of the
            newest record with a valid value there (of the newest record, where none has one); records without a time
            are the oldest.
        max_distance_pixels
            Where the pixel of a point is invalid (what ``rasterio``'s ``read_masks`` has 0 for, or NaN), take the
            nearest valid one of those up to so many columns and rows away: nearest by the distance from the point to the
            pixel's rectangle, and of several the first in reading order. Where none is valid, the pixel itself.
        return_neighbourhood
            ``"always"``: each row carries the ``(2 * max_distance_pixels + 1) ** 2`` pixels around its own;
            ``"if_center_nodata"``: only rows whose own pixel is invalid, null in the others.
        masked
            Values that are invalid are null.

        Returns
        -------
        pyarrow.Table
            A row per (point, record, band), by record (datetime, id), then point, then band: ``point_index`` (int64, from
            0), ``point_x, point_y`` (float64, as given), ``point_crs`` (int32, EPSG code; null if there is none),
            ``record_id``, ``datetime`` (timestamp[us], UTC), ``collection, band, value`` (float64), ``raster_crs``
            (int32), ``neighbourhood_values`` (list of float64, row by row from the top left, null outside of the
            raster), if asked for, then the other columns of a table of points. Points that no record holds have no
            row; a point belongs to the rasters that contain it. No rows: the schema is the same. More points
            than `rasterflight_protocol.limits` allows at once are answered set by set, each in this order. What is
            missing, if anything is, stands in the schema's metadata as JSON, under ``rasterflight_errors``.

        Raises
        ------
        BadGeometryError
            A point is missing, not finite, or no point (a ValueError); counts from 0.
        ColumnCollisionError
            A column of the points has the name of one of these (a ValueError).
        UnsupportedLayoutError
            A raster is rotated, has no CRS, or holds complex numbers.
        """
        check_max_concurrent(max_concurrent)
        with self.read_points(
            points,
            bands,
            geometry_column=geometry_column,
            x_column=x_column,
            y_column=y_column,
            geometry_crs=geometry_crs,
            match=match,
            max_distance_pixels=max_distance_pixels,
            return_neighbourhood=return_neighbourhood,
            masked=masked,
            values=values,
            on_error=on_error,
            progress=progress,
            timeout=timeout,
            **filters,
        ) as stream:
            return read_samples(stream)

    def read_points(
        self,
        points: Any,
        bands: Bands,
        *,
        geometry_column: str | None = None,
        x_column: str | None = None,
        y_column: str | None = None,
        geometry_crs: Any = AUTO,
        match: Match = "all",
        max_distance_pixels: int = 0,
        return_neighbourhood: Neighbourhood = "off",
        masked: bool = False,
        values: Values = "raw",
        on_error: OnError = "raise",
        progress: bool = False,
        timeout: float | None = None,
        batch_bytes: int | None = None,
        **filters: Unpack[FilterKeywords],
    ) -> Stream:
        """Start to read the pixels that contain some points, and take their rows as they arrive.

        The parameters and rows are those of `sample_points`. Neither the points nor the rows need to fit in memory: a
        stream of points (``pyarrow.RecordBatchReader``, or anything with ``__arrow_c_stream__``) is taken as the rows are.
        With ``on_error="skip"`` a record that fails has a row of its own with the column ``error``.
        """
        names = band_names(bands)
        options = points_message(match, max_distance_pixels, return_neighbourhood)
        sets = point_sets(
            points,
            size=points_at_once(max_distance_pixels, len(names)),
            geometry_crs=geometry_crs,
            geometry_column=geometry_column,
            x_column=x_column,
            y_column=y_column,
        )
        first = next(sets)
        request = self._request(LAYOUT_POINTS, filter_message(filters))
        request.bands.extend(names)
        request.points.CopyFrom(options)
        request.points.crs = first.crs
        request.grid.CopyFrom(grid_message({}, masked=masked, values=values))
        request.on_error = on_error_value(on_error)
        request.batch_bytes = batch_bytes or 0
        bar = Bar(self._name) if progress else None
        reader = PointsReader(self._connection, request, chain([first], sets), timeout)
        return Stream(reader, self._connection.url, bar, self._owner, reader.drop)
