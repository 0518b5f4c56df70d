"""Properties of items, whatever they hold, as columns that can be asked for."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import rasterio

from rasterflight_protocol.v1.read_pb2 import Filter
from rasterflight_server.catalog import Collection
from rasterflight_server.ingest import build_index


def build(tmp_path: Path, *properties: dict[str, Any]) -> Collection:
    """Index items of these properties, named by their place."""
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", width=1, height=1, count=1, dtype="uint8", crs="EPSG:4326"
    ):
        pass
    lines = [
        json.dumps(
            {"type": "Feature", "id": str(i), "geometry": None, "properties": each, "assets": {"x": {"href": "a.tif"}}}
        )
        for i, each in enumerate(properties)
    ]
    (tmp_path / "items.ndjson").write_text("\n".join(lines))
    report = build_index(tmp_path / "items.ndjson", tmp_path / "index", "test")
    assert (report.failures, report.records) == ((), len(properties))
    return Collection.open(tmp_path / "index")


def matching(collection: Collection, where: str) -> list[str]:
    return sorted(collection.select([Filter(where=where)])["id"].to_pylist())


pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.mark.parametrize(
    ("values", "kind", "where", "expected"),
    [
        ([1, 2, None], pa.int64(), "p > 1", ["1"]),
        ([1, 2.5, None], pa.float64(), "p >= 1.5", ["1"]),
        ([True, False, None], pa.bool_(), "p = TRUE", ["0"]),
        ([True, False, None], pa.bool_(), "p IS NULL", ["2"]),
        ([True, 1, "x"], pa.utf8(), "p = 'x'", ["2"]),
        ([2**70, 1, 2], pa.utf8(), "p = '1'", ["1"]),
        (["2024-01-02", "2024-01-03T04:05:06Z", None], pa.utf8(), "p > DATE('2024-01-02')", ["1"]),
        ([["a", "b"], ["b"], []], pa.utf8(), "A_CONTAINS(p, ('a'))", ["0"]),
        ([{"q": 1}, {"q": {"r": 2}}, None], pa.utf8(), '"p.q.r" = 2', ["1"]),
        ([float("nan"), 1.0, None], pa.float64(), "p = 1", ["1"]),
        (["ü\ud800", "x", None], pa.utf8(), "p = 'x'", ["1"]),
        ([None, None, None], pa.utf8(), "p IS NULL", ["0", "1", "2"]),
    ],
)
def test_types(tmp_path: Path, values: list[Any], kind: pa.DataType, where: str, expected: list[str]) -> None:
    collection = build(tmp_path, *({"datetime": None, "p": value} for value in values))
    assert collection.records_schema.field("p").type == kind
    assert matching(collection, where) == expected


def test_names_of_every_sort(tmp_path: Path) -> None:
    names = ["eo:cloud_cover", "EO:Cloud_Cover", "id", "geometry", "with space", 'quo"te', "", "ключ", "a.b"]
    collection = build(tmp_path, {name: i for i, name in enumerate(names)}, {})
    columns = [
        name for name in collection.records_schema.names if name not in ("id", "datetime", "geometry", "bbox", "crs")
    ]
    assert columns == [
        "eo:cloud_cover",
        "properties:EO:Cloud_Cover",
        "properties:id",
        "properties:geometry",
        "with space",
        'quo"te',
        "",
        "ключ",
        "a.b",
    ]
    assert matching(collection, '"eo:cloud_cover" = 0 AND "properties.id" = 2 AND "quo""te" = 5 AND "a.b" = 8') == ["0"]


def test_very_many(tmp_path: Path) -> None:
    records = [{f"k{j}": i for j in range(i * 100, i * 100 + 200)} for i in range(20)]
    collection = build(tmp_path, *records)
    assert len(collection.records_schema.names) == 5 + 2100
    assert matching(collection, "k150 >= 0") == ["0", "1"]
