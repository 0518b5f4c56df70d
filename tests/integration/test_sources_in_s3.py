"""Collections built from what lies in a real S3 server: files below a prefix, tables by URL and by prefix."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import rasterio

from rasterflight_server.ingest import build_index
from rasterflight_server.ingest.files import below
from rasterflight_server.store import StorageOptions, Stores
from support.direct import opened
from support.s3_server import OPEN_BUCKET, S3Server

SCENE = "LC08_L1TP_013032_20180405"


@pytest.fixture(scope="module")
def s3(s3_server: S3Server, data: Path) -> S3Server:
    for path in (data / "landsat8-ny-cog").rglob(f"{SCENE}_B[45].tif"):
        s3_server.put(OPEN_BUCKET, f"scenes/deep/{path.name}", path.read_bytes())
    s3_server.put(OPEN_BUCKET, "scenes/readme.txt", b"no raster")
    for path in (data / "rasteret" / "mixed_records").rglob("*.parquet"):
        name = path.relative_to(data / "rasteret" / "mixed_records").as_posix()
        s3_server.put(OPEN_BUCKET, f"seed/{name}", path.read_bytes())
    return s3_server


@pytest.fixture
def stores(s3: S3Server) -> Stores:
    return Stores({"s3://": StorageOptions(endpoint=s3.url, anonymous=True)})


def test_files_below_a_prefix(stores: Stores, tmp_path: Path, data: Path) -> None:
    source = f"s3://{OPEN_BUCKET}/scenes/"
    assert [name for name, _ in below(source, stores)] == [
        f"deep/{SCENE}_B4.tif",
        f"deep/{SCENE}_B5.tif",
        "readme.txt",
    ]
    pattern = "{place}/{id}_{datetime}_{band}.tif"
    report = build_index(source, tmp_path / "index", "files", pattern=pattern, stores=stores)
    assert (report.records, report.bands, report.failures) == (1, ("B4", "B5"), ())
    with opened(tmp_path / "index", stores) as found:
        [chip] = found.read("LC08_L1TP_013032", ["B4"])[0]
    [path] = (data / "landsat8-ny-cog").rglob(f"{SCENE}_B4.tif")
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(chip.pixels["B4"], file.read(1))


def test_a_partitioned_table_below_a_prefix(stores: Stores, tmp_path: Path) -> None:
    report = build_index(f"s3://{OPEN_BUCKET}/seed/", tmp_path / "index", "seed", stores=stores)
    assert (report.records, report.assets, report.failures) == (2, 3, ())
    with opened(tmp_path / "index", stores) as found:
        assets = [asset for row in range(2) for asset in found.collection.assets(row, range(3)) if asset is not None]
    assert {asset.href.partition("seed/")[2].partition("/")[0] for asset in assets} == {
        "landsat8-ny-cog",
        "naip-nd-4709963",
    }


def test_a_table_by_its_url(s3: S3Server, stores: Stores, tmp_path: Path) -> None:
    sink = pa.BufferOutputStream()
    table = pa.table({"id": ["a"], "red": [f"../scenes/deep/{SCENE}_B4.tif"]})
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    s3.put(OPEN_BUCKET, "tables/t.arrow", sink.getvalue().to_pybytes())
    source = f"s3://{OPEN_BUCKET}/tables/t.arrow"
    report = build_index(source, tmp_path / "index", "t", map={"B04": "red"}, stores=stores)
    assert (report.records, report.bands, report.failures) == (1, ("B04",), ())
