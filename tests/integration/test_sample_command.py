"""``rasterflight sample`` against a real server: files in, files out."""

from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from rasterflight.cli import main
from support.server import ServerProcess

WHERE = {"name": ["a", "b"], "lon": [-73.95, -74.0], "lat": [40.75, 40.7]}
COLUMNS = ["--x-column", "lon", "--y-column", "lat", "--geometry-crs", "OGC:CRS84"]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    table = pa.table(WHERE)
    pyarrow.csv.write_csv(table, tmp_path / "p.csv")
    pq.write_table(table, tmp_path / "p.parquet")
    frame = gpd.GeoDataFrame({"name": WHERE["name"]}, geometry=gpd.points_from_xy(WHERE["lon"], WHERE["lat"]), crs=4326)
    frame.to_file(tmp_path / "p.gpkg")
    frame.to_parquet(tmp_path / "geo.parquet")
    (tmp_path / "junk.parquet").write_text("junk")
    return tmp_path


def run(server: ServerProcess, files: Path, points: str, *options: str, out: str = "out.csv") -> int:
    places = ["--points", str(files / points), "-o", str(files / out)]
    return main(["sample", "ny", "--url", server.url, "--bands", "red,qa", *places, *options])


@pytest.mark.parametrize("points", ["p.csv", "p.parquet", "p.gpkg", "geo.parquet"])
def test_files(server: ServerProcess, files: Path, points: str) -> None:
    by_columns = points in ("p.csv", "p.parquet")
    assert run(server, files, points, *(COLUMNS if by_columns else [])) == 0
    found = pd.read_csv(files / "out.csv")
    assert len(found) == 2 * 2 * 6
    assert found["name"].tolist() == ["a", "a", "b", "b"] * 6
    assert run(server, files, points, *(COLUMNS if by_columns else []), out="out.parquet") == 0
    assert pq.read_table(files / "out.parquet")["value"].to_pylist() == found["value"].tolist()


def test_options(server: ServerProcess, files: Path) -> None:
    options = ["--match", "latest", "--max-distance-pixels", "1", "--neighbourhood", "always", "--masked"]
    assert run(server, files, "p.csv", *COLUMNS, *options, "--date-range", "2018-01-01/..", out="out.parquet") == 0
    found = pq.read_table(files / "out.parquet")
    assert found.num_rows == 2 * 2
    assert [len(window) for window in found["neighbourhood_values"].to_pylist()] == [9] * 4


@pytest.mark.parametrize(
    ("points", "options", "out", "words"),
    [
        ("none.csv", COLUMNS, "out.csv", "there is no file"),
        ("p.gpkg", COLUMNS, "out.csv", "has the suffix '.gpkg': columns of coordinates are for .csv and .parquet"),
        ("junk.parquet", COLUMNS, "out.csv", "is no PARQUET"),
        ("p.csv", COLUMNS, "out.nc", "out.nc has no suffix that says what to write, expected .csv or .parquet"),
        ("p.csv", COLUMNS, "no/out.csv", "does not exist"),
        ("p.csv", ["--x-column", "lon"], "out.csv", "x_column and y_column go together"),
        ("p.csv", COLUMNS[:4], "out.csv", "the points have no CRS (pass geometry_crs="),
        (
            "p.csv",
            [*COLUMNS, "--neighbourhood", "always", "--max-distance-pixels", "1"],
            "out.csv",
            "a CSV file has no lists for neighbourhoods (write .parquet)",
        ),
    ],
)
def test_wrong_use(
    server: ServerProcess,
    files: Path,
    capsys: pytest.CaptureFixture[str],
    points: str,
    options: list[str],
    out: str,
    words: str,
) -> None:
    assert run(server, files, points, *options, out=out) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert words in said
    assert said.count("\n") == 1
    assert not (files / "out.csv").exists()
