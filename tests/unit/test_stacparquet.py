"""Records from stac-geoparquet."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import shapely
from affine import Affine

from rasterflight_server.ingest.sources import Failure, RecordSource
from rasterflight_server.ingest.stac import read_item
from rasterflight_server.ingest.stacassets import AssetChoice
from rasterflight_server.ingest.tables import read_table

TIFF = "image/tiff; application=geotiff"


def item(record: str | None = "a", **changes: Any) -> dict[str, Any]:
    """A row as the specification has it."""
    usual = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": ["https://stac-extensions.github.io/projection/v2.0.0/schema.json"],
        "id": record,
        "collection": "scenes",
        "links": [{"href": "https://host/a.json", "rel": "self"}],
        "geometry": shapely.to_wkb(shapely.box(7, 46, 8, 47)),
        "bbox": {"xmin": 7.0, "ymin": 46.0, "xmax": 8.0, "ymax": 47.0},
        "datetime": datetime(2024, 1, 2, tzinfo=UTC),
        "platform": "sentinel-2a",
        "assets": {"red": {"href": f"https://host/{record}.tif", "type": TIFF, "roles": ["data"]}},
    }
    return usual | changes


def table(*items: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(items))


def found(*items: dict[str, Any], choice: AssetChoice = AssetChoice()) -> list[RecordSource]:  # noqa: B008
    records = list(read_table(table(*items), choice=choice))
    assert all(isinstance(record, RecordSource) for record in records), records
    return [record for record in records if isinstance(record, RecordSource)]


def lines(*items: dict[str, Any], choice: AssetChoice = AssetChoice()) -> list[str]:  # noqa: B008
    return [str(each) for each in read_table(table(*items), choice=choice) if isinstance(each, Failure)]


def test_an_item() -> None:
    [record] = found(item())
    assert (record.id, record.when, record.properties) == (
        "a",
        datetime(2024, 1, 2),  # noqa: DTZ001
        {"platform": "sentinel-2a"},
    )
    assert record.geometry == shapely.box(7, 46, 8, 47)
    assert [(asset.key, asset.href, asset.single) for asset in record.assets] == [("red", "https://host/a.tif", "red")]


@pytest.mark.parametrize("folder", ["landsat8-ny-cog", "naip-nd-4709963", "s2-mol-31UFS", "landsat-pucallpa"])
def test_the_same_as_by_json(data: Path, folder: str) -> None:
    location = data / folder / "items.json"
    features = json.loads(location.read_text())["features"]
    rows = [
        {
            **feature["properties"],
            "id": feature["id"],
            "geometry": shapely.to_wkb(shapely.from_geojson(json.dumps(feature["geometry"]))),
            "assets": feature["assets"],
            "datetime": pa.scalar(feature["properties"]["datetime"]).cast(pa.timestamp("us", "UTC")).as_py()
            if feature["properties"]["datetime"]
            else None,
        }
        for feature in features
    ]
    path = location.with_name("items.parquet")  # is not written: hrefs are relative to it

    by_table = [record for record in read_table(table(*rows)) if isinstance(record, RecordSource)]
    by_json = [read_item(feature, str(path)) for feature in features]
    for one, other in zip(by_table, by_json, strict=True):
        assert isinstance(other, RecordSource)
        assert (one.id, one.when, dict(one.properties)) == (other.id, other.when, dict(other.properties))
        assert one.geometry == other.geometry
        for mine, theirs in zip(
            sorted(one.assets, key=lambda asset: asset.key),
            sorted(other.assets, key=lambda asset: asset.key),
            strict=True,
        ):
            assert mine.href.endswith(theirs.href.rpartition(folder)[2])
            names = ("key", "hints", "rest", "single", "unnamed", "crs", "transform", "shape")
            assert [getattr(mine, name) for name in names] == [getattr(theirs, name) for name in names]


def test_each_item_has_its_own_facts() -> None:
    """What is understood once for many is not taken for others."""

    def asset(record: str, offset: float, code: str, x: float) -> dict[str, Any]:
        return {
            "href": f"https://host/{record}.tif",
            "type": TIFF,
            "raster:bands": [{"scale": 0.0001, "offset": offset}],
            "proj:code": code,
            "proj:shape": [10, 20],
            "proj:transform": [10.0, 0.0, x, 0.0, -10.0, 0.0],
        }

    facts = [("a", 0.0, "EPSG:32632", 1.0), ("b", -0.1, "EPSG:32632", 1.0), ("c", -0.1, "EPSG:32633", 2.0)]
    records = found(*(item(record, assets={"red": asset(record, *rest)}) for record, *rest in facts))
    for record, (name, offset, code, x) in zip(records, facts, strict=True):
        [only] = record.assets
        assert (only.href, only.hints[0].offset, only.crs) == (f"https://host/{name}.tif", offset, code)
        assert (only.transform, only.shape) == (Affine(10, 0, x, 0, -10, 0), (10, 20))


def test_the_grid_of_the_item_counts_for_its_assets() -> None:
    first, second = found(item("a", **{"proj:epsg": 32632}), item("b", **{"proj:epsg": 32633}))
    assert (first.assets[0].crs, second.assets[0].crs) == ("EPSG:32632", "EPSG:32633")


def test_sentinel_2_by_its_baseline() -> None:
    def scene(record: str, baseline: str) -> dict[str, Any]:
        asset = {"href": f"https://host/{record}.tif", "type": TIFF}
        return item(record, assets={"B04": asset}, **{"s2:processing_baseline": baseline})

    old, new = found(scene("a", "02.08"), scene("b", "05.00"))
    assert (old.assets[0].hints[0].offset, new.assets[0].hints[0].offset) == (0.0, -0.1)


def test_assets_that_are_no_rasters() -> None:
    assets = {
        "red": {"href": "a.tif", "type": None, "roles": None},
        "text": {"href": "a.txt", "type": None, "roles": None},
        "thumbnail": {"href": "t.tif", "type": TIFF, "roles": ["thumbnail"]},
        "missing": None,
    }
    [record] = found(item(assets=assets))
    assert [asset.key for asset in record.assets] == ["red"]


def test_items_differ_in_their_assets() -> None:
    records = found(
        item("a", assets={"red": {"href": "a.tif"}, "nir": None}),
        item("b", assets={"red": None, "nir": {"href": "b.tif"}}),
    )
    assert [[asset.key for asset in record.assets] for record in records] == [["red"], ["nir"]]


def test_chosen_assets() -> None:
    assets = {"red": {"href": "a.tif"}, "nir": {"href": "b.tif"}}
    [record] = found(item(assets=assets), choice=AssetChoice(("nir",)))
    assert [asset.key for asset in record.assets] == ["nir"]
    assert lines(item(assets=assets), choice=AssetChoice(("swir", "B12"))) == [
        "a: the item has none of the assets swir, B12"
    ]


def test_alternates() -> None:
    asset = {"href": "https://host/a.tif", "alternate": {"s3": {"href": "s3://bucket/a.tif"}, "gs": None}}
    own = {"href": "https://host/b.tif", "alternate": None}
    items = item("a", assets={"red": asset}), item("b", assets={"red": own})
    assert [record.assets[0].href for record in found(*items)] == ["https://host/a.tif", "https://host/b.tif"]
    preferred = found(*items, choice=AssetChoice(prefer="s3"))
    assert [record.assets[0].href for record in preferred] == ["s3://bucket/a.tif", "https://host/b.tif"]


def test_a_period_in_the_place_of_a_datetime() -> None:
    start = datetime(2020, 1, 1, tzinfo=UTC)
    first, second = found(item("a", datetime=None, start_datetime=start), item("b", start_datetime=start))
    assert (first.when, second.when) == (datetime(2020, 1, 1), datetime(2024, 1, 2))  # noqa: DTZ001
    assert first.properties["start_datetime"] == "2020-01-01T00:00:00Z"


def test_odd_footprints() -> None:
    crossing = shapely.Polygon([(179, 0), (-179, 0), (-179, 1), (179, 1)])
    swapped = shapely.box(46, 7, 47, 8)
    far = shapely.box(10, 95, 11, 96)
    across = {"xmin": 179.0, "ymin": 0.0, "xmax": -179.0, "ymax": 1.0}
    records = found(
        item("crossing", geometry=shapely.to_wkb(crossing), bbox=across),
        item("swapped", geometry=shapely.to_wkb(swapped)),
        item("far", geometry=shapely.to_wkb(far)),
        item("point", geometry=shapely.to_wkb(shapely.Point(7, 46))),
        item("usual"),
    )
    by_id = {record.id: record for record in records}
    assert by_id["crossing"].geometry.geom_type == "MultiPolygon"
    assert by_id["crossing"].geometry.area == pytest.approx(2.0)
    assert [notice.reason for notice in by_id["swapped"].notices] == [
        "its bbox and its geometry disagree: one of them has latitude before longitude"
    ]
    assert by_id["far"].geometry is None
    assert "beyond the poles" in by_id["far"].notices[0].reason
    assert by_id["point"].geometry is None
    assert by_id["usual"].notices == ()


def test_bad_items() -> None:
    assert lines(
        item(None),
        item("b", geometry=b"no WKB"),
        item("c", assets={"red": {"href": "c.jp2", "type": "image/jp2", "roles": None}}),
        item("d", assets=None),
        item("e"),
    ) == [
        "row 0: it has no id",
        "b: its geometry is not a geometry",
        "c: the item has no asset that is a TIFF",
        "d: the item has no asset that is a TIFF",
    ]
