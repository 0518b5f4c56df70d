"""Statements that want more than they may: files, settings, memory, time. The server goes on answering."""

from pathlib import Path

import adbc_driver_flightsql.dbapi as flight_sql
import psutil
import pytest

from support.server import ServerProcess
from support.sql import connected, query, refusal, rows

SECONDS = 1.5
MEMORY = 192
MIB = 1 << 20


@pytest.fixture(scope="module")
def server(indexes: dict[str, Path]):
    options = ["--set", f"sql.seconds={SECONDS}", "--set", f"sql.memory={MEMORY}MiB"]
    with ServerProcess({"ny": indexes["ny"]}, options=options) as server:
        yield server


@pytest.fixture
def connection(server: ServerProcess):
    with connected(server.url) as connection:
        yield connection


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_csv_auto('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_blob('/proc/self/environ')",
        "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
        "SELECT * FROM parquet_metadata('x.parquet')",
        "SELECT * FROM read_json('http://127.0.0.1/x.json')",
        "SELECT * FROM read_duckdb('x.db')",
        "SELECT * FROM sniff_csv('/etc/passwd')",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM duckdb_settings()",
        "SELECT * FROM duckdb_secrets()",
        "SELECT * FROM duckdb_variables()",
        "SELECT * FROM duckdb_logs()",
        "SELECT * FROM duckdb_extensions()",
        "SELECT * FROM duckdb_temporary_files()",
        "SELECT * FROM pragma_database_list()",
        "SELECT * FROM which_secret('s3://x', 's3')",
        "SELECT * FROM query('SELECT 1')",
        "SELECT * FROM query_table('ny')",
        "SELECT * FROM json_execute_serialized_sql('{}')",
        "SELECT * FROM python_arrow_scan(1, 2, 3)",
        "SELECT * FROM arrow_scan(1, 2, 3)",
        "SELECT * FROM pandas_scan(1)",
        "SELECT * FROM seq_scan('x')",
        "SELECT * FROM enable_logging()",
        "SELECT * FROM checkpoint()",
        "SELECT * FROM create_external_resource('x')",
        "SELECT * FROM add_grammar_extension('x')",
        "SELECT * FROM duckdb_live_query_metrics()",
        "SELECT * FROM histogram_values('/etc/passwd', 'content')",
        "SELECT * FROM ny POSITIONAL JOIN read_text('/etc/passwd')",
        "SELECT * FROM range((SELECT count(*) FROM glob('*')))",
        "DESCRIBE SELECT * FROM read_text('/etc/passwd')",
        "SUMMARIZE SELECT * FROM read_text('/etc/passwd')",
        "PIVOT (FROM read_text('/etc/passwd')) ON filename",
        "SELECT (SELECT count(*) FROM glob('/*'))",
        "SELECT 1 WHERE EXISTS (FROM glob('/*'))",
        "WITH x AS (FROM glob('/*')) SELECT 1",
        "SELECT * FROM ny, LATERAL (SELECT * FROM glob(ny.id))",
        "SELECT * FROM unnest((SELECT list(file) FROM glob('/*')))",
        "SELECT current_setting('home_directory')",
        "SELECT system.main.current_setting('threads')",
        "SELECT x.current_setting() FROM (SELECT 'threads' AS x)",
        "SELECT getenv('HOME')",
        "SELECT getvariable('x')",
        "SELECT write_log('x')",
        "SELECT 'HOME'.getenv()",
        "SELECT memory.main.GetEnv('HOME')",
        "SELECT invoke(lambda x: getenv(x), 'HOME')",
        "SELECT COLUMNS(lambda c: c = getenv('x')) FROM ny",
        "SELECT * REPLACE (getenv('x') AS id) FROM ny",
        "SELECT * FROM ny QUALIFY row_number() OVER (ORDER BY getenv('x')) = 1",
        "SELECT current_query() FROM ny",
        "SELECT current_query_id()",
        "SELECT current_connection_id()",
        "SELECT current_transaction_id()",
        "SELECT txid_current()",
        "SELECT pg_postmaster_start_time()",
        "SELECT pg_conf_load_time()",
        "SELECT pg_get_viewdef(1)",
        "SELECT pg_get_constraintdef(1)",
        "SELECT get_block_size('memory')",
        "SELECT sleep_ms(100000)",
        "SELECT pg_sleep(100)",
        "SELECT nextval('x')",
        "SELECT setseed(0.5)",
        "SELECT json_serialize_plan('SELECT 1')",
        "SELECT __internal_compress_string_ubigint('x')",
        "SELECT * FROM read_pixels(current_setting('home_directory'))",
        "SELECT list_transform(['threads'], lambda x: current_setting(x))",
        "SELECT count(*) FILTER (WHERE current_setting('threads') = 1) FROM ny",
        "SELECT row_number() OVER (ORDER BY current_setting('threads')) FROM ny",
        "SELECT * FROM ny ORDER BY current_setting('threads')",
        "SELECT * FROM ny LIMIT getvariable('x')",
        "ATTACH '/tmp/x.db'",
        "ATTACH ':memory:' AS x",
        "DETACH memory",
        "COPY (SELECT 1) TO '/tmp/x.csv'",
        "COPY ny FROM '/tmp/x.csv'",
        "EXPORT DATABASE '/tmp/x'",
        "IMPORT DATABASE '/tmp/x'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "PRAGMA database_list",
        "SET memory_limit = '100GB'",
        "SET VARIABLE x = 1",
        "RESET memory_limit",
        "CREATE TABLE x AS SELECT 1",
        "CREATE TEMP VIEW x AS SELECT 1",
        "CREATE MACRO f(x) AS x",
        "CREATE SECRET (TYPE s3)",
        "DROP VIEW ny",
        "ALTER TABLE ny RENAME TO x",
        "INSERT INTO ny VALUES (1)",
        "UPDATE ny SET id = 'x'",
        "DELETE FROM ny",
        "TRUNCATE ny",
        "WITH x AS (INSERT INTO ny VALUES (1) RETURNING *) SELECT * FROM x",
        "CALL pragma_version()",
        "MERGE INTO ny USING (SELECT 1) x ON true WHEN MATCHED THEN DELETE",
        "COMMENT ON VIEW ny IS 'x'",
        "USE memory",
        "VACUUM",
        "CHECKPOINT",
        "BEGIN",
        "PREPARE x AS SELECT 1",
        "EXECUTE x",
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE SELECT 1",
        "SHOW TABLES",
        "SHOW ALL TABLES",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP VIEW ny",
        ";",
        "-- nothing",
    ],
)
def test_what_is_not_for_callers_is_refused_before_it_runs(connection, sql: str) -> None:
    told = refusal(connection, sql)
    assert told.code == "BAD_REQUEST", told
    assert told.field == "query"


@pytest.mark.parametrize(
    "table",
    [
        "'/etc/passwd'",
        '"/etc/passwd"',
        "'s3://bucket/x.parquet'",
        "duckdb_settings",
        "duckdb_tables",
        "sqlite_master",
        "pg_catalog.pg_class",
        "system.information_schema.tables",
        "temp.main.ny",
        "memory.main.ny",
        '"rasterflight:0"',
        'ny, "rasterflight:0"',
        # a variable of the process that the statement runs in
        "cursor",
        "self",
    ],
)
def test_there_are_no_other_tables(connection, table: str) -> None:
    assert refusal(connection, f"SELECT * FROM {table}").code == "COLLECTION_NOT_FOUND"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT length(repeat('x', 3000000000))",
        "SELECT max(length(repeat('x', 10000000 + i::INT))) FROM range(2048) t(i)",
        "SELECT len(range(300000000))",
        "SELECT length(format('{:>2000000000}', 'x'))",
        "SELECT string_agg(i::VARCHAR, ',') FROM range(1000000000) t(i)",
        "SELECT list(i) FROM range(1000000000) t(i)",
        "SELECT list_reduce(list_transform(range(33), lambda x: 'xx'), lambda a, b: a || a)",
        "WITH RECURSIVE t(s) AS (SELECT 'xxxxxxxxxx' UNION ALL SELECT s || s FROM t) SELECT count(*) FROM t",
        "WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t) SELECT count(*) FROM t",
        "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE (a.range * b.range) % 7 = 1",
        "SELECT * FROM range(100000000000) ORDER BY random()",
        "SELECT max(length(lpad('x', (10000000 + i)::INT, 'y'))) FROM range(2048) t(i)",
        "SELECT levenshtein(repeat('a', 1000000), repeat('b', 1000000))",
        "SELECT count(*) FROM range(1000000) t(i) WHERE regexp_matches(repeat('a', 1000) || i, '(a?){500}a{500}')",
        "SELECT count(*) FROM ny a, ny b, ny c, ny d, ny e, ny f, ny g, ny h, ny i, ny j, ny k, ny l WHERE hash(a.id, l.id) = 1",
        "SELECT repeat('x', 20000000)",
        "SELECT printf('%2000000000d', 1)",
        "SELECT list_resize([1], 2000000000)",
        "SELECT length(bitstring('1', 2000000000)::VARCHAR)",
        "SELECT * FROM ny TABLESAMPLE reservoir(100000000 ROWS)",
        "WITH RECURSIVE t USING KEY (i) AS (SELECT 1 AS i, 0 AS j UNION SELECT i, j + 1 FROM t) SELECT * FROM t",
    ],
)
def test_memory_and_time_are_bounded(connection, server: ServerProcess, sql: str) -> None:
    told = refusal(connection, sql)
    assert told.code == "LIMIT_EXCEEDED"
    assert told.field in ("sql.memory", "sql.seconds", "query")
    assert told.hint
    assert server.rss() < 600 * MIB
    assert rows(connection, "SELECT count(*) FROM ny") == [(6,)]


def test_what_an_engine_may_take_is_bounded_by_the_system(connection, server: ServerProcess) -> None:
    assert rows(connection, "SELECT 1") == [(1,)]
    [engine] = psutil.Process(server.process.pid).children()
    assert engine.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
    assert engine.rlimit(psutil.RLIMIT_CORE) == (0, 0)
    soft, _ = engine.rlimit(psutil.RLIMIT_DATA)
    assert 0 < soft < 4096 * MIB
    assert set(engine.environ()) <= {"PYTHONPATH", "MALLOC_ARENA_MAX", "LC_CTYPE"}
    assert not [one for one in engine.net_connections() if one.family.name != "AF_UNIX"]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT " + "(" * 5000 + "1" + ")" * 5000,
        "SELECT 1" + " + 1" * 900,
        "SELECT 1" + " + 1" * 100000,
        "SELECT " + "[" * 900 + "]" * 900,
        "SELECT " + "(SELECT " * 300 + "1" + ")" * 300,
        "SELECT * FROM " + "(SELECT * FROM " * 300 + "ny" + ")" * 300,
    ],
)
def test_deep_statements_are_refused(connection, sql: str) -> None:
    assert refusal(connection, sql).code == "BAD_REQUEST"


def test_wide_statements_are_answered(indexes: dict[str, Path]) -> None:
    with ServerProcess({"ny": indexes["ny"]}) as server, connected(server.url) as connection:
        assert query(connection, f"SELECT {', '.join(map(str, range(2000)))}").num_columns == 2000
        assert rows(connection, "SELECT 1 WHERE 1 IN (" + ", ".join(map(str, range(20000))) + ")") == [(1,)]
        assert rows(connection, "SELECT 1 WHERE " + " OR ".join(f"1 = {n}" for n in range(2000))) == [(1,)]


def test_errors_tell_nothing_of_the_server(connection) -> None:
    told = refusal(connection, "SELECT error('lost /var/lib/secret/file and C:/data/more/x')")
    assert told.message == "Invalid Input Error: lost ... and ..."
    told = refusal(connection, "SELECT foo FROM ny")
    assert "rasterflight:" not in told.message
    assert "LINE" not in told.message
    told = refusal(connection, "SELECT 1" + " + 1" * 100000)
    assert "SET" not in told.message


def test_statements_see_nothing_of_each_other(server: ServerProcess) -> None:
    """The one engine that rests answers them one after the other."""
    with (
        flight_sql.connect(server.url, autocommit=True) as one,
        flight_sql.connect(server.url, autocommit=True) as other,
    ):
        assert rows(one, "SELECT count(*) FROM ny") == [(6,)]
        assert refusal(other, 'SELECT * FROM "rasterflight:0"').code == "COLLECTION_NOT_FOUND"
        assert refusal(other, "SELECT * FROM duckdb_views()").code == "BAD_REQUEST"
