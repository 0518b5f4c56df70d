"""Collections as tables: what queries of DuckDB and Polars ask for, and that their answers are what they would be without."""

import gc
import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rasterflight as rf
from rasterflight.errors import BadRequestError, NoDataFound
from rasterflight_protocol.v1.read_pb2 import Shard
from rasterflight_server.ingest import build_index
from support.many import BANDS, RECORDS, SIDE, build_many
from support.patchwork import build_patchwork
from support.scenes import noise, write_items, write_scene

#: Two areas that hold a part of all records; the second only of some.
AREAS = [(3.0002, 51.44, 3.0015, 51.4505), (3.004, 51.44, 3.009, 51.4505)]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rf.Client]:
    root = tmp_path_factory.mktemp("tables")
    (root / "patchwork").mkdir()
    write_scene(root / "large.tif", noise(6000, 4000), nodata=1)
    build_index(write_items(root / "large.json", {"a": {"b": "large.tif"}}), root / "large", "large")
    indexes = {
        "many": build_many(root / "many"),
        "large": root / "large",
        "patchwork": build_patchwork(root / "patchwork"),
    }
    with rf.local(indexes) as client:
        yield client


@pytest.fixture
def many(client: rf.Client) -> rf.Collection:
    return client.collection("many")


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        yield con


def stats(client: rf.Client) -> dict[str, int]:
    return dict(json.loads(b"".join(client._connection.action("stats"))))


class Cost:
    """What a block made the server do."""

    def __init__(self, client: rf.Client) -> None:
        self._client = client

    def __enter__(self) -> Self:
        self._before = stats(self._client)
        return self

    def __exit__(self, *_: object) -> None:
        after = stats(self._client)
        self.tiles = (
            after["tiles_decoded"] + after["cache_hits"] - self._before["tiles_decoded"] - self._before["cache_hits"]
        )
        self.rows = after["rows"] - self._before["rows"]
        self.streams = after["streams_started"] - self._before["streams_started"]


FOUR = "datetime < '2024-01-06' AND cloud_cover < 5"  # r03 has no cloud cover


def test_duckdb_reads_one_band_of_four_records(client: rf.Client, many: rf.Collection, con: Any) -> None:
    table = many.to_duckdb(con, "s2", bands=BANDS)
    assert table.columns == [
        "record_id",
        "datetime",
        "cloud_cover",
        "geometry_id",
        "crs",
        "row",
        "col",
        "x",
        "y",
        *BANDS,
    ]
    with Cost(client) as cost:
        found = con.sql(f"SELECT record_id, count(B04) FROM s2 WHERE {FOUR} GROUP BY 1 ORDER BY 1").fetchall()
    assert [row[0] for row in found] == ["r00", "r01", "r02", "r04"]
    # every scene is one tile
    assert (cost.tiles, cost.rows, cost.streams) == (4, 4 * SIDE * SIDE, 1)


def test_polars_reads_one_band_of_four_records(client: rf.Client, many: rf.Collection) -> None:
    frame = many.scan_polars(bands=BANDS)
    limit = pl.datetime(2024, 1, 6, time_zone="UTC")
    query = frame.filter((pl.col("datetime") < limit) & (pl.col("cloud_cover") < 5)).group_by("record_id")
    for engine in ("in-memory", "streaming"):
        with Cost(client) as cost:
            found = query.agg(pl.col("B04").count()).sort("record_id").collect(engine=engine)
        assert found["record_id"].to_list() == ["r00", "r01", "r02", "r04"]
        assert (cost.tiles, cost.rows) == (4, 4 * SIDE * SIDE)


def test_duckdb_over_polars_reads_one_band_of_four_records(client: rf.Client, many: rf.Collection, con: Any) -> None:
    frame = many.scan_polars(bands=BANDS)  # noqa: F841 - DuckDB finds it by its name
    with Cost(client) as cost:
        found = con.sql(
            "SELECT record_id, sum(B04) FROM frame WHERE record_id IN ('r00', 'r01', 'r02', 'r04') GROUP BY 1"
        )
        assert len(found.fetchall()) == 4
    assert (cost.tiles, cost.rows) == (4, 4 * SIDE * SIDE)


def test_areas_that_a_query_does_not_ask_for_are_not_read(client: rf.Client, many: rf.Collection, con: Any) -> None:
    areas = many.to_dataset(AREAS, bands=BANDS)
    whole = areas.to_table(columns=["geometry_id", "B04"])
    with Cost(client) as cost:
        found = con.sql("SELECT count(*), count(B04) FROM areas WHERE geometry_id = 2").fetchall()
    expected = whole.filter(pc.field("geometry_id") == 2)
    assert found == [(expected.num_rows, expected.num_rows - expected["B04"].null_count)]
    assert 0 < cost.rows == expected.num_rows < whole.num_rows
    with Cost(client) as cost:
        assert con.sql("SELECT * FROM areas WHERE geometry_id = 9").fetchall() == []
    assert cost.streams == 0


def test_rows_that_tell_nothing_of_bands_read_no_file(client: rf.Client, many: rf.Collection, con: Any) -> None:
    many.to_duckdb(con, bands=BANDS)
    with Cost(client) as cost:
        assert con.sql("SELECT count(*), max(x) FROM many").fetchall() == [(RECORDS * SIDE * SIDE, 500_515.0)]
    assert cost.tiles == 0


CONDITIONS = st.sampled_from(
    [
        "record_id = 'r07'",
        "record_id IN ('r01', 'r50', 'nowhere')",
        "record_id NOT IN ('r01', 'r50')",
        "record_id > 'r9'",
        "record_id LIKE 'r1%'",
        "datetime >= '2024-03-02 10:00:00.123456+00'",
        "datetime > '2024-03-02 10:00:00.123456+00'",
        "datetime BETWEEN '2024-02-01' AND '2024-04-05'",
        "datetime IS NULL",
        "cloud_cover < 20",
        "cloud_cover >= 50.5",
        "cloud_cover IS NULL",
        "cloud_cover IS NOT NULL",
        "cloud_cover <> 4",
        "cloud_cover BETWEEN 10 AND 12",
        "geometry_id = 1",
        "geometry_id <> 1",
        "geometry_id IN (2, 3)",
        "geometry_id > 2",
        "B04 > 5",
        "B04 IS NULL",
        "B08 = B04",
        "x < 500100",
        "row = col",
        "crs = 'EPSG:32631'",
        "abs(cloud_cover - 50) < 3",
    ]
)  # fmt: skip
COLUMNS = ["record_id", "datetime", "cloud_cover", "geometry_id", "crs", "row", "col", "x", "y", *BANDS]


@st.composite
def conditions(draw: st.DrawFn, single: st.SearchStrategy[str], depth: int = 2) -> str:
    kind = draw(st.sampled_from(["one", "one", "AND", "OR", "NOT"])) if depth else "one"
    if kind == "one":
        return draw(single)
    if kind == "NOT":
        return f"NOT ({draw(conditions(single, depth - 1))})"
    return f"({draw(conditions(single, depth - 1))}) {kind} ({draw(conditions(single, depth - 1))})"


def check_queries(table: Any, names: list[str], single: st.SearchStrategy[str], examples: int) -> None:
    """Answers are those of a query over all rows in memory."""
    whole = table.to_table()

    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.register("there", table)
        con.register("here", whole)

        @settings(max_examples=examples, deadline=None)
        @given(data=st.data(), where=conditions(single))
        def check(data: st.DataObject, where: str) -> None:
            columns = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
            listed = ", ".join(f'"{name}"' for name in columns)
            query = f"SELECT {listed}, count(*) AS n FROM {{}} WHERE {where} GROUP BY ALL ORDER BY ALL"
            assert con.sql(query.format("there")).fetchall() == con.sql(query.format("here")).fetchall()

        check()


def test_duckdb_answers_as_over_all_pixels(many: rf.Collection) -> None:
    check_queries(many.to_dataset(AREAS, bands=BANDS), COLUMNS, CONDITIONS, 60)


def test_duckdb_answers_as_over_all_chips(many: rf.Collection) -> None:
    single = st.sampled_from(
        ["record_id < 'r3'", "cloud_cover > 10", "geometry_id = 2", "list_avg(B04) > 5", "height > 5", "B03 IS NULL"]
    )
    check_queries(many.to_dataset(AREAS, layout="chips"), ["record_id", "geometry_id", "height", "B04"], single, 20)


def test_duckdb_answers_as_over_all_records(many: rf.Collection) -> None:
    single = st.sampled_from(
        [
            "id IN ('r01', 'r02')",
            "platform = 'a'",
            "platform IS NULL",
            "platform <> 'b'",
            "orbit >= 3",
            '"eo:cloud_cover" < 30',
            '"eo:cloud_cover" > 90',
            "bbox.xmin < 3.002",
            "bbox.xmin > 3.004",
            "datetime < '2024-05-01'",
            "platform > 'a'",
            "orbit NOT IN (1, 2)",
            "platform LIKE 'a%'",
            "orbit + 1 = 3",
        ]
    )  # fmt: skip
    names = ["id", "platform", "orbit", "datetime", "eo:cloud_cover"]
    check_queries(many.to_dataset(layout="records"), names, single, 60)


def column(name: str) -> pl.Expr:
    return pl.col(name)


POLARS = st.sampled_from(
    [
        column("record_id") == "r07",
        column("record_id").is_in(["r01", "r50"]),
        column("record_id").str.starts_with("r1"),
        column("datetime") >= pl.datetime(2024, 3, 2, time_zone="UTC"),
        column("cloud_cover") < 20,
        column("cloud_cover") > 55.5,
        column("cloud_cover").is_null(),
        column("cloud_cover").is_between(10, 30),
        column("geometry_id") == 2,
        column("geometry_id").is_in([1, 3]),
        column("B04") > 5,
        column("B04").is_null(),
        column("B08") == column("B04"),
        column("row") < 4,
        column("x") > 500_100,
    ]
)  # fmt: skip


@st.composite
def predicates(draw: st.DrawFn, depth: int = 2) -> pl.Expr:
    kind = draw(st.sampled_from(["one", "one", "and", "or", "not"])) if depth else "one"
    if kind == "one":
        return draw(POLARS)
    if kind == "not":
        return ~draw(predicates(depth - 1))
    left, right = draw(predicates(depth - 1)), draw(predicates(depth - 1))
    return left & right if kind == "and" else left | right


def test_polars_answers_as_over_all_pixels(many: rf.Collection) -> None:
    lazy = many.scan_polars(AREAS, bands=BANDS)
    whole = lazy.collect()
    assert whole.columns == COLUMNS

    @settings(max_examples=60, deadline=None)
    @given(data=st.data(), predicate=predicates(), engine=st.sampled_from(["in-memory", "streaming"]))
    def check(data: st.DataObject, predicate: pl.Expr, engine: Any) -> None:
        columns = data.draw(st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=3, unique=True))
        first = data.draw(st.sampled_from([None, 0, 3, 1000]))
        steps = data.draw(st.permutations(["head", "filter", "select"]))
        found, expected = lazy, whole.lazy()
        for step in steps:
            if step == "head" and first is not None:
                found, expected = found.head(first), expected.head(first)
            elif step == "filter":
                try:
                    names = predicate.meta.root_names()
                    found, expected = found.filter(predicate), expected.filter(predicate)
                    assert steps.index("select") > steps.index("filter") or set(names) <= set(columns)
                except AssertionError:
                    return
            elif step == "select":
                found, expected = found.select(columns), expected.select(columns)
        assert found.collect(engine=engine).equals(expected.collect())

    check()


def test_geometries_are_wkb_to_polars(many: rf.Collection) -> None:
    [one] = many.scan_polars(layout="records").filter(pl.col("id") == "r07").select("geometry").collect()
    assert one.dtype == pl.Binary
    assert many.records(ids="r07")["geometry"].to_pylist() == one.to_list()


def test_the_first_rows_cost_little(client: rf.Client) -> None:
    large = client.collection("large")
    with Cost(client) as cost:
        assert large.scan_polars().head(3).collect().height == 3
    settled(client)
    assert cost.rows < 6000 * 4000 // 10


def settled(client: rf.Client) -> None:
    deadline = time.monotonic() + 10
    while stats(client)["streams"] and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.05)
    assert stats(client)["streams"] == 0


def test_a_limit_ends_the_read(client: rf.Client, con: Any) -> None:
    client.collection("large").to_duckdb(con)
    before = stats(client)
    assert len(con.sql("SELECT b, x FROM large LIMIT 5").fetchall()) == 5
    settled(client)
    after = stats(client)
    assert after["streams_started"] == before["streams_started"] + 1
    # 375 MiB in all
    assert after["bytes_sent"] - before["bytes_sent"] < 100 << 20


def test_scans_are_repeated_and_run_side_by_side(many: rf.Collection, con: Any) -> None:
    here = many.to_dataset(bands=["B04"])
    query = """SELECT count(*) FROM here a JOIN here b USING (record_id, row, col)
               WHERE a.record_id < 'r05' AND b.record_id > 'r02'"""
    expected = [(2 * SIDE * SIDE,)]
    found: list[Any] = []

    def ask() -> None:
        with con.cursor() as cursor:
            found.append(cursor.register("here", here).sql(query).fetchall())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def test_streams_are_read_as_they_are(many: rf.Collection, con: Any) -> None:
    stream = many.read(bands=["B04"], layout="pixels", columns=["B04"], ids=["r01", "r02"])  # noqa: F841 - DuckDB finds it
    assert con.sql("SELECT count(*) FROM stream").fetchall() == [(2 * SIDE * SIDE,)]


def test_the_grid_does_not_depend_on_the_query(client: rf.Client, con: Any) -> None:
    collection = client.collection("patchwork")
    table = collection.to_dataset(bands=["red"], target_crs=32631)
    whole = table.to_table()
    for record in ("a", "c", "d"):
        found = table.to_table(filter=pc.field("record_id") == record)
        assert found.num_rows > 0
        assert found.equals(whole.filter(pc.field("record_id") == record))


def test_datasets_do_what_those_of_pyarrow_do(many: rf.Collection) -> None:
    table = many.to_dataset(bands=["B04"], ids=["r01", "r02"])
    whole = table.to_table()
    assert whole.schema.equals(table.schema)
    assert table.count_rows() == whole.num_rows == 2 * SIDE * SIDE
    assert table.count_rows(filter=pc.field("B04") > 5) == whole.filter(pc.field("B04") > 5).num_rows
    assert table.take([5, 2]).equals(whole.take([5, 2]))
    assert table.head(3).equals(whole.slice(0, 3))
    assert table.head(3, columns=["B04"]).equals(whole.select(["B04"]).slice(0, 3))
    assert pa.Table.from_batches(table.to_batches(columns=["y", "row"])).equals(whole.select(["y", "row"]))
    assert (
        table.scanner(columns=["x"], filter=pc.field("record_id") == "r02").to_reader().read_all().num_rows == SIDE**2
    )
    assert (
        pl.scan_pyarrow_dataset(table).filter(pl.col("B04") > 5).collect().height
        == whole.filter(pc.field("B04") > 5).num_rows
    )


def batches_of(reader: Any) -> Iterator[pa.RecordBatch]:
    with suppress(StopIteration):
        while True:
            yield reader.read_chunk().data


def test_options_of_reads_are_those_of_pixels_too(client: rf.Client, many: rf.Collection) -> None:
    whole = many.read(AREAS, bands=BANDS, layout="pixels").read_all()
    for keywords in ({"compression": "lz4"}, {"masked": True}, {"batch_bytes": 1 << 16}, {"all_touched": False}):
        assert many.read(AREAS, bands=BANDS, layout="pixels", **keywords).read_all() == whole
    scaled = many.read(AREAS, bands="B04", layout="pixels", values="scaled").read_all()
    assert scaled["B04"].equals(whole["B04"].cast(pa.float32()))
    ids = ["r05", "r77"]
    assert (
        many.read(AREAS, bands=BANDS, layout="pixels", ids=ids)
        .read_all()
        .equals(whole.filter(pc.field("record_id").isin(ids)))
    )
    plan = many.plan(AREAS, bands=BANDS, layout="pixels")
    assert (plan.rows, plan.schema) == (whole.num_rows, whole.schema)
    request = many._rows("pixels", AREAS, BANDS, {})
    parts = []
    for index in range(3):
        request.shard.CopyFrom(Shard(index=index, count=3))
        parts.append(pa.Table.from_batches(batches_of(client._connection.open(request, None))))
    assert [part.num_rows > 0 for part in parts] == [True] * 3
    assert pa.concat_tables(parts).equals(whole)


def test_chips_without_some_bands_have_the_same_rows(client: rf.Client) -> None:
    large = client.collection("large")
    whole = large.read(bands=["b"]).read_all()
    some = large.read(bands=["b"], columns=["row_off", "height"])
    with Cost(client) as cost:
        assert some.read_all().equals(whole.select(["row_off", "height"]))
    assert cost.tiles == 0
    assert whole.num_rows > 5


def test_bands_with_names_of_columns_are_refused(tmp_path: Path) -> None:
    write_scene(tmp_path / "a.tif", noise(16, 16), tile=16)
    build_index(write_items(tmp_path / "items.json", {"a": {"x": "a.tif"}}), tmp_path / "index", "files")
    with rf.local({"files": tmp_path / "index"}) as client:
        files = client.collection("files")
        assert files.get_numpy(bands="x").shape == (1, 16, 16)
        with pytest.raises(BadRequestError, match="a band is called 'x', and so is a column of the pixels layout"):
            files.to_dataset()


@pytest.mark.parametrize(
    "use",
    [
        lambda table: table.get_fragments(),
        lambda table: table.replace_schema(table.schema),
        lambda table: table.filter(pc.field("B04") > 5),
        lambda table: table.partition_expression,
        lambda table: table.scanner().scan_batches(),
        lambda table: table.__reduce__(),
        lambda table: table.sort_by("B04"),
        lambda table: table.join(table, "x"),
        lambda table: ds.Scanner.from_dataset(table).to_table(),
        lambda table: ds.dataset([table]).to_table(),
    ],
)
def test_what_datasets_of_files_have_is_refused(many: rf.Collection, use: Any) -> None:
    with pytest.raises((TypeError, pa.ArrowException, FileNotFoundError), match=r"this dataset|a dataset"):
        use(many.to_dataset(bands=["B04"]))


def test_nothing_is_an_empty_table_only_to_queries(many: rf.Collection, con: Any) -> None:
    table = many.to_duckdb(con, "s2")
    assert table.filter("record_id = 'nowhere'").fetchall() == []
    with pytest.raises(NoDataFound, match="no record matches"):
        many.to_duckdb(con, "s2", cloud_cover_lt=0)


WRONG = {
    "no columns": (
        lambda many: many.read(bands="B04", layout="pixels", columns=[]),
        BadRequestError,
        "columns is empty",
    ),
    "text": (lambda many: many.read(bands="B04", columns="B04"), TypeError, "expected a list of names"),
    "no such column": (
        lambda many: many.read(bands="B04", layout="pixels", columns=["B4"]),
        BadRequestError,
        r"the layout has no column 'B4' \(did you mean 'B04'\?\)",
    ),
    "of another layout": (
        lambda many: many.read(layout="records", columns=["width"]),
        BadRequestError,
        "the layout has no column 'width'",
    ),
    "twice": (
        lambda many: many.read(bands="B04", columns=["B04", "B04"]),
        BadRequestError,
        "columns: 'B04' is named twice",
    ),
    "dataset": (lambda many: many.to_dataset().to_table(columns=["B4"]), BadRequestError, "there is no column 'B4'"),
    "keyword": (lambda many: many.to_dataset(band="B04"), TypeError, "unexpected keyword band"),
    "records of a grid": (
        lambda many: many.to_dataset(layout="records", resolution=10),
        BadRequestError,
        "layout='records' reads no pixels",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_read_says_so(many: rf.Collection, case: str) -> None:
    use, error, words = WRONG[case]
    with pytest.raises(error, match=words):
        use(many)


def test_records_that_fail_are_told_of(tmp_path: Path, con: Any) -> None:
    for name in "ab":
        write_scene(tmp_path / f"{name}.tif", noise(64, 64), tile=64)
    items = write_items(tmp_path / "items.json", {"one": {"red": "a.tif"}, "two": {"red": "b.tif"}})
    build_index(items, tmp_path / "index", "files")
    (tmp_path / "a.tif").write_bytes(b"II*\0")
    with rf.local({"files": tmp_path / "index"}) as client:
        files = client.collection("files")
        files.to_duckdb(con, "careful")
        with pytest.raises(duckdb.Error, match="one"):
            con.sql("SELECT sum(red) FROM careful").fetchall()
        table = files.to_dataset(on_error="skip")
        with pytest.warns(RuntimeWarning, match="records are missing from the result: one: "):
            found = table.to_table(columns=["red"])
        assert found.num_rows == 1 + 64 * 64
        with pytest.warns(RuntimeWarning, match="one: "):
            rows = table.to_table(filter=pc.field("error").is_valid())
        [row] = rows.to_pylist()
        assert row["record_id"] == "one"
        assert "the file" in row["error"] or "a.tif" in row["error"]
        assert {row[name] for name in ("row", "col", "x", "y", "red", "geometry_id")} == {None}
