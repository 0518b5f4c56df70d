"""A collection, and the ways to read it."""

from collections.abc import Iterable
from itertools import chain
from typing import Any, Literal, Unpack

import numpy as np
import pyarrow as pa

from rasterflight._combine import Combine, check_combine
from rasterflight._connection import Connection
from rasterflight._crs import AUTO, crs_text
from rasterflight._exchange import PointsReader
from rasterflight._geodataframe import check_columns, read_gdf
from rasterflight._geometries import Areas
from rasterflight._numpy import read_numpy
from rasterflight._opening import open_stream, plan
from rasterflight._plan import Plan, plan_from
from rasterflight._points import point_sets
from rasterflight._progress import Bar
from rasterflight._requests import (
    FilterKeywords,
    OnError,
    Values,
    band_names,
    check_max_concurrent,
    filter_message,
    grid_message,
    on_error_value,
    where_from,
)
from rasterflight._samples import Match, Neighbourhood, points_message, read_samples
from rasterflight._stream import Stream
from rasterflight._xarray import read_xarray
from rasterflight.errors import BadRequestError
from rasterflight_protocol.limits import points_at_once
from rasterflight_protocol.v1.read_pb2 import (
    LAYOUT_CHIPS,
    LAYOUT_POINTS,
    LAYOUT_RECORDS,
    Filter,
    GridOptions,
    ReadRequest,
    Windows,
)

Layout = Literal["chips", "records"]
Bands = str | Iterable[str]


class Collection:
    """A collection of records, or a part of it; made by `Client.collection`, never changed.

    The read methods share their parameters; they are described at `read`.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        name: str,
        bands: tuple[str, ...],
        schema: pa.Schema,
        snapshot: str,
        owner: object,
        filters: tuple[Filter, ...] = (),
    ) -> None:
        self._connection = connection
        self._name = name
        self._bands = bands
        self._schema = schema
        self._snapshot = snapshot
        self._owner = owner  # a private server lives as long as a collection of it
        self._filters = filters

    @property
    def name(self) -> str:
        """Name of the collection."""
        return self._name

    @property
    def bands(self) -> list[str]:
        """Names of the bands that can be read."""
        return list(self._bands)

    @property
    def schema(self) -> pa.Schema:
        """Schema of the records."""
        return self._schema

    @property
    def snapshot(self) -> str:
        """Snapshot of the index when the collection was opened."""
        return self._snapshot

    def __repr__(self) -> str:
        filters = "".join(f"\n  where {' '.join(str(one).split())}" for one in self._filters)
        return f"<rasterflight.Collection {self._name!r}, bands {', '.join(self._bands)}{filters}>"

    def subset(
        self, *, geometries: Any = None, geometry_crs: Any = AUTO, **filters: Unpack[FilterKeywords]
    ) -> "Collection":
        """Narrow the collection to some of its records.

        Parameters
        ----------
        geometries
            Keep records whose footprint intersects one of these, in any form that `read` takes.
        geometry_crs
            CRS of the geometries, as at `read`.
        **filters
            See `FilterKeywords`.

        Returns
        -------
        Collection
            A new one; the filters of this one hold in it too.

        Raises
        ------
        TypeError
            There is no such filter.
        BadRequestError
            A value cannot be used (a ValueError). What only the server knows, it says when the collection is read.
        """
        added = filter_message(filters, geometries, geometry_crs)
        return Collection(
            self._connection,
            name=self._name,
            bands=self._bands,
            schema=self._schema,
            snapshot=self._snapshot,
            owner=self._owner,
            filters=self._filters if added is None else (*self._filters, added),
        )

    def records(
        self,
        *,
        geometries: Any = None,
        geometry_crs: Any = AUTO,
        timeout: float | None = None,
        **filters: Unpack[FilterKeywords],
    ) -> pa.Table:
        """Read the records, without pixels.

        Parameters
        ----------
        geometries, geometry_crs, **filters
            As at `subset`.
        timeout
            Seconds; None: that of the connection.

        Returns
        -------
        pyarrow.Table
            In the order (datetime, id), with the columns of `schema`; no rows when nothing matches.
        """
        return self.read(geometries, layout="records", geometry_crs=geometry_crs, timeout=timeout, **filters).read_all()

    def plan(
        self,
        geometries: Any = None,
        *,
        bands: Bands,
        windows: Any = None,
        geometry_crs: Any = AUTO,
        geometry_column: str | None = None,
        target_crs: Any = None,
        all_touched: bool = False,
        masked: bool = False,
        values: Values = "raw",
        timeout: float | None = None,
        **filters: Unpack[FilterKeywords],
    ) -> Plan:
        """Find out what a read would do; no pixel is fetched. The parameters are those of `read`."""
        where = where_from(geometries, windows, geometry_crs, geometry_column)
        grid = grid_message(all_touched=all_touched, target_crs=target_crs, masked=masked, values=values)
        request = self._chips_request(where, bands, filters, grid)
        return plan_from(plan(self._connection, request, timeout), self._connection.url)

    def read(
        self,
        geometries: Any = None,
        *,
        bands: Bands | None = None,
        windows: Any = None,
        layout: Layout = "chips",
        geometry_crs: Any = AUTO,
        geometry_column: str | None = None,
        target_crs: Any = None,
        all_touched: bool = False,
        masked: bool = False,
        values: Values = "raw",
        on_error: OnError = "raise",
        progress: bool = False,
        timeout: float | None = None,
        batch_bytes: int | None = None,
        **filters: Unpack[FilterKeywords],
    ) -> Stream:
        """Start a read, and take its rows as they arrive.

        Parameters
        ----------
        geometries
            Areas to cut out of each record: a bbox tuple ``(minx, miny, maxx, maxy)``, a Shapely geometry, WKB or EWKB
            bytes, a GeoJSON dict, or a list of these; a GeoSeries or GeoDataFrame; an Arrow array (WKB, or any encoding
            of GeoArrow); a pandas DataFrame, or any table or stream with ``__arrow_c_stream__`` (pyarrow, Polars, a
            DuckDB relation, geoarrow). Polygons and MultiPolygons only, Z and M are left behind. They are numbered from
            1 (``geometry_id``). None, and no windows: the whole of each record. In a CRS of degrees, areas may cross
            the antimeridian: a bbox with minx > 0 > maxx, and any area by longitudes beyond 180 or -180. They are cut
            there, so that records on both sides answer; a polygon that crosses itself as well is an error.
        bands
            Names of the bands, in the order in which they come back; one may come as text.
        windows
            Instead of geometries: ``(col_off, row_off, width, height)`` in pixels of each band's own grid, one or a
            list. Parts outside a raster are cut off.
        layout
            ``"chips"``: a row is a block of pixels of one record and area. ``"records"``: a row is a record; areas
            then only filter.
        geometry_crs
            CRS of the geometries: text that PROJ understands, an EPSG number, an object with ``to_wkt()``. ``"auto"``:
            what a GeoDataFrame, a GeoSeries, a table or a GeoArrow array says, and it must; for everything else lon/lat
            (OGC:CRS84). An SRID inside EWKB is ignored.
        geometry_column
            The column of a GeoDataFrame or table that holds the areas. None: the active geometry of a GeoDataFrame, the
            only column of a table that says it holds geometries (GeoArrow, GeoParquet), or the primary one of
            GeoParquet; a plain column of WKB has to be named.
        target_crs
            CRS of the pixels, as an EPSG number or text; None: each record's own.
        all_touched
            Keep every pixel that an area touches, instead of those whose centre lies inside.
        masked
            Tell invalid pixels: those that ``rasterio``'s ``read_masks`` has 0 for (by a mask in the file, by nodata, or
            by the alpha band), and those outside the area. They are null inside the lists, and in `Chip.masks`.
        values
            ``"raw"``: pixels as they are in the file. ``"scaled"``: ``pixel * scale + offset``, each record by its own
            (1 and 0 where it says none), as float32 for whole numbers of up to 16 bits and float32, else float64: the
            pixel, scale and offset are brought into that type, and product and sum are rounded to it. Invalid pixels, as
            for `masked`, are NaN.
        on_error
            ``"raise"``: the first record that cannot be read ends the read. ``"skip"``: the rest comes back, with a
            RuntimeWarning that names what is missing.
        progress
            Show a bar in bytes of pixels (tqdm).
        timeout
            Seconds that the read may take; None: that of the connection.
        batch_bytes
            Size of a record batch to aim at; None: the server's choice.
        **filters
            More conditions on the records, on top of those of the collection; see `FilterKeywords`.

        Raises
        ------
        TypeError
            A keyword or an input is of no accepted kind.
        BadRequestError
            A value cannot be used (a ValueError).
        NoDataFound
            No record matches, or none overlaps an area (a ValueError); not in the layout "records".
        RasterflightError
            Anything else that the server has to say, also while the rows are taken.
        """
        if layout == "records":
            if bands is not None or windows is not None or target_crs is not None or masked or values != "raw":
                raise BadRequestError(
                    "layout='records' reads no pixels: leave bands, windows, target_crs, masked and values out"
                )
            request = self._request(LAYOUT_RECORDS, filter_message(filters, geometries, geometry_crs, geometry_column))
        elif layout == "chips":
            where = where_from(geometries, windows, geometry_crs, geometry_column)
            grid = grid_message(all_touched=all_touched, target_crs=target_crs, masked=masked, values=values)
            request = self._chips_request(where, bands, filters, grid, on_error)
        else:
            raise BadRequestError(f"layout is {layout!r}, expected 'chips' or 'records'", field="layout")
        request.batch_bytes = batch_bytes or 0
        return self._open(request, progress=progress, timeout=timeout)

    def get_numpy(
        self,
        geometries: Any = None,
        *,
        bands: Bands,
        windows: Any = None,
        geometry_crs: Any = AUTO,
        geometry_column: str | None = None,
        target_crs: Any = None,
        all_touched: bool = False,
        masked: bool = False,
        values: Values = "raw",
        on_error: OnError = "raise",
        max_concurrent: int = 50,
        progress: bool = False,
        timeout: float | None = None,
        **filters: Unpack[FilterKeywords],
    ) -> np.ndarray:
        """Read pixels into one array. The parameters are those of `read`.

        Parameters
        ----------
        max_concurrent
            How many streams may carry the read, at least 1. The result is the same whatever it is; at present one
            stream carries every read.

        Returns
        -------
        numpy.ndarray
            ``[N, H, W]`` for one band, ``[N, C, H, W]`` for several, in the dtype of the files. N counts pairs of
            record and area, by record (datetime, id), then area. Pixels outside an area hold nodata, or 0. With
            ``masked=True`` a ``numpy.ma.MaskedArray``.

        Raises
        ------
        RaggedShapesError
            The windows differ in shape (a ValueError).
        MixedDtypesError
            The bands differ in dtype (a ValueError).
        """
        check_max_concurrent(max_concurrent)
        names = band_names(bands)
        where = where_from(geometries, windows, geometry_crs, geometry_column)
        grid = grid_message(all_touched=all_touched, target_crs=target_crs, masked=masked, values=values)
        request = self._chips_request(where, names, filters, grid, on_error)
        with self._open(request, progress=progress, timeout=timeout) as stream:
            return read_numpy(stream, names)

    def get_gdf(
        self,
        geometries: Any = None,
        *,
        bands: Bands,
        windows: Any = None,
        geometry_crs: Any = AUTO,
        geometry_column: str | None = None,
        target_crs: Any = None,
        all_touched: bool = False,
        masked: bool = False,
        values: Values = "raw",
        on_error: OnError = "raise",
        max_concurrent: int = 50,
        progress: bool = False,
        timeout: float | None = None,
        **filters: Unpack[FilterKeywords],
    ) -> Any:
        """Read pixels into a GeoDataFrame. The parameters are those of `read` and `get_numpy`.

        Returns
        -------
        geopandas.GeoDataFrame
            A row per (record, area, band): ``record_id, datetime`` (UTC), ``cloud_cover, collection, geometry_id,
            geometry, band, data`` (2-D array in the dtype of the file; with ``masked=True`` a ``numpy.ma.MaskedArray``),
            ``transform`` (affine.Affine of ``data``), then the other columns of a GeoDataFrame or table of areas. The frame has the CRS of the areas, or ``target_crs``.
            Without areas, ``geometry`` is the outline of ``data``, in the CRS of the records.
            ``attrs["rasterflight_errors"]`` lists what is missing, if anything is.

        Raises
        ------
        ColumnCollisionError
            A column of the areas has the name of one of these (a ValueError).
        GridMismatchError
            There are no areas, and the records are in several CRS (a ValueError).
        """
        check_max_concurrent(max_concurrent)
        names = band_names(bands)
        where = where_from(geometries, windows, geometry_crs, geometry_column)
        areas = where if isinstance(where, Areas) else None
        check_columns(areas)
        grid = grid_message(all_touched=all_touched, target_crs=target_crs, masked=masked, values=values)
        request = self._chips_request(where, names, filters, grid, on_error)
        with self._open(request, progress=progress, timeout=timeout) as stream:
            return read_gdf(stream, names, areas, None if target_crs is None else crs_text(target_crs))

    def get_xarray(
        self,
        geometries: Any = None,
        *,
        bands: Bands,
        windows: Any = None,
        geometry_crs: Any = AUTO,
        geometry_column: str | None = None,
        target_crs: Any = None,
        all_touched: bool = False,
        masked: bool = False,
        values: Values = "raw",
        xr_combine: Combine = "combine_first",
        squeeze_geometry: bool = False,
        on_error: OnError = "raise",
        max_concurrent: int = 50,
        progress: bool = False,
        timeout: float | None = None,
        **filters: Unpack[FilterKeywords],
    ) -> Any:
        """Read pixels into a Dataset. The parameters are those of `read` and `get_numpy`.

        Parameters
        ----------
        xr_combine
            How records of the same time are laid over one another, in their order. ``"combine_first"``: the first
            valid pixel wins (not nodata, not NaN; without nodata, any pixel in the window of the record; with
            ``masked=True``, any pixel that is not masked).
            ``"merge"``: the same, but valid pixels that differ are an error. ``"merge_override"``: the first record
            wins wherever its window is, valid or not.
        squeeze_geometry
            Drop the axis ``geometry`` when it has length 1.

        Returns
        -------
        xarray.Dataset
            A variable per band, ``(time, geometry, y, x)`` in the dtype of the file, over the extent of all areas;
            what no record covers holds nodata, or 0. ``time`` is UTC, ascending and unique (records without a time
            are together at the end, as NaT), ``geometry`` the ids of the areas (1 for whole records), ``x`` and ``y``
            pixel centres, ``record_id`` the records of each time. ``spatial_ref`` holds the CRS, as rioxarray reads
            it. What the files say about a band is in the attributes of its variable: scale and offset (not applied),
            unit, description, classes (``flag_values``, ``flag_meanings``), colour table (JSON text), and the tags that
            all files share, but for those whose names xarray uses itself or netCDF cannot hold. With ``masked=True``
            each band has a second variable, ``<band>_mask``: bool, True where the pixel is invalid or no record
            covers it; dtype and pixels stay as they are. ``attrs["rasterflight_errors"]`` lists what is missing,
            if anything is.

        Raises
        ------
        GridMismatchError
            The records are in several CRS, or on grids that do not line up (a ValueError).
        NodataVariesError
            The records differ in nodata (a ValueError); not with ``masked=True`` or scaled values.
        ColumnCollisionError
            With ``masked=True``, a band has the name of the mask of another (a ValueError).
        MergeConflictError
            Under ``"merge"`` (a ValueError).
        TooSparseError
            Areas far apart would make a large, almost empty result (a ValueError).
        """
        check_combine(xr_combine)
        check_max_concurrent(max_concurrent)
        where = where_from(geometries, windows, geometry_crs, geometry_column)
        grid = grid_message(all_touched=all_touched, target_crs=target_crs, masked=masked, values=values)
        request = self._chips_request(where, bands, filters, grid, on_error)
        with self._open(request, progress=progress, timeout=timeout) as stream:
            return read_xarray(stream, xr_combine, squeeze_geometry=squeeze_geometry)

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
        """Read the pixels that contain some points. The parameters that are not here are those of `read`.

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
        request.grid.CopyFrom(grid_message(all_touched=False, target_crs=None, masked=masked, values=values))
        request.on_error = on_error_value(on_error)
        request.batch_bytes = batch_bytes or 0
        bar = Bar(self._name) if progress else None
        reader = PointsReader(self._connection, request, chain([first], sets), timeout)
        return Stream(reader, self._connection.url, bar, self._owner)

    def _chips_request(
        self,
        where: Areas | Windows | None,
        bands: Bands | None,
        filters: FilterKeywords,
        grid: GridOptions,
        on_error: OnError = "raise",
    ) -> ReadRequest:
        request = self._request(LAYOUT_CHIPS, filter_message(filters))
        request.bands.extend(band_names(bands))
        request.grid.CopyFrom(grid)
        request.on_error = on_error_value(on_error)
        if isinstance(where, Areas):
            request.geometries.CopyFrom(where.message)
        elif where is not None:
            request.windows.CopyFrom(where)
        return request

    def _request(self, layout: Any, added: Filter | None) -> ReadRequest:
        filters = self._filters if added is None else (*self._filters, added)
        return ReadRequest(collection=self._name, layout=layout, filters=filters)

    def _open(self, request: ReadRequest, *, progress: bool, timeout: float | None) -> Stream:
        bar = Bar(self._name) if progress else None
        return open_stream(self._connection, request, timeout, bar, self._owner)
