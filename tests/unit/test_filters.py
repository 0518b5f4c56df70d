import math
from datetime import datetime

import pyarrow as pa
import pytest

from rasterflight_protocol import ErrorCode, records_schema
from rasterflight_protocol.v1.read_pb2 import BBox, DateRange, Filter
from rasterflight_server.catalog.filters import (
    CloudCoverBelow,
    Condition,
    Dates,
    Narrowing,
    Near,
    narrowings,
    split_condition,
)
from rasterflight_server.errors import RequestError

SCHEMA = records_schema(
    [
        pa.field("eo:cloud_cover", pa.float64()),
        pa.field("split", pa.utf8()),
        pa.field('odd " name', pa.int64()),
    ]
)


def narrowed(*filters: Filter) -> list[Narrowing]:
    return narrowings(filters, SCHEMA)


def check(item: Filter, schema: pa.Schema) -> None:
    narrowings([Filter(), item], schema)
    split_condition(item, schema, "filters[1]")


def refused(item: Filter, schema: pa.Schema = SCHEMA) -> RequestError:
    with pytest.raises(RequestError) as caught:
        check(item, schema)
    assert caught.value.code is ErrorCode.BAD_REQUEST
    return caught.value


def test_nothing_asked() -> None:
    assert narrowings([], SCHEMA) == []
    assert narrowings([Filter(), Filter(date_range=DateRange())], SCHEMA) == []
    assert split_condition(Filter(), SCHEMA, "filters[1]") is None


def test_values_are_bound_and_never_in_the_sql() -> None:
    evil = "'; DROP TABLE records; --"
    found = split_condition(Filter(split=[evil]), SCHEMA, "filters[1]")
    assert found is not None
    assert found.parameters == ([evil],)
    assert evil not in found.sql


def test_column_names_are_quoted() -> None:
    found = split_condition(Filter(split=["1"], split_column='odd " name'), SCHEMA, "filters[1]")
    assert found == Condition('CAST("odd "" name" AS VARCHAR) IN (SELECT unnest(?::VARCHAR[]))', (["1"],))


class TestCloudCover:
    @pytest.mark.parametrize("limit", [0, 20.5, 100])
    def test_in_range(self, limit: float) -> None:
        assert narrowed(Filter(cloud_cover_lt=limit)) == [CloudCoverBelow(limit)]

    @pytest.mark.parametrize("limit", [-0.1, 100.1, math.nan, math.inf])
    def test_out_of_range(self, limit: float) -> None:
        error = refused(Filter(cloud_cover_lt=limit))
        assert error.field == "filters[1].cloud_cover_lt"
        assert error.message == f"cloud cover is between 0 and 100 percent, got {limit:g}"

    @pytest.mark.parametrize("column", [[], [pa.field("eo:cloud_cover", pa.utf8())]])
    def test_no_such_column(self, column: list[pa.Field]) -> None:
        error = refused(Filter(cloud_cover_lt=20), records_schema(column))
        assert error.field == "filters[1].cloud_cover_lt"
        assert error.message == "the collection has no column 'eo:cloud_cover' with numbers"


class TestDates:
    @pytest.mark.parametrize(
        ("start", "end", "expected"),
        [
            ("2024-01-02", "2024-01-02", Dates(datetime(2024, 1, 2), datetime(2024, 1, 2, 23, 59, 59, 999_999))),  # noqa: DTZ001
            ("2024-01-02", "", Dates(datetime(2024, 1, 2), None)),  # noqa: DTZ001
            ("", "20240102", Dates(None, datetime(2024, 1, 2, 23, 59, 59, 999_999))),  # noqa: DTZ001
            ("2024-01-02T03:04:05Z", "", Dates(datetime(2024, 1, 2, 3, 4, 5), None)),  # noqa: DTZ001
            ("2024-01-02T03:04:05", "", Dates(datetime(2024, 1, 2, 3, 4, 5), None)),  # noqa: DTZ001
            ("2024-01-02T03:04:05+02:00", "", Dates(datetime(2024, 1, 2, 1, 4, 5), None)),  # noqa: DTZ001
            ("", "9999-12-31", Dates(None, datetime(9999, 12, 31, 23, 59, 59, 999_999))),  # noqa: DTZ001
        ],
    )
    def test_both_ends_belong_to_it(self, start: str, end: str, expected: Dates) -> None:
        assert narrowed(Filter(date_range=DateRange(start=start, end=end))) == [expected]

    @pytest.mark.parametrize(
        "text", ["yesterday", "2024-13-01", "2024-01", "2024-01-02T25:00", "0001-01-01T00:00+23:00", "x" * 999]
    )
    @pytest.mark.parametrize("end", ["start", "end"])
    def test_unparsable(self, text: str, end: str) -> None:
        error = refused(Filter(date_range=DateRange(**{end: text})))
        assert error.field == f"filters[1].date_range.{end}"
        assert error.message == f"{text[:50]!r} is not a date"
        assert error.hint == "write it like 2024-01-31 or 2024-01-31T10:30:00Z"

    def test_inverted(self) -> None:
        error = refused(Filter(date_range=DateRange(start="2024-02-01", end="2024-01-31")))
        assert error.field == "filters[1].date_range"
        assert error.message == "the date range is inverted: 2024-02-01 is after 2024-01-31"


class TestBBox:
    def test_bounds(self) -> None:
        assert narrowed(Filter(bbox=BBox(minx=1, miny=2, maxx=3, maxy=4))) == [Near(((1, 2, 3, 4),))]

    @pytest.mark.parametrize(
        ("box", "message"),
        [
            ((5, 0, 1, 1), "the bbox is inverted: minx 5 is greater than maxx 1"),
            ((0, 5, 1, 1), "the bbox is inverted: miny 5 is greater than maxy 1"),
            ((math.nan, 0, 1, 1), "the bbox has a bound that is not a finite number"),
            ((0, 0, math.inf, 1), "the bbox has a bound that is not a finite number"),
        ],
    )
    def test_impossible(self, box: tuple, message: str) -> None:
        error = refused(Filter(bbox=BBox(**dict(zip(("minx", "miny", "maxx", "maxy"), box, strict=True)))))
        assert (error.field, error.message) == ("filters[1].bbox", message)


class TestSplit:
    @pytest.mark.parametrize("column", ["nothing", "geometry", "bbox", "SPLIT"])
    def test_no_such_column(self, column: str) -> None:
        error = refused(Filter(split=["a"], split_column=column))
        assert (error.field, error.message) == ("filters[1].split_column", f"the collection has no column {column!r}")
        assert error.hint == 'its columns are: id, datetime, crs, eo:cloud_cover, split, odd " name'

    def test_default_column(self) -> None:
        assert refused(Filter(split=["a"]), records_schema()).message == "the collection has no column 'split'"
