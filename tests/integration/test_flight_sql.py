"""Flight SQL on a real server, through the clients that people have."""

import json
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import psutil
import pyarrow as pa
import pyarrow.flight as fl
import pytest
import shapely
from adbc_driver_manager import Error

import rasterflight as rf
from rasterflight_server.sql import messages
from support.scenes import noise, write_items, write_scene
from support.server import ServerProcess, run_server_command
from support.sql import connected, detail, query, refusal, rows
from support.telemetry import stats, wait_for

AREA = "POLYGON((-74.1 40.6, -73.9 40.6, -73.9 40.8, -74.1 40.8, -74.1 40.6))"
BANDS = ("b1", "b2", "b3", "b4")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred records of four bands, a tile each."""
    folder = tmp_path_factory.mktemp("many")
    records = {}
    for number in range(100):
        for band in BANDS:
            write_scene(folder / f"{number}-{band}.tif", noise(128, 128, seed=number), tile=128)
        records[f"r{number:03d}"] = {band: f"{number}-{band}.tif" for band in BANDS}
    items = json.loads(write_items(folder / "items.json", {"r": {}}).read_text())
    template = items["features"][0]
    items["features"] = [
        template
        | {
            "id": record,
            "properties": {
                "datetime": f"2024-{1 + number // 28:02d}-{1 + number % 28:02d}T00:00:00Z",
                "eo:cloud_cover": number,
            },
            "assets": {band: {"href": href, "type": "image/tiff"} for band, href in bands.items()},
        }
        for number, (record, bands) in enumerate(records.items())
    ]
    (folder / "items.json").write_text(json.dumps(items))
    return _indexed(folder)


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One record: 4096 x 4096 pixels of four bands."""
    folder = tmp_path_factory.mktemp("big")
    pixels = np.add.outer(np.arange(4096, dtype=np.uint16), np.arange(4096, dtype=np.uint16))
    for number, band in enumerate(BANDS):
        write_scene(folder / f"{band}.tif", pixels + np.uint16(number))
    write_items(folder / "items.json", {"one": {band: f"{band}.tif" for band in BANDS}})
    return _indexed(folder)


def _indexed(folder: Path) -> Path:
    done = run_server_command("index", folder / "items.json", "--out", folder / "index", "--name", "x")
    assert done.returncode == 0, done.stderr
    return folder / "index"


@pytest.fixture(scope="module")
def url(indexes: dict[str, Path], many: Path, big: Path):
    served = {"ny": indexes["ny"], "s2-34": indexes["s2-34"], "many": many, "big": big}
    with ServerProcess(served) as server:
        yield server.url


@pytest.fixture
def connection(url: str):
    with connected(url) as connection:
        yield connection


def test_records_are_tables(connection) -> None:
    found = query(connection, "SELECT * FROM ny ORDER BY datetime, id")
    assert found.num_rows == 6
    assert found.column_names[:5] == ["id", "datetime", "geometry", "bbox", "crs"]
    assert found.schema.field("datetime").type == pa.timestamp("us", "UTC")
    assert found.schema.field("geometry").metadata[b"ARROW:extension:name"] == b"geoarrow.wkb"
    footprint = shapely.from_wkb(found["geometry"][0].as_py())
    assert footprint.bounds == pytest.approx(tuple(found["bbox"][0].as_py().values()))


def test_names_may_be_qualified_and_quoted(connection) -> None:
    for name in ("ny", "NY", "main.ny", "rasterflight.main.ny", '"ny"'):
        assert rows(connection, f"SELECT count(*) FROM {name}") == [(6,)]
    assert rows(connection, 'SELECT count(*) FROM "s2-34"') == [(1,)]


def test_names_of_with_are_seen_where_they_hold(connection) -> None:
    assert rows(connection, "WITH ny AS (SELECT id FROM ny LIMIT 2) SELECT count(*) FROM ny") == [(2,)]
    assert rows(connection, "SELECT count(*) FROM (WITH x AS (SELECT 1) SELECT * FROM x), ny") == [(6,)]
    assert refusal(connection, "SELECT * FROM (WITH x AS (SELECT 1) SELECT * FROM x), x").code == "COLLECTION_NOT_FOUND"
    recursive = "WITH RECURSIVE ny(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM ny WHERE i < 5) SELECT sum(i) FROM ny"
    assert rows(connection, recursive) == [(15,)]


def test_pixels_are_those_of_the_client(connection, url: str) -> None:
    sql = f"""SELECT record_id, avg(red) AS mean, count(*) AS n
              FROM read_pixels('ny', bands := ['red'], geometry := '{AREA}') GROUP BY 1 ORDER BY 1"""
    found = rows(connection, sql)
    with rf.connect(url) as client:
        chips = client.collection("ny").read(geometries=shapely.from_wkt(AREA), bands=["red"], masked=True)
        expected = {}
        for batch in chips:
            for row in batch.to_pylist():
                inside = [value for value in row["red"] if value is not None]
                expected[row["record_id"]] = (np.mean(inside), len(inside))
    assert [(one, n) for one, _, n in found] == [(one, n) for one, (_, n) in sorted(expected.items())]
    assert [mean for _, mean, _ in found] == pytest.approx([mean for _, (mean, _) in sorted(expected.items())])


def test_points(connection) -> None:
    sql = """SELECT point_index, band, value FROM read_points('ny', points := [(-74.0, 40.7), (-73.9, 40.7)],
             bands := ['red', 'nir08'], ids := ['LC08_L1TP_013032_20180405_20180417_01_T1']) ORDER BY 1, 2"""
    found = rows(connection, sql)
    assert [row[:2] for row in found] == [(0, "nir08"), (0, "red"), (1, "nir08"), (1, "red")]
    assert found[1][2] == 8612
    by_text = sql.replace("[(-74.0, 40.7), (-73.9, 40.7)]", "['POINT(-74 40.7)', 'POINT(-73.9 40.7)']")
    assert rows(connection, by_text) == found
    latest = "SELECT DISTINCT record_id FROM read_points('ny', points := [[-74, 40.7]], match := 'latest')"
    assert len(rows(connection, latest)) == 1


def test_reads_join_records_and_each_other(connection) -> None:
    sql = f"""SELECT r.datetime, count(*) FROM read_pixels('ny', bands := ['red'], geometry := '{AREA}') p
              JOIN ny r ON r.id = p.record_id GROUP BY 1 ORDER BY 1"""
    assert len(rows(connection, sql)) == 6
    twice = f"""SELECT count(*) FROM read_pixels('ny', bands := ['red'], geometry := '{AREA}') a
                JOIN read_pixels('ny', bands := ['nir08'], geometry := '{AREA}') b USING (record_id, row, col)"""
    assert rows(connection, twice) == rows(connection, f"SELECT count(*) FROM read_pixels('ny', geometry := '{AREA}')")


def test_arguments_narrow_down_and_set_the_grid(connection) -> None:
    base = "SELECT count(DISTINCT record_id), count(*) FROM read_pixels('many', bands := ['b1'], {})"
    for arguments, records in {
        "cloud_cover_lt := 3": 3,
        "ids := ['r001', 'r002']": 2,
        "date_range := ['2024-01-01', DATE '2024-01-05']": 5,
        "date_range := [NULL, '2024-01-02']": 2,
        "cql2 := 'id LIKE ''r00%'''": 10,
        "cql2 := 'id = ''r00' || '7'''": 1,
        "cloud_cover_lt := 1, resolution := 20": 1,
        "cloud_cover_lt := 1, target_crs := 'EPSG:3857', resolution := [20, 20], resampling := 'nearest'": 1,
    }.items():
        found = rows(connection, base.format(arguments))
        assert found[0][0] == records, arguments
        assert (found[0][1] == records * 128 * 128) is ("resolution" not in arguments)


def test_sources_take_what_tables_take(connection) -> None:
    named = "SELECT count(rec), count(line) FROM read_pixels('ny', bands := ['red']) AS t(rec, line)"
    assert rows(connection, named) == [(35574, 35574)]
    sampled = "SELECT count(*) FROM read_pixels('ny', bands := ['red']) TABLESAMPLE 100 ROWS"
    assert rows(connection, sampled) == [(100,)]
    pivoted = """SELECT * FROM (PIVOT (SELECT band, point_index, value FROM read_points('ny', points := [[-74, 40.7]],
                 match := 'latest')) ON band IN ('red', 'blue') USING max(value))"""
    assert query(connection, pivoted).column_names == ["point_index", "red", "blue"]


def test_scaled_and_all_touched(connection) -> None:
    count = f"SELECT count(*) FROM read_pixels('ny', bands := ['red'], geometry := '{AREA}', all_touched := {{}})"
    assert rows(connection, count.format("true")) > rows(connection, count.format("false"))
    kind = "SELECT typeof(red) FROM read_pixels('ny', bands := ['red'], scaled := true) LIMIT 1"
    assert rows(connection, kind) == [("FLOAT",)]


def test_only_columns_and_records_that_a_statement_needs_are_read(connection, url: str) -> None:
    def tiles(sql: str) -> int:
        before = stats(url)["tiles_decoded"]
        query(connection, sql)
        return stats(url)["tiles_decoded"] - before

    assert tiles("SELECT avg(b2) FROM read_pixels('many') WHERE cloud_cover < 4") == 4
    assert tiles("SELECT avg(b3) FROM read_pixels('many') WHERE record_id IN ('r050', 'r051', 'r052')") == 3
    assert tiles("SELECT avg(b3) FROM read_pixels('many') WHERE datetime < '2024-01-03'") == 2
    assert tiles("SELECT count(*) FROM read_pixels('many') WHERE cloud_cover = 7") == 0
    assert tiles("SELECT max(len(b4)) FROM read_chips('many') WHERE cloud_cover < 4") == 4


@pytest.mark.parametrize(
    "where",
    [
        "cloud_cover < 2",
        "cloud_cover >= 98 AND b1 > 30000",
        "b1 > 65000",
        "record_id = 'r007' OR b1 = 5",
        "record_id IN ('r003', 'r004') AND row < 10 AND col BETWEEN 3 AND 7",
        "datetime >= '2024-04-01' AND NOT cloud_cover = 90",
        "cloud_cover IS NULL",
        "geometry_id IS NULL AND record_id > 'r097'",
    ],
)
def test_what_is_left_out_would_not_have_come(connection, where: str) -> None:
    pushed = f"SELECT record_id, row, col, b1 FROM read_pixels('many', bands := ['b1']) WHERE {where}"
    # A filter above LIMIT stays above it.
    whole = f"""SELECT record_id, row, col, b1 FROM (SELECT * FROM read_pixels('many', bands := ['b1'])
                LIMIT 100000000) WHERE {where}"""
    order = ["record_id", "row", "col"]
    assert (
        query(connection, pushed)
        .to_pandas()
        .sort_values(order)
        .reset_index(drop=True)
        .equals(query(connection, whole).to_pandas().sort_values(order).reset_index(drop=True))
    )


def test_a_large_chip_comes_with_the_default_limits_of_messages(connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM read_chips('big') ORDER BY row_off")
        found = list(cursor.fetch_record_batch())
    assert max(batch.nbytes for batch in found) < 9 << 20
    table = pa.Table.from_batches(found)
    expected = np.add.outer(np.arange(4096, dtype=np.uint16), np.arange(4096, dtype=np.uint16)).reshape(-1)
    for number, band in enumerate(BANDS):
        pixels = np.concatenate([one.values.to_numpy() for one in table[band]])
        assert np.array_equal(pixels, expected + np.uint16(number))


def test_results_come_while_the_statement_runs(connection, url: str) -> None:
    with connection.cursor() as cursor:
        begin = stats(url)["tiles_decoded"]
        cursor.execute("SELECT record_id, b1, b2, b3, b4 FROM read_pixels('big')")
        next(iter(cursor.fetch_record_batch()))
        assert stats(url)["tiles_decoded"] - begin < 200  # of 256


def test_limit_ends_the_reads(connection, url: str) -> None:
    begin = stats(url)["tiles_decoded"]
    assert len(rows(connection, "SELECT b1 FROM read_pixels('many') LIMIT 5")) == 5
    assert stats(url)["tiles_decoded"] - begin < 60


def test_prepared_statements(connection) -> None:
    sql = """SELECT record_id, count(*) FROM read_pixels('ny', bands := ['red'], geometry := ?)
             WHERE record_id LIKE ? GROUP BY 1 ORDER BY 1"""
    first = rows(connection, sql, (AREA, "LC08_L1TP_013032%"))
    second = rows(connection, sql, (shapely.from_wkt(AREA).wkb, "LC08_L1TP_014032%"))
    assert len(first) == 3
    assert {one[:16] for one, _ in second} == {"LC08_L1TP_014032"}
    with connection.cursor() as cursor:
        told = cursor.adbc_prepare(
            'SELECT id FROM many WHERE "eo:cloud_cover" < ? AND id = ? AND datetime > ?::DATE LIMIT ?'
        )
        assert told.types == [pa.int64(), pa.utf8(), pa.date32(), pa.int64()]
        told = cursor.adbc_prepare("SELECT count(*) FROM read_pixels('ny', bands := ?, cloud_cover_lt := ?)")
        assert told.types == [pa.list_(pa.utf8()), pa.float64()]
        assert cursor.adbc_execute_schema("SELECT id, 1 AS one FROM ny").names == ["id", "one"]
    assert rows(connection, "SELECT $b - $a", (10, 1)) == [(9,)]  # in the order in which they stand
    assert rows(connection, "SELECT count(*) FROM read_pixels('ny', bands := ?)", (["red"],)) == [(35574,)]


@pytest.mark.parametrize("workers", [2])
def test_any_process_of_a_server_answers_a_prepared_statement(indexes: dict[str, Path], workers: int) -> None:
    with ServerProcess({"ny": indexes["ny"]}, workers=workers) as server:
        command = messages.make(
            "ActionCreatePreparedStatementRequest", query="SELECT count(*) AS n FROM ny WHERE id > ?"
        )
        # Each connection stays with one process, and goes to the one that has the fewest.
        with fl.connect(server.url) as one, fl.connect(server.url) as other:
            [answer] = one.do_action(fl.Action("CreatePreparedStatement", messages.pack(command)))
            made = messages.unpack(answer.body.to_pybytes())
            assert made.HasField("is_update")
            assert not made.is_update
            prepared = messages.make(
                "CommandPreparedStatementQuery", prepared_statement_handle=made.prepared_statement_handle
            )
            descriptor = fl.FlightDescriptor.for_command(messages.pack(prepared))
            writer, reader = other.do_put(descriptor, pa.schema({"1": pa.utf8()}))
            with writer:
                writer.write_batch(pa.record_batch({"1": ["a"]}))
                writer.done_writing()
                bound = messages.read("DoPutPreparedStatementResult", reader.read().to_pybytes())
            prepared.prepared_statement_handle = bound.prepared_statement_handle
            info = one.get_flight_info(fl.FlightDescriptor.for_command(messages.pack(prepared)))
            processes = {json.loads(next(c.do_action("stats")).body.to_pybytes())["process"] for c in (one, other)}
            assert other.do_get(info.endpoints[0].ticket).read_all().to_pylist() == [{"n": 0}]
    assert len(processes) == workers


def test_metadata(connection) -> None:
    catalogs = connection.adbc_get_objects(depth="all", table_name_filter="n_").read_all().to_pylist()
    assert [one["catalog_name"] for one in catalogs] == ["rasterflight"]
    schemas = {one["db_schema_name"]: one["db_schema_tables"] for one in catalogs[0]["catalog_db_schemas"]}
    assert [one["table_name"] for one in schemas["main"]] == ["ny"]
    assert [one["column_name"] for one in schemas["main"][0]["table_columns"]][:3] == ["id", "datetime", "geometry"]
    assert not schemas["information_schema"]
    assert connection.adbc_get_table_types() == ["TABLE", "VIEW"]
    assert connection.adbc_get_table_schema("many", db_schema_filter="main").names[:2] == ["id", "datetime"]
    assert connection.adbc_get_info()["vendor_name"] == "rasterflight"


def test_views_of_what_there_is(connection) -> None:
    assert rows(
        connection, "SELECT table_name FROM information_schema.tables WHERE table_type = 'TABLE' ORDER BY 1"
    ) == [
        ("big",),
        ("many",),
        ("ny",),
        ("s2-34",),
    ]
    assert rows(
        connection, "SELECT band, data_type FROM information_schema.bands WHERE collection = 'many' ORDER BY 1"
    ) == [(band, "uint16") for band in BANDS]
    assert rows(connection, "SELECT records FROM information_schema.collections WHERE collection = 'many'") == [(100,)]
    columns = "SELECT column_name FROM information_schema.columns WHERE table_name = 'many' ORDER BY ordinal_position"
    assert rows(connection, columns)[:2] == [("id",), ("datetime",)]
    assert [row[0] for row in rows(connection, "SELECT schema_name FROM information_schema.schemata")] == [
        "information_schema",
        "main",
    ]
    assert rows(connection, "SELECT column_name FROM (DESCRIBE ny)")[0] == ("id",)


def test_types_come_as_arrow_has_them(connection) -> None:
    sql = """SELECT 'a'::ENUM('a', 'b') AS e, NULL AS n, [1, 2] AS l, {'a': 1} AS s, 1.5::DECIMAL(5, 2) AS d,
             'x'::BLOB AS b, TIME '10:00' AS t, 1::HUGEINT AS h, 1 AS same, 2 AS same"""
    found = query(connection, sql)
    assert found.column_names == ["e", "n", "l", "s", "d", "b", "t", "h", "same", "same"]
    assert found.schema.field("e").type == pa.utf8()
    assert found.num_rows == 1


def test_polars_and_pandas(connection, url: str) -> None:
    sql = "SELECT id, datetime FROM ny ORDER BY id"
    expected = [row[0] for row in rows(connection, sql)]
    assert pl.read_database(sql, connection)["id"].to_list() == expected
    by_uri = url.replace("grpc://", "flightsql://") + "?transport=tcp"
    # The driver says that there are no transactions.
    with pytest.warns(Warning, match="Cannot disable autocommit"):
        assert pl.read_database_uri(sql, by_uri, engine="adbc")["id"].to_list() == expected
    assert pd.read_sql(sql, connection)["id"].tolist() == expected


def test_errors_say_what_and_where(connection) -> None:
    for sql, code, words in [
        ("SELEC 1", "BAD_REQUEST", 'syntax error at or near "SELEC" (at character 1)'),
        ("SELECT foo FROM ny", "BAD_REQUEST", 'Referenced column "foo" not found'),
        ("SELECT id, foo FROM ny", "BAD_REQUEST", "(at character 12)"),
        ("SELECT id\nFROM ny WHERE nofun(id) > 1", "BAD_REQUEST", "(at character 25)"),
        ("SELECT r.x, r.id FROM ny AS r", "BAD_REQUEST", "(at character 10)"),
        ("SELECT CAST('x' AS INTEGER)", "BAD_REQUEST", "Could not convert string 'x'"),
        ("SELECT * FROM ny AT (VERSION => 1)", "BAD_REQUEST", "ny has no AT"),
        ("SELECT * FROM read_pixels('ny') WITH ORDINALITY", "BAD_REQUEST", "read_pixels has no WITH ORDINALITY"),
        ("SELECT * FROM nyy", "COLLECTION_NOT_FOUND", "there is no table 'nyy'"),
        ("SELECT * FROM read_pixels('nyy')", "COLLECTION_NOT_FOUND", "there is no collection 'nyy'"),
        ("SELECT * FROM read_pixels('ny', bands := ['rad'])", "UNKNOWN_BAND", "there is no band 'rad'"),
        ("SELECT * FROM read_pixels('ny', bnds := ['red'])", "BAD_REQUEST", "bnds: there is no such argument"),
        ("SELECT * FROM read_pixels('ny', ids := 'a', ids := 'b')", "BAD_REQUEST", "ids: it is given twice"),
        ("SELECT * FROM read_pixels()", "BAD_REQUEST", "no collection is named"),
        ("SELECT * FROM read_pixels('ny', ['red'])", "BAD_REQUEST", "argument 2 of read_pixels has no name"),
        ("SELECT * FROM ny, read_pixels('ny', ids := [ny.id])", "BAD_REQUEST", "ids: it depends on rows"),
        ("SELECT * FROM read_pixels('ny', ids := (SELECT list(id) FROM ny))", "BAD_REQUEST", "it depends on rows"),
        ("SELECT * FROM read_pixels('ny', geometry := 'POLY')", "BAD_GEOMETRY", "'POLY' is no geometry"),
        ("SELECT * FROM read_pixels('ny', cloud_cover_lt := 'x')", "BAD_REQUEST", "cloud_cover_lt: 'x' cannot be used"),
        ("SELECT * FROM read_pixels('many', ids := ['r1'])", "RECORD_NOT_FOUND", "no record 'r1'"),
        ("SELECT * FROM read_pixels('many', cql2 := 'id = ''x''')", "NO_DATA", ""),
        ("SELECT * FROM read_points('ny', bands := ['red'])", "BAD_REQUEST", "points: 'None' cannot be used"),
        ("SELECT list(b1) FROM read_pixels('big')", "LIMIT_EXCEEDED", ""),
    ]:
        told = refusal(connection, sql)
        assert told.code == code, sql
        assert words in told.message, (sql, told.message)
        assert told.request_id


def test_errors_are_told_whatever_their_bytes_look_like(url: str) -> None:
    # in this the driver would find a status of gRPC, of another code than that which came, and say so
    request_id = "b+" + "x" * 43
    with (
        connected(url, **{"adbc.flight.sql.rpc.call_header.x-request-id": request_id}) as connection,
        pytest.raises(Error, match=r"\[COLLECTION_NOT_FOUND\] there is no table 'nyy'") as caught,
    ):
        query(connection, "SELECT * FROM nyy")
    assert "mismatch" not in str(caught.value)
    assert detail(caught.value).request_id == request_id


def test_parameters_that_do_not_fit_are_refused(connection) -> None:
    assert "1 values for 2 parameters" in refusal(connection, "SELECT ?, ?", (1,)).message
    several = pa.record_batch({"1": [1, 2]})
    assert refusal(connection, "SELECT ?", several).message == "there are several rows of parameters"
    assert refusal(connection, "SELECT ?", ("x" * (3 << 20),)).code == "LIMIT_EXCEEDED"
    told = refusal(connection, "SELECT ?")
    assert told.message == "the parameters have no values"


def test_nothing_is_changed(connection) -> None:
    with connection.cursor() as cursor, pytest.raises(Error) as caught:
        cursor.adbc_ingest("t", pa.table({"a": [1]}))
    assert "read-only" in detail(caught.value).hint
    told = refusal(connection, "DELETE FROM ny")
    assert told.message == "the statement is not a SELECT"
    assert "read-only" in told.hint


def test_cancelling_ends_the_engine_and_the_reads(connection, url: str) -> None:
    endless = "SELECT sum(hash(a.b1, b.b1)) FROM read_pixels('big') a, read_pixels('big') b"
    with connection.cursor() as cursor:
        threading.Timer(1.5, cursor.adbc_cancel).start()
        begin = time.monotonic()
        with pytest.raises(Error):
            _fetch(cursor, endless)
        assert time.monotonic() - begin < 20
    assert wait_for(lambda: stats(url)["streams"] == 0, 5)


def _fetch(cursor, sql: str) -> pa.Table:
    cursor.execute(sql)
    return cursor.fetch_arrow_table()


def test_a_client_that_goes_away_ends_its_statement(indexes: dict[str, Path], big: Path) -> None:
    with ServerProcess({"big": big}) as server:
        with connected(server.url) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT * FROM read_pixels('big')")
            reader = cursor.fetch_record_batch()
            reader.read_next_batch()
            assert _engines(server)
            reader.close()
        assert wait_for(lambda: stats(server.url)["streams"] == 0, 5)
        assert wait_for(lambda: not _engines(server), 5)


def _engines(server: ServerProcess) -> list[psutil.Process]:
    return psutil.Process(server.process.pid).children(recursive=True)


def test_statements_beyond_the_number_are_busy(indexes: dict[str, Path], big: Path) -> None:
    with ServerProcess({"big": big}, options=["--set", "sql.statements=1"]) as server, connected(server.url) as first:
        with first.cursor() as cursor:
            cursor.execute("SELECT * FROM read_pixels('big')")
            cursor.fetch_record_batch().read_next_batch()
            with connected(server.url) as second:
                told = refusal(second, "SELECT 1")
        assert told.code == "BUSY"
        assert told.retryable
        assert "1 statements are running" in told.message


def test_a_server_may_not_answer_sql(indexes: dict[str, Path]) -> None:
    options = ["--set", "sql.enabled=false"]
    with ServerProcess({"ny": indexes["ny"]}, options=options) as server, fl.connect(server.url) as client:
        descriptor = fl.FlightDescriptor.for_command(messages.pack(messages.make("CommandGetCatalogs")))
        with pytest.raises(fl.FlightServerError, match="this server does not answer SQL"):
            client.get_flight_info(descriptor)


def test_sessions_and_cancelling_by_name_are_answered(url: str) -> None:
    with fl.connect(url) as client:

        def act(name: str, body: bytes = b"") -> bytes:
            [answer] = client.do_action(fl.Action(name, body))
            return answer.body.to_pybytes()

        assert messages.read("CloseSessionResult", act("CloseSession")).status == 1
        assert not messages.read("GetSessionOptionsResult", act("GetSessionOptions")).session_options
        options = messages.make("SetSessionOptionsRequest")
        options.session_options["catalog"].string_value = "x"
        refused = messages.read("SetSessionOptionsResult", act("SetSessionOptions", options.SerializeToString()))
        assert refused.errors["catalog"].value == 1
        assert messages.read("CancelFlightInfoResult", act("CancelFlightInfo")).status == 3
        assert messages.unpack(act("CancelQuery")).result == 3
        assert not list(client.do_action(fl.Action("ClosePreparedStatement", b"")))
        assert "CreatePreparedStatement" in {action.type for action in client.list_actions()}


def test_raw_statements_and_schemas(url: str) -> None:
    with fl.connect(url) as client:

        def ask(name: str, **fields: object) -> pa.Table:
            descriptor = fl.FlightDescriptor.for_command(messages.pack(messages.make(name, **fields)))
            info = client.get_flight_info(descriptor)
            assert client.get_schema(descriptor).schema == info.schema
            found = client.do_get(info.endpoints[0].ticket).read_all()
            assert found.schema.equals(info.schema, check_metadata=True)
            return found

        assert ask("CommandStatementQuery", query="SELECT 1 AS a").to_pylist() == [{"a": 1}]
        assert ask("CommandGetSqlInfo", info=[3, 8]).num_rows == 2
        assert ask("CommandGetSqlInfo").num_rows > 60
        assert ask("CommandGetXdbcTypeInfo").column("type_name").to_pylist()[:2] == ["BOOLEAN", "TINYINT"]
        assert ask("CommandGetXdbcTypeInfo", data_type=12).num_rows == 1
        assert ask("CommandGetTables", table_types=["VIEW"]).num_rows == 5
        assert ask("CommandGetTables", catalog="other").num_rows == 0
        for name in ("CommandGetPrimaryKeys", "CommandGetImportedKeys", "CommandGetExportedKeys"):
            assert ask(name, table="ny").num_rows == 0
        assert ask("CommandGetCrossReference", pk_table="ny", fk_table="ny").num_columns == 13


def test_handles_that_are_none_are_refused(url: str) -> None:
    with fl.connect(url) as client:
        for handle in (b"", b"x" * 100, pa.schema({"a": pa.int32()}).serialize().to_pybytes()):
            command = messages.make("TicketStatementQuery", statement_handle=handle)
            with pytest.raises(fl.FlightServerError, match="the handle is none of a statement"):
                client.do_get(fl.Ticket(messages.pack(command)))
        unknown = messages.any_pb2.Any(type_url="type.googleapis.com/arrow.flight.protocol.sql.CommandStatementUpdate")
        with pytest.raises(fl.FlightServerError, match="'CommandStatementUpdate' is not answered here"):
            client.get_flight_info(fl.FlightDescriptor.for_command(unknown.SerializeToString()))
        for name in ("CommandStatementQuery", "ActionClosePreparedStatementRequest"):
            with pytest.raises(fl.FlightServerError, match="BAD_REQUEST"):
                client.do_get(fl.Ticket(messages.pack(messages.make(name)))).read_all()


def test_statements_that_are_too_long_are_refused(connection) -> None:
    told = refusal(connection, f"SELECT '{'x' * (3 << 20)}'")
    assert told.code == "LIMIT_EXCEEDED"
    assert "bytes, more than" in told.message
