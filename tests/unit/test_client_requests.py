import datetime as dt
import json

import numpy as np
import pytest
import shapely

import rasterflight as rf
from rasterflight import errors
from rasterflight._requests import filter_message
from rasterflight_protocol.v1 import read_pb2 as pb
from support.fake_server import Answers, serving


@pytest.fixture(scope="module")
def answers():
    return Answers()


@pytest.fixture(scope="module")
def toy(answers):
    with serving(answers) as url, rf.connect(url) as client:
        yield client.collection("toy")


@pytest.fixture
def asked(toy, answers):
    """What the server is asked by a read with these keywords."""

    def ask(collection=toy, *args, **keywords):
        answers.requests.clear()
        collection.read(*args, **keywords).close()
        (request,) = answers.requests
        return request

    return ask


def test_a_read_asks_for_what_was_said(asked, toy):
    request = asked(
        toy,
        (0, 1, 2, 3),
        bands=["nir", "red"],
        geometry_crs=32618,
        target_crs=3857,
        all_touched=True,
        masked=True,
        values="scaled",
        on_error="skip",
        batch_bytes=1 << 20,
        cloud_cover_lt=20,
        date_range=("2024-01-01", None),
        bbox=(4, 5, 6, 7),
        split=["train", "val"],
        split_column="part",
        ids=["a", "b"],
        where="n < 3",
    )
    box = pb.BBox(minx=0, miny=1, maxx=2, maxy=3)
    assert request == pb.ReadRequest(
        collection="toy",
        bands=["nir", "red"],
        geometries=pb.Geometries(crs="EPSG:32618", bboxes=pb.BBoxes(values=[box])),
        filters=[
            pb.Filter(
                cloud_cover_lt=20,
                date_range=pb.DateRange(start="2024-01-01"),
                bbox=pb.BBox(minx=4, miny=5, maxx=6, maxy=7),
                split=["train", "val"],
                split_column="part",
                ids=["a", "b"],
                where="n < 3",
            )
        ],
        grid=pb.GridOptions(
            all_touched=True, target_crs="EPSG:3857", masked=True, values=pb.VALUES_SCALED, common=True
        ),
        layout=pb.LAYOUT_CHIPS,
        on_error=pb.ON_ERROR_SKIP,
        batch_bytes=1 << 20,
    )


def test_the_least_that_can_be_said(asked):
    assert asked(bands="red") == pb.ReadRequest(
        collection="toy",
        bands=["red"],
        grid=pb.GridOptions(values=pb.VALUES_RAW),
        layout=pb.LAYOUT_CHIPS,
        on_error=pb.ON_ERROR_RAISE,
    )


def test_values_are_raw_or_scaled(asked, toy):
    with pytest.raises(errors.BadRequestError, match="values is 'physical', expected 'raw' or 'scaled'"):
        asked(toy, bands="red", values="physical")


def test_subsets_add_up_and_change_nothing(asked, toy):
    clear = toy.subset(cloud_cover_lt=20)
    january = clear.subset(date_range=("2024-01-01", "2024-01-31"), geometries=shapely.box(0, 0, 1, 1))
    filters = asked(january, bands="red", ids="a").filters
    assert [sorted(field.name for field, _ in one.ListFields()) for one in filters] == [
        ["cloud_cover_lt"],
        ["date_range", "geometries"],
        ["ids"],
    ]
    assert len(asked(clear, bands="red").filters) == 1
    assert len(asked(toy.subset(), bands="red").filters) == 0


def test_records_take_geometries_as_a_filter(asked, toy, answers):
    request = asked(geometries=(0, 1, 2, 3), layout="records", cloud_cover_lt=1)
    assert request.layout == pb.LAYOUT_RECORDS
    assert request.WhichOneof("where") is None
    assert request.filters[0].geometries.crs == "OGC:CRS84"
    answers.requests.clear()
    toy.records(geometries=(0, 1, 2, 3), cloud_cover_lt=1)
    assert list(answers.requests) == [request]


@pytest.mark.parametrize("windows", [(1, 2, 3, 4), [(1, 2, 3, 4)], np.array([[1, 2, 3, 4]])])
def test_windows(asked, windows):
    assert list(asked(windows=windows, bands="red").windows.values) == [
        pb.Window(col_off=1, row_off=2, width=3, height=4)
    ]


def test_a_plan_asks_the_same_as_the_read(asked, toy, answers):
    keywords = {"geometries": (0, 1, 2, 3), "bands": ["red"], "all_touched": True, "ids": ["a"]}
    read = asked(**keywords)
    answers.requests.clear()
    toy.plan(**keywords)
    assert list(answers.requests) == [read]


@pytest.mark.parametrize(
    ("value", "iso"),
    [
        ("2024-01", "2024-01"),
        (dt.date(2024, 1, 2), "2024-01-02"),
        (dt.datetime(2024, 1, 2, 3, tzinfo=dt.UTC), "2024-01-02T03:00:00+00:00"),
        (np.datetime64("2024-01-02"), "2024-01-02"),
    ],
)
def test_dates(value, iso):
    assert filter_message({"date_range": (value, value)}).date_range == pb.DateRange(start=iso, end=iso)


def test_zero_clouds_is_a_condition():
    assert filter_message({"cloud_cover_lt": 0}) == pb.Filter(cloud_cover_lt=0)


@pytest.mark.parametrize("nothing", [{}, {"ids": None, "bbox": None}])
def test_nothing_said_is_no_filter(nothing):
    assert filter_message(nothing) is None


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"date_range": "2024-01-01"}, "date_range is '2024-01-01', expected \\(start, end\\)"),
        ({"date_range": (None, None)}, "expected \\(start, end\\)"),
        ({"date_range": ("a", "b", "c")}, "expected \\(start, end\\)"),
        ({"bbox": (2, 0, 1, 1)}, "bbox .* is inverted"),
        ({"bbox": "0,0,1,1"}, "expected \\(minx, miny, maxx, maxy\\)"),
        ({"ids": []}, "ids is empty"),
        ({"where": " "}, "where is empty"),
        ({"split": ()}, "split is empty"),
        ({"bands": []}, "no bands are named .*Collection.bands"),
        ({"bands": ["red", "red"]}, "bands names 'red' more than once"),
        ({"layout": "tiles"}, "layout is 'tiles', expected one of 'chips', 'outlines', 'pixels', 'records'"),
        ({"layout": "records"}, "reads no pixels: leave bands, windows"),
        ({"on_error": "ignore"}, "on_error is 'ignore', expected 'raise' or 'skip'"),
        ({"windows": []}, "windows is empty"),
        ({"windows": [(0, 0, 1)]}, r"window 1 is \(0, 0, 1\), expected integers"),
        ({"windows": [(0, 0, 1, 1), (0, 0, 1.5, 1)]}, "window 2 is"),
        ({"windows": (0, 0, 0, 1)}, "a size above 0"),
        ({"windows": (0, 0, 1, 1), "geometries": (0, 0, 1, 1)}, "geometries and windows are both given"),
        ({"timeout": -1}, "timeout is -1, expected seconds above 0"),
    ],
)
def test_values_that_cannot_be_used_are_named(toy, keywords, words):
    with pytest.raises(ValueError, match=words):
        toy.read(**{"bands": ["red"], **keywords})


@pytest.mark.parametrize("name", ["backend", "cloud_config", "data_source"])
@pytest.mark.parametrize("method", ["read", "get_numpy", "get_gdf", "get_xarray", "subset", "records", "plan"])
def test_keywords_of_the_server_are_refused(toy, method, name):
    needed = {} if method in ("subset", "records") else {"bands": ["red"]}
    with pytest.raises(TypeError, match=f"{name}= .* configuration of the collection on the server"):
        getattr(toy, method)(**needed, **{name: "x"})


def test_an_unknown_keyword_gets_the_list(toy):
    with pytest.raises(TypeError, match="unexpected keyword cloud_lt; filters are: cloud_cover_lt, date_range, bbox"):
        toy.subset(cloud_lt=3)


@pytest.mark.parametrize("method", ["get_numpy", "get_gdf", "get_xarray"])
@pytest.mark.parametrize("value", [0, -1, 1.5, None])
def test_max_concurrent_is_checked(toy, method, value):
    with pytest.raises(ValueError, match=r"max_concurrent is .*, expected an integer from 1 on"):
        getattr(toy, method)(bands=["red"], max_concurrent=value)


def test_text_is_wanted_for_names():
    with pytest.raises(TypeError, match="ids has 7, expected text"):
        filter_message({"ids": [7]})
    with pytest.raises(TypeError, match="date_range has 7, expected ISO 8601"):
        filter_message({"date_range": (7, None)})


def test_a_plan_reads_well(toy, answers):
    answers.plan = rf_plan = pb_plan()
    plan = toy.plan(bands="red")
    assert (plan.records, plan.chips, plan.rows, plan.tiles) == (2, 10, 1, 40)
    assert (plan.crs, plan.snapshot, len(plan.endpoints)) == (("EPSG:32618",), "s1", 1)
    assert plan.schema.names[0] == "record_id"
    assert plan.bytes_to_receive == rf_plan.bytes_to_receive
    assert str(plan) == (
        "2 records, 10 chips, 1 row in EPSG:32618\n"
        "fetch 1.5 MiB in 40 tiles, receive 512 B from 1 endpoint\n"
        "snapshot s1"
    )


def pb_plan():
    from rasterflight_protocol.v1.plan_pb2 import Plan

    return Plan(
        snapshot="s1",
        records=2,
        chips=10,
        rows=1,
        tiles=40,
        bytes_to_fetch=3 << 19,
        bytes_to_receive=512,
        crs=["EPSG:32618"],
    )


def test_bad_requests_are_of_the_tree():
    assert issubclass(errors.BadRequestError, rf.RasterflightError)


def test_an_expression_may_come_as_a_dict(asked, toy):
    tree = {"op": "=", "args": [{"property": "split"}, "é'"]}
    (one,) = asked(toy.subset(where=tree), bands="red").filters
    assert json.loads(one.where) == tree
    assert [one.where for one in asked(toy.subset(where="a = 1"), bands="red", where="b = 2").filters] == [
        "a = 1",
        "b = 2",
    ]


def test_an_expression_is_text_or_a_dict():
    with pytest.raises(TypeError, match=r"where is 7, expected CQL2 as text, or its JSON form as a dict"):
        filter_message({"where": 7})
    with pytest.raises(TypeError, match="not JSON serializable"):
        filter_message({"where": {"op": {1, 2}}})
