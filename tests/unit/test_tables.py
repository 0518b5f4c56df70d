"""Records from tables with a column map, in all the shapes that tables come in."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import geopandas as gpd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError, SourceError
from rasterflight_server.ingest.batches import count_rows
from rasterflight_server.ingest.columnmap import parse_map
from rasterflight_server.ingest.find import SourceOptions, find_records
from rasterflight_server.ingest.sources import Failure, RecordSource
from rasterflight_server.ingest.tables import Query, read_table

BOX = shapely.box(7, 46, 8, 47)
MAP = {"id": "scene", "datetime": "acquired", "geometry": "footprint", "B04": "red_url"}


def table(**columns: Any) -> pa.Table:
    usual: dict[str, Any] = {
        "scene": ["a", "b"],
        "acquired": [datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 3, tzinfo=UTC)],
        "footprint": [shapely.to_wkb(BOX)] * 2,
        "red_url": ["https://host/a.tif", "https://host/b.tif"],
        "clouds": [10, None],
    }
    return pa.table({name: column for name, column in (usual | columns).items() if column is not None})


def find(source: Any, named: dict[str, str] | None = MAP) -> list[RecordSource]:
    found = list(read_table(source, named))
    assert all(isinstance(record, RecordSource) for record in found), found
    return [record for record in found if isinstance(record, RecordSource)]


def lines(source: Any, named: dict[str, str] | None = MAP) -> list[str]:
    return [str(found) for found in read_table(source, named) if isinstance(found, Failure)]


def refused(source: Any, named: dict[str, str] | None = MAP) -> RequestError:
    with pytest.raises(RequestError) as caught:
        list(read_table(source, named))
    assert caught.value.code is ErrorCode.BAD_REQUEST
    return caught.value


class TestMapped:
    def test_everything(self) -> None:
        first, second = find(table())
        assert (first.id, first.when, first.properties) == ("a", datetime(2024, 1, 2), {"clouds": 10})  # noqa: DTZ001
        assert first.geometry is not None
        assert first.geometry.equals(BOX)
        [asset] = first.assets
        assert (asset.key, asset.href, asset.single, asset.unnamed) == ("B04", "https://host/a.tif", "B04", "B04_")
        assert second.properties == {"clouds": None}

    def test_columns_called_as_what_they_are_need_no_map(self) -> None:
        [record] = find(
            pa.table({"id": [7], "datetime": ["2024-01-02T01:00:00+01:00"], "red": ["/x.tif"]}), {"B04": "red"}
        )
        assert (record.id, record.when, record.geometry) == ("7", datetime(2024, 1, 2), None)  # noqa: DTZ001

    def test_a_null_href_is_a_band_that_the_record_does_not_have(self) -> None:
        source = table(nir_url=["https://host/a8.tif", None])
        records = find(source, MAP | {"B08": "nir_url"})
        assert [[asset.key for asset in record.assets] for record in records] == [["B04", "B08"], ["B04"]]

    @pytest.mark.parametrize(
        "values",
        [
            pa.array([datetime(2020, 5, 1)] * 2, pa.timestamp("ns")),  # noqa: DTZ001
            pa.array([datetime(2020, 5, 1)] * 2, pa.timestamp("s", "UTC")),  # noqa: DTZ001
            pa.array([date(2020, 5, 1)] * 2),
            pa.array(["2020-05-01T02:00:00+02:00"] * 2, pa.large_utf8()),
            pa.array(["2020-05-01"] * 2).dictionary_encode(),
        ],
    )
    def test_datetimes(self, values: pa.Array) -> None:
        assert [record.when for record in find(table(acquired=values))] == [datetime(2020, 5, 1)] * 2  # noqa: DTZ001

    def test_years_and_no_datetime(self) -> None:
        records = find(table(acquired=pa.array([2018, None], pa.int32())))
        assert [record.when for record in records] == [datetime(2018, 1, 1), None]  # noqa: DTZ001

    def test_times_of_other_zones(self) -> None:
        values = pa.array([datetime(2020, 5, 1, tzinfo=UTC)] * 2, pa.timestamp("us", "America/New_York"))
        assert find(table(acquired=values))[0].when == datetime(2020, 5, 1)  # noqa: DTZ001

    def test_properties_of_all_types(self) -> None:
        source = table(
            clouds=None,
            seen=pa.array([datetime(2020, 5, 1, 1, tzinfo=UTC)] * 2, pa.timestamp("us", "UTC")),
            precise=pa.array([datetime(2020, 5, 1, 1, 0, 0, 5)] * 2, pa.timestamp("us")),  # noqa: DTZ001
            day=pa.array([date(2020, 5, 1)] * 2),
            cost=pa.array([Decimal("1.50")] * 2),
            kind=pa.array(["x", "y"]).dictionary_encode(),
            numbers=[[1, 2], None],
            nested=[{"a": 1}, {"a": 2}],
            raw=[b"1", b"2"],
        )
        assert find(source)[0].properties == {
            "seen": "2020-05-01T01:00:00Z",
            "precise": "2020-05-01T01:00:00.000005Z",
            "day": "2020-05-01",
            "cost": 1.5,
            "kind": "x",
            "numbers": [1, 2],
            "nested": {"a": 1},
        }

    def test_relative_hrefs_start_at_the_table(self, tmp_path: Path) -> None:
        pq.write_table(table(red_url=["scenes/a.tif", "../b.tif"]), tmp_path / "t.parquet")
        records = find(tmp_path / "t.parquet")
        assert [record.assets[0].href for record in records] == [
            str(tmp_path.resolve() / "scenes" / "a.tif"),
            str(tmp_path.resolve().parent / "b.tif"),
        ]


class TestGeometries:
    def test_wkt(self) -> None:
        assert find(table(footprint=[BOX.wkt] * 2))[0].geometry == BOX

    @pytest.mark.parametrize("encoding", ["WKB", "geoarrow"])
    def test_the_crs_of_the_table(self, tmp_path: Path, encoding: str) -> None:
        frame = gpd.GeoDataFrame({"scene": ["a"], "red_url": ["/a.tif"]}, geometry=[BOX], crs=4326).to_crs(32632)
        frame.to_parquet(tmp_path / "t.parquet", geometry_encoding=encoding)
        [record] = find(tmp_path / "t.parquet", {"id": "scene", "B04": "red_url"})
        assert record.geometry is not None
        assert shapely.hausdorff_distance(record.geometry, BOX) < 1e-6
        assert record.properties == {}

    def test_an_arrow_stream_tells_its_crs(self) -> None:
        frame = gpd.GeoDataFrame({"scene": ["a"], "red_url": ["/a.tif"]}, geometry=[BOX], crs=4326).to_crs(32632)
        [record] = find(frame.to_arrow(), {"id": "scene", "B04": "red_url"})
        assert record.geometry is not None
        assert shapely.hausdorff_distance(record.geometry, BOX) < 1e-6

    def test_heights_empty_and_invalid(self) -> None:
        bow = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
        shapes = [shapely.force_3d(BOX, 100.0), shapely.Polygon(), None, bow]
        source = pa.table({"id": list("abcd"), "red": ["/x.tif"] * 4, "geometry": list(shapely.to_wkb(shapes))})
        found = [record.geometry for record in find(source, {"red": "red"})]
        assert (found[0], found[1], found[2]) == (BOX, None, None)
        assert found[3] is not None
        assert found[3].is_valid
        assert not found[0].has_z

    def test_a_type_that_is_no_geometry(self) -> None:
        error = refused(table(footprint=[1, 2]))
        assert error.field == "map"
        assert str(error) == "the column 'footprint' is no geometry, its type is int64 (WKB, WKT and GeoArrow are)"


class TestMap:
    def test_as_it_is_typed(self) -> None:
        assert parse_map(["id=scene, B04 = red_url", "B08=nir"]) == {"id": "scene", "B04": "red_url", "B08": "nir"}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("id", "'id' in the map is not NAME=COLUMN"),
            ("id=a,", "'' in the map is not NAME=COLUMN"),
            ("id=a,id=b", "the map says twice what 'id' is"),
        ],
    )
    def test_not_a_map(self, text: str, message: str) -> None:
        with pytest.raises(RequestError) as caught:
            parse_map([text])
        assert (caught.value.code, caught.value.field, caught.value.message) == (ErrorCode.BAD_REQUEST, "map", message)
        assert "--map id=scene" in caught.value.hint

    def test_a_column_that_is_not_there(self) -> None:
        error = refused(table(), MAP | {"B04": "rde_url"})
        assert (error.field, error.message) == ("map", "the table has no column 'rde_url'")
        assert error.hint.startswith("did you mean 'red_url'? It has 'scene', 'acquired', ")

    def test_a_column_like_no_other(self) -> None:
        assert refused(table(), MAP | {"B04": "zzz"}).hint.startswith("it has 'scene'")

    @pytest.mark.parametrize("named", [{}, {"id": "scene", "datetime": "acquired"}])
    def test_no_band(self, named: dict[str, str]) -> None:
        error = refused(table(), named)
        assert (
            "needs a map that says which column holds the hrefs of a band; its columns are 'scene', " in error.message
        )

    def test_no_id(self) -> None:
        assert "needs a map that says which column holds the ids" in refused(table(), {"B04": "red_url"}).message

    def test_a_type_that_is_no_datetime(self) -> None:
        error = refused(table(acquired=[1.5, 2.5]))
        assert str(error).startswith("the column 'acquired' is no datetime, its type is double")

    def test_a_type_that_is_no_href(self) -> None:
        error = refused(table(red_url=[{"href": "/a.tif"}] * 2))
        assert (error.field, error.message) == (
            "map",
            "the column 'red_url' is no text, its type is struct<href: string>",
        )
        assert error.hint == "a query can take the text out of it"

    def test_two_columns_of_one_name(self) -> None:
        twice = pa.Table.from_arrays([pa.array(["a"])] * 2, names=["id", "id"])
        error = refused(twice)
        assert (error.field, error.message) == ("source", "the table has two columns named 'id'")


def test_bad_rows() -> None:
    source = pa.table(
        {
            "scene": ["a", None, "", "d", "e", "f", "g"],
            "acquired": ["2024-01-02", "2024-01-02", None, "yesterday", None, None, None],
            "footprint": [shapely.to_wkb(BOX)] * 4 + [b"no", None, None],
            "red_url": ["/x.tif"] * 5 + [None, ""],
        }
    )
    assert lines(source) == [
        "row 1: it has no id",
        "row 2: it has no id",
        "d: its datetime 'yesterday' is not a date",
        "e: its footprint is not a geometry",
        "f: it has no href",
        "g: it has no href",
    ]


def test_rows_are_counted_through() -> None:
    count = 5_000
    source = pa.table({"id": [*map(str, range(count - 1)), None], "red": ["/x.tif"] * count})
    assert lines(source, {"red": "red"}) == [f"row {count - 1}: it has no id"]


@pytest.mark.parametrize("year", [0, 10_000])
def test_years_out_of_range(year: int) -> None:
    assert lines(table(acquired=[year, 2020])) == [f"a: its datetime {year} is not a year"]


class TestShapes:
    def test_files(self, tmp_path: Path) -> None:
        pq.write_table(table(), tmp_path / "t.parquet")
        with pa.ipc.new_file(str(tmp_path / "t.arrow"), table().schema) as writer:
            writer.write_table(table())
        with pa.ipc.new_stream(str(tmp_path / "t.arrows"), table().schema) as writer:
            writer.write_table(table())
        for name in ("t.parquet", "t.arrow", "t.arrows"):
            assert [record.id for record in find(tmp_path / name)] == ["a", "b"], name

    def test_objects_of_other_libraries(self) -> None:
        relation = duckdb.sql("SELECT 'a' AS scene, '/a.tif' AS red_url, DATE '2024-01-02' AS acquired")
        for source in (table(), table().to_reader(), pl.DataFrame(table().drop_columns("footprint")), relation):
            named = {key: column for key, column in MAP.items() if key != "geometry"}
            assert find(source, named)[0].when == datetime(2024, 1, 2)  # noqa: DTZ001

    def test_a_query(self, tmp_path: Path) -> None:
        pq.write_table(table(), tmp_path / "t.parquet")
        query = f"SELECT *, upper(scene) AS id FROM '{tmp_path}/t.parquet' WHERE clouds IS NULL"
        [record] = find(Query(query), {key: column for key, column in MAP.items() if key != "id"})
        assert (record.id, record.assets[0].href) == ("B", "https://host/b.tif")
        assert record.properties == {"scene": "b", "clouds": None}

    @pytest.mark.parametrize("query", ["SELEC 1", "SELECT * FROM 'nowhere.parquet'", "SELECT 1 / 'a'", ""])
    def test_a_query_that_cannot_be_run(self, query: str) -> None:
        error = refused(Query(query))
        assert error.field == "query"
        assert error.message.startswith("the query cannot be run: ")

    def test_folders_that_are_columns(self, tmp_path: Path) -> None:
        for folder, part in (("year=2024/area=N%20W", "a"), ("year=2023/area=__HIVE_DEFAULT_PARTITION__", "b")):
            (tmp_path / "t" / folder).mkdir(parents=True)
            pq.write_table(table().slice("ab".index(part), 1), tmp_path / "t" / folder / "part-0.parquet")
        (tmp_path / "t" / "_metadata.parquet").write_bytes(b"not looked at")
        found = {record.id: record.properties for record in find(tmp_path / "t")}
        assert found == {
            "a": {"clouds": 10, "year": 2024, "area": "N W"},
            "b": {"clouds": None, "year": 2023, "area": None},
        }

    def test_files_of_a_folder_may_differ(self, tmp_path: Path) -> None:
        pq.write_table(table().slice(0, 1), tmp_path / "1.parquet")
        pq.write_table(table(grade=["x", "y"]).slice(1), tmp_path / "2.parquet")
        assert [record.properties for record in find(tmp_path)] == [{"clouds": 10}, {"clouds": None, "grade": "y"}]

    @pytest.mark.parametrize("content", [b"", b"PAR1 and no more", b"hello, this is no table at all"])
    def test_no_table(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "t.parquet").write_bytes(content)
        error = refused(tmp_path / "t.parquet")
        assert error.field == "source"
        assert error.message.startswith("the source 't.parquet' is not a table: ")

    def test_damaged_in_the_middle(self, tmp_path: Path) -> None:
        pq.write_table(table(), tmp_path / "t.parquet", compression="zstd", use_dictionary=False)
        content = bytearray((tmp_path / "t.parquet").read_bytes())
        content[8:200] = bytes(192)
        (tmp_path / "t.parquet").write_bytes(content)
        assert refused(tmp_path / "t.parquet").message.startswith("the source 't.parquet' is not a table: ")

    def test_a_query_that_fails_late(self) -> None:
        late = "SELECT 'a' AS scene, '/x' AS red_url, CAST(CASE WHEN i = 99999 THEN 'x' ELSE '1' END AS INT) AS n FROM range(100000) t(i)"
        error = refused(Query(late), {"id": "scene", "B04": "red_url"})
        assert error.message.startswith("the query cannot be run: Conversion Error")

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError) as caught:
            list(read_table(tmp_path / "t.parquet", MAP))
        assert caught.value.code is ErrorCode.SOURCE_NOT_FOUND


def test_tables_as_text_need_a_query(tmp_path: Path) -> None:
    (tmp_path / "scenes.csv").write_text("scene,red_url\na,a.tif\n")
    with pytest.raises(RequestError) as caught:
        list(find_records([str(tmp_path / "scenes.csv")], SourceOptions(map=MAP)))
    assert (caught.value.code, caught.value.field) == (ErrorCode.BAD_REQUEST, "source")
    assert caught.value.message == "the source 'scenes.csv' is a table as text, which is not read as it is"
    assert caught.value.hint == "a query reads it: --query \"FROM 'scenes.csv'\" --map id=scene,B04=red_url"
    [record] = find(Query(f"FROM '{tmp_path / 'scenes.csv'}'"), {"id": "scene", "B04": "red_url"})
    assert record.id == "a"


def test_rows_are_counted_before_they_are_read(tmp_path: Path) -> None:
    for part in ("a", "b"):
        (tmp_path / "parts" / f"year={part}").mkdir(parents=True)
        pq.write_table(table(), tmp_path / "parts" / f"year={part}" / "part.parquet")
    assert count_rows(str(tmp_path / "parts")) == 4
    assert count_rows(str(tmp_path / "parts" / "year=a" / "part.parquet")) == 2
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    (tmp_path / "items.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    for name in ("bad.parquet", "items.json", "empty", "nothing"):
        assert count_rows(str(tmp_path / name)) is None
    assert count_rows("https://host/items.parquet") is None
