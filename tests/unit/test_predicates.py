"""Filters of Arrow and Polars: what is passed on to the server is true of every row that they are true of."""

import datetime as dt
import json
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rasterflight._arrowfilters import read_filter
from rasterflight._polarsfilters import read_predicate, without_dynamic
from rasterflight._predicates import (
    AllOf,
    AnyOf,
    Compare,
    IsIn,
    IsNull,
    Kind,
    Not,
    Property,
    Unknown,
    numbers_where,
    records_where,
)
from rasterflight_server.catalog.cql2_parse import MAX_OPERATIONS, parse
from support.cql2 import Row, matches

UTC = dt.UTC
DAY = dt.datetime(2024, 1, 1, tzinfo=UTC)
ROWS = [
    {"whole": whole, "number": number, "text": text, "time": time}
    for whole in (None, -1, 3, 7)
    for number in (None, float("nan"), -1.5, 3.0)
    for text in (None, "a", "ab", "é'\"")
    for time in (None, DAY, DAY + dt.timedelta(days=2, microseconds=1))
]
SCHEMA = pa.schema(
    [
        ("whole", pa.int32()),
        ("number", pa.float64()),
        ("text", pa.utf8()),
        ("time", pa.timestamp("us", "UTC")),
        # types that Substrait has no word for
        ("complex", pa.list_(pa.float32(), 2)),
        ("box", pa.struct([("low", pa.float64()), ("high", pa.float64())])),
        ("small", pa.uint8()),
        ("flag", pa.bool_()),
        ("day", pa.date32()),
    ]
)
TABLE = pa.Table.from_pylist(ROWS, SCHEMA)
FRAME = pl.DataFrame(TABLE.select(["whole", "number", "text", "time"]))
PROPERTIES = {(name,): Property(name, Kind.of(SCHEMA.field(name).type)) for name in ("whole", "number", "text", "time")}
VALUES = {
    "whole": st.integers(-2, 8),
    "number": st.sampled_from([-1.5, 0.0, 3.0, 3.5]),
    "text": st.sampled_from(["", "a", "ab", "b", "é'\""]),
    "time": st.sampled_from([DAY, DAY + dt.timedelta(days=1), DAY + dt.timedelta(days=2, microseconds=1)]),
}
COMPARISONS = ["lt", "le", "gt", "ge", "eq", "ne"]


class Arrow:
    """Expressions of pyarrow."""

    def column(self, name: str) -> Any:
        return pc.field(name)

    def value(self, name: str, value: Any) -> Any:
        return pa.scalar(value, SCHEMA.field(name).type)

    def is_in(self, name: str, values: list) -> Any:
        return pc.field(name).isin(pa.array(values, SCHEMA.field(name).type))

    def is_null(self, name: str) -> Any:
        return pc.field(name).is_null()

    def unknown(self) -> Any:
        return pc.field("whole") + 1 < 4

    def rows(self, expression: Any) -> set[int]:
        kept = TABLE.append_column("i", pa.array(range(len(ROWS)))).filter(expression)
        return set(kept["i"].to_pylist())

    def read(self, expression: Any) -> Any:
        return read_filter(expression, SCHEMA).predicate


class Polars:
    """Expressions of Polars."""

    def column(self, name: str) -> Any:
        return pl.col(name)

    def value(self, name: str, value: Any) -> Any:
        return pl.lit(value)

    def is_in(self, name: str, values: list) -> Any:
        return pl.col(name).is_in(values)

    def is_null(self, name: str) -> Any:
        return pl.col(name).is_null()

    def unknown(self) -> Any:
        return pl.col("whole") + 1 < 4

    def rows(self, expression: Any) -> set[int]:
        return set(FRAME.with_row_index("i").filter(expression)["i"].to_list())

    def read(self, expression: Any) -> Any:
        return read_predicate(expression)


@st.composite
def expressions(draw: st.DrawFn, language: Any, depth: int = 3) -> Any:
    kind = draw(st.sampled_from(["compare", "is_in", "is_null", "unknown"] + ["and", "or", "not"] * (depth > 0)))
    if kind in ("and", "or"):
        left, right = draw(expressions(language, depth - 1)), draw(expressions(language, depth - 1))
        return left & right if kind == "and" else left | right
    if kind == "not":
        return ~draw(expressions(language, depth - 1))
    name = draw(st.sampled_from(sorted(VALUES)))
    match kind:
        case "compare":
            value = language.value(name, draw(VALUES[name]))
            return getattr(language.column(name), f"__{draw(st.sampled_from(COMPARISONS))}__")(value)
        case "is_in":
            return language.is_in(name, draw(st.lists(VALUES[name], min_size=1, max_size=3)))
        case "is_null":
            return language.is_null(name)
    return language.unknown()


def row_of(values: dict[str, Any]) -> Row:
    """As the server sees it: NaN is no value, times have no zone."""
    known = {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in values.items()}
    return known | {"time": known["time"] and known["time"].replace(tzinfo=None)}


@pytest.mark.parametrize("language", [Arrow(), Polars()], ids=["arrow", "polars"])
def test_no_row_is_lost(language: Any) -> None:
    narrowed = 0

    @settings(max_examples=300, deadline=None)
    @given(expression=expressions(language))
    def check(expression: Any) -> None:
        nonlocal narrowed
        where = records_where(language.read(expression), PROPERTIES)
        if where is None:
            return
        tree = parse(where)
        kept = {i for i, row in enumerate(ROWS) if matches(tree, row_of(row)) is True}
        assert language.rows(expression) <= kept
        narrowed += len(kept) < len(ROWS)

    check()
    assert narrowed > 50


@pytest.mark.parametrize("language", [Arrow(), Polars()], ids=["arrow", "polars"])
def test_what_is_understood_is_passed_on_exactly(language: Any) -> None:
    column, value = language.column, language.value
    found = language.read((column("whole") < value("whole", 5)) & (column("text") == value("text", "a")))
    assert json.loads(records_where(found, PROPERTIES)) == {
        "op": "and",
        "args": [
            {"op": "<", "args": [{"property": "whole"}, 5]},
            {"op": "=", "args": [{"property": "text"}, "a"]},
        ],
    }
    found = language.read(language.unknown() & (column("time") >= value("time", DAY)))
    assert json.loads(records_where(found, PROPERTIES)) == {
        "op": ">=",
        "args": [{"property": "time"}, {"timestamp": "2024-01-01T00:00:00.000000Z"}],
    }
    assert records_where(language.read(language.unknown() | (column("whole") < value("whole", 5))), PROPERTIES) is None
    assert records_where(language.read(~language.unknown()), PROPERTIES) is None


FIELD = pc.field
ARROW = [
    (pc.scalar(3) < FIELD("whole"), Compare(("whole",), ">", 3), {"whole"}),
    (FIELD(("box", "high")) <= 4.0, Compare(("box", "high"), "<=", 4.0), {"box"}),
    (FIELD("small") == pa.scalar(0, pa.uint8()), Compare(("small",), "=", 0), {"small"}),
    (FIELD("whole") != pa.scalar(-3, pa.int32()), Compare(("whole",), "<>", -3), {"whole"}),
    (FIELD("day") < dt.date(2020, 1, 1), Compare(("day",), "<", dt.date(2020, 1, 1)), {"day"}),
    (FIELD("number").is_valid(), Not(IsNull(("number",))), {"number"}),
    # as DuckDB 2.0 writes IN
    (
        pc.if_else(FIELD("whole").is_valid(), FIELD("whole").isin([1, 2]), pa.scalar(None, pa.bool_())),
        IsIn(("whole",), (1, 2)),
        {"whole"},
    ),
    (FIELD("flag"), Unknown(), None),
    (FIELD("whole").isin([1, None]), Unknown(), None),
    ((FIELD("whole") < 3) & (FIELD("number") + 1.0 < 3.0), AllOf((Compare(("whole",), "<", 3), Unknown())), None),
    # a type that has no place in the message
    (FIELD("complex").is_null(), None, None),
]


@pytest.mark.parametrize(("expression", "predicate", "columns"), ARROW, ids=[str(case[0])[:40] for case in ARROW])
def test_arrow(expression: Any, predicate: Any, columns: Any) -> None:
    found = read_filter(expression, SCHEMA)
    if predicate is not None:
        assert found.predicate == predicate
        assert found.columns == columns


COLUMN = pl.col("whole")
POLARS = [
    (COLUMN.is_between(2, 4), AllOf((Compare(("whole",), ">=", 2), Compare(("whole",), "<=", 4)))),
    (COLUMN.is_between(2, 4, closed="left"), AllOf((Compare(("whole",), ">=", 2), Compare(("whole",), "<", 4)))),
    (5 > COLUMN, Compare(("whole",), "<", 5)),  # noqa: SIM300
    ((COLUMN < 3) | (COLUMN > 8), AnyOf((Compare(("whole",), "<", 3), Compare(("whole",), ">", 8)))),
    (COLUMN.is_not_null(), Not(IsNull(("whole",)))),
    # as DuckDB writes IN
    (pl.when(COLUMN.is_null()).then(None).otherwise(COLUMN.is_in(pl.Series([1, 2]))), IsIn(("whole",), (1, 2))),
    (COLUMN.is_in([1, None]), Unknown()),
    (COLUMN.eq_missing(4), Unknown()),
    (COLUMN.cast(pl.Float64) > 4, Unknown()),
    (pl.col("small") == COLUMN, Unknown()),
    (COLUMN.sum() > 4, Unknown()),
    (pl.lit(value=True), Unknown()),
]


@pytest.mark.parametrize(("expression", "predicate"), POLARS, ids=[str(case[0])[:40] for case in POLARS])
def test_polars(expression: pl.Expr, predicate: Any) -> None:
    assert read_predicate(expression) == predicate


def test_what_is_no_dynamic_predicate_stays() -> None:
    expression = (COLUMN < 3) & (pl.col("text") == "dynamic_pred")
    assert without_dynamic(expression).meta.eq(expression)


VALUES_THAT_DO_NOT_FIT = [
    ("whole", "text"), ("text", 3), ("whole", True), ("number", float("inf")), ("number", float("nan")),
    ("whole", 1 << 60), ("text", "a\x00b"), ("time", "2024-01-01"), ("whole", DAY), ("other", 1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), VALUES_THAT_DO_NOT_FIT)
def test_values_of_another_kind_are_not_passed_on(name: str, value: Any) -> None:
    assert records_where(Compare((name,), "=", value), PROPERTIES) is None


def test_what_is_too_much_for_a_request_is_not_passed_on() -> None:
    many = AnyOf(tuple(Compare(("whole",), "=", number) for number in range(MAX_OPERATIONS)))
    assert records_where(many, PROPERTIES) is None
    assert records_where(IsIn(("text",), tuple(f"{number:0100}" for number in range(10_000))), PROPERTIES) is None
    deep: Any = Compare(("whole",), "=", 1)
    for number in range(40):
        deep = (AllOf, AnyOf)[number % 2]((deep, Compare(("whole",), ">", number)))
    assert records_where(deep, PROPERTIES) is None


AREA = ("geometry_id",)
OTHER = Compare(("red",), ">", 3)
NUMBERS = [
    (Compare(AREA, ">", 3), [4, 5]),
    (IsIn(AREA, (2, 9)), [2]),
    (Not(IsIn(AREA, (2, 9))), [1, 3, 4, 5]),
    (AllOf((Compare(AREA, "<=", 3), Not(Compare(AREA, "=", 2)), OTHER)), [1, 3]),
    (AnyOf((Compare(AREA, "<=", 3), OTHER)), None),
    (Not(AnyOf((Compare(AREA, "<", 3), OTHER))), [3, 4, 5]),
    (Compare(AREA, ">", 5), []),
    (IsNull(AREA), None),
    (Compare(AREA, "=", "3"), None),
]


@pytest.mark.parametrize(("predicate", "numbers"), NUMBERS)
def test_areas(predicate: Any, numbers: Any) -> None:
    assert numbers_where(predicate, "geometry_id", 5) == numbers
