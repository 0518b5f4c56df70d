"""``where``: what it selects, against brute force and case by case; what it refuses; and that it runs no SQL."""

import json
import math
import re
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cql2
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from rasterflight_protocol import ErrorCode, records_schema
from rasterflight_server.catalog.cql2 import where_condition
from rasterflight_server.catalog.cql2_columns import Columns
from rasterflight_server.catalog.cql2_spatial import Footprints
from rasterflight_server.catalog.database import Database
from rasterflight_server.catalog.filters import Condition
from rasterflight_server.catalog.search import Search
from rasterflight_server.errors import RequestError
from support.cql2 import matches

PROPERTIES = [
    pa.field("eo:cloud_cover", pa.float64()),
    pa.field("n", pa.int64()),
    pa.field("m", pa.int32()),
    pa.field("split", pa.utf8()),
    pa.field("platform", pa.large_utf8()),
    pa.field("flag", pa.bool_()),
    pa.field("created", pa.utf8()),
    pa.field("ends", pa.timestamp("ms", "UTC")),
    pa.field("view", pa.struct([("azimuth", pa.float32()), ("deep", pa.struct([("name", pa.utf8())]))])),
    pa.field("doc", pa.utf8()),
    pa.field("tags", pa.list_(pa.utf8())),
    pa.field("codes", pa.list_(pa.int64())),
    pa.field("instruments", pa.utf8()),
    pa.field("a.b", pa.int64()),
    pa.field('odd " name', pa.int64()),
    pa.field("properties:id", pa.utf8()),
    pa.field("blob", pa.binary()),
]
NAMES = [field.name for field in PROPERTIES]
# Boxes that touch, overlap, hold one another; one on each side of the antimeridian; none.
SHAPES = [
    shapely.box(0, 0, 10, 10),
    shapely.box(10, 0, 20, 10),
    shapely.box(5, 5, 15, 15),
    shapely.box(1, 1, 2, 2),
    shapely.Polygon([(0, 0), (10, 0), (0, 10)]),
    shapely.box(175, 0, 180, 5),
    shapely.box(-180, 0, -175, 5),
    None,
]
TIMES = [
    "2024-01-01T00:00:00", "2024-01-01T12:30:00", "2024-01-01T23:59:59.999999", "2024-01-02T00:00:00",
    "2023-12-31T23:59:59.999999", "2024-02-29T06:00:00", None, "2024-01-31T10:00:00",
]  # fmt: skip


def pick(values: list[Any], i: int, step: int) -> Any:
    return values[(i * step + i // len(values)) % len(values)]


def record(i: int) -> dict[str, Any]:
    when = pick(TIMES, i, 1)
    ends = pick(TIMES, i, 3)
    footprint = pick(SHAPES, i, 1)
    bounds = None if footprint is None else dict(zip(("xmin", "ymin", "xmax", "ymax"), footprint.bounds, strict=True))
    azimuth = pick([1.5, None, 90.0], i, 1)
    return {
        "id": f"r{i:02}",
        "datetime": when and datetime.fromisoformat(when).replace(tzinfo=UTC),
        "geometry": footprint and shapely.to_wkb(footprint),
        "bbox": bounds,
        "crs": "EPSG:32631",
        "eo:cloud_cover": pick([0.0, 10.0, None, 99.5, math.nan], i, 2),
        "n": pick([-3, 0, 1, 2, 7, None, 10**15], i, 3),
        "m": pick([1, 2, None], i, 2),
        "split": pick(["train", "Test", "tést", "", "a%b", "a_b", "a\\b", None, "x'y"], i, 2),
        "platform": pick(["train", "s2", None], i, 1),
        "flag": pick([True, False, None], i, 1),
        "created": pick(["2024-01-01", "2024-01-01T00:30:00+01:00", "2024-01-02T00:00:00Z", "soon", None], i, 1),
        "ends": ends and datetime.fromisoformat(ends[:19]).replace(tzinfo=UTC),
        "view": pick([None, {"azimuth": azimuth, "deep": {"name": "x"}}, {"azimuth": azimuth, "deep": None}], i, 1),
        "doc": pick(['{"k": 1, "t": "x", "b": true, "l": ["p", 1]}', '{"k": "1", "a/b": {"~": 2.5}}', "[1]", "no", None], i, 1),
        "tags": pick([["a"], ["a", "b"], [], None, ["b", None]], i, 2),
        "codes": pick([[1, 2], [2, 1], [], None, [None]], i, 1),
        "instruments": pick(['["oli"]', '["oli", "tirs"]', "oli", '["oli", 1]', None], i, 1),
        "a.b": i,
        'odd " name': i,
        "properties:id": f"p{i}",
        "blob": b"x",
    }  # fmt: skip


RECORDS = [record(i) for i in range(40)]


def row(record: dict[str, Any]) -> dict[str, Any]:
    """A record as the brute force sees it."""
    shape = record["geometry"] and shapely.from_wkb(record["geometry"])
    naive = {name: record[name] and record[name].replace(tzinfo=None) for name in ("datetime", "ends")}
    azimuth = record["view"] and record["view"]["azimuth"]
    return {**record, **naive, "geometry": shape, "view.azimuth": azimuth}


ROWS = [row(record) for record in RECORDS]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    path = tmp_path_factory.mktemp("cql2") / "records.parquet"
    pq.write_table(pa.Table.from_pylist(RECORDS, records_schema(PROPERTIES)), path)
    return Database(path)


def compiled(database: Database, expression: str | dict[str, Any]) -> Condition:
    text = expression if isinstance(expression, str) else json.dumps(expression)
    columns = Columns(database.schema, database.documents)
    return where_condition(text, columns, Footprints(database, Search(database)), "filters[0].where")


def found(database: Database, expression: str | dict[str, Any]) -> list[str]:
    condition = compiled(database, expression)
    return database.query(f"SELECT id FROM records WHERE {condition.sql} ORDER BY id", condition.parameters)[
        "id"
    ].to_pylist()


def expected(tree: Any) -> list[str]:
    return [row["id"] for row in ROWS if matches(tree, row) is True]


def refused(database: Database, expression: str | dict[str, Any]) -> RequestError:
    with pytest.raises(RequestError) as caught:
        compiled(database, expression)
    assert (caught.value.code, caught.value.field) == (ErrorCode.BAD_REQUEST, "filters[0].where")
    return caught.value


def test_the_records_are_worth_testing(database: Database) -> None:
    assert database.documents == {"doc", "instruments"}
    assert len({json.dumps([record["n"], record["split"], record["flag"]]) for record in RECORDS}) > 30


# --- against brute force ---


def op(name: str, *args: Any) -> dict[str, Any]:
    return {"op": name, "args": list(args)}


def prop(*names: str) -> st.SearchStrategy[dict[str, str]]:
    return st.sampled_from(names).map(lambda name: {"property": name})


NUMBERS = st.recursive(
    prop("eo:cloud_cover", "n", "m", "view.azimuth") | st.sampled_from([-3.0, 0.0, 1.0, 1.5, 2.0, 10.0, 1e300]),
    lambda inner: st.builds(op, st.sampled_from(["+", "-", "*", "/", "%", "div", "^"]), inner, inner),
    max_leaves=4,
)
LITERAL_TEXTS = st.sampled_from(["train", "Test", "TEST", "tést", "", "a%b", "x'y", "s2", "'; DROP TABLE records; --"])
TEXTS = st.recursive(
    prop("split", "platform", "id") | LITERAL_TEXTS,
    lambda inner: st.builds(op, st.sampled_from(["casei", "accenti"]), inner),
    max_leaves=3,
)
PATTERNS = st.sampled_from(
    ["t%", "%t", "%", "", "a\\%b", "a_b", "a\\_b", "a\\\\b", "T_st", "_____", "%'%", "\\t%", "%_t%"]
)
MOMENTS = st.sampled_from(
    [{"timestamp": "2024-01-01T00:00:00Z"}, {"timestamp": "2024-01-01T12:30:00Z"}, {"date": "2024-01-01"}, {"date": "2024-01-31"}]
)  # fmt: skip
ISO = ["2023-12-31", "2024-01-01", "2024-01-01T12:30:00Z", "2024-02-29"]
INTERVALS = st.one_of(
    st.tuples(st.sampled_from(["..", *ISO[:3]]), st.sampled_from(["..", ISO[3]])),
    st.tuples(prop("datetime", "created"), prop("ends")),
    st.tuples(prop("datetime"), st.just("..")),
).map(lambda ends: {"interval": list(ends)})
COLUMNS_OF_TIME = prop("datetime", "ends", "created")
COMPARISON = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
RELATION = st.sampled_from(
    ["t_after", "t_before", "t_contains", "t_disjoint", "t_during", "t_finishedBy", "t_finishes", "t_intersects", "t_meets",
     "t_metBy", "t_overlappedBy", "t_overlaps", "t_startedBy", "t_starts", "t_equals"]
)  # fmt: skip
GEOMETRIES = st.one_of(
    st.sampled_from(SHAPES[:-1]).map(lambda shape: json.loads(shapely.to_geojson(shape))),
    st.sampled_from(
        [{"type": "Point", "coordinates": [5.0, 5.0]}, {"type": "LineString", "coordinates": [[-5.0, 5.0], [5.0, 5.0]]}]
    ),
    st.sampled_from(
        [(0.0, 0.0, 10.0, 10.0), (8.0, 8.0, 9.0, 9.0), (20.0, 0.0, 30.0, 1.0), (170.0, -5.0, -170.0, 5.0), (-180.0, -90.0, 180.0, 90.0)]
    ).map(lambda box: {"bbox": list(box)}),
)  # fmt: skip
LISTS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3)
ARRAY = st.sampled_from(["a_equals", "a_contains", "a_containedBy", "a_overlaps"])
PREDICATES = st.one_of(
    st.booleans(),
    st.builds(op, COMPARISON, NUMBERS, NUMBERS),
    st.builds(op, COMPARISON, TEXTS, TEXTS),
    st.builds(op, st.sampled_from(["=", "<>"]), prop("flag"), st.booleans() | prop("flag")),
    st.builds(op, COMPARISON, COLUMNS_OF_TIME, MOMENTS),
    st.builds(op, COMPARISON, MOMENTS, COLUMNS_OF_TIME),
    st.builds(op, COMPARISON, prop("datetime"), prop("ends", "created")),
    st.builds(op, st.just("between"), NUMBERS, NUMBERS, NUMBERS),
    st.builds(op, st.just("between"), prop("datetime"), MOMENTS, MOMENTS),
    st.builds(op, st.just("in"), NUMBERS, st.lists(NUMBERS, max_size=3)),
    st.builds(op, st.just("in"), TEXTS, st.lists(LITERAL_TEXTS, max_size=3)),
    st.builds(op, st.just("in"), TEXTS, st.lists(TEXTS, min_size=1, max_size=3)),
    st.builds(op, st.just("like"), TEXTS, PATTERNS),
    st.builds(op, st.just("isNull"), prop(*(name for name in NAMES if name not in {"view", "doc", "blob"}), "geometry")),
    st.builds(op, RELATION, COLUMNS_OF_TIME | INTERVALS, INTERVALS),
    st.builds(op, st.sampled_from(["t_after", "t_before", "t_intersects", "t_disjoint"]), COLUMNS_OF_TIME, MOMENTS),
    st.builds(op, ARRAY, prop("tags"), LISTS),
    st.builds(op, ARRAY, LISTS, prop("tags")),
    st.builds(
        op,
        st.sampled_from(["s_intersects", "s_disjoint", "s_equals", "s_touches", "s_crosses", "s_overlaps", "s_within", "s_contains"]),
        prop("geometry"),
        GEOMETRIES,
    ),
    st.builds(op, st.sampled_from(["s_within", "s_contains", "s_intersects"]), GEOMETRIES, prop("geometry")),
)  # fmt: skip
EXPRESSIONS = st.recursive(
    PREDICATES,
    lambda inner: st.builds(op, st.sampled_from(["and", "or"]), inner, inner) | st.builds(op, st.just("not"), inner),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(tree=EXPRESSIONS)
def test_equal_to_brute_force(database: Database, tree: Any) -> None:
    if isinstance(tree, bool):
        tree = op("or", tree, tree)
    condition = compiled(database, tree)
    assert found(database, tree) == expected(tree)
    # not one value of the expression is in the SQL
    assert re.sub(r"'[^']*'", "", condition.sql).count("?") == len(condition.parameters)
    for word in ("DROP", "train", "tést", "2024", "1.5", "300"):
        assert word not in condition.sql


@settings(max_examples=100, deadline=None)
@given(tree=EXPRESSIONS)
def test_text_means_the_same_as_json(database: Database, tree: Any) -> None:
    if isinstance(tree, bool):
        return
    text = cql2.parse_json(json.dumps(tree)).to_text()
    try:
        parsed = cql2.parse_text(text).to_json()
    except cql2.ParseError:
        return  # the package does not read all that it writes
    if parsed == tree:
        assert found(database, text) == expected(tree)


# --- case by case ---

ONE = {"op": "<=", "args": [{"property": "a.b"}, 5.0]}


@pytest.mark.parametrize(
    ("expression", "tree"),
    [
        ('"eo:cloud_cover" < 20', op("<", {"property": "eo:cloud_cover"}, 20.0)),
        ("eo:cloud_cover < 20", op("<", {"property": "eo:cloud_cover"}, 20.0)),
        ("properties.eo:cloud_cover < 20", op("<", {"property": "eo:cloud_cover"}, 20.0)),
        ("a.b <= 5", ONE),
        ('"a.b" <= 5', ONE),
        ('"odd "" name" <= 5', ONE),
        ("view.azimuth > 2", op(">", {"property": "view.azimuth"}, 2.0)),
        ("id = 'r03'", op("=", {"property": "id"}, "r03")),
        ("split = 'x''y'", op("=", {"property": "split"}, "x'y")),
        ("n BETWEEN 0 AND 2 AND NOT m = 1", op("and", op("between", {"property": "n"}, 0.0, 2.0), op("not", op("=", {"property": "m"}, 1.0)))),
        ("n NOT IN (1, 2)", op("not", op("in", {"property": "n"}, [1.0, 2.0]))),
        ("split NOT LIKE 't%' OR split IS NULL", op("or", op("not", op("like", {"property": "split"}, "t%")), op("isNull", {"property": "split"}))),
        ("CASEI(split) = casei('TRAIN')", op("=", op("casei", {"property": "split"}), "train")),
        ("ACCENTI(split) = 'test'", op("=", op("accenti", {"property": "split"}), "test")),
        ("flag", op("=", {"property": "flag"}, True)),
        ("NOT flag", op("=", {"property": "flag"}, False)),
        ("-n = 3", op("=", {"property": "n"}, -3.0)),
        ("(n = 1) IN (TRUE)", op("=", {"property": "n"}, 1.0)),
        ("(n = 1) = flag", op("=", op("=", {"property": "n"}, 1.0), {"property": "flag"})),
        ("n = m", op("=", {"property": "n"}, {"property": "m"})),
        ("datetime = '2024-01-01'", op("=", {"property": "datetime"}, {"date": "2024-01-01"})),
        ("datetime >= TIMESTAMP('2024-01-01T13:30:00+01:00')", op(">=", {"property": "datetime"}, {"timestamp": "2024-01-01T12:30:00Z"})),
        ("T_DURING(datetime, INTERVAL('2024-01-01', '..'))", op("t_during", {"property": "datetime"}, {"interval": ["2024-01-01", ".."]})),
        ("T_EQUALS(datetime, DATE('2024-01-01'))", op("=", {"property": "datetime"}, {"date": "2024-01-01"})),
        ("A_CONTAINS(tags, ('a', 'b'))", op("a_contains", {"property": "tags"}, ["a", "b"])),
        ("S_INTERSECTS(geometry, BBOX(170, 0, -170, 5))", op("s_intersects", {"property": "geometry"}, {"bbox": [170.0, 0.0, -170.0, 5.0]})),
        ("S_INTERSECTS(geometry, BBOX(170, 0, -9, -170, 5, 9))", op("s_intersects", {"property": "geometry"}, {"bbox": [170.0, 0.0, -170.0, 5.0]})),
        ("S_WITHIN(POINT(1 1), geometry)", op("s_contains", {"property": "geometry"}, {"type": "Point", "coordinates": [1.0, 1.0]})),
        ("S_INTERSECTS(geometry, POINT Z(1 1 5))", op("s_intersects", {"property": "geometry"}, {"type": "Point", "coordinates": [1.0, 1.0]})),
        ("S_CONTAINS(geometry, BBOX(1, 1, 1, 1))", op("s_contains", {"property": "geometry"}, {"type": "Point", "coordinates": [1.0, 1.0]})),
    ],
)  # fmt: skip
def test_text(database: Database, expression: str, tree: Any) -> None:
    assert found(database, expression) == expected(tree)
    assert 0 < len(found(database, expression)) < len(RECORDS)


def ids(*wanted: bool) -> list[str]:
    return [record["id"] for record, want in zip(RECORDS, wanted, strict=True) if want]


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("bbox.xmin >= 10", lambda r: r["bbox"] and r["bbox"]["xmin"] >= 10),
        ("view.deep.name = 'x'", lambda r: r["view"] and r["view"]["deep"]),
        ("properties.id = 'p7'", lambda r: r["properties:id"] == "p7"),
        ("doc.k = 1", lambda r: '"k": 1' in (r["doc"] or "")),
        ("doc.k = '1'", lambda r: '"k": "1"' in (r["doc"] or "")),
        ("doc.k + 1 = 2", lambda r: '"k": 1' in (r["doc"] or "")),
        ("doc.k < m + 1", lambda r: '"k": 1' in (r["doc"] or "") and r["m"]),
        ("doc.b", lambda r: '"k": 1' in (r["doc"] or "")),
        ("doc.t LIKE '_'", lambda r: '"k": 1' in (r["doc"] or "")),
        ('"doc.a/b.~" > 2', lambda r: "2.5" in (r["doc"] or "")),
        ("doc.nothing = 1", lambda r: False),
        ("doc.k IS NOT NULL", lambda r: "k" in (r["doc"] or "")),
        ("A_CONTAINS(doc.l, ('p'))", lambda r: '"p"' in (r["doc"] or "")),
        ("A_CONTAINEDBY(doc.l, ('p'))", lambda r: False),
        ("A_CONTAINS(instruments, ('oli'))", lambda r: "[" in (r["instruments"] or "")),
        ("A_EQUALS(instruments, ('oli', 'tirs'))", lambda r: "tirs" in (r["instruments"] or "")),
        ("A_CONTAINEDBY(('oli', 'tirs'), instruments)", lambda r: "tirs" in (r["instruments"] or "")),
        ("A_CONTAINS(instruments, (1))", lambda r: "1" in (r["instruments"] or "")),
        ("instruments = 'oli'", lambda r: r["instruments"] == "oli"),
        ("A_EQUALS(codes, (2, 1))", lambda r: r["codes"] == [2, 1]),
        ("A_OVERLAPS(codes, (2, 9))", lambda r: r["codes"] and 2 in r["codes"]),
        ("A_EQUALS(codes, codes)", lambda r: r["codes"] is not None and None not in r["codes"]),
        ("datetime IN ('2024-01-02', TIMESTAMP('2024-01-01T12:30:00Z'))", lambda r: (r["datetime"] or "") and r["datetime"].isoformat()[:19] in {"2024-01-02T00:00:00", "2024-01-01T12:30:00"}),
        ("created = '2024-01-01'", lambda r: r["created"] == "2024-01-01"),
        ("created = TIMESTAMP('2023-12-31T23:30:00Z')", lambda r: r["created"] == "2024-01-01T00:30:00+01:00"),
        ("created IS NOT NULL AND NOT created > TIMESTAMP('2020-01-01T00:00:00Z')", lambda r: False),
        ("n < 1e30", lambda r: r["n"] is not None),
        ("n IS NULL", lambda r: r["n"] is None),
        ('"eo:cloud_cover" IS NULL', lambda r: r["eo:cloud_cover"] is None or math.isnan(r["eo:cloud_cover"])),
        ("geometry IS NULL", lambda r: r["geometry"] is None),
        ("NOT S_INTERSECTS(geometry, BBOX(0, 0, 9, 9)) OR n = 1", lambda r: r["n"] == 1 or (r["bbox"] and (r["bbox"]["xmin"] < -9 or r["bbox"]["xmin"] > 9))),
        ("n / 0 = 1 OR n % 0 = 1 OR n DIV 0 = 1", lambda r: False),
        ("NOT (n / 0 = 1)", lambda r: False),
        ("1 = 1", lambda r: True),
        ("FALSE", lambda r: False),
    ],
)  # fmt: skip
def test_columns_of_every_kind(database: Database, expression: str, holds: Any) -> None:
    assert found(database, expression) == ids(*(bool(holds(record)) for record in RECORDS))


def test_json_is_told_by_its_brace(database: Database) -> None:
    assert found(database, " \n" + json.dumps(ONE)) == expected(ONE)


def test_an_empty_list(database: Database) -> None:
    assert found(database, op("in", {"property": "n"}, [])) == []
    assert found(database, op("a_overlaps", {"property": "tags"}, [])) == []
    assert found(database, op("a_contains", {"property": "codes"}, [])) == expected(
        op("a_contains", {"property": "codes"}, [])
    )


def test_long_lists(database: Database) -> None:
    texts = ", ".join(f"'x{i}'" for i in range(50_000))
    assert found(database, f"id IN ({texts}, 'r07')") == ["r07"]
    assert found(database, f"n IN ({','.join(map(str, range(100_000)))})") == expected(
        op("in", {"property": "n"}, [0.0, 1.0, 2.0, 7.0])
    )


# --- what is refused ---

COLUMNS = f"columns: id, datetime, geometry, crs, {', '.join(NAMES)}"


@pytest.mark.parametrize(
    ("expression", "message", "hint"),
    [
        ("n = 1 AND", "the expression is not CQL2 text: at character 10, it ends too early", "texts stand in single quotes"),
        ("n = 1\nAND n == 2", "the expression is not CQL2 text: at line 2, character 8, found '= 2'", ""),
        ("n = 'x", 'the expression is not CQL2 text: at character 5, found "\'x"', ""),
        ("{}", "the expression is not CQL2 JSON", ""),
        ('{"op": "="', "the expression is not CQL2 JSON: EOF while parsing an object at line 1 column 10", ""),
        ("S_INTERSECTS(geometry, POINT EMPTY)", "the expression is not CQL2 text: A position must contain two or more elements, but got `0`", ""),
        ("cloud_cover < 20", "the collection has no column 'cloud_cover'", f"did you mean 'eo:cloud_cover'? {COLUMNS}"),
        ("SPLIT = 'x'", "the collection has no column 'SPLIT'", f"did you mean 'split'? {COLUMNS}"),
        ("view.azimut = 1", "the collection has no column 'view.azimut'", "did you mean 'view.azimuth'"),
        ("split.x = 1", "the collection has no column 'split.x'", "did you mean 'split'"),
        ("bbox.foo = 1", "the collection has no column 'bbox.foo'", ""),
        ("properties.zzzz = 1", "the collection has no column 'properties.zzzz'", COLUMNS),
        ('"rasterflight:row" = 1', "the collection has no column 'rasterflight:row'", COLUMNS),
        ("bbox = 1", "column 'bbox' is a struct", "name one of its members, such as bbox.xmin"),
        ("view = 1", "column 'view' has the type struct<azimuth: float, deep: struct<name: string>>, which expressions cannot use", ""),
        ("blob = 'x'", "column 'blob' has the type binary, which expressions cannot use", ""),
        ("split < 3", "column 'split' is text and 3 is a number: they cannot be compared", "texts stand in single quotes, numbers and true or false do not"),
        ("n = '3'", "column 'n' is a number and '3' is text: they cannot be compared", ""),
        ("n = 1.5 OR flag = 1", "column 'flag' is true or false and 1 is a number: they cannot be compared", ""),
        ("flag > FALSE", "column 'flag' is true or false, which has no order", ""),
        ("n", "column 'n' is a number, not a condition", "compare it with something"),
        ("3", "3 is a number, not a condition", ""),
        ("n = NULL", "NULL cannot be compared", "ask with IS NULL or IS NOT NULL"),
        ("n + split = 1", "the operator + takes numbers, but column 'split' is text", ""),
        ("n LIKE 'x'", "LIKE takes texts, but column 'n' is a number", ""),
        ("split LIKE platform", "the pattern of LIKE is not a text in single quotes", ""),
        ("split LIKE 'a\\'", "the pattern of LIKE ends in a backslash that escapes nothing", "a backslash itself is written twice"),
        ("split LIKE CASEI('a\\')", "the pattern of LIKE ends in a backslash that escapes nothing", ""),
        ("CASEI(n) = 'x'", "CASEI takes texts, but column 'n' is a number", ""),
        ("n = 1e400", "a number in the expression is too large", ""),
        ("n IN (1, 1e400)", "a number in the expression is too large", ""),
        ("n = 9007199254740993", "a number near 9.0072e+15 is not told from its neighbours", "whole numbers are exact up to 2^53 - 1"),
        ("n IN (9007199254740993)", "a number near 9.0072e+15 is not told from its neighbours", ""),
        ("(n = 1) IN (TRUE, flag)", "IN takes texts, numbers or times, and compares nothing true or false with what is computed", ""),
        ("n IN (1, 'x')", "column 'n' is a number and 'x' is text: they cannot be compared", ""),
        ("n IN ('x')", "column 'n' is a number and 'x' is text: they cannot be compared", ""),
        (f"n IN (m{', 1' * 1000})", "the list of IN has 1001 members that have to be compared one by one, the limit is 1000", ""),
        ("datetime = 3", "3 is a number, not a time", ""),
        ("datetime = 'soon'", "'soon' is not a date", "write it like 2024-01-31 or 2024-01-31T10:30:00Z"),
        ("datetime > DATE('2024-02-30')", "DATE('2024-02-30') is not a date", "write it like DATE('2024-01-31')"),
        ("datetime > TIMESTAMP('2024-02-30T00:00:00Z')", "'2024-02-30T00:00:00Z' is not a date", ""),
        ("DATE('2024-01-01') < DATE('2024-01-02')", "2024-01-01 and 2024-01-02 are both fixed", "compare a time with a column"),
        ("datetime = INTERVAL('2024-01-01', '..')", "an INTERVAL stands here where a single value belongs", "use it with T_DURING and its kin"),
        ("T_DURING(datetime, INTERVAL('2024-02-01', '2024-01-01'))", "the INTERVAL is inverted: 2024-02-01 is after 2024-01-01", ""),
        ("T_DURING(datetime, INTERVAL('x', '..'))", "'x' is not a date", ""),
        ("T_DURING(n, INTERVAL('..', '..'))", "column 'n' is a number, not a time", ""),
        ("A_CONTAINS(split, ('x'))", "A_CONTAINS takes lists, but column 'split' is text", ""),
        ("A_CONTAINS(codes, ('x'))", "the list holds texts, and is compared with numbers", ""),
        ("A_CONTAINS(tags, ('x', 1))", "the members of a list are of different kinds", ""),
        ("A_CONTAINS(tags, ('x', split))", "a list holds texts, numbers, or true and false, nothing computed", ""),
        ("A_CONTAINS(doc.l, instruments)", "A_CONTAINS takes a list, but column 'doc.l' and column 'instruments' hold none of a known kind", ""),
        ("tags = tags", "column 'tags' is a list, which = does not compare", "use A_EQUALS and its kin"),
        ("tags = ('a', 'b')", "a list stands here where a single value belongs", "ask with IN, or with A_CONTAINS and its kin"),
        ("geometry = geometry", "column 'geometry' is a footprint, which = does not compare", "use S_INTERSECTS and its kin"),
        ("geometry = POINT(1 2)", "a geometry stands here where a single value belongs", "use it with S_INTERSECTS and its kin"),
        ("S_INTERSECTS(geometry, geometry)", "S_INTERSECTS takes the column geometry and one geometry", "S_INTERSECTS(geometry, BBOX(5, 51, 6, 52))"),
        ("S_WITHIN(POINT(1 2), POINT(1 2))", "S_WITHIN takes the column geometry and one geometry", ""),
        ("S_INTERSECTS(split, POINT(1 2))", "S_INTERSECTS takes a footprint, but column 'split' is text", "the footprints are in the column geometry"),
        ("S_INTERSECTS(geometry, POLYGON EMPTY)", "the geometry in the expression is empty", ""),
        ("S_INTERSECTS(geometry, POLYGON((0 0, 1 1, 1 0, 0 1, 0 0)))", "the geometry in the expression is not valid: Self-intersection[0.5 0.5]", "mend it first, as with make_valid"),
        ("S_INTERSECTS(geometry, POLYGON((0 0, 1 1)))", "the Polygon in the expression is not a geometry", ""),
        ("S_INTERSECTS(geometry, BBOX(1, 2, 3))", "a BBOX has four numbers, or six with heights", ""),
        ("S_INTERSECTS(geometry, BBOX(0, 5, 1, 4))", "the BBOX is inverted: miny 5 is greater than maxy 4", ""),
        ("S_INTERSECTS(geometry, BBOX(190, 0, 10, 4))", "the BBOX is inverted: minx 190 is greater than maxx 10", ""),
        (" OR ".join(["S_INTERSECTS(geometry, POINT(1 2))"] * 33), "the expression has more than 32 spatial operators", "put the geometries together into one"),
        ("S_DWITHIN(geometry, POINT(1 2), 3)", "there is no operator or function 'S_DWITHIN'", "there are: and, or, not, =, <>, <, <=, >, >=, between, in, like"),
        ("UPPER(split) = 'X'", "there is no operator or function 'UPPER'", ""),
        ("read_csv('/etc/passwd')", "there is no operator or function 'read_csv'", ""),
        ("doc.k = doc.t", "column 'doc.k' and column 'doc.t' are inside JSON, so what they are is not known", "compare each with a literal"),
    ],
)  # fmt: skip
def test_what_cannot_be_used(database: Database, expression: str, message: str, hint: str) -> None:
    error = refused(database, expression)
    assert error.message == message
    assert hint in error.hint


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (op("and", True), "AND takes two or more arguments, got 1"),
        (op("=", 1, 2, 3), "= takes 2 arguments, got 3"),
        (op("not", True, False), "NOT takes 1 arguments, got 2"),
        (op("in", {"property": "n"}, 3), "IN takes a list"),
        (op("t_during", {"property": "datetime"}, {"interval": ["2024-01-01"]}), "an INTERVAL has a start and an end"),
        (
            op("s_intersects", {"property": "geometry"}, {"bbox": [1, 2, 3]}),
            "a BBOX has four numbers, or six with heights",
        ),
        (op("s_intersects", {"property": "geometry"}, {"bbox": [1, 2, 3, "x"]}), "a BBOX holds numbers"),
        (op("=", {"property": "datetime"}, {"date": 3}), "the expression has a part that is not CQL2"),
        (op("drop table records", 1), "there is no operator or function 'drop table records'"),
    ],
)
def test_json_that_cannot_be_used(database: Database, tree: Any, message: str) -> None:
    assert refused(database, tree).message == message


def test_whatever_the_package_does_not_validate_is_refused(database: Database) -> None:
    """``Expr.validate`` is too slow to be asked in the server; here it is the judge."""
    wrong = [
        "n = NULL", "n", "3", "'x'", "split LIKE platform", "tags = (1, 2)", "n + 1", "-- n", "a = 'x' -- comment",
        "datetime = DATE('nonsense')", "T_DURING(datetime, INTERVAL('2020', '..'))", "n < m < a.b", "NULL IS NULL",
        "S_INTERSECTS(geometry, POLYGON((0 0, 1 1)))", "POINT(1 2) = POINT(1 2)", "datetime = DATE(created)",
        '{"op": "=", "args": []}', '{"op": "and", "args": [true]}', '{"op": "+", "args": [1, 2, 3]}', '{"op": "not", "args": [true, true]}',
        '{"op": "like", "args": [{"property": "split"}, 1]}', '{"op": "<", "args": [{"property": "n"}, null]}',
    ]  # fmt: skip
    for expression in wrong:
        parsed = cql2.parse_json(expression) if expression.startswith("{") else cql2.parse_text(expression)
        with pytest.raises(cql2.ValidationError):
            parsed.validate()
        refused(database, expression)


# --- hostile input ---

DEEP = {
    "parentheses": "(" * 60 + "n = 1" + ")" * 60,
    "parentheses that are not closed": "(" * 40 + "n = 1",
    "a long inside of parentheses": "((((((((" + "n = 1 OR " * 30_000 + "n = 1))))))))",
    "brackets without end": "(" * 500_000,
    "minus": "n = " + "-" * 100_000 + "1",
    "plus": "n = " + "+".join(["1"] * 100_000),
    "plus around quotes": "n = " + "+', or'+".join(["1"] * 100_000),
    "not": "NOT " * 100_000 + "flag",
    "or": "flag OR " * 100_000 + "flag",
    "and, or": "flag AND flag OR " * 50_000 + "flag",
    "less": "n < " * 100_000 + "1",
    "in": "n " + "IN (1) " * 100_000,
    "functions": "casei(" * 100_000 + "split" + ")" * 100_000,
    "between": "n BETWEEN (1) AND (" * 40 + "1",
    "not (": "NOT (" * 40 + "flag",
}


@pytest.mark.parametrize("name", DEEP)
def test_too_deep_text_does_not_reach_the_parser(database: Database, name: str) -> None:
    error = refused(database, DEEP[name])
    assert error.message == "the expression is nested too deeply, or too long for its nesting"
    assert "leave out parentheses that are not needed" in error.hint


def test_as_deep_as_it_may_be(database: Database) -> None:
    """At the limit, parser, compiler and database still answer, on a small stack."""
    for expression in (
        "n = " + "-" * 98 + "1",
        "n = 0+" + "+".join(["1"] * 97) + "-96",
        "(" * 14 + "n = 1" + ")" * 14,
        " OR ".join(["n = 1"] * 390),
        "NOT " * 98 + "n = 1",
    ):
        assert found(database, expression) == expected(op("=", {"property": "n"}, 1.0))
    nested, quotient, chosen = (
        op("=", {"property": "n"}, 1.0),
        op("/", {"property": "n"}, 1.0),
        op("=", {"property": "n"}, 1.0),
    )
    for _ in range(56):
        nested, quotient = op("not", nested), op("/", 1.0, quotient)
    for _ in range(28):
        chosen = op("in", chosen, [True])
    for tree in (nested, op("=", quotient, 1.0), chosen):
        assert found(database, tree) == expected(op("=", {"property": "n"}, 1.0))
    code = """
import sys, threading
from rasterflight_server.catalog.cql2_parse import _measure
import cql2
def read():
    for text in ("n = " + "-" * 98 + "1", "casei(" * 49 + "n" + ")" * 49, "(" * 14 + "n" + ")" * 14, "a OR b AND " * 199 + "c"):
        _measure(text)
        cql2.parse_text(text).to_json()
threading.stack_size(1 << 20)
thread = threading.Thread(target=read)
thread.start()
thread.join()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_too_deep_json(database: Database) -> None:
    text = '{"op":"not","args":[' * 100_000 + "true" + "]}" * 100_000
    assert refused(database, text[: 1 << 20]).message == (
        "the expression is not CQL2 JSON: recursion limit exceeded at line 1 column 1280"
    )


def test_too_much(database: Database) -> None:
    assert refused(database, "n = 1 OR " * 200_000).message == (
        "the expression has 1800000 characters, the limit is 1048576"
    )
    many = op("or", *[op("=", {"property": "n"}, 1.0)] * 1000)
    error = refused(database, many)
    assert error.message == "the expression has 1001 operations, the limit is 1000"
    assert error.hint == "ask for one of many values with IN"


EVIL = [
    "'; DROP TABLE records; --",
    "x' OR '1'='1",
    '" OR 1=1 --',
    "1); DELETE FROM records; --",
    "/* */ UNION SELECT * FROM duckdb_settings()",
    "\x00",
    "a\x00b",
    "?",
    "$1",
    "{0}",
    "%s",
    "\\",
    "\\'",
    "''",
    "\u2019; DROP TABLE records",
    "read_csv('/etc/passwd')",
    "ATTACH '/tmp/x.db'",
    "\n;\n",
]


@pytest.mark.parametrize("evil", EVIL)
def test_no_way_to_sql(database: Database, evil: str) -> None:
    before = database.query("SELECT count(*), sum(hash(records)) FROM records").to_pylist()
    quote, name = evil.replace("'", "''"), evil.replace('"', '""')
    harmless: list[str | dict[str, Any]] = [
        op("=", {"property": "split"}, evil),
        op("in", {"property": "split"}, [evil, "x"]),
        op("like", {"property": "split"}, evil.replace("\\", "\\\\")),
        op("=", op("casei", {"property": "split"}), op("casei", [evil][0])),
        op("a_contains", {"property": "tags"}, [evil]),
        op("=", {"property": f"doc.{evil}"}, 1),
        op("=", {"property": f"doc.{evil}"}, evil),
        f"split = '{quote}' OR platform = '{quote}'",
    ]
    for expression in harmless:
        condition = compiled(database, expression)
        if len(evil) > 2:
            assert evil not in condition.sql
        assert found(database, expression) == []
    refusals: list[str | dict[str, Any]] = [
        op("=", {"property": evil}, 1),
        op("=", {"property": f"view.{evil}"}, 1),
        op("=", {"property": "datetime"}, evil),
        op("=", {"property": "datetime"}, {"timestamp": evil}),
        op("t_during", {"property": "datetime"}, {"interval": [evil, ".."]}),
        op(evil, {"property": "n"}, 1),
        {"op": "=", evil: "x", "args": [{"property": evil}, 1]},
        op("s_intersects", {"property": "geometry"}, {"type": evil, "coordinates": [1, 2]}),
        f'"{name}" = 1',
        f"n = 1 {evil}",
        f"n = 1; {evil}",
        evil,
    ]
    for expression in refusals:
        refused(database, expression)
    assert database.query("SELECT count(*), sum(hash(records)) FROM records").to_pylist() == before
    assert database.query("SHOW TABLES").to_pylist() == [{"name": "records"}]


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=60) | st.text("()'\"=<>nANDORnotinlike,+-*/ 19.;{}[]:\\%_", max_size=60))
def test_noise_is_an_answer_or_a_refusal(database: Database, text: str) -> None:
    with suppress(RequestError):
        condition = compiled(database, text)
        database.query(f"SELECT id FROM records WHERE {condition.sql}", condition.parameters)


def test_footprints_that_are_not_valid(tmp_path: Path) -> None:
    bow = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10), (0, 0)])
    one = {**RECORDS[0], "geometry": shapely.to_wkb(bow)}
    pq.write_table(pa.Table.from_pylist([one], records_schema(PROPERTIES)), tmp_path / "records.parquet")
    database = Database(tmp_path / "records.parquet")
    for op_, box, matches_ in [
        ("INTERSECTS", "1, 4, 2, 6", True),
        ("INTERSECTS", "4, 0, 6, 1", False),
        ("WITHIN", "-1, -1, 11, 11", True),
    ]:
        assert found(database, f"S_{op_}(geometry, BBOX({box}))") == (["r00"] if matches_ else [])


def test_a_collection_without_records(tmp_path: Path) -> None:
    pq.write_table(records_schema(PROPERTIES).empty_table(), tmp_path / "records.parquet")
    database = Database(tmp_path / "records.parquet")
    assert found(database, "S_INTERSECTS(geometry, BBOX(0, 0, 1, 1)) OR A_CONTAINS(tags, ('a'))") == []


def test_duckdb_is_what_the_compiler_takes_it_for() -> None:
    """Facts that the SQL is built on."""
    ask = duckdb.connect().execute
    assert ask("SELECT nullif(CAST(? AS DOUBLE), 'NaN'::DOUBLE)", [math.nan]).fetchone() == (None,)
    assert ask("SELECT CASE WHEN NULL THEN 1 END, NOT (NULL IN (SELECT 1))").fetchone() == (None, None)
    assert ask("SELECT get_bit('0100'::BIT, 1)").fetchone() == (1,)
