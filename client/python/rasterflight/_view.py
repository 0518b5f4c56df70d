"""A view of a collection: which records of it, and how requests about them are made and opened."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, Unpack

import pyarrow as pa

from rasterflight._about import About
from rasterflight._commongrid import warn_of_crs
from rasterflight._connection import Connection
from rasterflight._crs import AUTO
from rasterflight._description import info_lines, summary_lines
from rasterflight._geometries import Areas
from rasterflight._grids import grid_message, is_given
from rasterflight._html import collection_html
from rasterflight._opening import open_stream
from rasterflight._progress import Bar
from rasterflight._requests import (
    Compression,
    FilterKeywords,
    OnError,
    ReadKeywords,
    band_names,
    column_names,
    compression_value,
    divided,
    filter_message,
    on_error_value,
    where_from,
)
from rasterflight._source import Source
from rasterflight._stream import Stream
from rasterflight._timesteps import middle_longitudes
from rasterflight.errors import BadRequestError
from rasterflight_protocol.v1.read_pb2 import (
    LAYOUT_CHIPS,
    LAYOUT_OUTLINES,
    LAYOUT_PIXELS,
    LAYOUT_RECORDS,
    Filter,
    ReadRequest,
)

Bands = str | Iterable[str]
Layout = Literal["chips", "outlines", "pixels", "records"]
_LAYOUTS = {
    "chips": LAYOUT_CHIPS,
    "outlines": LAYOUT_OUTLINES,
    "pixels": LAYOUT_PIXELS,
    "records": LAYOUT_RECORDS,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for pixels, and what of it the result needs."""

    request: ReadRequest
    bands: list[str]
    #: None: windows, or whole records.
    areas: Areas | None


class View:
    """Some records of a collection; never changed.

    Parameters
    ----------
    connection
        To the server.
    about, schema
        As the server tells them.
    owner
        Kept as long as the view: what keeps the server running, if it is a private one.
    filters
        Which records; all must hold.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        about: About,
        schema: pa.Schema,
        owner: object,
        filters: tuple[Filter, ...] = (),
    ) -> None:
        self._connection = connection
        self._about = about
        self._name = about.name
        self._schema = schema
        self._owner = owner  # a private server lives as long as a collection of it
        self._filters = filters

    @property
    def name(self) -> str:
        """Name of the collection."""
        return self._name

    @property
    def bands(self) -> list[str]:
        """Names of the bands that can be read."""
        return [band.name for band in self._about.bands]

    @property
    def schema(self) -> pa.Schema:
        """Schema of the records."""
        return self._schema

    @property
    def snapshot(self) -> str:
        """Snapshot of the index when the collection was opened."""
        return self._about.snapshot

    @property
    def title(self) -> str | None:
        """What the collection is, in a few words; None: its configuration does not say."""
        return self._about.title

    @property
    def license(self) -> str | None:
        """SPDX identifier of the licence, or "other"; None: the configuration does not say."""
        return self._about.license

    @property
    def attribution(self) -> str | None:
        """What to write where the data are shown; None: the configuration does not say."""
        return self._about.attribution

    def describe(self, encoding: str = "utf-8") -> str:
        """All that the server tells of the whole collection, as text for 80 columns.

        Parameters
        ----------
        encoding
            The text keeps to characters that it has.
        """
        return "\n".join(info_lines(self._about, self._schema.names, encoding))

    def __repr__(self) -> str:
        title = f" {self._about.title}" if self._about.title else ""
        lines = [f"<rasterflight.{type(self).__name__} {self._name!r}{title}"]
        lines += [f"  {line}" for line in summary_lines(self._about, narrowed=bool(self._filters))]
        lines += [f"  where    {condition}" for condition in self._conditions()]
        return "\n".join(lines) + ">"

    def _repr_html_(self) -> str:
        return collection_html(self._about, self._conditions())

    def _conditions(self) -> list[str]:
        return [" ".join(str(one).split()) for one in self._filters]

    def subset(self, *, geometries: Any = None, geometry_crs: Any = AUTO, **filters: Unpack[FilterKeywords]) -> Self:
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
        return type(self)(
            self._connection,
            about=self._about,
            schema=self._schema,
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
        request = self._request(LAYOUT_RECORDS, filter_message(filters, geometries, geometry_crs))
        return self._open(request, timeout=timeout).read_all()

    def _pixels(
        self,
        geometries: Any,
        bands: Bands | None,
        keywords: ReadKeywords,
        *,
        windows: Any,
        geometry_crs: Any,
        geometry_column: str | None,
        all_touched: bool,
        masked: bool,
        values: str,
        on_error: OnError = "raise",
    ) -> Asked:
        """Make a request for pixels of the keywords that all reads of them share."""
        grid, filters = divided(keywords)
        where = where_from(geometries, windows, geometry_crs, geometry_column)
        names = band_names(bands)
        request = self._request(LAYOUT_CHIPS, filter_message(filters))
        request.bands.extend(names)
        request.grid.CopyFrom(grid_message(grid, bands=names, all_touched=all_touched, masked=masked, values=values))
        request.on_error = on_error_value(on_error)
        if isinstance(where, Areas):
            request.geometries.CopyFrom(where.message)
        elif where is not None:
            request.windows.CopyFrom(where)
        return Asked(request, names, where if isinstance(where, Areas) else None)

    def _rows(
        self,
        layout: str,
        geometries: Any,
        bands: Bands | None,
        keywords: ReadKeywords,
        *,
        columns: Iterable[str] | None = None,
        windows: Any = None,
        geometry_crs: Any = AUTO,
        geometry_column: str | None = None,
        all_touched: bool = False,
        masked: bool = False,
        values: str = "raw",
        on_error: OnError = "raise",
        batch_bytes: int | None = None,
        compression: Compression | None = None,
    ) -> ReadRequest:
        """Make a request for rows of a layout."""
        if layout not in _LAYOUTS:
            told = ", ".join(map(repr, _LAYOUTS))
            raise BadRequestError(f"layout is {layout!r}, expected one of {told}", field="layout")
        if layout == "records":
            grid, filters = divided(keywords)
            if bands is not None or windows is not None or masked or values != "raw" or is_given(grid):
                raise BadRequestError(
                    "layout='records' reads no pixels: leave bands, windows, target_crs, masked and values out, and all "
                    "else that is about their grid"
                )
            request = self._request(LAYOUT_RECORDS, filter_message(filters, geometries, geometry_crs, geometry_column))
        else:
            request = self._pixels(
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
            ).request
            request.layout = _LAYOUTS[layout]
        request.columns.extend(column_names(columns))
        request.batch_bytes = batch_bytes or 0
        if compression is not None:
            request.compression = compression_value(compression)
        return request

    def _request(self, layout: Any, added: Filter | None) -> ReadRequest:
        filters = self._filters if added is None else (*self._filters, added)
        return ReadRequest(
            collection=self._name, layout=layout, filters=filters, compression=self._connection.compression
        )

    def _open(
        self, request: ReadRequest, *, progress: bool = False, timeout: float | None = None, aligned: bool = True
    ) -> Stream:
        """Start a read; to be called by a public method itself, whose caller is warned.

        Not ``aligned`` is for those who copy all pixels out of the batches.
        """
        bar = Bar(self._name) if progress else None
        stream = open_stream(self._connection, request, timeout, bar, self._owner, aligned=aligned)
        warn_of_crs(stream.schema, request.grid, stacklevel=4)
        return stream

    def _source(self, timeout: float | None) -> Source:
        return Source(self._connection.address, timeout, self._owner)

    def _longitudes(self, ids: Sequence[str]) -> dict[str, float | None]:
        """Longitudes of the middles of the footprints of some records."""
        request = ReadRequest(collection=self._name, layout=LAYOUT_RECORDS, filters=[Filter(ids=ids)])
        return middle_longitudes(self._open(request).read_all())
