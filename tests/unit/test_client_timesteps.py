"""Records that make up one step of time."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from rasterflight._timesteps import middle_longitudes, solar_day
from rasterflight_protocol import BandField, chips_schema
from rasterflight_protocol.v1.read_pb2 import LAYOUT_RECORDS
from support.fake_server import CRS_METADATA, RECORDS, batch, collection, pixels, row

ONE = chips_schema([BandField("red", "uint16", "0")], metadata=CRS_METADATA)


def at(text):
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def footprints(boxes):
    """Records with these (xmin, xmax); None: no footprint."""
    rows = [
        {"id": name, "bbox": x and {"xmin": x[0], "xmax": x[1], "ymin": 0.0, "ymax": 1.0}} for name, x in boxes.items()
    ]
    return pa.Table.from_pylist(rows, schema=RECORDS)


def read(times, boxes=None, **keywords):
    """Read records that lie side by side, and all hold their own number."""
    transforms = [[10.0, 0.0, 500_000.0 + 10 * n, 0.0, -10.0, 4_500_000.0] for n in range(len(times))]
    rows = [
        row(name, datetime=time and at(time), red=pixels(1, 1, n), transform=transforms[n - 1])
        for n, (name, time) in enumerate(times.items(), 1)
    ]
    with collection(ONE, *[batch(ONE, one) for one in rows]) as (toy, answers):
        answers.records = footprints(boxes or {})
        return toy.get_xarray(bands="red", **keywords), answers.requests


def test_records_of_one_time_are_one_step_unless_told_otherwise():
    times = {"a": "2024-01-01T10:00", "b": "2024-01-01T10:00", "c": "2024-01-01T10:01"}
    ds, _ = read(times)
    assert list(ds.record_id.values) == ["a,b", "c"]
    np.testing.assert_array_equal(ds.red[:, 0, 0], [[1, 2, 0], [0, 0, 3]])
    ds, _ = read(times, groupby=None)
    assert list(ds.record_id.values) == ["a", "b", "c"]
    np.testing.assert_array_equal(ds.red[:, 0, 0], np.diag([1, 2, 3]))
    assert list(ds.time.values) == [np.datetime64(at(time).replace(tzinfo=None), "ns") for time in times.values()]


def test_records_without_a_time_stay_apart_when_told_so():
    ds, _ = read({"a": "2024-01-01", "x": None, "y": None}, groupby=None)
    assert list(ds.record_id.values) == ["a", "x", "y"]
    assert list(np.isnat(ds.time.values)) == [False, True, True]


def test_a_solar_day_is_that_of_the_middle_of_the_footprint():
    # in Sydney the day changes at 14:00 UTC, whatever the day in Greenwich
    times = {"a": "2024-01-01T13:59", "b": "2024-01-01T14:00", "c": "2024-01-01T23:59", "d": "2024-01-02T13:00"}
    ds, requests = read(times, dict.fromkeys(times, (150.0, 152.0)), groupby="solar_day")
    assert list(ds.record_id.values) == ["a", "b,c,d"]
    assert list(ds.time.values) == [np.datetime64("2024-01-01T13:59"), np.datetime64("2024-01-01T14:00")]
    np.testing.assert_array_equal(ds.red[:, 0, 0], [[1, 0, 0, 0], [0, 2, 3, 4]])
    assert requests[-1].layout == LAYOUT_RECORDS
    assert list(requests[-1].filters[0].ids) == list(times)


def test_rules_for_one_time_hold_inside_a_day():
    times = {"a": "2024-01-01T10:00", "b": "2024-01-01T10:01"}
    rows = [
        row(name, datetime=at(time), red=np.array([[n, 0, n]], "uint16"))
        for n, (name, time) in enumerate(times.items(), 1)
    ]
    rows[1]["red"] = np.array([[7, 8, 9]], "uint16")
    expected = {"combine_first": [1, 8, 1], "merge_override": [1, 0, 1]}
    rows[0]["red"] = np.array([[1, 0, 1]], "uint16")
    for combine, values in expected.items():
        with collection(ONE, batch(ONE, *rows)) as (toy, answers):
            answers.records = footprints(dict.fromkeys(times, (0.0, 1.0)))
            ds = toy.get_xarray(bands="red", groupby="solar_day", xr_combine=combine)
        np.testing.assert_array_equal(ds.red[0, 0, 0], values)


def test_records_without_footprint_or_time():
    times = {"a": "2024-01-01T23:00", "b": "2024-01-02T01:00", "x": None, "y": None}
    ds, _ = read(times, {"a": None, "b": None, "x": None, "y": None}, groupby="solar_day")
    assert list(ds.record_id.values) == ["a", "b", "x,y"]


def test_steps_come_in_the_order_of_their_times():
    # east of the date line it is still the day before
    times = {"fiji": "2024-01-01T14:00", "samoa": "2024-01-01T20:00"}
    ds, _ = read(times, {"fiji": (170.0, 171.0), "samoa": (-171.0, -170.0)}, groupby="solar_day")
    assert list(ds.record_id.values) == ["fiji", "samoa"]
    assert ds.indexes["time"].is_monotonic_increasing


@pytest.mark.parametrize(
    ("time", "longitude", "day"),
    [
        ("2024-01-01T00:30", -14.9, 1),  # whole hours only
        ("2024-01-01T00:30", -15.0, 31),
        ("2024-01-01T23:30", 14.9, 1),
        ("2024-01-01T23:30", 15.0, 2),
        ("2024-01-01T12:00", 180.0, 2),
        ("2024-01-01T12:00", None, 1),
    ],
)
def test_hours_of_the_sun(time, longitude, day):
    assert solar_day(at(time), longitude).day == day


def test_middles_of_footprints():
    boxes = {"a": (10.0, 20.0), "b": (-180.0, 180.0), "c": (175.0, -175.0), "d": None}
    assert middle_longitudes(footprints(boxes)) == {"a": 15, "b": 180, "c": 180, "d": None}


@pytest.mark.parametrize("groupby", ["day", "id", 0, False])
def test_other_ways_to_group_are_refused(groupby):
    with pytest.raises(ValueError, match=f"groupby is {groupby!r}, expected 'time', 'solar_day' or None"):
        read({"a": "2024-01-01"}, groupby=groupby)
