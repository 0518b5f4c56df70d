"""Tables of an index on disk; ``catalog.format`` says what they look like."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from shapely.geometry.base import BaseGeometry

from rasterflight_protocol import records_schema
from rasterflight_server.catalog.format import ASSETS_BATCH, ASSETS_SCHEMA, NONE, TILES_BATCH, TILES_SCHEMA
from rasterflight_server.catalog.tiles import pack
from rasterflight_server.ingest.properties import clean_text, property_columns
from rasterflight_server.ingest.registry import Numbers
from rasterflight_server.ingest.sources import RecordSource
from rasterflight_server.types import Grid, Identity, TileRanges

_ROW_GROUP: Final = 10_000


@dataclass(frozen=True, slots=True)
class IndexedAsset:
    """A file as it stands in the index."""

    #: As it is to be stored: relative where the file and the index may move together.
    href: str
    identity: Identity | None
    grid: Grid
    numbers: Numbers
    first_tiles_row: int
    tags: str = ""


@dataclass(frozen=True, slots=True)
class IndexedRecord:
    """A record as it stands in the index."""

    source: RecordSource
    footprint: BaseGeometry | None
    assets: Sequence[IndexedAsset]

    @property
    def crs(self) -> str | None:
        """CRS of the first raster that has one."""
        return next((asset.grid.crs for asset in self.assets if asset.grid.crs), None)


class TilesWriter:
    """Writes ``tiles.arrow`` while files are read, so that tile lists need not be kept."""

    def __init__(self, path: Path) -> None:
        self._writer = pa.ipc.new_file(str(path), TILES_SCHEMA)
        self._pending: list[dict[str, Any]] = []
        self._rows = 0

    def add(self, levels: Iterable[TileRanges]) -> int:
        """Append the levels of one file; returns the row of the first."""
        first = self._rows
        for ranges in levels:
            self._pending.append(pack(ranges))
            self._rows += 1
            if len(self._pending) == TILES_BATCH:
                self._flush()
        return first

    def _flush(self) -> None:
        if self._pending:
            self._writer.write_batch(pa.RecordBatch.from_pylist(self._pending, TILES_SCHEMA))
            self._pending = []

    def close(self) -> None:
        """Complete the file; a second call does nothing."""
        self._flush()
        self._writer.close()


def sort_records(records: Sequence[IndexedRecord]) -> list[IndexedRecord]:
    """Order records along a Hilbert curve through the centres of their footprints, those without a footprint last."""
    placed = [record for record in records if record.footprint is not None]
    bounds = shapely.bounds([record.footprint for record in placed]).reshape(-1, 4)
    centres = gpd.GeoSeries(gpd.points_from_xy(bounds[:, [0, 2]].mean(axis=1), bounds[:, [1, 3]].mean(axis=1)))
    distances: Iterable[int] = centres.hilbert_distance() if placed else ()
    along = dict(zip((record.source.id for record in placed), distances, strict=True))
    last = 2**32
    return sorted(records, key=lambda record: (along.get(record.source.id, last), record.source.id))


def write_records(path: Path, records: Sequence[IndexedRecord]) -> pa.Table:
    """Write ``records.parquet`` (GeoParquet 1.1) in the order given; returns the table."""
    footprints = np.array([record.footprint for record in records], dtype=object)
    bounds = shapely.bounds(footprints)
    fields, columns = property_columns([record.source.properties for record in records])
    schema = records_schema(fields)
    bbox_type = schema.field("bbox").type
    bbox = pa.StructArray.from_arrays(
        [pa.array(bounds[:, i]) for i in range(4)], fields=list(bbox_type), mask=pa.array(np.isnan(bounds[:, 0]))
    )
    table = pa.Table.from_arrays(
        [
            pa.array([record.source.id for record in records]),
            pa.array([record.source.when for record in records], pa.timestamp("us")).cast(pa.timestamp("us", "UTC")),
            pa.array(shapely.to_wkb(footprints), pa.binary()),
            bbox,
            pa.array([record.crs for record in records], pa.utf8()),
            *columns,
        ],
        schema=schema.with_metadata({b"geo": json.dumps(_geo(footprints, bounds)).encode()}),
    )
    pq.write_table(table, path, compression="zstd", row_group_size=_ROW_GROUP)
    return table


def _geo(footprints: npt.NDArray[Any], bounds: npt.NDArray[Any]) -> dict[str, Any]:
    present = footprints[~np.isnan(bounds[:, 0])]
    geometry: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": sorted({str(footprint.geom_type) for footprint in present}),
        "covering": {"bbox": {name: ["bbox", name] for name in ("xmin", "ymin", "xmax", "ymax")}},
    }
    if present.size:
        geometry["bbox"] = shapely.total_bounds(present).tolist()
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}


def write_assets(path: Path, records: Iterable[IndexedRecord], slots: int) -> None:
    """Write ``assets.arrow``: a row for every record and slot."""
    with pa.ipc.new_file(str(path), ASSETS_SCHEMA) as writer:
        rows = _asset_rows(records, slots)
        while batch := list(islice(rows, ASSETS_BATCH)):
            writer.write_batch(pa.RecordBatch.from_pylist(batch, ASSETS_SCHEMA))


def _asset_rows(records: Iterable[IndexedRecord], slots: int) -> Iterator[dict[str, Any]]:
    for record in records:
        by_slot = {asset.numbers.slot: asset for asset in record.assets}
        for slot in range(slots):
            yield _asset_row(by_slot[slot]) if slot in by_slot else {"profile": NONE}


def _asset_row(asset: IndexedAsset) -> dict[str, Any]:
    identity = asset.identity
    return {
        "href": clean_text(asset.href),
        "size": identity and identity.size,
        "mtime_ns": identity and identity.mtime_ns,
        "etag": identity and identity.etag,
        "profile": asset.numbers.profile,
        "crs": asset.numbers.crs,
        "width": asset.grid.width,
        "height": asset.grid.height,
        **{f"transform_{name}": getattr(asset.grid.transform, name) for name in "abcdef"},
        "first_tiles_row": asset.first_tiles_row,
        "tags": clean_text(asset.tags) or None,
    }
