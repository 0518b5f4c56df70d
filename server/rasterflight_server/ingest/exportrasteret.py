"""Indexes as collections of rasteret: Parquet by year and month, with the header of each band in a column."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from rasterflight_protocol.schemas import RECORDS_COLUMNS
from rasterflight_server.ingest.indexrows import IndexRows, SlotAsset
from rasterflight_server.ingest.properties import free_name
from rasterflight_server.ingest.rasteret import METADATA, PROPERTIES
from rasterflight_server.ingest.sources import Failure
from rasterflight_server.types import Asset

#: What rasteret keeps of a header; the names are its own.
_HEADER: Final = pa.struct(
    [
        *((name, pa.int32()) for name in ("image_width", "image_height", "tile_width", "tile_height")),
        ("dtype", pa.utf8()),
        ("transform", pa.list_(pa.float64())),
        *((name, pa.int32()) for name in ("predictor", "compression")),
        *((name, pa.list_(pa.int64())) for name in ("tile_offsets", "tile_byte_counts")),
        *((name, pa.list_(pa.float64())) for name in ("pixel_scale", "tiepoint")),
        ("nodata", pa.float64()),
        *((name, pa.int32()) for name in ("samples_per_pixel", "planar_configuration", "photometric")),
        ("extra_samples", pa.list_(pa.int32())),
    ]
)
_FILE: Final = pa.struct([("href", pa.utf8()), ("band_index", pa.int64())])
#: Codecs that rasteret undoes.
_CODECS: Final = frozenset([1, 5, 8, 32773, 32946, 34887, 34925, 50000])
#: Samples that a photometric interpretation names; all others are extra.
_PRIMARY: Final = {2: 3, 5: 4, 6: 3, 8: 3}
_ALPHA: Final = 2
_HORIZONTAL: Final = 2
_EPSG: Final = "proj:epsg"
_PARTITIONS: Final = pa.schema([("year", pa.int32()), ("month", pa.int32())])


def write_rasteret(rows: IndexRows, folder: Path, fail: Callable[[Failure], None]) -> int:
    """Write a collection of rasteret into a new folder.

    Parameters
    ----------
    rows
        The index.
    folder
        Where to write.
    fail
        Called with each file that rasteret cannot read; its bands are null in the record, and a record without others is not
        written.

    Returns
    -------
    int
        Records that were written.
    """
    batches = _Batches(rows, fail)
    ds.write_dataset(
        pa.RecordBatchReader.from_batches(batches.schema, batches),
        folder,
        format="parquet",
        partitioning=ds.partitioning(_PARTITIONS, flavor="hive"),
        basename_template="part-{i}.parquet",
        max_partitions=100_000,
        file_options=ds.ParquetFileFormat().make_write_options(compression="zstd"),
    )
    return batches.records


def _schema(rows: IndexRows, bands: Sequence[str], names: Mapping[str, str]) -> pa.Schema:
    manifest = rows.manifest
    first, last = manifest.time_range or ("", "")
    metadata = {
        **(rows.schema.metadata or {}),
        PROPERTIES: json.dumps(names).encode(),
        b"rasteret_collection_version": b"1",
        b"name": manifest.name.encode(),
        b"description": b"",
        b"data_source": b"",
        b"created": manifest.created.encode(),
        b"date_range": f"{first.removesuffix('Z')},{last.removesuffix('Z')}".encode() if first else b"",
    }
    own = _own_fields(rows, bands)
    properties = [rows.schema.field(name).with_name(column) for column, name in names.items() if column != _EPSG]
    return pa.schema([*own, *properties, *_PARTITIONS], metadata)


def _own_fields(rows: IndexRows, bands: Sequence[str]) -> list[pa.Field]:
    return [
        pa.field("id", pa.utf8()),
        pa.field("datetime", pa.timestamp("us")),
        pa.field("geometry", pa.binary()),
        rows.schema.field("bbox"),
        pa.field("assets", pa.struct([(band, _FILE) for band in bands])),
        pa.field(_EPSG, pa.int32()),
        pa.field("crs", pa.utf8()),
        *(pa.field(f"{band}{METADATA}", _HEADER) for band in bands),
    ]


def _columns_of_properties(rows: IndexRows, bands: Sequence[str]) -> dict[str, str]:
    """Column -> property; one whose name is taken gets another, but for the EPSG code of the rasters."""
    taken = {field.name.casefold() for field in (*_own_fields(rows, bands), *_PARTITIONS)}
    names: dict[str, str] = {}
    for name in rows.schema.names:
        if name == _EPSG and pa.types.is_integer(rows.schema.field(name).type):
            names[_EPSG] = name
        elif name not in RECORDS_COLUMNS:
            column = free_name(name, taken)
            taken.add(column.casefold())
            names[column] = name
    return names


class _Batches:
    """Batches of an index as those of a collection of rasteret."""

    def __init__(self, rows: IndexRows, fail: Callable[[Failure], None]) -> None:
        self._rows = rows
        self._fail = fail
        self._bands = [band.name for band in rows.manifest.bands]
        self._properties = _columns_of_properties(rows, self._bands)
        self.schema = _schema(rows, self._bands, self._properties)
        #: Written so far.
        self.records = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch, files in self._rows.batches():
            crs = [_common_crs(row) for row in files]
            readable = [self._readable(*row) for row in zip(batch.column("id").to_pylist(), files, crs, strict=True)]
            kept = [number for number, row in enumerate(readable) if row]
            self.records += len(kept)
            yield self._batch(
                batch.take(pa.array(kept, pa.int64())), [readable[i] for i in kept], [crs[i] for i in kept]
            )

    def _batch(
        self, batch: pa.RecordBatch, readable: Sequence[Mapping[str, tuple[Asset, int]]], crs: Sequence[str | None]
    ) -> pa.RecordBatch:
        when = batch.column("datetime").cast(pa.timestamp("us"))
        own = {
            "id": batch.column("id"),
            "datetime": when,
            "geometry": batch.column("geometry").cast(pa.binary()),
            "bbox": batch.column("bbox"),
            "assets": pa.array([self._files(row) for row in readable], self.schema.field("assets").type),
            _EPSG: pa.array([None if name is None else int(name.partition(":")[2]) for name in crs], pa.int32()),
            "crs": pa.array(crs, pa.utf8()),
            "year": pc.year(when).cast(pa.int32()),
            "month": pc.month(when).cast(pa.int32()),
        }
        for band in self._bands:
            headers = [_header(*row[band]) if band in row else None for row in readable]
            own[f"{band}{METADATA}"] = pa.array(headers, _HEADER)
        columns = [own[name] if name in own else batch.column(self._properties[name]) for name in self.schema.names]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _readable(self, record: str, files: Sequence[SlotAsset], crs: str | None) -> dict[str, tuple[Asset, int]]:
        """File and sample of each band, but for files that rasteret cannot read."""
        found: dict[str, tuple[Asset, int]] = {}
        for slot, asset in files:
            reason = _obstacle(asset, crs)
            if reason is not None:
                self._fail(Failure(record, asset.key, f"rasteret cannot read it: {reason}"))
                continue
            for sample, band in enumerate(self._rows.manifest.slots[slot].bands):
                found[band] = asset, sample
        return found

    def _files(self, row: Mapping[str, tuple[Asset, int]]) -> dict[str, Any]:
        return {band: {"href": asset.href, "band_index": sample} for band, (asset, sample) in row.items()}


def _common_crs(files: Sequence[SlotAsset]) -> str | None:
    """EPSG code of the first file that has one: rasteret keeps one for all files of a record."""
    names = (asset.grid.crs for _, asset in files)
    return next((name for name in names if name is not None and name.startswith("EPSG:")), None)


def _obstacle(asset: Asset, crs: str | None) -> str | None:
    """Why rasteret cannot read a file."""
    level, grid = asset.profile.levels[0], asset.grid
    dtype = np.dtype(level.dtype)
    obstacles = {
        "it has strips, not tiles": level.striped,
        "its samples are packed": level.stored is not None or level.bits_reversed,
        "its samples are big-endian": level.big_endian and dtype.itemsize > 1,
        "its samples are complex": dtype.kind == "c",
        f"its codec (compression {level.compression})": level.compression not in _CODECS or level.option != 0,
        "its colours are YCbCr": level.ycbcr is not None,
        "its predictor does not go with floats": level.predictor == _HORIZONTAL and dtype.kind == "f",
        "it has no georeference": not grid.located,
        "its grid is rotated": not grid.axis_aligned,
        "its CRS has no EPSG code": not (grid.crs or "").startswith("EPSG:"),
        "its CRS is another than that of the record": grid.crs != crs,
    }
    return next((reason for reason, holds in obstacles.items() if holds), None)


def _header(asset: Asset, sample: int) -> dict[str, Any]:
    level, (a, _, c, _, e, f) = asset.profile.levels[0], asset.grid.transform[:6]
    ranges = asset.tile_ranges(0)
    offsets, counts = ranges.offsets, ranges.counts
    if level.planar_separate:  # tiles of the one sample
        tiles = level.tiles_across * level.tiles_down
        offsets, counts = (values[sample * tiles : (sample + 1) * tiles] for values in (offsets, counts))
    return {
        "image_width": level.width,
        "image_height": level.height,
        "tile_width": level.tile_width,
        "tile_height": level.tile_height,
        "dtype": level.dtype,
        "transform": [a, c, e, f],
        "predictor": level.predictor,
        "compression": level.compression,
        "tile_offsets": offsets,
        "tile_byte_counts": counts,
        "pixel_scale": [a, -e, 0.0],
        "tiepoint": [0.0, 0.0, 0.0, c, f, 0.0],
        "nodata": None if asset.profile.nodata is None else float(asset.profile.nodata),
        "samples_per_pixel": level.samples,
        "planar_configuration": 2 if level.planar_separate else 1,
        "photometric": level.photometric,
        "extra_samples": _extra_samples(asset),
    }


def _extra_samples(asset: Asset) -> list[int] | None:
    bands = asset.profile.bands[_PRIMARY.get(asset.profile.levels[0].photometric, 1) :]
    return [_ALPHA if band.colorinterp == "alpha" else 0 for band in bands] or None
