"""Indexes as stac-geoparquet, and back; and what all exports have in common."""

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rasterflight_protocol import ErrorCode
from rasterflight_server.catalog import Collection
from rasterflight_server.errors import BadIndexError, RequestError
from rasterflight_server.ingest import build_index, export_index
from support.direct import opened
from support.server import run_server_command


def contents(index: Path) -> tuple[list[dict[str, Any]], list[Any]]:
    """Records and bands of an index."""
    collection = Collection.open(index)
    rows = collection.records(np.arange(collection.manifest.records)).to_pylist()
    bands = [
        (band.name, band.aliases, band.dtypes, band.nodatas, band.scale, band.offset)
        for band in collection.manifest.bands
    ]
    collection.close()
    return sorted(rows, key=str), sorted(bands)


@pytest.mark.parametrize("name", ["ny", "naip", "mol", "charleston", "pucallpa", "alexandria", "s2-34", "striped"])
def test_round_trip(indexes: dict[str, Path], name: str, tmp_path: Path) -> None:
    report = export_index(indexes[name], "stac-geoparquet", tmp_path / "items.parquet")
    built = build_index(tmp_path / "items.parquet", tmp_path / "index", name)
    assert (report.failures, built.failures, built.notices) == ((), (), ())
    assert contents(tmp_path / "index") == contents(indexes[name])
    with opened(indexes[name]) as before, opened(tmp_path / "index") as after:
        for record in before.collection.select([])["id"].to_pylist():
            bands = before.bands(record)
            assert sorted(after.bands(record)) == sorted(bands)
            for band in bands:
                one, other = (each.read(record, [band])[0] for each in (before, after))
                assert len(one) == len(other)
                for mine, theirs in zip(one, other, strict=True):
                    np.testing.assert_array_equal(mine.pixels[band], theirs.pixels[band])


class TestForm:
    @pytest.fixture
    def path(self, indexes: dict[str, Path], tmp_path: Path) -> Path:
        export_index(indexes["ny"], "stac-geoparquet", tmp_path / "items.parquet")
        return tmp_path / "items.parquet"

    def test_columns_of_the_specification(self, path: Path) -> None:
        schema = pq.read_schema(path)
        assert schema.field("datetime").type == pa.timestamp("us", "UTC")
        assert schema.field("stac_extensions").type.value_type == pa.utf8()
        assert [field.name for field in schema.field("bbox").type] == ["xmin", "ymin", "xmax", "ymax"]
        assert [field.name for field in schema.field("links").type.value_type] == ["href", "rel", "type", "title"]
        assert json.loads(schema.metadata[b"geo"])["columns"]["geometry"]["encoding"] == "WKB"
        assert json.loads(schema.metadata[b"stac-geoparquet"]) == {"version": "1.1.0"}

    def test_an_item(self, path: Path, data: Path) -> None:
        row = next(row for row in pq.read_table(path).to_pylist() if row["id"].startswith("LC08_L1TP_013032_20180405"))
        assert (row["type"], row["stac_version"], row["collection"], row["links"]) == ("Feature", "1.1.0", "ny", [])
        assert row["landsat:wrs_path"] == "013"
        assert row["assets"]["red"] == {
            "href": str(data / "landsat8-ny-cog" / row["id"] / "LC08_L1TP_013032_20180405_B4.tif"),
            "type": "image/tiff; application=geotiff",
            "roles": ["data"],
            "proj:code": "EPSG:32618",
            "proj:shape": [77, 76],
            "proj:transform": [3024.0789473684213, 0.0, 525585.0, 0.0, -3031.5584415584412, 4582215.0],
            "bands": [{"name": "B4", "data_type": "uint16"}],
        }

    def test_geopandas_reads_it(self, path: Path) -> None:
        frame = gpd.read_parquet(path)
        assert frame.crs == "OGC:CRS84"
        assert len(frame) == 6


@pytest.mark.parametrize("form", ["stac-geoparquet", "rasteret"])
class TestRefused:
    def refused(self, index: Path, form: str, out: Path) -> RequestError:
        with pytest.raises(RequestError) as caught:
            export_index(index, form, out)
        assert caught.value.code is ErrorCode.BAD_REQUEST
        return caught.value

    def test_a_place_that_is_taken(self, indexes: dict[str, Path], form: str, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("mine")
        error = self.refused(indexes["ny"], form, tmp_path / "out")
        assert (error.field, error.message) == (
            "out",
            "the export cannot be written to 'out': something is there already",
        )
        assert (tmp_path / "out").read_text() == "mine"

    def test_a_place_that_cannot_be(self, indexes: dict[str, Path], form: str, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        error = self.refused(indexes["ny"], form, tmp_path / "file" / "out")
        assert error.message.startswith("the export cannot be written to 'out': ")

    def test_no_index(self, form: str, tmp_path: Path) -> None:
        with pytest.raises(BadIndexError):
            export_index(tmp_path, form, tmp_path / "out")
        assert list(tmp_path.iterdir()) == []


def test_a_form_that_there_is_not(indexes: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(RequestError) as caught:
        export_index(indexes["ny"], "csv", tmp_path / "out")
    assert (caught.value.code, caught.value.field) == (ErrorCode.BAD_REQUEST, "to")
    assert str(caught.value) == "an index cannot be exported to 'csv' (to stac-geoparquet or rasteret)"


def test_on_the_command_line(indexes: dict[str, Path], data: Path, tmp_path: Path) -> None:
    out = tmp_path / "items.parquet"
    done = run_server_command("export", indexes["ny"], "--to", "stac-geoparquet", "--out", out)
    assert (done.returncode, done.stdout) == (0, f"{out}: 6 records\n")
    query = f"SELECT id AS scene, datetime AS t, geometry AS g, assets.red.href AS red_url FROM '{out}' WHERE id LIKE '%013032%'"
    words = ["--query", query, "--map", "id=scene,datetime=t", "--map", "geometry=g,B04=red_url"]
    done = run_server_command("index", *words, "--out", tmp_path / "index", "--name", "x")
    assert (done.returncode, done.stdout) == (0, "x: 3 records, 3 files, bands B04\n"), done.stderr
    done = run_server_command("index", f"{data}/landsat8-ny-cog/*/*_B4.tif", "--out", tmp_path / "glob", "--name", "x")
    assert done.stdout == "x: 6 records, 6 files, bands band_1\n"
    done = run_server_command("index", out, "--map", "B04=rde", "--out", tmp_path / "bad", "--name", "x")
    assert done.returncode == 1
    assert done.stderr.startswith("error: items.parquet has no column 'rde' (")
