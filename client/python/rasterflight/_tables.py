"""Reads of a collection as tables that queries scan: datasets of pyarrow, DuckDB, Polars."""

from typing import TYPE_CHECKING, Any, Unpack, cast

from rasterflight._extras import need
from rasterflight._grids import Values
from rasterflight._requests import Compression, OnError, ReadKeywords
from rasterflight._scan import Scan
from rasterflight._view import Bands, Layout, View

if TYPE_CHECKING:
    import duckdb
    import polars as pl

    from rasterflight._dataset import FlightDataset


class TableKeywords(ReadKeywords, total=False):
    """What tables take; the meaning is that of `Collection.read`."""

    bands: Bands
    """Names of the bands; all of the collection where none are said."""
    layout: Layout
    """``"pixels"``, a row for each pixel, if nothing is said; ``"chips"``, ``"outlines"``, ``"records"``."""
    windows: Any
    """Pixel windows, instead of geometries."""
    geometry_crs: Any
    geometry_column: str | None
    all_touched: bool
    masked: bool
    """In the layout "chips"; pixels always are."""
    values: Values
    on_error: OnError
    batch_bytes: int
    compression: Compression
    timeout: float | None
    """Seconds that each scan may take."""


class TableReads(View):
    """The reads of a collection that are scanned as tables."""

    def to_dataset(self, geometries: Any = None, **keywords: Unpack[TableKeywords]) -> "FlightDataset":
        """Make a dataset of pyarrow, whose rows are read when a query asks for them.

        In the layout "pixels", a row is a pixel of one record and area: ``record_id, datetime`` (UTC), ``cloud_cover,
        geometry_id, crs, row, col, x, y``, then a column per band in its own dtype. ``row`` and ``col`` (int32) count from 0 at
        the upper left of the chip, ``x`` and ``y`` (float64) are the centre of the pixel in ``crs``, the same numbers as
        ``rasterio``'s ``DatasetReader.xy`` has. Pixels outside of the area have no row. Inside, a band is null where
        its pixel is invalid, as at ``masked``; without areas, that is every pixel of the record. Rows come by record (datetime,
        id), area, row and col. All bands of a record must be on one grid: files of 10 m and 20 m are read together with
        ``resolution=``, or another keyword that says the grid.

        A query costs what it needs: columns that it does not name are not sent, bands among them not read; conditions on
        ``record_id``, ``datetime``, ``cloud_cover`` and ``geometry_id``, and in the layout "records" on any column of numbers,
        text or times and on the members of ``bbox``, narrow down which records and areas the server looks at. All conditions are
        applied to the rows besides. When rows are no longer taken, the server stops.

        Parameters
        ----------
        geometries
            As at `read`.
        **keywords
            See `TableKeywords`.

        Returns
        -------
        pyarrow.dataset.Dataset
            Scanned as often as you like; each scan reads what the collection holds then.

        Raises
        ------
        BadRequestError
            A value cannot be used, or the bands are on different grids (a ValueError).
        NoDataFound
            No record matches (a ValueError); not in the layout "records".
        """
        from rasterflight._dataset import FlightDataset

        return FlightDataset(self._scan(geometries, keywords))

    def to_duckdb(
        self,
        con: "duckdb.DuckDBPyConnection",
        name: str | None = None,
        geometries: Any = None,
        **keywords: Unpack[TableKeywords],
    ) -> "duckdb.DuckDBPyRelation":
        """Register the dataset of `to_dataset` in a DuckDB connection. Needs ``rasterflight[duckdb]``.

        Parameters
        ----------
        con
            Where to.
        name
            What SQL calls it; None: the name of the collection.
        geometries, **keywords
            As at `to_dataset`.

        Returns
        -------
        duckdb.DuckDBPyRelation
            The table.
        """
        need("duckdb", "duckdb")
        from rasterflight._dataset import FlightDataset

        name = self.name if name is None else name
        con.register(name, FlightDataset(self._scan(geometries, keywords)))
        quoted = name.replace('"', '""')
        return con.sql(f'FROM "{quoted}"')

    def scan_polars(self, geometries: Any = None, **keywords: Unpack[TableKeywords]) -> "pl.LazyFrame":
        """Make a LazyFrame of Polars of the same table as `to_dataset`. Needs ``rasterflight[polars]``.

        Columns, conditions and a number of first rows go to the server, as `to_dataset` says. The streaming engine keeps memory
        small: ``collect(engine="streaming")``. Geometries are WKB.

        Parameters
        ----------
        geometries, **keywords
            As at `to_dataset`.
        """
        need("polars", "polars")
        from rasterflight._lazyframe import lazy_frame

        return lazy_frame(self._scan(geometries, keywords))

    def _scan(self, geometries: Any, keywords: TableKeywords) -> Scan:
        own = TableKeywords.__annotations__.keys() - ReadKeywords.__annotations__.keys()
        said: dict[str, Any] = {name: value for name, value in keywords.items() if name in own}
        others = {name: value for name, value in keywords.items() if name not in own}
        layout, timeout = said.pop("layout", "pixels"), said.pop("timeout", None)
        bands = said.pop("bands", None if layout == "records" else self.bands)
        request = self._rows(layout, geometries, bands, cast("ReadKeywords", others), **said)
        return Scan(self._connection, request, records=self._schema, owner=self._owner, timeout=timeout)
