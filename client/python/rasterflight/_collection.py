"""A collection, and the ways to read it."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from rasterflight._axes import Assembly
from rasterflight._combine import Combine, check_combine
from rasterflight._crs import AUTO
from rasterflight._extras import need
from rasterflight._geodataframe import check_columns, read_gdf
from rasterflight._grids import Values, crs_of, is_whole
from rasterflight._lazy import check_lazy, outlines_of
from rasterflight._like import coordinates_of
from rasterflight._numpy import read_numpy
from rasterflight._opening import plan
from rasterflight._plan import Plan, plan_from
from rasterflight._plot import plot_footprints
from rasterflight._pointreads import PointReads
from rasterflight._requests import (
    Compression,
    OnError,
    ReadKeywords,
    check_max_concurrent,
)
from rasterflight._stream import Stream
from rasterflight._tables import TableReads
from rasterflight._timesteps import Groupby, check_groupby
from rasterflight._view import Bands, Layout
from rasterflight._xarray import plan_xarray, read_xarray

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Collection(PointReads, TableReads):
    """A collection of records, or a part of it; made by `Client.collection`, never changed.

    The read methods share their parameters; they are described at `read`.
    """

    def plot(
        self,
        column: str | None = None,
        *,
        ax: Any = None,
        geometries: Any = None,
        geometry_crs: Any = AUTO,
        timeout: float | None = None,
        **style: Any,
    ) -> "Axes":
        """Draw the footprints of the records on a map in lon/lat. Needs ``rasterflight[plot]``.

        Footprints on both sides of the antimeridian are drawn side by side. Where footprints lie over one another, they shine
        through.

        Parameters
        ----------
        column
            Column of the records that colours them: numbers and times along a bar, texts (20 kinds at the most) with a
            legend. None: all look alike.
        ax
            Axes to draw into; None: those of a new figure.
        geometries, geometry_crs
            Draw only records whose footprint intersects these, as at `subset`.
        timeout
            Seconds; None: that of the connection.
        **style
            Of ``matplotlib.collections.PolyCollection``: facecolor, alpha, cmap ...

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ImportError
            matplotlib or Shapely is not installed; says how to.
        NoDataFound
            There is no record, or none with a footprint.
        BadRequestError
            There is no such column, or no colour stands for its values.
        """
        need("matplotlib", "plot")
        records = self.records(geometries=geometries, geometry_crs=geometry_crs, timeout=timeout)
        return plot_footprints(records, column, ax, style)

    def plan(
        self,
        geometries: Any = None,
        *,
        bands: Bands | None = None,
        windows: Any = None,
        layout: Layout = "chips",
        columns: Iterable[str] | None = None,
        geometry_crs: Any = AUTO,
        geometry_column: str | None = None,
        all_touched: bool = False,
        masked: bool = False,
        values: Values = "raw",
        timeout: float | None = None,
        **keywords: Unpack[ReadKeywords],
    ) -> Plan:
        """Find out what a read would do; no pixel is fetched. The parameters are those of `read`."""
        request = self._rows(
            layout,
            geometries,
            bands,
            keywords,
            columns=columns,
            windows=windows,
            geometry_crs=geometry_crs,
            geometry_column=geometry_column,
            all_touched=all_touched,
            masked=masked,
            values=values,
        )
        return plan_from(plan(self._connection, request, timeout), self._connection.url)

    def read(
        self,
        geometries: Any = None,
        *,
        bands: Bands | None = None,
        windows: Any = None,
        layout: Layout = "chips",
        columns: Iterable[str] | None = None,
        geometry_crs: Any = AUTO,
        geometry_column: str | None = None,
        all_touched: bool = False,
        masked: bool = False,
        values: Values = "raw",
        on_error: OnError = "raise",
        progress: bool = False,
        timeout: float | None = None,
        batch_bytes: int | None = None,
        compression: Compression | None = None,
        **keywords: Unpack[ReadKeywords],
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
            Instead of geometries: ``(col_off, row_off, width, height)`` in pixels of each band's own grid, or of the grid
            of ``like``, one or a list. Parts outside a raster are cut off.
        layout
            ``"chips"``: a row is a block of pixels of one record and area. ``"outlines"``: the same rows without their
            pixels, one for each chip; no file is read. ``"pixels"``: a row is a pixel, a column per band, for SQL; see
            `to_dataset`. ``"records"``: a row is a record; areas then only filter.
        columns
            Names of the columns that come back, in this order; None: all that the layout has. Bands that are not among them
            are not read. The rows are the same, whichever columns they have.
        geometry_crs
            CRS of the geometries: text that PROJ understands, an EPSG number, an object with ``to_wkt()``. ``"auto"``:
            what a GeoDataFrame, a GeoSeries, a table or a GeoArrow array says, and it must; for everything else lon/lat
            (OGC:CRS84). An SRID inside EWKB is ignored.
        geometry_column
            The column of a GeoDataFrame or table that holds the areas. None: the active geometry of a GeoDataFrame, the
            only column of a table that says it holds geometries (GeoArrow, GeoParquet), or the primary one of
            GeoParquet; a plain column of WKB has to be named.
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
            Size of a record batch to aim at; None: the server's choice, smaller when many read at once.
        compression
            How the rows travel: ``"lz4"``, ``"zstd"`` or ``"none"``; None: as the connection says, see `connect`.
        **keywords
            The grid that the pixels come on, see `GridKeywords`: without any, each record's own; with any but
            ``resampling`` alone, one for all. And more conditions on the records, on top of those of the collection, see
            `FilterKeywords`.

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

        Warns
        -----
        UserWarning
            The records are in several CRS, and were put in one that nobody chose; says which.
        """
        request = self._rows(
            layout,
            geometries,
            bands,
            keywords,
            columns=columns,
            windows=windows,
            geometry_crs=geometry_crs,
            geometry_column=geometry_column,
            all_touched=all_touched,
            masked=masked,
            values=values,
            on_error=on_error,
            batch_bytes=batch_bytes,
            compression=compression,
        )
        return self._open(request, progress=progress, timeout=timeout)

    def get_numpy(
        self,
        geometries: Any = None,
        *,
        bands: Bands,
        windows: Any = None,
        geometry_crs: Any = AUTO,
        geometry_column: str | None = None,
        all_touched: bool = False,
        masked: bool = False,
        values: Values = "raw",
        on_error: OnError = "raise",
        max_concurrent: int = 50,
        progress: bool = False,
        timeout: float | None = None,
        **keywords: Unpack[ReadKeywords],
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
            ``[N, H, W]`` for one band, ``[N, C, H, W]`` for several, in the dtype of the files, or of what is resampled. N
            counts pairs of record and area, by record (datetime, id), then area. Pixels outside an area hold nodata, or
            0. On a grid (see `GridKeywords`) each sample covers all of its area, also where its record ends, so that
            they are of one shape. With ``masked=True`` a ``numpy.ma.MaskedArray``.

        Raises
        ------
        RaggedShapesError
            The windows differ in shape (a ValueError).
        MixedDtypesError
            The bands differ in dtype (a ValueError).
        """
        check_max_concurrent(max_concurrent)
        asked = self._pixels(
            geometries,
            bands,
            keywords,
            windows=windows,
            geometry_crs=geometry_crs,
            geometry_column=geometry_column,
            all_touched=all_touched,
            masked=masked,
            values=values,
            on_error=on_error,
        )
        asked.request.grid.whole_areas = asked.request.grid.common
        with self._open(asked.request, progress=progress, timeout=timeout, aligned=False) as stream:
            return read_numpy(stream, asked.bands)

    def get_gdf(
        self,
        geometries: Any = None,
        *,
        bands: Bands,
        windows: Any = None,
        geometry_crs: Any = AUTO,
        geometry_column: str | None = None,
        all_touched: bool = False,
        masked: bool = False,
        values: Values = "raw",
        on_error: OnError = "raise",
        max_concurrent: int = 50,
        progress: bool = False,
        timeout: float | None = None,
        **keywords: Unpack[ReadKeywords],
    ) -> Any:
        """Read pixels into a GeoDataFrame. The parameters are those of `read` and `get_numpy`.

        Returns
        -------
        geopandas.GeoDataFrame
            A row per (record, area, band): ``record_id, datetime`` (UTC), ``cloud_cover, collection, geometry_id,
            geometry, band, data`` (2-D array in the dtype of the file; with ``masked=True`` a ``numpy.ma.MaskedArray``),
            ``transform`` (affine.Affine of ``data``), then the other columns of a GeoDataFrame or table of
            areas. The frame has the CRS of the areas, or that asked for with ``target_crs`` or ``like``. Without areas, ``geometry`` is the outline of ``data``, in the CRS of the records.
            ``attrs["rasterflight_errors"]`` lists what is missing, if anything is.

        Raises
        ------
        ColumnCollisionError
            A column of the areas has the name of one of these (a ValueError).
        GridMismatchError
            There are no areas, and the records are in several CRS (a ValueError).
        """
        check_max_concurrent(max_concurrent)
        asked = self._pixels(
            geometries,
            bands,
            keywords,
            windows=windows,
            geometry_crs=geometry_crs,
            geometry_column=geometry_column,
            all_touched=all_touched,
            masked=masked,
            values=values,
            on_error=on_error,
        )
        check_columns(asked.areas)
        with self._open(asked.request, progress=progress, timeout=timeout) as stream:
            return read_gdf(stream, asked.bands, asked.areas, crs_of(asked.request.grid))

    def get_xarray(
        self,
        geometries: Any = None,
        *,
        bands: Bands,
        windows: Any = None,
        geometry_crs: Any = AUTO,
        geometry_column: str | None = None,
        all_touched: bool = False,
        masked: bool = False,
        values: Values = "raw",
        xr_combine: Combine = "combine_first",
        groupby: Groupby = "time",
        squeeze_geometry: bool = False,
        chunks: Mapping[str, Any] | None = None,
        on_error: OnError = "raise",
        max_concurrent: int = 50,
        progress: bool = False,
        timeout: float | None = None,
        **keywords: Unpack[ReadKeywords],
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
        groupby
            Which records make up one step of time. ``"time"``: those of the same time. ``"solar_day"``: those of the
            same day by the sun, which is UTC moved by an hour for every 15 degrees of longitude of the middle of the
            footprint, whole hours only (a footprint across the antimeridian counts as lying on it); the step has the
            time of its first record. None: each record is a step of its own, and times may repeat.
        squeeze_geometry
            Drop the axis ``geometry`` when it has length 1.
        chunks
            Read later and in parts, with dask: sizes of the chunks along ``time``, ``y`` and ``x``, as
            ``dask.array`` takes them (numbers, -1 for the whole, ``"auto"``). Steps of time that are not named are
            chunks of their own, rows and columns that are not named one chunk. The Dataset is the same, but for its
            arrays: each chunk is a ticket that is redeemed when it is computed, in a thread or in another process, with
            a connection of its own and pinned to the snapshot of now. A token travels with the tickets if it was
            given as ``token=``; otherwise the environment variable ``RASTERFLIGHT_TOKEN`` counts where the chunk is
            computed. A server of `local` runs as long as the Dataset or its client, whichever lives longer.

        Returns
        -------
        xarray.Dataset
            A variable per band, ``(time, geometry, y, x)``, over the extent of all areas, or of the grid where ``bounds``
            or ``like`` say it; what no record covers holds nodata, or 0. Where all rasters line up, pixels and dtype
            are those of the files. Otherwise all are put on the finest grid, or on that of `GridKeywords`, as
            ``resampling`` says, and so do the attributes ``resampling`` and ``overview_level`` (0: full resolution) of each
            variable. ``time`` is UTC, ascending, and unique but with ``groupby=None`` (records without a time are at the
            end, as NaT), ``geometry`` the ids of the areas (1 for whole records), ``x`` and ``y`` pixel centres,
            ``record_id`` the records of each time. ``spatial_ref`` holds the CRS, as rioxarray reads it. What the
            files say about a band is in the attributes of its variable: scale and offset (not applied), unit,
            description, classes (``flag_values``, ``flag_meanings``), colour table (JSON text), and the tags that all
            files share, but for those whose names xarray uses itself or netCDF cannot hold. With ``masked=True`` each
            band has a second variable, ``<band>_mask``: bool, True where the pixel is invalid or no record covers it;
            dtype and pixels stay as they are. ``attrs["rasterflight_errors"]`` lists what is missing, if anything is.

        Raises
        ------
        GridMismatchError
            The rasters cannot be put on one grid, since they are rotated or have no CRS or transform (a ValueError).
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
        check_groupby(groupby)
        check_max_concurrent(max_concurrent)
        asked = self._pixels(
            geometries,
            bands,
            keywords,
            windows=windows,
            geometry_crs=geometry_crs,
            geometry_column=geometry_column,
            all_touched=all_touched,
            masked=masked,
            values=values,
            on_error=on_error,
        )
        asked.request.grid.common = True
        assembly = Assembly(
            xr_combine,
            groupby,
            self._longitudes,
            whole_grid=is_whole(asked.request.grid),
            coordinates=coordinates_of(keywords.get("like")),
        )
        if chunks is None:
            with self._open(asked.request, progress=progress, timeout=timeout, aligned=False) as stream:
                dataset = read_xarray(stream, assembly)
        else:
            check_lazy(asked.request, chunks, progress=progress)
            source = self._source(timeout)
            with self._open(outlines_of(asked.request), timeout=timeout) as stream:
                dataset = plan_xarray(stream, asked.request, assembly, chunks=chunks, source=source)
        return dataset.squeeze("geometry") if squeeze_geometry and dataset.sizes["geometry"] == 1 else dataset
