"""Collections of rasteret: imported without a look at their files, exported again, and read."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import rasterio

from rasterflight_protocol import ErrorCode
from rasterflight_server.catalog import Collection
from rasterflight_server.errors import RequestError
from rasterflight_server.ingest import build_index
from rasterflight_server.ingest.export import export_index
from rasterflight_server.ingest.tables import read_table
from support.direct import Direct, opened

LANDSAT, NAIP = "LC08_L1TP_013032_20180405_20180417_01_T1", "m_4709963_se_14_1_20090818"


@pytest.fixture
def seed(tmp_path: Path, data: Path) -> Path:
    """The collection as rasteret wrote it, beside the files that it names."""
    shutil.copytree(data / "rasteret" / "mixed_records", tmp_path / "seed")
    for folder in ("landsat8-ny-cog", "naip-nd-4709963"):
        (tmp_path / "seed" / folder).symlink_to(data / folder)
    return tmp_path / "seed"


@pytest.fixture
def served(seed: Path, tmp_path: Path) -> Iterator[Direct]:
    report = build_index(seed, tmp_path / "index", "files")
    assert report.failures == ()
    with opened(tmp_path / "index") as found:
        yield found


def pixels(found: Direct) -> dict[tuple[str, str], np.ndarray]:
    """Pixels of every record and band."""
    return {
        (record, band): np.concatenate([chip.pixels[band] for chip in found.read(record, [band])[0]])
        for record in found.collection.select([])["id"].to_pylist()
        for band in found.bands(record)
    }


def whole(folder: Path) -> pa.Table:
    """A partitioned table, its folders as columns."""
    files = [str(path) for path in sorted(folder.rglob("*.parquet"))]
    return ds.dataset(files, partitioning="hive", partition_base_dir=str(folder)).to_table().sort_by("id")


def rows(index: Path) -> list[dict[str, Any]]:
    collection = Collection.open(index)
    found = collection.records(np.arange(collection.manifest.records)).to_pylist()
    collection.close()
    return found


class TestImport:
    def test_pixels_are_those_of_rasterio_and_of_rasteret(self, served: Direct, data: Path) -> None:
        found = pixels(served)
        expected = json.loads((data / "rasteret" / "pixels.json").read_text())
        digests = {f"{record}/{band}": hashlib.sha256(values).hexdigest() for (record, band), values in found.items()}
        assert digests == expected
        with rasterio.open(data / "naip-nd-4709963" / f"{NAIP}.tif") as file:
            for sample, band in enumerate(["red", "green", "blue", "nir"], 1):
                np.testing.assert_array_equal(found[NAIP, band], file.read(sample))

    def test_records(self, served: Direct) -> None:
        by_id = {row["id"]: row for row in served.collection.records(np.arange(2)).to_pylist()}
        row = by_id[LANDSAT]
        assert (row["crs"], row["proj:epsg"], row["platform"]) == ("EPSG:32618", 32618, "landsat8")
        assert row["datetime"].replace(tzinfo=None) == datetime(2018, 4, 5)  # noqa: DTZ001
        assert {"year", "month"}.isdisjoint(row)
        assert by_id[NAIP]["crs"] == "EPSG:26914"

    def test_no_file_is_touched(self, seed: Path, tmp_path: Path) -> None:
        for folder in ("landsat8-ny-cog", "naip-nd-4709963"):
            (seed / folder).unlink()
        report = build_index(seed, tmp_path / "index", "files")
        assert (report.records, report.failures) == (2, ())
        collection = Collection.open(tmp_path / "index")
        slots = range(len(collection.manifest.slots))
        assets = [asset for row in range(2) for asset in collection.assets(row, slots) if asset is not None]
        assert [asset.identity for asset in assets] == [None] * 3

    def test_a_file_with_several_bands_stays_one(self, seed: Path) -> None:
        found = {record.id: record for record in read_table(seed)}
        [asset] = found[NAIP].assets
        assert [hint.name for hint in asset.hints] == ["red", "green", "blue", "nir"]
        assert asset.header.profile.levels[0].samples == 4
        assert [asset.key for asset in found[LANDSAT].assets] == ["nir08", "red"]

    def test_a_folder_that_says_more_than_the_datetime_stays_a_column(self, seed: Path) -> None:
        (seed / "year=2018" / "month=4").rename(seed / "year=2018" / "month=5")
        found = {record.id: record.properties for record in read_table(seed)}
        assert (found[LANDSAT].get("month"), found[LANDSAT].get("year")) == (5, None)
        assert "month" not in found[NAIP]


def changed(seed: Path, record: str, **facts: Any) -> list[Any]:
    """Records of the collection where one header says something else."""
    table = whole(seed)
    found = table.filter(ds.field("id") == record).to_pylist()
    for name, header in found[0].items():
        if name.endswith("_metadata") and header is not None:
            header.update(facts)
    fields = [field for field in table.schema if field.name not in ("year", "month")]
    return list(read_table(pa.Table.from_pylist(found, pa.schema(fields))))


def test_batches_that_are_slices(seed: Path) -> None:
    table = whole(seed)
    many = pa.concat_tables([table.drop_columns(["year", "month"])] * 1_500).combine_chunks()
    found = list(read_table(many))
    assert len(found) == 3_000
    for record in found[2_990:]:
        first = next(other for other in found[:2] if other.id == record.id)
        for one, other in zip(record.assets, first.assets, strict=True):
            np.testing.assert_array_equal(one.header.tiles[0].offsets, other.header.tiles[0].offsets)


class TestHeaders:
    def header(self, seed: Path, **facts: Any) -> Any:
        [record] = changed(seed, LANDSAT, **facts)
        return record.assets[0].header

    @pytest.mark.parametrize(
        "facts",
        [
            {"compression": 34663},
            {"predictor": 9},
            {"dtype": "nonsense"},
            {"tile_offsets": [1, 2, 3]},
            {"tile_byte_counts": None},
            {"transform": None},
            {"transform": [1.0, 2.0]},
            {"transform": [1.0, None, 2.0, 3.0]},
            {"tile_offsets": [None] * 9},
            {"tile_byte_counts": [-5] * 9},
            {"transform": [0.0, 2.0, 0.0, 1.0]},
            {"image_width": None},
            {"image_width": -1},
            {"tile_width": 0},
            {"samples_per_pixel": 0},
        ],
    )
    def test_what_is_not_enough_is_left_to_the_file(self, seed: Path, facts: dict[str, Any]) -> None:
        assert self.header(seed, **facts) is None

    def test_tables_of_older_versions(self, seed: Path) -> None:
        header = self.header(
            seed, samples_per_pixel=None, planar_configuration=None, photometric=None, extra_samples=None
        )
        assert header.profile.levels[0].samples == 1

    @pytest.mark.parametrize(("value", "text"), [(None, None), (0.0, "0"), (-1.5, None), (float("nan"), None)])
    def test_nodata(self, seed: Path, value: float | None, text: str | None) -> None:
        assert self.header(seed, nodata=value).profile.nodata == text

    def test_nodata_of_floats(self, seed: Path) -> None:
        assert self.header(seed, dtype="float32", predictor=1, nodata=float("nan")).profile.nodata == "nan"

    def test_transform_of_six(self, seed: Path) -> None:
        header = self.header(seed, transform=[30.0, 0.0, 500.0, 0.0, -30.0, 900.0])
        assert header.grid.transform[:6] == (30.0, 0.0, 500.0, 0.0, -30.0, 900.0)

    def test_planes_whose_others_are_not_known(self, seed: Path) -> None:
        """Each band is read as if it was a file; there are no tiles of the others."""
        [record] = changed(seed, NAIP, planar_configuration=2, samples_per_pixel=5)
        assert [(asset.key, asset.single) for asset in record.assets] == [
            (name, name) for name in ("red", "green", "blue", "nir")
        ]
        assert [asset.header.profile.levels[0].samples for asset in record.assets] == [1] * 4

    def test_planes_that_are_all_known(self, seed: Path) -> None:
        [record] = changed(seed, NAIP, planar_configuration=2)
        [asset] = record.assets
        level, (tiles,) = asset.header.profile.levels[0], asset.header.tiles
        assert (level.planar_separate, tiles.counts.size) == (True, 4 * level.tiles_across * level.tiles_down)

    def test_a_sample_that_the_file_does_not_have(self, seed: Path) -> None:
        [record] = changed(seed, NAIP, samples_per_pixel=3)
        assert [asset.header for asset in record.assets] == [None]


class TestExport:
    @pytest.mark.parametrize("name", ["ny", "naip", "pucallpa", "charleston", "alexandria"])
    def test_round_trip(self, indexes: dict[str, Path], name: str, tmp_path: Path) -> None:
        report = export_index(indexes[name], "rasteret", tmp_path / "out")
        built = build_index(tmp_path / "out", tmp_path / "index", name)
        assert (report.failures, built.failures, built.records) == ((), (), report.records)
        assert sorted(rows(tmp_path / "index"), key=str) == sorted(rows(indexes[name]), key=str)
        with opened(indexes[name]) as before, opened(tmp_path / "index") as after:
            expected, found = pixels(before), pixels(after)
        assert expected.keys() == found.keys()
        for key, values in expected.items():
            np.testing.assert_array_equal(found[key], values)
            assert found[key].dtype == values.dtype

    def test_columns_are_those_of_rasteret(self, seed: Path, tmp_path: Path) -> None:
        """What rasteret knew of the files is what it is told again."""
        build_index(seed, tmp_path / "index", "mixed")
        export_index(tmp_path / "index", "rasteret", tmp_path / "out")
        theirs, ours = whole(seed), whole(tmp_path / "out")
        assert set(ours.schema.names) == {*theirs.schema.names}
        for name in theirs.schema.names:
            if name.endswith("_metadata"):
                assert ours[name].cast(theirs[name].type).to_pylist() == theirs[name].to_pylist(), name
        [first, *_] = ours.to_pylist()
        assert Path(first["assets"]["red"]["href"]).is_absolute()
        assert (
            pq.read_schema(next((tmp_path / "out").rglob("*.parquet"))).metadata[b"rasteret_collection_version"] == b"1"
        )

    @pytest.mark.parametrize(
        ("name", "reason"),
        [("striped", "it has strips, not tiles"), ("mol", "its samples are big-endian")],
    )
    def test_nothing_that_rasteret_could_read(
        self, indexes: dict[str, Path], name: str, reason: str, tmp_path: Path
    ) -> None:
        with pytest.raises(RequestError) as caught:
            export_index(indexes[name], "rasteret", tmp_path / "out")
        assert (caught.value.code, caught.value.field) == (ErrorCode.BAD_REQUEST, "to")
        assert caught.value.message.startswith("nothing can be exported to rasteret: ")
        assert caught.value.message.endswith(f"rasteret cannot read it: {reason}")
        assert list(tmp_path.iterdir()) == []
