"""``where``: what it selects, against brute force and case by case; what it refuses; and that it runs no SQL."""

import json
import math
import re
from datetime import UTC, datetime
from typing import Any

import cql2
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
        "n": pick([-3, 0, 1, 2, 7, None, 2**53 + 1], i, 3),
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
    return where_condition(text, columns, Footprints(database), "filters[0].where")


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


@settings(max_examples=600, deadline=None)
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


@settings(max_examples=150, deadline=None)
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
