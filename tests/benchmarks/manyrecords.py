"""An index of very many records, written straight in the layout of ``catalog.format``: there are no files behind it."""

import shutil
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from pyproj import CRS, Transformer

from rasterflight_protocol import records_schema
from rasterflight_server.catalog.format import (
    ASSETS,
    ASSETS_BATCH,
    ASSETS_SCHEMA,
    MANIFEST,
    PROFILES,
    RECORDS,
    TILES,
    TILES_BATCH,
    TILES_SCHEMA,
)
from rasterflight_server.catalog.manifest import BandEntry, Candidate, CrsEntry, Manifest, Slot
from rasterflight_server.catalog.profiles import dump_profiles
from rasterflight_server.types import BandMeta, Level, Profile

BANDS = ("red", "green", "blue", "nir")
SIDE, TILE, PIXEL = 5490, 512, 5.0
_TILES = (-(-SIDE // TILE)) ** 2
_SPAN = SIDE * PIXEL
CRS_NAME = "EPSG:32631"
_SNAPSHOT = "0" * 16
_ROW_GROUP = 10_000
#: Records of one place; all lie within five years.
DATES = 100
_START, _SECONDS = np.datetime64("2019-01-01", "us"), 5 * 365 * 86_400


def write_index(out: Path, records: int) -> np.ndarray:
    """Write an index of records with four bands of 121 tiles each.

    Returns
    -------
    numpy.ndarray
        [n, 2]: places in lon/lat that many records hold.
    """
    shutil.rmtree(out, ignore_errors=True)
    folder = out / _SNAPSHOT
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    places = spread(rng, records)
    corners = places[rng.integers(0, len(places), records)] // 60 * 60
    footprints = outlines(corners)
    order = np.argsort(gpd.GeoSeries(footprints).hilbert_distance(), kind="stable")
    corners, footprints = corners[order], footprints[order]
    bounds = shapely.bounds(footprints)
    _write_records(folder / RECORDS, footprints, bounds, rng)
    _write_assets(folder / ASSETS, corners)
    _write_tiles(folder / TILES, records * len(BANDS), rng)
    level = Level(
        width=SIDE, height=SIDE, tile_width=TILE, tile_height=TILE, dtype="uint16", big_endian=False,
        compression=8, predictor=2, photometric=1, samples=1, planar_separate=False,
    )  # fmt: skip
    (folder / PROFILES).write_text(dump_profiles([Profile((level,), (BandMeta(),), "0")]))
    (out / MANIFEST).write_text(_manifest(records, bounds).to_json())
    return shapely.get_coordinates(shapely.centroid(footprints[rng.integers(0, records, 500)]))


def spread(rng: np.random.Generator, records: int) -> np.ndarray:
    """Upper left corners of the places of so many records: as dense as those of a million in one zone, however many there are."""
    north = min(1.0, records / 1e6) * 7e6 + _SPAN
    return rng.uniform((200_000, _SPAN), (800_000 - _SPAN, north + _SPAN), (max(records // DATES, 1), 2))


def dates(rng: np.random.Generator, count: int) -> np.ndarray:
    """Moments within five years."""
    return _START + rng.integers(0, _SECONDS, count) * np.timedelta64(1_000_000, "us")


def outlines(corners: np.ndarray) -> np.ndarray:
    """Outlines, in lon/lat, of the rasters that begin at some corners."""
    west, north = corners.T
    x = np.stack([west, west + _SPAN, west + _SPAN, west, west], axis=1)
    y = np.stack([north, north, north - _SPAN, north - _SPAN, north], axis=1)
    lon, lat = Transformer.from_crs(CRS_NAME, "OGC:CRS84", always_xy=True).transform(x, y)
    return shapely.polygons(np.stack([lon, lat], axis=2))


def _write_records(path: Path, footprints: np.ndarray, bounds: np.ndarray, rng: np.random.Generator) -> None:
    count = len(footprints)
    when = dates(rng, count)
    cloud = pa.array(rng.uniform(0, 100, count))
    platform = pa.array(rng.choice(["sentinel-2a", "sentinel-2b"], count))
    schema = records_schema([pa.field("eo:cloud_cover", cloud.type), pa.field("platform", platform.type)])
    columns: list[Any] = [
        pa.array([f"record-{number:09}" for number in range(count)]),
        pa.array(when).cast(pa.timestamp("us", "UTC")),
        pa.array(shapely.to_wkb(footprints), pa.binary()),
        pa.StructArray.from_arrays([pa.array(side) for side in bounds.T], fields=list(schema.field("bbox").type)),
        pa.array([CRS_NAME]).take(pa.array(np.zeros(count, np.int64))),
        cloud,
        platform,
    ]
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), path, compression="zstd", row_group_size=_ROW_GROUP)


def _write_assets(path: Path, corners: np.ndarray) -> None:
    transform = {"a": PIXEL, "b": 0.0, "d": 0.0, "e": -PIXEL}
    constant = {
        "size": 20_000_000,
        "mtime_ns": None,
        "etag": "x",
        "profile": 0,
        "crs": 0,
        "width": SIDE,
        "height": SIDE,
    }
    constant |= {f"transform_{name}": value for name, value in transform.items()} | {"tags": None}
    with pa.ipc.new_file(str(path), ASSETS_SCHEMA) as writer:
        for start in range(0, len(corners) * len(BANDS), ASSETS_BATCH):
            rows = np.arange(start, min(start + ASSETS_BATCH, len(corners) * len(BANDS)))
            x, y = corners[rows // len(BANDS)].T
            varying = {
                "href": [
                    f"https://example.com/record-{row // len(BANDS):09}/{BANDS[row % len(BANDS)]}.tif" for row in rows
                ],
                "transform_c": x,
                "transform_f": y,
                "first_tiles_row": rows,
            }
            columns = [
                pa.array(varying[field.name], field.type)
                if field.name in varying
                else pa.array([constant[field.name]], field.type).take(pa.array(np.zeros(len(rows), np.int64)))
                for field in ASSETS_SCHEMA
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=ASSETS_SCHEMA))


def _write_tiles(path: Path, rows: int, rng: np.random.Generator) -> None:
    with pa.ipc.new_file(str(path), TILES_SCHEMA) as writer:
        for start in range(0, rows, TILES_BATCH):
            count = min(TILES_BATCH, rows - start)
            lengths = pa.array(rng.integers(50_000, 250_000, count * _TILES, dtype=np.uint32))
            ends = pa.array(np.arange(count + 1, dtype=np.int64) * _TILES)
            columns = [
                pa.array(np.full(count, 1_000, np.int64)),
                pa.array(np.full(count, 8, np.int64)),
                pa.LargeListArray.from_arrays(ends, lengths).cast(TILES_SCHEMA.field("counts").type),
                pa.nulls(count, TILES_SCHEMA.field("offsets").type),
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=TILES_SCHEMA))


def _manifest(records: int, bounds: np.ndarray) -> Manifest:
    crs = CRS.from_user_input(CRS_NAME)
    return Manifest(
        name="many",
        snapshot=_SNAPSHOT,
        created="2024-01-01T00:00:00Z",
        generator="benchmarks",
        source="none",
        records=records,
        bands=tuple(BandEntry(band, (), (Candidate(slot, 0),), ("uint16",), ("0",)) for slot, band in enumerate(BANDS)),
        slots=tuple(Slot(band, (band,)) for band in BANDS),
        crs=(CrsEntry(CRS_NAME, crs.to_wkt(), crs.to_json_dict()),),
        extent=(*bounds[:, :2].min(0).tolist(), *bounds[:, 2:].max(0).tolist()),
        time_range=("2019-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
    )
