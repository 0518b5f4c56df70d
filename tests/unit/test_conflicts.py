"""What an item says of its files, against the files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from rasterflight_server.catalog import BandEntry, Collection
from rasterflight_server.ingest import build_index

TRANSFORM = Affine(10, 0, 500_000, 0, -10, 4_000_000)
HERE = [10, 0, 500_000, 0, -10, 4_000_000]


def build(
    tmp_path: Path, *assets: dict, properties: dict | None = None, scaled: bool = False, **options: Any
) -> tuple[list[str], dict[str, BandEntry]]:
    """Index one item; gives the notices and the bands."""
    usual = {"crs": "EPSG:32618", "transform": TRANSFORM, "width": 32, "height": 16, "count": 1, "dtype": "int16"}
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", **(usual | options)) as out:
        out.write(np.ones((out.count, 16, 32), out.dtypes[0]))
        if scaled:
            out.scales, out.offsets = [0.5], [3.0]
    entries = {"xyz"[i]: {"href": "a.tif", **asset} for i, asset in enumerate(assets)}
    item = {"type": "Feature", "id": "a", "geometry": None, "properties": properties or {}, "assets": entries}
    (tmp_path / "item.json").write_text(json.dumps(item))
    report = build_index(tmp_path / "item.json", tmp_path / "index", "test")
    assert report.failures == ()
    return list(map(str, report.notices)), dict(Collection.open(tmp_path / "index").bands)


@pytest.mark.parametrize(
    ("asset", "notice"),
    [
        ({"proj:shape": [16, 32], "proj:transform": HERE, "proj:code": "EPSG:32618"}, None),
        ({"proj:transform": [10, 0, 500_000.05, 0, -10, 4_000_000, 0, 0, 1]}, None),
        ({"proj:shape": [32, 16]}, "proj:shape is [32, 16] in the catalog and [16, 32] in the file"),
        (
            {"proj:transform": [10, 0, 500_005, 0, -10, 4_000_000]},
            f"proj:transform is {[10.0, 0.0, 500005.0, 0.0, -10.0, 4000000.0]} in the catalog and {list(map(float, HERE))} in the file",
        ),
        ({"proj:epsg": 32617}, "the CRS is EPSG:32617 in the catalog and EPSG:32618 in the file"),
        ({"proj:code": "IAU_2015:30100"}, "the CRS is IAU_2015:30100 in the catalog and EPSG:32618 in the file"),
        ({"raster:bands": [{"data_type": "uint16"}]}, "data_type is uint16 in the catalog and int16 in the file"),
        ({"data_type": "int16", "nodata": -9}, None),
        ({"data_type": "other"}, None),
        ({"raster:bands": [{"nodata": 0}]}, "nodata is 0 in the catalog and -9 in the file"),
        ({"bands": [{"nodata": "nan"}]}, None),
    ],
)
def test_a_difference(tmp_path: Path, asset: dict, notice: str | None) -> None:
    found, bands = build(tmp_path, asset, nodata=-9)
    assert found == ([f"a/x: {notice}: the file counts"] if notice else [])
    assert (bands["x"].dtypes, bands["x"].nodatas) == (("int16",), ("-9",))


def test_scale_and_offset(tmp_path: Path) -> None:
    found, bands = build(tmp_path, {"raster:bands": [{"scale": 0.1, "offset": 3}]}, scaled=True)
    assert found == ["a/x: scale is 0.1 in the catalog and 0.5 in the file: the file counts"]
    assert (bands["x"].scale, bands["x"].offset) == (0.5, 3.0)


def test_one_line_for_each_kind(tmp_path: Path) -> None:
    said = {"proj:shape": [1, 2], "data_type": "uint8"}
    found, _ = build(tmp_path, said, said, said, count=3)
    assert found == [
        "a/x: proj:shape is [1, 2] in the catalog and [16, 32] in the file: the file counts (so in 2 more of its files)",
        "a/x: data_type is uint8 in the catalog and int16 in the file: the file counts (so in 2 more of its files)",
    ]


@pytest.mark.parametrize("code", ["PROJJSON", "WKT"])
def test_a_crs_by_its_definition(tmp_path: Path, code: str) -> None:
    crs = rasterio.CRS.from_epsg(32618)
    said = (
        {"proj:projjson": crs.to_dict(projjson=True)}
        if code == "PROJJSON"
        else {"proj:wkt2": crs.to_wkt(version="WKT2_2019")}
    )
    assert build(tmp_path, {"proj:epsg": None, **said})[0] == []


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_what_the_file_does_not_say(tmp_path: Path) -> None:
    said = {"proj:transform": HERE, "proj:wkt2": rasterio.CRS.from_epsg(32618).to_wkt(version="WKT2_2019")}
    found, bands = build(tmp_path, said | {"nodata": 7, "unit": "m"}, crs=None, transform=None)
    assert found == []
    assert (bands["x"].nodatas, bands["x"].unit) == (("7",), "m")
    collection = Collection.open(tmp_path / "index")
    assert collection.manifest.crs[0].name == "EPSG:32618"
    (asset,) = collection.assets(0, [0])
    assert asset is not None
    assert asset.grid.transform == TRANSFORM
    # Tiles that are not stored hold 0 whatever the catalog calls nodata.
    assert (asset.profile.nodata, asset.profile.fill) == ("7", "0")


def test_nodata_of_several_bands(tmp_path: Path) -> None:
    """A file has one nodata: one that only some bands have is none."""
    _, bands = build(tmp_path, {"bands": [{"nodata": 1}, {"nodata": 2}]}, count=2)
    assert bands["x_1"].nodatas == (None,)
    _, bands = build(tmp_path, {"raster:bands": [{"nodata": -5}, {"nodata": -5}]}, count=2)
    assert bands["x_1"].nodatas == ("-5",)


def test_nodata_beside_alpha(tmp_path: Path) -> None:
    """A file that tells by other means which pixels count is not told another."""
    _, bands = build(
        tmp_path, {"raster:bands": [{"nodata": 0}] * 4}, count=4, dtype="uint8", photometric="RGB", alpha="YES"
    )
    assert bands["x_1"].nodatas == (None,)


def test_what_an_asset_says_of_all_its_bands(tmp_path: Path) -> None:
    said = {"raster:scale": 0.5, "unit": "K", "bands": [{"name": "t"}, {"name": "u", "unit": "m"}]}
    _, bands = build(tmp_path, said, count=3)
    assert [(name, band.scale, band.unit) for name, band in bands.items()] == [
        ("t", 0.5, "K"),
        ("u", 0.5, "m"),
        ("x_3", 0.5, "K"),
    ]
