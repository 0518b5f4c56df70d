"""A collection in use: selecting, looking up, and indexes that cannot be used."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
import shapely

from rasterflight_protocol import ErrorCode, records_schema
from rasterflight_protocol.v1.read_pb2 import BBox, DateRange, Filter
from rasterflight_server.catalog import Collection
from rasterflight_server.catalog.database import Database
from rasterflight_server.catalog.profiles import dump_profiles, load_profiles
from rasterflight_server.errors import BadIndexError, RequestError
from rasterflight_server.ingest import build_index
from rasterflight_server.types import BandMeta, Level, Profile

# Over the rasters of New York; a triangle whose bounds reach further than it does.
TRIANGLE = {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [0, 10], [0, 0]]]}
FAR = {"type": "Polygon", "coordinates": [[[50, 50], [51, 50], [51, 51], [50, 51], [50, 50]]]}
RECORDS: list[tuple[str, str | None, dict[str, Any]]] = [
    ("b", "2024-01-02T12:00:00Z", {"eo:cloud_cover": 10, "split": "train", "n": 1}),
    ("a", "2024-01-02T12:00:00Z", {"eo:cloud_cover": 50.5, "split": "test", "n": 2}),
    ("c", "2023-12-31T23:59:59.5Z", {"eo:cloud_cover": None, "split": None}),
    ("d", None, {"eo:cloud_cover": 0, "split": "train"}),
    ("e'; DROP TABLE records", "2024-02-01T00:00:00Z", {"n": 3}),
]


@pytest.fixture(scope="module")
def path(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalog")
    shutil.copy(data / "naip-nd-4709963" / "m_4709963_se_14_1_20090818.tif", folder / "x.tif")
    features = [
        {
            "type": "Feature",
            "id": record,
            "geometry": FAR if record == "d" else TRIANGLE,
            "properties": {"datetime": when, **properties},
            "assets": {"image": {"href": "x.tif"}},
        }
        for record, when, properties in RECORDS
    ]
    (folder / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    build_index(folder / "items.json", folder / "index", "test")
    return folder / "index"


@pytest.fixture(scope="module")
def collection(path: Path) -> Collection:
    return Collection.open(path)


def ids(collection: Collection, *filters: Filter, bounds: tuple | None = None) -> str:
    """First letters of the ids, in order."""
    return "".join(record[0] for record in collection.select(filters, bounds)["id"].to_pylist())


class TestSelect:
    def test_columns_and_order(self, collection: Collection) -> None:
        table = collection.select([])
        assert {field.name: str(field.type) for field in table.schema} == {
            "row": "int64", "id": "string", "datetime": "timestamp[us]", "geometry": "binary",
            "xmin": "double", "ymin": "double", "xmax": "double", "ymax": "double", "cloud_cover": "double",
        }  # fmt: skip
        assert ids(collection) == "cabed"
        assert table["cloud_cover"].to_pylist() == [None, 50.5, 10.0, None, 0.0]
        assert sorted(table["row"].to_pylist()) == [0, 1, 2, 3, 4]
        assert shapely.from_wkb(table["geometry"][0].as_py()).equals(shapely.Polygon([(0, 0), (10, 0), (0, 10)]))

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ([Filter(cloud_cover_lt=50.5)], "bd"),
            ([Filter(cloud_cover_lt=0)], ""),
            ([Filter(cloud_cover_lt=20), Filter(split=["train"])], "bd"),
            ([Filter(split=["train", "test"])], "abd"),
            ([Filter(split=["2", "3"], split_column="n")], "ae"),
            ([Filter(split=["Train"])], ""),
            ([Filter(ids=["a", "b", "a"])], "ab"),
            ([Filter(ids=["e'; DROP TABLE records"])], "e"),
            ([Filter(date_range=DateRange(start="2024-01-02", end="2024-01-02"))], "ab"),
            ([Filter(date_range=DateRange(end="2023-12-31"))], "c"),
            ([Filter(date_range=DateRange(start="2024-01-02T12:00:01Z"))], "e"),
            ([Filter(date_range=DateRange(start="2024-01-02T12:00:00Z"))], "abe"),
            ([Filter(date_range=DateRange(start="2024-01-02T14:00:00+02:00", end="2024-01-02T12:00:00"))], "ab"),
            ([Filter(bbox=BBox(minx=49, miny=49, maxx=52, maxy=52))], "d"),
            ([Filter(bbox=BBox(minx=1, miny=1, maxx=2, maxy=2))], "cabe"),
            ([Filter(bbox=BBox(minx=-180, miny=-90, maxx=180, maxy=90))], "cabed"),
            # Inside the bounds of the triangle, outside of itself.
            ([Filter(bbox=BBox(minx=8, miny=8, maxx=9, maxy=9))], ""),
            # Touching counts.
            ([Filter(bbox=BBox(minx=51, miny=51, maxx=60, maxy=60))], "d"),
        ],
    )
    def test_filters(self, collection: Collection, filters: list[Filter], expected: str) -> None:
        assert ids(collection, *filters) == expected

    def test_bounds_look_at_bounds_only(self, collection: Collection) -> None:
        assert ids(collection, bounds=(8, 8, 9, 9)) == "cabe"
        assert ids(collection, bounds=(20, 20, 30, 30)) == ""

    def test_empty_has_the_same_schema(self, collection: Collection) -> None:
        assert collection.select([], (20, 20, 30, 30)).schema == collection.select([]).schema

    def test_unknown_ids(self, collection: Collection) -> None:
        with pytest.raises(RequestError) as caught:
            collection.select([Filter(), Filter(ids=["a", *"zyxwvut"])])
        assert caught.value.code is ErrorCode.RECORD_NOT_FOUND
        assert caught.value.field == "filters[1].ids"
        assert caught.value.message == "the collection has no record 't', 'u', 'v', 'w', 'x' and 2 more"

    def test_many_ids(self, collection: Collection) -> None:
        assert ids(collection, Filter(ids=["a"] * 20_000)) == "a"

    def test_from_many_threads(self, collection: Collection) -> None:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: ids(collection, Filter(cloud_cover_lt=20)), range(200)))
        assert set(found) == {"bd"}

    def test_without_cloud_cover(self, indexes: dict[str, Path]) -> None:
        table = Collection.open(indexes["ny"]).select([])
        assert table["cloud_cover"].to_pylist() == [None] * 6
        assert table.schema.field("cloud_cover").type == pa.float64()


class TestRecords:
    def test_in_the_order_asked(self, collection: Collection) -> None:
        table = collection.select([])
        rows = table["row"].to_numpy()[::-1]
        records = collection.records(rows)
        assert records.schema.equals(collection.records_schema, check_metadata=True)
        assert records["id"].to_pylist() == table["id"].to_pylist()[::-1]
        assert records["bbox"][0].as_py() == {"xmin": 50.0, "ymin": 50.0, "xmax": 51.0, "ymax": 51.0}
        assert records.schema.field("datetime").type == pa.timestamp("us", "UTC")
        assert records["datetime"][1].as_py().isoformat() == "2024-02-01T00:00:00+00:00"

    def test_twice_and_none(self, collection: Collection) -> None:
        assert collection.records(np.array([2, 2, 0])).num_rows == 3
        assert collection.records(np.array([], np.int64)).num_rows == 0

    def test_schema(self, collection: Collection) -> None:
        fixed = records_schema().names
        assert collection.records_schema.names == [*fixed, "eo:cloud_cover", "split", "n"]


class TestNames:
    def test_summary(self, collection: Collection) -> None:
        assert collection.summary() == {
            "name": "test",
            "snapshot": collection.snapshot,
            "records": 5,
            "bands": dict.fromkeys(("image_1", "image_2", "image_3", "image_4"), "uint8"),
            "crs": ["EPSG:26914"],
            "extent": (0.0, 0.0, 51.0, 51.0),
            "time_range": ("2023-12-31T23:59:59.500000Z", "2024-02-01T00:00:00Z"),
        }

    def test_another_name(self, path: Path) -> None:
        assert Collection.open(path, name="mine").name == "mine"
        assert Collection.open(str(path)).name == "test"

    @pytest.mark.parametrize(
        ("name", "hint"),
        [
            ("image_5", "did you mean 'image_4' or 'image_3' or 'image_2'? bands: image_1, image_2, image_3, image_4"),
            ("B04", "bands: image_1, image_2, image_3, image_4"),
        ],
    )
    def test_unknown_band(self, collection: Collection, name: str, hint: str) -> None:
        with pytest.raises(RequestError) as caught:
            collection.resolve_band(name)
        error = caught.value
        assert (error.code, error.field, error.collection) == (ErrorCode.UNKNOWN_BAND, "bands", "test")
        assert (error.message, error.hint) == (f"there is no band {name!r}", hint)

    def test_crs(self, collection: Collection) -> None:
        wkt, projjson = collection.crs_definition("EPSG:26914")
        assert wkt.startswith('PROJCRS["NAD83 / UTM zone 14N"')
        assert projjson["id"] == {"authority": "EPSG", "code": 26914}
        with pytest.raises(KeyError):
            collection.crs_definition("EPSG:1")


def test_a_database_is_locked_down(path: Path, collection: Collection, tmp_path: Path) -> None:
    database = Database(path / collection.snapshot / "records.parquet")
    (tmp_path / "secret.csv").write_text("a\n1")
    for statement in (
        f"SELECT * FROM read_csv('{tmp_path}/secret.csv')",
        f"COPY records TO '{tmp_path}/out.csv'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "LOAD httpfs",
        f"ATTACH '{tmp_path}/x.db'",
    ):
        with pytest.raises(duckdb.Error):
            database.query(statement)
    database.close()


def test_profiles_there_and_back() -> None:
    level = Level(5, 6, 16, 16, "uint8", True, 7, 1, 6, 3, False, b"\xff\xd8\xff\xd9")
    profiles = [Profile((level, level), (BandMeta(scale=0.1), BandMeta(unit="m")), "nan")]
    assert load_profiles(dump_profiles(profiles)) == profiles


class TestBadIndexes:
    @pytest.fixture
    def copy(self, path: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(path, tmp_path / "index"))

    def refused(self, index: Path) -> BadIndexError:
        with pytest.raises(BadIndexError) as caught:
            Collection.open(index)
        assert str(index.parent) not in str(caught.value)
        return caught.value

    def test_not_there(self, tmp_path: Path) -> None:
        error = self.refused(tmp_path / "nothing")
        assert error.message == "'nothing' is not an index: it has no manifest.json"
        assert error.hint == "make one with: rasterflight-server index SOURCE --out DIR --name NAME"

    def test_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        assert self.refused(tmp_path / "file").message == "'file' is not an index: it has no manifest.json"

    def test_newer(self, copy: Path) -> None:
        document = json.loads((copy / "manifest.json").read_text())
        (copy / "manifest.json").write_text(json.dumps(document | {"format_version": 3, "bands": "unknown"}))
        error = self.refused(copy)
        assert error.message == (
            "the index 'index' was made by a newer version of rasterflight (index format 3, this server reads up to 2)"
        )
        assert error.hint == "upgrade the server, or build the index again with this version"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "the manifest.json of 'index' is damaged: it is not JSON"),
            ("[]", "'index' is not an index: its manifest.json is of another kind"),
            ('{"name": "app"}', "'index' is not an index: its manifest.json is of another kind"),
            ('{"format": "rasterflight-index"}', "the manifest.json of 'index' is damaged: it has no format version"),
            (
                '{"format": "rasterflight-index", "format_version": 1}',
                "the manifest.json of 'index' is damaged: KeyError: 'extent'",
            ),
        ],
    )
    def test_damaged_manifest(self, copy: Path, text: str, message: str) -> None:
        (copy / "manifest.json").write_text(text)
        assert self.refused(copy).message == message

    @pytest.mark.parametrize("name", ["records.parquet", "assets.arrow", "tiles.arrow", "profiles.json"])
    @pytest.mark.parametrize("word", ["missing", "damaged"])
    def test_damaged_files(self, copy: Path, collection: Collection, name: str, word: str) -> None:
        file = copy / collection.snapshot / name
        if word == "missing":
            file.unlink()
        else:
            file.write_bytes(b"x" * 50)
        error = self.refused(copy)
        assert (error.message, error.hint) == (f"{name} of the index is {word}", "build the index again")

    def test_rebuilt_while_opening(self, copy: Path, collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
        """The manifest is read, then a rebuild replaces it and removes the snapshot that it named."""
        manifest = (copy / "manifest.json").read_text()
        (copy / "manifest.json").write_text(manifest.replace(collection.snapshot, "0" * 16))
        opened = Collection.__init__

        def rebuild_then_open(self: Collection, *args: Any) -> None:
            (copy / "manifest.json").write_text(manifest)
            opened(self, *args)

        monkeypatch.setattr(Collection, "__init__", rebuild_then_open)
        assert Collection.open(copy).snapshot == collection.snapshot
