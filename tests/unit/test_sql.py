"""Parts of Flight SQL by themselves."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from rasterflight_protocol import ErrorCode
from rasterflight_protocol.v1 import read_pb2
from rasterflight_server.errors import RequestError
from rasterflight_server.sql import messages
from rasterflight_server.sql.batching import RowTooLargeError, rows_at_once, sized
from rasterflight_server.sql.functions import check_arguments, make_request
from rasterflight_server.sql.handles import Handle, unpack_handle
from rasterflight_server.sql.metadata import metadata
from rasterflight_server.sql.refusals import cleaned, engine_error
from rasterflight_server.sql.scanning import ServerTable, possible_records
from rasterflight_server.sql.tables import Tables
from rasterflight_server.sql.tree import REFUSED_FUNCTIONS, TABLE_FUNCTIONS
from rasterflight_server.types.caller import ANONYMOUS, Caller
from support.direct import opened

SCHEMA = pa.schema(
    [
        pa.field("record_id", pa.utf8(), nullable=False),
        pa.field("datetime", pa.timestamp("us", "UTC")),
        pa.field("cloud_cover", pa.float64()),
        pa.field("b1", pa.uint16()),
    ]
)
FACTS = pa.RecordBatch.from_arrays(
    [pa.array(["a", "b", "c"]), pa.array([1, 2, None], pa.timestamp("us", "UTC")), pa.array([1.0, 2.0, None])],
    schema=pa.schema(list(SCHEMA)[:3]),
)


SIGNS = ("<", "<=", "=", "<>", ">", ">=")


class Asked:
    """Stands for the server: a row for each record, and what was asked for."""

    def __init__(self) -> None:
        self.columns: Sequence[str] = ()
        self.records: Sequence[int] | None = None

    def __call__(self, source: str, columns: Sequence[str], records: Sequence[int] | None) -> Iterator[pa.RecordBatch]:
        self.columns, self.records = columns, records
        whole = pa.RecordBatch.from_arrays([*FACTS.columns, pa.array([5, 6, 7], pa.uint16())], schema=SCHEMA)
        yield whole.take(pa.array(range(3) if records is None else records, pa.int64())).select(columns)


@pytest.mark.parametrize(
    ("where", "records", "columns"),
    [
        ("cloud_cover < 2", [0], {"b1", "cloud_cover"}),
        ("cloud_cover = 2", [1], {"b1", "cloud_cover"}),
        ("cloud_cover IS NULL", [2], {"b1", "cloud_cover"}),
        ("cloud_cover IS NOT NULL", [0, 1], {"b1", "cloud_cover"}),
        ("record_id = 'a'", [0], {"b1", "record_id"}),
        ("record_id IN ('a', 'c')", [0, 2], {"b1", "record_id"}),
        ("datetime < '1970-01-01 00:00:00.000002+00'", [0], {"b1", "datetime"}),
        ("record_id = 'a' OR b1 = 6", [0, 1, 2], {"b1", "record_id"}),
        ("record_id = 'a' OR cloud_cover = 2", [0, 1], {"b1", "record_id", "cloud_cover"}),
        ("record_id = 'z'", [], {"b1", "record_id"}),
        ("b1 > 5", [0, 1, 2], {"b1"}),
    ],
)
def test_scans_ask_for_no_more_than_a_filter_needs(where: str, records: list[int], columns: set[str]) -> None:
    asked = Asked()
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("t", ServerTable("t", SCHEMA, FACTS, asked))
        found = connection.sql(f"SELECT b1 FROM t WHERE {where}").to_arrow_table()["b1"].to_pylist()
        assert asked.records == records
        assert set(asked.columns) == columns
        connection.register("whole", pa.Table.from_batches(list(Asked()("", SCHEMA.names, None))))
        assert found == connection.sql(f"SELECT b1 FROM whole WHERE {where}").to_arrow_table()["b1"].to_pylist()


CONDITIONS = st.recursive(
    st.sampled_from(
        [
            *(f"{column} {sign} {value}" for column, value in (("cloud_cover", "1.5"), ("b1", "6")) for sign in SIGNS),
            *(f"datetime {sign} TIMESTAMPTZ '1970-01-01 00:00:00.000002+00'" for sign in SIGNS),
            *(f"record_id {sign} 'b'" for sign in SIGNS),
            *(f"{name} IS {word}" for name in SCHEMA.names for word in ("NULL", "NOT NULL")),
            "record_id IN ('a', 'c')",
            "b1 IN (5, 7, 9)",
            "cloud_cover BETWEEN 1 AND 1.9",
            "record_id LIKE 'a%'",
            "b1 % 2 = 1",
        ]
    ),
    lambda parts: st.one_of(
        st.builds("({} AND {})".format, parts, parts),
        st.builds("({} OR {})".format, parts, parts),
        st.builds("(NOT {})".format, parts),
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def both() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with ``t``, which is scanned, and ``whole``: a table of DuckDB's own, so that it is not filtered by Arrow."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("t", ServerTable("t", SCHEMA, FACTS, Asked()))
        connection.register("arrow", pa.Table.from_batches(list(Asked()("", SCHEMA.names, None))))
        connection.execute("CREATE TABLE whole AS SELECT * FROM arrow")
        yield connection


@settings(max_examples=200, deadline=None)
@given(where=CONDITIONS)
def test_scans_give_what_the_whole_table_would(both: duckdb.DuckDBPyConnection, where: str) -> None:
    sql = "SELECT b1, record_id FROM {} WHERE " + where
    assert both.sql(sql.format("t")).fetchall() == both.sql(sql.format("whole")).fetchall()


def test_scans_without_columns_count_rows() -> None:
    with duckdb.connect() as connection:
        connection.register("t", ServerTable("t", SCHEMA, None, Asked()))
        assert connection.sql("SELECT count(*) FROM t").fetchall() == [(3,)]


def test_filters_that_say_nothing_of_records_leave_all() -> None:
    assert possible_records(FACTS, SCHEMA, pc.field("b1") > 3) == [0, 1, 2]
    assert possible_records(FACTS, SCHEMA, ~(pc.field("record_id") == "a")) == [1, 2]


def test_messages_stand_beside_others_of_the_same_names() -> None:
    """Two packages with the messages of Flight SQL in the default pool would clash; ours are in none of theirs."""
    code = """
from google.protobuf import descriptor_pb2, descriptor_pool
pool = descriptor_pool.Default()
for name in ("arrow/FlightSql.proto", "FlightSql.proto"):
    file = descriptor_pb2.FileDescriptorProto(name=name, package="arrow.flight.protocol.sql" if name[0] == "F" else "x", syntax="proto3")
    file.message_type.add(name="CommandStatementQuery").field.add(name="other", number=1, type=5, label=1)
    pool.Add(file)
from rasterflight_server.sql import messages
message = messages.make("CommandStatementQuery", query="SELECT 1")
assert messages.unpack(messages.pack(message)).query == "SELECT 1"
assert pool.FindMessageTypeByName("arrow.flight.protocol.sql.CommandStatementQuery").fields[0].name == "other"
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_commands_are_told_from_tickets() -> None:
    assert messages.is_sql(messages.pack(messages.make("CommandGetCatalogs")))
    for other in (None, b"", b'{"collection": "ny"}', b"\xff\xff", b"\x0a\x03abc"):
        assert not messages.is_sql(other)
    with pytest.raises(RequestError, match="damaged"):
        messages.read("SetSessionOptionsRequest", b"\xff")


def test_handles_hold_all_of_a_statement() -> None:
    assert unpack_handle(Handle("SELECT 1").pack()) == Handle("SELECT 1")
    values = pa.record_batch({"1": ["x"], "2": [[1.5]]})
    assert unpack_handle(Handle("SELECT ?, ?", values).pack()) == Handle("SELECT ?, ?", values)
    with pytest.raises(RequestError, match="none of a statement"):
        unpack_handle(Handle("SELECT 1").pack()[:-20])
    with pytest.raises(RequestError, match="more than") as caught:
        Handle("x" * (3 << 20)).pack()
    assert caught.value.code == ErrorCode.LIMIT_EXCEEDED


def test_batches_are_gathered_and_cut() -> None:
    schema = pa.schema({"a": pa.int64()})
    small = [pa.record_batch({"a": range(1000)})] * 1000
    found = list(sized(small, schema))
    assert sum(map(len, found)) == 1_000_000
    assert all(1 << 20 < one.nbytes <= 4 << 20 for one in found[:-1])
    large = [pa.record_batch({"a": np.arange(4 << 20)})]
    found = list(sized(large, schema))
    assert max(one.nbytes for one in found) <= 4 << 20
    assert pa.Table.from_batches(found).equals(pa.Table.from_batches(large))
    texts = pa.schema({"a": pa.utf8()})
    [one] = sized([pa.record_batch({"a": ["x" * (10 << 20)]})], texts)
    assert len(one) == 1
    with pytest.raises(RowTooLargeError):
        list(sized([pa.record_batch({"a": ["x" * (16 << 20)]})], texts))
    assert [len(one) for one in sized([pa.record_batch([], names=[])], pa.schema([]))] == [0]


def test_rows_that_may_be_large_are_taken_in_small_numbers() -> None:
    assert rows_at_once(pa.schema({"a": pa.list_(pa.uint16())})) == 16
    assert rows_at_once(pa.schema({"a": pa.utf8(), "b": pa.int64()})) == 2048
    assert rows_at_once(pa.schema({"a": pa.int64()})) == (2 << 20) // 8
    assert rows_at_once(pa.schema([])) > 2048


def test_functions_make_requests() -> None:
    made = make_request(
        "read_chips",
        {
            "collection": "s2",
            "bands": ["B04"],
            "geometries": ["POINT(0 0)", '{"type": "Point", "coordinates": [1, 2]}', [0, 0, 1, 1]],
            "crs": "EPSG:32631",
            "cloud_cover_lt": 20,
            "date_range": ["2024-01-01", None],
            "bbox": [0, 0, 1, 1],
            "resolution": 20,
            "resampling": "Average",
            "bounds": [0, 0, 100, 100],
            "masked": True,
            "scaled": True,
            "all_touched": None,
        },
        lambda _: [],
    )
    assert [shapely.from_wkb(wkb).geom_type for wkb in made.geometries.wkb.values] == ["Point", "Point", "Polygon"]
    assert made.geometries.crs == "EPSG:32631"
    assert made.filters[0].cloud_cover_lt == 20
    assert (made.filters[0].date_range.start, made.filters[0].date_range.end) == ("2024-01-01", "")
    assert made.filters[0].bbox.maxy == 1
    assert list(made.grid.resolution) == [20]
    assert made.grid.resampling == read_pb2.RESAMPLING_AVERAGE
    assert made.grid.bounds.maxx == 100
    assert made.grid.masked
    assert made.grid.values == read_pb2.VALUES_SCALED
    assert not made.grid.all_touched
    assert list(make_request("read_pixels", {"collection": "x"}, lambda _: ["a", "b"]).bands) == ["a", "b"]


@pytest.mark.parametrize(
    ("function", "given", "words"),
    [
        ("read_pixels", {"bands": 1}, "bands: '1' cannot be used"),
        ("read_pixels", {"bands": [1]}, "give a list of texts"),
        ("read_pixels", {"crs": 1, "geometry": "POINT(0 0)"}, "crs: '1'"),
        ("read_pixels", {"bbox": [1, 2]}, "give a list of 4 numbers"),
        ("read_pixels", {"bbox": ["a", 1, 2, 3]}, "give a list of 4 numbers"),
        ("read_pixels", {"date_range": "2024"}, "from and to"),
        ("read_pixels", {"all_touched": 1}, "true or false"),
        ("read_pixels", {"resampling": "best"}, "nearest, bilinear"),
        ("read_pixels", {"resolution": "x"}, "give a number"),
        ("read_pixels", {"geometries": "POINT(0 0)"}, "a list of geometries"),
        ("read_pixels", {"geometries": [[1, 2]]}, "is no geometry"),
        ("read_pixels", {"geometries": [], "geometry": "POINT(0 0)"}, "geometry is given too"),
        ("read_points", {"points": [[1]]}, "a list of points"),
        ("read_points", {"points": ["POINT"]}, "a list of points"),
        ("read_points", {"points": [[1, 2]], "match": "some"}, "'all' or 'latest'"),
    ],
)
def test_values_that_cannot_be_used_name_their_argument(function: str, given: dict, words: str) -> None:
    with pytest.raises(RequestError, match=function) as caught:
        make_request(function, {"collection": "x", "bands": ["a"], **given}, lambda _: [])
    assert words in str(caught.value)
    assert caught.value.field


def test_arguments_are_known_by_name() -> None:
    with pytest.raises(RequestError, match=r"did you mean 'bands'\?"):
        check_arguments("read_points", ["collection", "bnds"])
    with pytest.raises(RequestError, match="it has: collection, bands"):
        check_arguments("read_points", ["zzz"])
    with pytest.raises(RequestError, match="given twice"):
        check_arguments("read_points", ["bands", "bands"])


def test_errors_of_duckdb_are_told_without_what_is_about_the_server() -> None:
    message = 'Binder Error: no "x" in /srv/of/server\n\nLINE 1: SELECT x\n   ^'
    assert cleaned(message) == 'Binder Error: no "x" in ...'
    assert engine_error("OutOfMemoryException", "x", 1 << 20).code == ErrorCode.LIMIT_EXCEEDED
    assert engine_error("InternalException", "x", 1 << 20).code == ErrorCode.INTERNAL
    assert engine_error("BinderException", "x", 1 << 20).code == ErrorCode.BAD_REQUEST


def test_functions_of_duckdb_that_are_refused_or_let_in_exist() -> None:
    """What is refused is named as DuckDB names it, so that nothing is let in by another spelling."""
    with duckdb.connect() as connection:
        kinds = dict(connection.sql("SELECT function_name, function_type FROM duckdb_functions()").fetchall())
    # of other builds and versions
    assert {name for name in REFUSED_FUNCTIONS if name not in kinds} <= {"getenv"}
    assert {kinds[name] for name in TABLE_FUNCTIONS - {"unnest"}} <= {"table", "scalar"}


class _Collections:
    def __init__(self, **collections: object) -> None:
        self.collections = collections


def test_callers_see_tables_of_what_they_may_read(indexes) -> None:
    with opened(indexes["ny"]) as one, opened(indexes["mol"]) as other:
        reads = _Collections(ny=one.collection, mol=other.collection)
        everybody, somebody = Tables(reads, ANONYMOUS), Tables(reads, Caller("k", collections=frozenset(["ny"])))
        assert {table.name for table in everybody.listed()} >= {"ny", "mol"}
        assert "mol" not in {table.name for table in somebody.listed()}
        somebody.find(["ny"])
        for name in (["mol"], ["main", "mol"]):
            with pytest.raises(RequestError, match="there is no table") as caught:
                somebody.find(name)
            assert caught.value.code == ErrorCode.COLLECTION_NOT_FOUND
            assert "mol" not in caught.value.hint
        with pytest.raises(RequestError, match="there is no collection 'mol'"):
            somebody.bands("mol")
        for view in ("tables", "columns", "collections", "bands"):
            source = somebody.find(["information_schema", view])
            told = json.dumps([batch.to_pylist() for batch in source.batches(source.schema.names, None, lambda: None)])
            assert "ny" in told
            assert "mol" not in told
        listed = metadata("CommandGetTables", messages.make("CommandGetTables", include_schema=True), somebody)
        assert "mol" not in listed["table_name"].to_pylist()
