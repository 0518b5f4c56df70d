"""An archive of very many records, as stac-geoparquet: files that are there, and that share their bytes.

Each place has a folder with a real GeoTIFF for each band; each record has a folder of its own, a symbolic link to that of its place. So every record has
hrefs of its own, and every href is opened and read, while the disk holds the files of the places alone.
"""

import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import rasterio
import shapely
from rasterio.shutil import copy

from benchmarks.manyrecords import BANDS, CRS_NAME, PIXEL, SIDE, TILE, dates, outlines, spread

_ROWS = 100_000
_FOLDERS = 1_000
_TIFF = "image/tiff; application=geotiff; profile=cloud-optimized"


def make_archive(folder: Path, records: int) -> Path:
    """Make files and links below a folder, and ``items.parquet`` in it; returns the path of the latter."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    corners = spread(rng, records) // 60 * 60
    _write_files(folder, corners)
    place = rng.integers(0, len(corners), records)
    for number, at in enumerate(place.tolist()):
        link = folder / record_folder(number)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"../../{_place_folder(at)}")
    path = folder / "items.parquet"
    write_items(path, corners, place, rng)
    return path


def record_folder(number: int) -> str:
    """Folder of the files of a record."""
    return f"records/{number // _FOLDERS:05}/{record_id(number)}"


def _place_folder(number: int) -> str:
    return f"places/{number:06}"


def record_id(number: int) -> str:
    """Id of a record."""
    return f"record-{number:09}"


def _write_files(folder: Path, corners: np.ndarray) -> None:
    """Write a file for each place and band: COGs whose bytes differ in nothing but where they lie."""
    template, plain = folder / "template.tif", folder / "plain.tif"
    for value, band in enumerate(BANDS, start=1):
        with rasterio.open(
            plain, "w", driver="GTiff", width=SIDE, height=SIDE, count=1, dtype="uint16", crs=CRS_NAME, nodata=0,
            transform=rasterio.Affine(PIXEL, 0, 0.5, 0, -PIXEL, 0.25), tiled=True, compress="zstd",
        ) as dataset:  # fmt: skip
            dataset.write(np.full((SIDE, SIDE), value, np.uint16), 1)
        copy(plain, template, driver="COG", blocksize=TILE, compress="zstd", predictor=2, overview_compress="zstd")
        bytes_of = template.read_bytes()
        tie = struct.pack("<6d", 0, 0, 0, 0.5, 0.25, 0)
        if bytes_of.count(tie) != 1:
            raise RuntimeError("the tie point is not where it should be")
        for number, (west, north) in enumerate(corners.tolist()):
            path = folder / _place_folder(number) / f"{band}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes_of.replace(tie, struct.pack("<6d", 0, 0, 0, west, north, 0)))
    template.unlink()
    plain.unlink()


def write_items(path: Path, corners: np.ndarray, place: np.ndarray, rng: np.random.Generator, first: int = 0) -> None:
    """Write records as stac-geoparquet; ``place``: where each of them lies."""
    with pq.ParquetWriter(path, _schema(), compression="zstd") as writer:
        for start in range(0, len(place), _ROWS):
            writer.write_batch(_items(corners[place[start : start + _ROWS]], first + start, rng))


def _schema() -> pa.Schema:
    return _items(np.zeros((1, 2)), 0, np.random.default_rng(0)).schema


def _items(corners: np.ndarray, first: int, rng: np.random.Generator) -> pa.RecordBatch:
    count = len(corners)
    numbers = range(first, first + count)
    transform = [[PIXEL, 0.0, west, 0.0, -PIXEL, north] for west, north in corners.tolist()]
    assets = {band: _asset(band, numbers) for band in BANDS}
    return pa.RecordBatch.from_pydict(
        {
            "type": ["Feature"] * count,
            "stac_version": ["1.1.0"] * count,
            "id": [record_id(number) for number in numbers],
            "geometry": shapely.to_wkb(outlines(corners)),
            "datetime": pa.array(dates(rng, count)).cast(pa.timestamp("us", "UTC")),
            "eo:cloud_cover": rng.uniform(0, 100, count),
            "platform": rng.choice(["sentinel-2a", "sentinel-2b"], count).tolist(),
            "proj:code": [CRS_NAME] * count,
            "proj:transform": transform,
            "proj:shape": [[SIDE, SIDE]] * count,
            "assets": pa.StructArray.from_arrays(list(assets.values()), names=list(assets)),
        }
    )


def _asset(band: str, numbers: range) -> pa.StructArray:
    count = len(numbers)
    columns = {
        "href": pa.array([f"{record_folder(number)}/{band}.tif" for number in numbers]),
        "type": pa.array([_TIFF] * count),
        "roles": pa.array([["data"]] * count),
        "eo:bands": pa.array([[{"name": band.upper(), "common_name": band}]] * count),
    }
    return pa.StructArray.from_arrays(list(columns.values()), names=list(columns))
