"""A collection, and the ways to read it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Unpack

from rasterflight._crs import AUTO
from rasterflight._extras import need
from rasterflight._grids import Values
from rasterflight._opening import plan
from rasterflight._pixelreads import PixelReads
from rasterflight._plan import Plan, plan_from
from rasterflight._plot import plot_footprints
from rasterflight._pointreads import PointReads
from rasterflight._requests import Compression, OnError, ReadKeywords
from rasterflight._stream import Stream
from rasterflight._tables import TableReads
from rasterflight._view import Bands, Layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Collection(PixelReads, PointReads, TableReads):
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
