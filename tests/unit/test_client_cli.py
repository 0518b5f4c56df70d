import json

import geopandas as gpd
import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
import xarray as xr

from rasterflight.cli import main
from rasterflight_protocol import BandField, chips_schema
from rasterflight_protocol.v1.plan_pb2 import Plan
from rasterflight_protocol.v1.read_pb2 import RESAMPLING_CUBIC
from support.fake_server import TOY, Answers, batch, failure, pixels, row, serving

RED = chips_schema([BandField("red", "uint16", "0")])
SQUARE = shapely.box(0, 1, 2, 3)


@pytest.fixture
def answers():
    one, two = batch(RED, row("a", red=pixels(2, 2))), batch(RED, row("b", red=pixels(2, 2)))
    plan = Plan(snapshot="s1", records=2, chips=2, rows=2, tiles=4, bytes_to_fetch=99, bytes_to_receive=16)
    return Answers(schema=RED, stream=[one, two], plan=plan)


@pytest.fixture
def run(answers, capsys):
    """Run a command against the server; gives status, stdout and stderr."""
    with serving(answers) as url:

        def run(command, *arguments):
            status = main([command, "--url", url, *map(str, arguments)])
            said = capsys.readouterr()
            return status, said.out, said.err

        yield run


def test_ls(run, answers):
    answers.collections = [TOY, {**TOY, "name": "a-longer-name", "time": None}]
    status, out, err = run("ls")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "NAME           RECORDS  TIME                      BANDS",
        "toy            2        2024-01-01 to 2024-01-02  red,nir",
        "a-longer-name  2        -                         red,nir",
    ]


def test_info(run):
    status, out, _ = run("info", "toy")
    assert status == 0
    assert out.splitlines() == [
        "toy",
        "",
        "records   2",
        "time      2024-01-01 to 2024-01-02",
        "extent    -75, 40, -73, 42",
        "crs       EPSG:32618",
        "snapshot  s1",
        "columns   id, datetime, geometry, bbox, crs, eo:cloud_cover",
        "",
        "BAND  DTYPE   RESOLUTION  NODATA",
        "red   uint16              0",
        "nir   uint16              0",
    ]


def test_plan(run, answers):
    status, out, _ = run("plan", "toy", "--bands", "red")
    assert (status, out.splitlines()[0]) == (0, "2 records, 2 chips, 2 rows in no CRS")


def test_options_reach_the_server(run, answers, tmp_path):
    flags = [
        *("--bands", "red,nir", "--bbox=-1,1,2,3", "--geometry-crs", "EPSG:32618", "--date-range", "2024-01-01/.."),
        *("--cloud-cover-lt", "20", "--ids", "a,b", "--all-touched", "--on-error", "skip"),
        *(
            "--where",
            '"eo:cloud_cover" < 20',
            "--target-crs",
            "EPSG:3857",
            "--resolution",
            "60",
            "--resampling",
            "cubic",
        ),
    ]
    assert run("read", "toy", *flags, "-o", tmp_path / "x.parquet")[0] == 0
    (request,) = answers.requests
    (one,) = request.filters
    assert list(request.bands) == ["red", "nir"]
    assert (request.geometries.bboxes.values[0].minx, request.geometries.crs) == (-1, "EPSG:32618")
    assert (one.date_range.start, one.date_range.end) == ("2024-01-01", "")
    assert (one.cloud_cover_lt, list(one.ids), one.where) == (20, ["a", "b"], '"eo:cloud_cover" < 20')
    assert (request.grid.all_touched, request.on_error) == (True, 2)
    grid = request.grid
    assert (grid.target_crs, list(grid.resolution), grid.resampling) == ("EPSG:3857", [60.0], RESAMPLING_CUBIC)


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".parquet"])
def test_areas_come_from_files(run, answers, tmp_path, suffix):
    path = tmp_path / f"aoi{suffix}"
    frame = gpd.GeoDataFrame({"name": ["a"]}, geometry=[SQUARE], crs=2263)
    if suffix == ".geojson":
        path.write_text(json.dumps(shapely.geometry.mapping(SQUARE)))
    elif suffix == ".gpkg":
        frame.to_file(path)
    else:
        frame.to_parquet(path)
    assert run("plan", "toy", "--bands", "red", "--geometries", path)[0] == 0
    areas = answers.requests[0].geometries
    assert areas.crs == ("OGC:CRS84" if suffix == ".geojson" else "EPSG:2263")
    assert shapely.from_wkb(areas.wkb.values[0]).equals(SQUARE)


def test_read_npy(run, tmp_path):
    assert run("read", "toy", "--bands", "red", "-o", tmp_path / "x.npy") == (0, "", "")
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), [pixels(2, 2)] * 2)


def test_read_netcdf(run, tmp_path):
    assert run("read", "toy", "--bands", "red", "-o", tmp_path / "x.nc") == (0, "", "")
    with xr.open_dataset(tmp_path / "x.nc", mask_and_scale=False) as ds:
        np.testing.assert_array_equal(ds.red[0, 0], pixels(2, 2))


def test_read_parquet(run, tmp_path):
    assert run("read", "toy", "--bands", "red", "-o", tmp_path / "x.parquet") == (0, "", "")
    table = pq.read_table(tmp_path / "x.parquet")
    assert table.column("record_id").to_pylist() == ["a", "b"]
    assert table.column("red").to_pylist() == [[1, 2, 3, 4]] * 2


def test_a_failed_read_leaves_what_was_there(run, answers, tmp_path):
    answers.stream = [*answers.stream, failure("SOURCE_CORRUPT", "tile 7 is cut off", record="b", asset="red")]
    (tmp_path / "x.parquet").write_text("before")
    status, _, err = run("read", "toy", "--bands", "red", "-o", tmp_path / "x.parquet")
    assert (status, err) == (1, "error: b/red: tile 7 is cut off\n")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x.parquet", "before")]


def test_an_unknown_suffix_is_refused_before_reading(run, answers, tmp_path):
    status, _, err = run("read", "toy", "--bands", "red", "-o", tmp_path / "x.tif")
    assert status == 1
    assert err == "error: x.tif has no suffix that says what to write, expected one of .nc, .npy, .parquet\n"
    assert answers.requests == []


def test_a_folder_that_is_not_there_is_refused_before_reading(run, answers, tmp_path):
    status, _, err = run("read", "toy", "--bands", "red", "-o", tmp_path / "no" / "x.npy")
    assert (status, err) == (1, f"error: the folder {tmp_path / 'no'} does not exist\n")
    assert answers.requests == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.geojson", "{", "is no GeoJSON"),
        ("a.csv", "x", "has the suffix '.csv', expected .geojson, .gpkg or .parquet"),
        ("a.gpkg", None, "there is no file"),
        ("a.geojson", '{"type": "Point", "coordinates": [1, 2]}', "geometry 1 is a Point"),
    ],
)
def test_files_that_hold_no_areas(run, tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_text(content)
    status, _, err = run("plan", "toy", "--bands", "red", "--geometries", tmp_path / name)
    assert status == 1
    assert words in err


def test_errors_are_one_line(run, capsys):
    status, out, err = run("info", "tyo")
    assert (status, out, err) == (1, "", "error: no collection 'tyo'; there are: toy\n")
    assert main(["ls", "--url", "http://x"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["read", "toy", "--bands", "red"],
        ["plan", "toy"],
        ["plan", "toy", "--bands", ","],
        ["plan", "toy", "--bands", "red", "--bbox", "1,2,3"],
        ["plan", "toy", "--bands", "red", "--bbox", "0,0,1,1", "--geometries", "a.gpkg"],
        ["plan", "toy", "--bands", "red", "--date-range", "2024"],
        ["ls", "--local", "x"],
        ["read", "toy", "--bands", "red", "-o", "x.npy", "--on-error", "ignore"],
    ],
)
def test_wrong_usage_ends_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: rasterflight" in capsys.readouterr().err


def test_a_private_server_on_request(monkeypatch, answers, capsys):
    from rasterflight import connect

    asked = []
    with serving(answers) as url:
        monkeypatch.setattr("rasterflight.cli.local", lambda names: asked.append(names) or connect(url))
        assert main(["ls", "--local", "a=dir", "--local", "b=x=y"]) == 0
    assert asked == [{"a": "dir", "b": "x=y"}]
    assert "toy" in capsys.readouterr().out


def test_the_token_is_taken_from_the_environment_only(run, answers, monkeypatch, capsys):
    monkeypatch.setenv("RASTERFLIGHT_TOKEN", "s3cret")
    assert run("ls")[0] == 0
    assert answers.headers[-1]["authorization"] == ["Bearer s3cret"]
    with pytest.raises(SystemExit):
        main(["ls", "--token", "x"])
    assert "s3cret" not in capsys.readouterr().err
