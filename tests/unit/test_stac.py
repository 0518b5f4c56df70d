import json
from datetime import datetime
from pathlib import Path

import pytest
from affine import Affine

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError, SourceError
from rasterflight_server.ingest.find import SourceOptions, find_records
from rasterflight_server.ingest.sources import BandHint, Failure, RecordSource
from rasterflight_server.ingest.stacassets import AssetChoice
from support.http_server import FileServer

SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]}
TIFF = "image/tiff; application=geotiff"


def item(**changes) -> dict:
    usual = {
        "type": "Feature",
        "id": "a",
        "geometry": SQUARE,
        "properties": {"datetime": "2024-01-02T03:04:05Z"},
        "assets": {"red": {"href": "./red.tif", "type": TIFF}},
    }
    return usual | changes


def read(tmp_path: Path, *items: object, **document) -> list[RecordSource | Failure]:
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(items), **document}))
    return list(find_records([str(path)]))


def one(tmp_path: Path, **changes) -> RecordSource:
    (record,) = read(tmp_path, item(**changes))
    assert isinstance(record, RecordSource), record
    return record


def failure(tmp_path: Path, entry: object) -> str:
    (found,) = read(tmp_path, entry)
    assert isinstance(found, Failure)
    return str(found)


def test_an_item(tmp_path: Path) -> None:
    record = one(tmp_path, properties={"datetime": "2024-01-02T05:04:05+02:00", "eo:cloud_cover": 7})
    assert (record.id, record.when) == ("a", datetime(2024, 1, 2, 3, 4, 5))  # noqa: DTZ001
    assert record.geometry is not None
    assert record.geometry.bounds == (0, 0, 1, 1)
    assert record.properties == {"eo:cloud_cover": 7}
    (asset,) = record.assets
    assert (asset.key, asset.href, asset.single, asset.unnamed) == ("red", str(tmp_path / "red.tif"), "red", "red_")


def test_a_single_item(tmp_path: Path) -> None:
    (tmp_path / "item.json").write_text(json.dumps(item()))
    (record,) = find_records([str(tmp_path / "item.json")])
    assert isinstance(record, RecordSource)


class TestDatetime:
    def test_null_is_the_start(self, tmp_path: Path) -> None:
        properties = {
            "datetime": None,
            "start_datetime": "2020-01-01T00:00:00Z",
            "end_datetime": "2021-01-01T00:00:00Z",
        }
        record = one(tmp_path, properties=properties)
        assert record.when == datetime(2020, 1, 1)  # noqa: DTZ001
        assert set(record.properties) == {"start_datetime", "end_datetime"}

    def test_none_at_all(self, tmp_path: Path) -> None:
        assert one(tmp_path, properties={}).when is None

    @pytest.mark.parametrize("value", ["yesterday", 2020, "2020-13-01", "0001-01-01T00:00:00+23:00"])
    def test_nonsense(self, tmp_path: Path, value: object) -> None:
        reason = failure(tmp_path, item(properties={"datetime": value}))
        assert reason == f"a: its datetime {value!r} is not a date"


class TestAssets:
    @pytest.mark.parametrize(
        ("asset", "raster"),
        [
            ({"href": "x.tif"}, True),
            ({"href": "x.TIFF"}, True),
            ({"href": "http://h/x.tif?sig=1"}, True),
            ({"href": "x", "type": "image/tiff; application=geotiff; profile=cloud-optimized"}, True),
            ({"href": "x.tif", "type": "image/vnd.stac.geotiff"}, True),
            ({"href": "x.tif", "type": "image/png"}, False),
            ({"href": "x.jp2"}, False),
            ({"href": "x.tif", "type": TIFF, "roles": ["thumbnail"]}, False),
            ({"type": TIFF}, False),
            ({"href": 7, "type": TIFF}, False),
            ("x.tif", False),
        ],
    )
    def test_rasters(self, tmp_path: Path, asset: object, raster: bool) -> None:
        record = one(tmp_path, assets={"x": asset, "other": {"href": "o.tif"}})
        assert [found.key for found in record.assets] == (["x"] if raster else []) + ["other"]

    def test_hrefs(self, tmp_path: Path) -> None:
        hrefs = ["red.tif", "./a/../red.tif", "../up.tif", "/abs/x.tif", "https://h/x.tif?a=1"]
        record = one(tmp_path, assets={str(i): {"href": href, "type": TIFF} for i, href in enumerate(hrefs)})
        assert [asset.href for asset in record.assets] == [
            str(tmp_path / "red.tif"),
            str(tmp_path / "red.tif"),
            str(tmp_path.parent / "up.tif"),
            "/abs/x.tif",
            "https://h/x.tif?a=1",
        ]

    def test_hrefs_of_a_url(self, tmp_path: Path) -> None:
        (tmp_path / "sub").mkdir()
        read(tmp_path / "sub", item(assets={"r": {"href": "../red.tif"}}))
        with FileServer(tmp_path) as server:
            (record,) = find_records([f"{server.url}/sub/items.json?token=1"])
            assert isinstance(record, RecordSource)
            assert record.assets[0].href == f"{server.url}/red.tif"

    def test_bands_of_stac_1_0(self, tmp_path: Path) -> None:
        asset = {
            "href": "x.tif",
            "eo:bands": [{"name": "B4", "common_name": "red"}, {"name": "B5"}],
            "raster:bands": [{"scale": 0.5, "offset": -1, "unit": "K", "nodata": 0}, {"name": "other"}],
        }
        hints = one(tmp_path, assets={"x": asset}).assets[0].hints
        assert hints == (BandHint("B4", "red", 0.5, -1.0, unit="K", nodata="0"), BandHint("B5"))

    def test_bands_of_stac_1_1(self, tmp_path: Path) -> None:
        asset = {"href": "x.tif", "bands": [{"name": "B4", "raster:scale": 2, "description": "Red"}, {}]}
        hints = one(tmp_path, assets={"x": asset}).assets[0].hints
        assert hints == (BandHint("B4", scale=2.0, description="Red"), BandHint())

    @pytest.mark.parametrize("bands", [None, "red", [1, None], [{"name": 7, "scale": "x"}], [{"scale": True}]])
    def test_bands_that_are_not(self, tmp_path: Path, bands: object) -> None:
        hints = one(tmp_path, assets={"x": {"href": "x.tif", "eo:bands": bands}}).assets[0].hints
        assert set(hints) <= {BandHint()}

    @pytest.mark.parametrize(
        ("on_asset", "on_item", "crs"),
        [
            ({"proj:code": "EPSG:32618"}, {"proj:epsg": 4326}, "EPSG:32618"),
            ({}, {"proj:epsg": 4326}, "EPSG:4326"),
            ({"proj:code": None, "proj:epsg": 3857}, {}, "EPSG:3857"),
            ({"proj:wkt2": 'GEOGCRS["x"'}, {}, None),
            ({"proj:code": "EPSG:1"}, {}, None),
            ({}, {}, None),
        ],
    )
    def test_crs(self, tmp_path: Path, on_asset: dict, on_item: dict, crs: str | None) -> None:
        record = one(tmp_path, properties=on_item, assets={"x": {"href": "x.tif", **on_asset}})
        assert record.assets[0].crs == crs

    @pytest.mark.parametrize(
        ("roles", "raster"),
        [
            (["data"], True),
            (["visual"], True),
            (["cloud", "water-mask"], True),
            (["overview"], False),
            (["metadata"], False),
            (["data", "overview"], True),
            ("thumbnail", True),
        ],
    )
    def test_roles(self, tmp_path: Path, roles: object, raster: bool) -> None:
        record = one(tmp_path, assets={"x": {"href": "x.tif", "roles": roles}, "other": {"href": "o.tif"}})
        assert [found.key for found in record.assets] == (["x"] if raster else []) + ["other"]

    def test_chosen(self, tmp_path: Path) -> None:
        assets = {"red": {"href": "r.tif"}, "b": {"href": "b.tif"}, "preview": {"href": "p.tif", "roles": ["overview"]}}
        path = tmp_path / "items.json"
        documents = [item(assets=assets), item(id="b", assets={"b": assets["b"], "c": {"href": "c.tif"}})]
        path.write_text(json.dumps({"type": "FeatureCollection", "features": documents}))
        options = SourceOptions(assets=AssetChoice(("preview", "red", "nir")))
        record, without, nowhere = find_records([str(path)], options)
        assert isinstance(record, RecordSource)
        assert [asset.key for asset in record.assets] == ["red", "preview"]
        assert str(without) == "b: the item has none of the assets preview, red, nir; it has: b, c"
        assert str(nowhere) == "nir: no record has an asset of this name"

    @pytest.mark.parametrize(
        ("prefer", "href"),
        [(None, "s3://b/x.tif"), ("s3", "s3://b/x.tif"), ("https", "https://h/x.tif"), ("gs", "s3://b/x.tif")],
    )
    @pytest.mark.parametrize("form", [dict, list])
    def test_alternates(self, tmp_path: Path, prefer: str | None, href: str, form: type) -> None:
        others = {"first": {"href": "x.tif"}, "odd": 7, "web": {"href": "https://h/x.tif"}}
        asset = {"href": "s3://b/x.tif", "alternate": others if form is dict else list(others.values())}
        (tmp_path / "item.json").write_text(json.dumps(item(assets={"x": asset})))
        options = SourceOptions(assets=AssetChoice(prefer=prefer))
        (record,) = find_records([str(tmp_path / "item.json")], options)
        assert isinstance(record, RecordSource)
        assert record.assets[0].href == href

    def test_hrefs_as_gdal_spells_them(self, tmp_path: Path) -> None:
        hrefs = ["/vsicurl/https://h/x.tif", "/vsis3/bucket/x.tif", "/vsigs/bucket/x.tif"]
        record = one(tmp_path, assets={str(i): {"href": href} for i, href in enumerate(hrefs)})
        found = [asset.href for asset in record.assets]
        assert found == ["https://h/x.tif", "s3://bucket/x.tif", "gs://bucket/x.tif"]

    def test_transform(self, tmp_path: Path) -> None:
        asset = {"href": "x.tif", "proj:transform": [10, 0, 5, 0, -10, 7, 0, 0, 1]}
        assert one(tmp_path, assets={"x": asset}).assets[0].transform == Affine(10, 0, 5, 0, -10, 7)
        asset["proj:transform"] = [10, 0, None, 0, -10, 7]
        assert one(tmp_path, assets={"x": asset}).assets[0].transform is None


class TestGeometry:
    @pytest.mark.parametrize("geometry", [None, {"type": "Polygon", "coordinates": []}])
    def test_none(self, tmp_path: Path, geometry: object) -> None:
        assert one(tmp_path, geometry=geometry).geometry is None

    def test_a_bow_tie_is_mended(self, tmp_path: Path) -> None:
        bow = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
        geometry = one(tmp_path, geometry=bow).geometry
        assert geometry is not None
        assert geometry.is_valid

    @pytest.mark.parametrize("geometry", [7, "x", {"type": "Polygon"}, {"type": "Blob", "coordinates": [[]]}])
    def test_nonsense(self, tmp_path: Path, geometry: object) -> None:
        assert failure(tmp_path, item(geometry=geometry)).startswith("a: its geometry is not GeoJSON")


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (7, "item 0: it is not a STAC item"),
        ({}, "item 0: the item has no id"),
        ({"id": 5}, "item 0: the item has no id"),
        (item(assets={}), "a: the item has no asset that is a TIFF"),
        (item(assets=None), "a: the item has no asset that is a TIFF"),
    ],
)
def test_bad_items_do_not_stop_the_rest(tmp_path: Path, entry: object, reason: str) -> None:
    bad, good = read(tmp_path, entry, item(id="b"))
    assert str(bad) == reason
    assert isinstance(good, RecordSource)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("[]", "it has no type"),
        ('{"type": "FeatureCollection"}', "its type is 'FeatureCollection'"),
        ("", "it is empty"),
        ("<!DOCTYPE html>", "it is a web page or XML, not JSON"),
        ("II*\0", "it is a TIFF: give the folder that it lies in"),
    ],
)
def test_not_items(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(RequestError) as caught:
        list(find_records([str(tmp_path / "x.json")]))
    assert caught.value.code is ErrorCode.BAD_REQUEST
    assert caught.value.message == f"the source 'x.json' is not STAC: {why}"
    assert caught.value.hint.startswith("give STAC (an ItemCollection, a catalog,")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        list(find_records([str(tmp_path / "x.json")]))
