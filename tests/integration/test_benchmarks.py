"""The pieces of the benchmark suite do what its tables say."""

import json
import urllib.request
from pathlib import Path

import pytest

from benchmarks.fileserver import Counts, FileServer, counts
from benchmarks.report import readers_table, targets_table
from benchmarks.runner import Runner, judge
from benchmarks.scenarios import SCENARIOS, make_work
from benchmarks.scenes import Scale, make_scenes
from benchmarks.service import plan_latency
from benchmarks.worker import measure


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    make_scenes(folder, Scale(side=512, big=1098, tile=128, dates_a=3, dates_b=1), jobs=1)
    return folder


def test_readers_agree_and_requests_are_counted(scenes: Path, tmp_path: Path) -> None:
    with FileServer(scenes, wait=0.001) as files:
        root = f"{files.url}/"
        runner = Runner(scenes, tmp_path, {"http": root}, calls=2, say=lambda text: None)
        assert runner.build(["rasterflight"]) == ["rasterflight"]
        rows = list(runner.rows(["b"], ["rasterflight"], repeats=1))
        for reader in ("floor", "rasterio"):
            figures = measure(reader, "b", scenes, root, tmp_path, calls=2)
            rows.append({"scenario": "b", "transport": "http", "reader": reader, **figures})
    assert judge(rows) == []
    assert [row.get("equal") for row in rows] == [True] * 3
    ours, floor, _ = rows
    assert floor["requests"] == [18, 18]  # of each of the 3 records, the areas lie in 6 tiles
    assert ours["bytes"][0] >= floor["bytes"][0] > 0
    assert ours["server_rss"] > 0
    assert "| b http   | floor" in readers_table(rows)
    assert targets_table(rows).count("b http") == 1


def test_results_that_differ_are_named() -> None:
    rasterio, floor, ours = (
        {"scenario": "a", "transport": "local", "reader": reader, "digest": digest}
        for reader, digest in (("rasterio", "1"), ("floor", "2"), ("rasterflight", "1"))
    )
    assert judge([rasterio, floor, ours]) == ["floor on a, local: the result is not that of rasterio"]
    assert judge([floor, ours]) == ["rasterflight on a, local: the result is not that of floor"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_small_scenes_have_all_scenarios(scenes: Path, scenario: str) -> None:
    work = make_work(scenario, scenes, "http://host/")
    assert work.scenario == scenario
    assert all(href.startswith("http://host/") for href in work.hrefs)


def test_scenes_are_made_once(scenes: Path) -> None:
    [record, *_] = json.loads((scenes / "a" / "items.json").read_text())["features"]
    file = scenes / record["assets"]["B04"]["href"]
    before = file.stat().st_mtime_ns
    make_scenes(scenes, Scale(side=512, big=1098, tile=128, dates_a=2, dates_b=1), jobs=1)
    assert file.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("asked", "status", "body"),
    [(None, 200, b"0123456789"), ("2-4", 206, b"234"), ("7-", 206, b"789"), ("-2", 206, b"89"), ("8-99", 206, b"89")],
)
def test_web_server_answers_ranges(tmp_path: Path, asked: str | None, status: int, body: bytes) -> None:
    (tmp_path / "a file").write_bytes(b"0123456789")
    with FileServer(tmp_path, wait=0) as files:
        request = urllib.request.Request(f"{files.url}/a%20file", headers={"Range": f"bytes={asked}"} if asked else {})
        with urllib.request.urlopen(request) as answer:
            assert (answer.status, answer.read()) == (status, body)
        assert counts(files.url) == Counts(1, len(body))


@pytest.mark.parametrize(
    ("path", "asked", "status"), [("none", "0-1", 404), ("../secret", "0-1", 404), ("a", "10-", 416)]
)
def test_web_server_refuses(tmp_path: Path, path: str, asked: str, status: int) -> None:
    (tmp_path / "secret").write_bytes(b"1")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a").write_bytes(b"0123456789")
    with FileServer(tmp_path / "root", wait=0) as files:
        request = urllib.request.Request(f"{files.url}/{path}", headers={"Range": f"bytes={asked}"})
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request)
        caught.value.close()
        assert caught.value.code == status


def test_an_index_of_many_records_is_planned_on(tmp_path: Path) -> None:
    figures = plan_latency(tmp_path / "many", 2_000)
    assert figures["records"] == 2_000
    assert 10 < figures["hits"] < 100
    assert 0 < figures["p50_ms"] <= figures["p99_ms"]
