"""Tables of an index on disk, sorted; ``catalog.format`` says what they look like."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rasterflight_protocol import records_schema
from rasterflight_server.catalog.format import (
    ASSETS_BATCH,
    ASSETS_SCHEMA,
    NONE,
    ORIGINS_SCHEMA,
    TILES_BATCH,
    TILES_SCHEMA,
)
from rasterflight_server.ingest.properties import convert, final_type
from rasterflight_server.ingest.registry import Shared
from rasterflight_server.ingest.spill import RECORD_SCHEMA

_ROW_GROUP: Final = 10_000
#: Rows that are put in order at a time.
_BLOCK: Final = 10 * _ROW_GROUP
_BOUNDS: Final = ("xmin", "ymin", "xmax", "ymax")

Rows = npt.NDArray[np.int64]


def join_records(parts: Sequence[pa.Table]) -> pa.Table:
    """Put records one below the other; a column of each property has one type, and nulls where a part has no such property."""
    fields: dict[str, list[pa.Field]] = {}
    for part in parts:
        for field in list(part.schema)[len(RECORD_SCHEMA) :]:
            fields.setdefault(field.name, []).append(field)
    schema = pa.schema([*RECORD_SCHEMA, *(pa.field(name, final_type(found)) for name, found in fields.items())])
    return pa.concat_tables([_aligned(part, schema) for part in parts])


def _aligned(part: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = []
    for number, field in enumerate(schema):
        if number < len(RECORD_SCHEMA):
            columns.append(part[field.name])
        elif field.name in part.schema.names:
            columns.append(convert(part[field.name], part.schema.field(field.name), field.type))
        else:
            columns.append(pa.chunked_array([pa.nulls(len(part), field.type)]))
    return pa.Table.from_arrays(columns, schema=schema)


def sorted_rows(records: pa.Table, rows: Rows) -> Rows:
    """Order rows along a Hilbert curve through the centres of their footprints, those without a footprint last."""
    chosen = records.select(["id", *_BOUNDS]).take(rows)
    xmin, ymin, xmax, ymax = (chosen[name].to_numpy() for name in _BOUNDS)
    placed = ~np.isnan(xmin)
    along = np.full(len(rows), 2**32, np.int64)
    if placed.any():
        centres = gpd.GeoSeries(gpd.points_from_xy((xmin + xmax)[placed] / 2, (ymin + ymax)[placed] / 2))
        along[placed] = centres.hilbert_distance()
    keys = pa.table({"along": along, "id": chosen["id"]})
    ordered: Rows = rows[pc.sort_indices(keys, sort_keys=[("along", "ascending"), ("id", "ascending")]).to_numpy()]
    return ordered


def write_records(path: Path, records: pa.Table, rows: Rows, crs: Sequence[str], geometry_types: Iterable[str]) -> None:
    """Write ``records.parquet`` (GeoParquet 1.1): some rows, in the order given; ``crs``: names of CRS by number."""
    schema = records_schema(list(records.schema)[len(RECORD_SCHEMA) :])
    geo = _geo(geometry_types, extent_of(records, rows))
    names = np.array([*crs, None], object)  # the last is met by NONE
    with pq.ParquetWriter(path, schema.with_metadata({b"geo": json.dumps(geo).encode()}), compression="zstd") as writer:
        for start in range(0, len(rows), _BLOCK):
            block = records.take(rows[start : start + _BLOCK]).combine_chunks()
            bounds = [block[name].combine_chunks() for name in _BOUNDS]
            struct = pa.StructArray.from_arrays(
                bounds, fields=list(schema.field("bbox").type), mask=bounds[0].is_null()
            )
            columns = {name: block[name] for name in block.schema.names}
            columns |= {"bbox": struct, "crs": pa.array(names[block["crs"].to_numpy()], pa.utf8())}
            table = pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)
            writer.write_table(table, row_group_size=_ROW_GROUP)


def extent_of(records: pa.Table, rows: Rows) -> tuple[float, float, float, float] | None:
    """Bounds of all footprints."""
    chosen = records.select(_BOUNDS).take(rows)
    low = [pc.min(chosen[name]).as_py() for name in _BOUNDS[:2]]
    high = [pc.max(chosen[name]).as_py() for name in _BOUNDS[2:]]
    return None if low[0] is None else (low[0], low[1], high[0], high[1])


def time_range_of(records: pa.Table, rows: Rows) -> tuple[str, str] | None:
    """First and last datetime, RFC 3339."""
    limits = pc.min_max(records["datetime"].take(rows).cast(pa.timestamp("us"))).as_py()
    if limits["min"] is None:
        return None
    return f"{limits['min'].isoformat()}Z", f"{limits['max'].isoformat()}Z"


def _geo(types: Iterable[str], extent: tuple[float, ...] | None) -> dict[str, Any]:
    geometry: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": sorted(types),
        "covering": {"bbox": {name: ["bbox", name] for name in _BOUNDS}},
    }
    if extent is not None:
        geometry["bbox"] = list(extent)
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}


def write_origins(path: Path, records: pa.Table, rows: Rows) -> None:
    """Write ``origins.arrow``: a row for every record."""
    with pa.ipc.new_file(str(path), ORIGINS_SCHEMA) as writer:
        writer.write_table(records.select(ORIGINS_SCHEMA.names).take(rows).cast(ORIGINS_SCHEMA))


def write_assets(path: Path, assets: pa.Table, places: Rows, first_tiles_rows: Rows, shared: Shared) -> None:
    """Write ``assets.arrow``.

    Parameters
    ----------
    assets
        Files in any order.
    places
        Row in ``assets`` for each record and slot, record by record; ``NONE``: the record has no such file.
    first_tiles_rows
        New value of the column for each row of ``assets``.
    shared
        New numbers.
    """
    columns = assets.select(ASSETS_SCHEMA.names)
    with pa.ipc.new_file(str(path), ASSETS_SCHEMA) as writer:
        for start in range(0, len(places), ASSETS_BATCH):
            rows = places[start : start + ASSETS_BATCH]
            absent = rows == NONE
            block = columns.take(pa.array(rows, mask=absent))
            replaced = {
                "profile": pa.array(np.where(absent, NONE, shared.profile_numbers[numbers(block["profile"])])),
                "crs": pa.array(shared.crs_numbers[numbers(block["crs"])], mask=absent),
                "first_tiles_row": pa.array(first_tiles_rows[rows], mask=absent),
            }
            arrays = [replaced[name] if name in replaced else block[name] for name in ASSETS_SCHEMA.names]
            table = pa.Table.from_arrays(arrays, schema=ASSETS_SCHEMA).combine_chunks()
            writer.write_table(table, ASSETS_BATCH)


def numbers(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Whole numbers of a column; ``NONE`` where it is null."""
    found: npt.NDArray[Any] = pc.fill_null(column, NONE).to_numpy()
    return found


def write_tiles(path: Path, tiles: pa.Table, first: Rows, counts: Rows) -> Rows:
    """Write ``tiles.arrow`` with the rows that are still needed.

    Parameters
    ----------
    tiles
        All rows that there are.
    first, counts
        First row, and number of rows, of each file.

    Returns
    -------
    ndarray
        The new first row of each file.
    """
    order = np.argsort(first, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts[order])])
    moved = np.empty_like(first)
    moved[order] = starts[:-1]
    rows = np.repeat(first[order] - starts[:-1], counts[order]) + np.arange(starts[-1])
    with pa.ipc.new_file(str(path), TILES_SCHEMA) as writer:
        for start in range(0, len(rows), TILES_BATCH):
            block = rows[start : start + TILES_BATCH]
            # They ascend: of a table of many batches only those that hold them are looked at.
            near = tiles.slice(block[0], block[-1] - block[0] + 1)
            writer.write_table(near.take(block - block[0]).combine_chunks(), TILES_BATCH)
    return moved
