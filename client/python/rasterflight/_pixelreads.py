"""Reads of pixels into arrays, frames and Datasets."""

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np

from rasterflight._axes import Assembly
from rasterflight._combine import Combine, check_combine
from rasterflight._crs import AUTO
from rasterflight._geodataframe import check_columns, read_gdf
from rasterflight._grids import Values, crs_of, is_whole
from rasterflight._lazy import check_lazy, outlines_of
from rasterflight._like import coordinates_of
from rasterflight._numpy import read_numpy
from rasterflight._requests import OnError, ReadKeywords, check_max_concurrent
from rasterflight._timesteps import Groupby, check_groupby
from rasterflight._view import Bands, View
from rasterflight._xarray import plan_xarray, read_xarray


class PixelReads(View):
    """The reads of a collection that give arrays: one of NumPy, those in a GeoDataFrame, those of a Dataset."""

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
        """Read pixels into one array. The parameters are those of `Collection.read`.

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
        """Read pixels into a GeoDataFrame. The parameters are those of `Collection.read` and `get_numpy`.

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
        """Read pixels into a Dataset. The parameters are those of `Collection.read` and `get_numpy`.

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
