"""``where=`` through a real server, in every way in which it can be asked."""

import json

import pyarrow as pa
import pyarrow.flight as fl
import pytest

import rasterflight as rf
from rasterflight.cli import main
from support.server import ServerProcess

BBOX = (-74.1, 40.6, -74.0, 40.7)


def dates(table: pa.Table) -> list[str]:
    return [when.date().isoformat() for when in table["datetime"].to_pylist()]


@pytest.fixture
def ny(client: rf.Client) -> rf.Collection:
    return client.collection("ny")


def test_records(ny: rf.Collection) -> None:
    everything = dates(ny.records())
    late = [day for day in everything if day > "2018-07-01"]
    assert 0 < len(late) < len(everything) == 6
    tree = {"op": ">", "args": [{"property": "datetime"}, {"date": "2018-07-01"}]}
    for where in ("datetime > DATE('2018-07-01')", "datetime > '2018-07-01'", json.dumps(tree), tree):
        assert dates(ny.records(where=where)) == late
    assert dates(ny.records(where="NOT datetime > DATE('2018-07-01')")) == everything[: -len(late)]
    assert dates(ny.records(where='"landsat:wrs_path" = \'013\' AND "proj:epsg" IN (32618, 1)')) == [
        day for day, path in zip(everything, ny.records()["landsat:wrs_path"].to_pylist(), strict=True) if path == "013"
    ]
    assert ny.records(where="crs = 'x'").num_rows == 0
    assert ny.records(where="FALSE").schema == ny.schema


def test_it_combines_with_the_rest(ny: rf.Collection) -> None:
    late = ny.subset(where="datetime > DATE('2018-07-01')")
    one = late.records(where="datetime < DATE('2018-10-01')")
    assert dates(one) == [day for day in dates(late.records()) if day < "2018-10-01"]
    ids = one["id"].to_pylist()
    expected = ny.get_numpy(geometries=BBOX, bands="red", ids=ids)
    got = late.get_numpy(geometries=BBOX, bands="red", where="datetime < DATE('2018-10-01')")
    assert got.shape == expected.shape
    assert (got == expected).all()
    assert late.plan(geometries=BBOX, bands="red", where="datetime < DATE('2018-10-01')").records == len(ids)
    frame = ny.get_gdf(geometries=BBOX, bands="red", where=f"id = '{ids[0]}'")
    assert frame.record_id.tolist() == ids[:1]


def test_footprints(ny: rf.Collection) -> None:
    minx, miny, maxx, maxy = BBOX
    inside = ny.records(where=f"S_CONTAINS(geometry, BBOX({minx}, {miny}, {maxx}, {maxy}))")
    outside = ny.records(where=f"NOT S_CONTAINS(geometry, BBOX({minx}, {miny}, {maxx}, {maxy}))")
    assert inside.num_rows + outside.num_rows == 6
    assert ny.records(where="S_DISJOINT(geometry, POINT(0 0))").num_rows == 6


def test_intervals_of_columns(client: rf.Client) -> None:
    composites = client.collection("pucallpa")
    found = composites.records(
        where="T_INTERSECTS(INTERVAL(start_datetime, end_datetime), INTERVAL('1985-06-01', '1985-07-01'))"
    )
    assert [start[:4] for start in found["start_datetime"].to_pylist()] == ["1985"]
    assert composites.records(where="datetime = '1985-01-01' AND note IS NOT NULL").num_rows == 1
    assert composites.records(where="start_datetime < TIMESTAMP('1985-01-01T00:00:00Z')").num_rows == 0


def test_tickets_typed_by_hand(server: ServerProcess) -> None:
    ticket = {"collection": "ny", "layout": "LAYOUT_RECORDS", "filters": [{"where": "id LIKE 'LC08%01\\_T1'"}]}
    with fl.connect(server.url) as client:
        found = client.do_get(fl.Ticket(json.dumps(ticket).encode())).read_all()
    assert 0 < found.num_rows <= 6
    assert all(record.endswith("01_T1") for record in found["id"].to_pylist())


def test_the_command_line(server: ServerProcess, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["plan", "ny", "--url", server.url, "--bands", "red", "--where"]
    assert main([*arguments, "datetime > DATE('2018-10-01')"]) == 0
    assert capsys.readouterr().out.startswith("1 record, 1 chip, 1 row")
    assert main([*arguments, "datetime >"]) == 1
    assert "the expression is not CQL2 text: at character 11, it ends too early" in capsys.readouterr().err


def test_an_unusable_expression_is_a_value_error(ny: rf.Collection) -> None:
    with pytest.raises(ValueError, match="the collection has no column 'wrs_path'") as caught:
        ny.subset(where="wrs_path = '013'").records()
    assert isinstance(caught.value, rf.errors.BadRequestError)
    assert caught.value.field == "filters[0].where"
