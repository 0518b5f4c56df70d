"""Presets, from the search of an archive's STAC API to a read: items of the archives' shape over small files."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.warp

import rasterflight as rf
from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.ingest import build_index, presets, update_index
from support import archives
from support.http_server import FileServer
from support.server import ServerProcess, run_server_command
from support.stac_api import StacApi

B01 = "s2-34SGA-20200318/B01.tif"
RED = "landsat8-017037-20160503/red.tif"
NAIP = "naip-nd-4709963/m_4709963_se_14_1_20190904.tif"
DSM = "dem-alexandria/dsm.tif"


def bounds(path: Path) -> tuple[float, float, float, float]:
    with rasterio.open(path) as file:
        return rasterio.warp.transform_bounds(file.crs, "OGC:CRS84", *file.bounds)


def landsat(path: Path, *, requester_pays: bool) -> dict[str, Any]:
    with rasterio.open(path) as file:
        shape, transform = list(file.shape), list(file.transform)
    return archives.landsat(path.as_uri(), bounds(path), shape, transform, requester_pays=requester_pays)


#: Preset, file, item, and what is known then: band by an alias, its own name, nodata, scale and offset.
ARCHIVES = [
    (
        "earth-search-sentinel-2-l2a",
        B01,
        lambda path: archives.earth_search_s2(path.as_uri(), path.as_uri(), bounds(path)),
        ("B02", "blue", 0, 0.0001, 0.0),
    ),
    (
        "planetary-computer-sentinel-2-l2a",
        B01,
        lambda path: archives.planetary_s2(path.as_uri(), path.as_uri(), bounds(path)),
        ("rededge1", "B05", 0, 0.0001, -0.1),
    ),
    (
        "planetary-computer-landsat-c2-l2",
        RED,
        lambda path: landsat(path, requester_pays=False),
        ("red", "red", 0, 0.0000275, -0.2),
    ),
    (
        "earth-search-landsat-c2-l2",
        RED,
        lambda path: landsat(path, requester_pays=True),
        ("red", "red", 0, 0.0000275, -0.2),
    ),
    (
        "planetary-computer-naip",
        NAIP,
        lambda path: archives.naip(path.as_uri(), bounds(path)),
        ("nir", "NIR", 0, None, None),
    ),
    ("earth-search-naip", NAIP, lambda path: archives.naip(path.as_uri(), bounds(path)), ("nir", "NIR", 0, None, None)),
    *(
        (
            name,
            DSM,
            lambda path: archives.copernicus_dem(path.as_uri(), bounds(path)),
            ("dem", "data", -9999, None, None),
        )
        for name in ("earth-search-cop-dem-glo-30", "planetary-computer-cop-dem-glo-30")
    ),
]


@pytest.fixture
def files(data: Path) -> Iterator[FileServer]:
    with FileServer(data) as server:
        yield server


@pytest.mark.parametrize(("name", "file", "item", "known"), ARCHIVES, ids=[archive[0] for archive in ARCHIVES])
def test_an_archive_is_searched_indexed_and_read(
    name: str,
    file: str,
    item: Callable[[Path], dict[str, Any]],
    known: tuple[str, str, float, float | None, float | None],
    data: Path,
    files: FileServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    preset = presets.read_preset(name)
    assert preset.preset is not None
    found = item(data / file) | {"collection": preset.preset.collection}
    # what a web server says may name no files here
    found = json.loads(json.dumps(found).replace(data.as_uri(), files.url))
    with StacApi([found]) as api:
        here = replace(preset, preset=replace(preset.preset, api=api.url))
        monkeypatch.setattr(presets, "read_preset", lambda _: here)
        report = build_index((), tmp_path / "i", "x", preset=name, search={"ids": [found["id"]]}, prefer="http")
        # An update asks the archive the same again.
        assert update_index(tmp_path / "i").unchanged == 1
    assert len(api.searches) == 2
    assert api.searches[0] == api.searches[1]
    assert api.searches[0].parameters["collections"] in ([preset.preset.collection], preset.preset.collection)
    assert (report.records, report.failures) == (1, ())
    assert not any("visual" in band or "preview" in band for band in report.bands)
    alias, own, nodata, scale, offset = known
    with ServerProcess({"x": tmp_path / "i"}) as server, rf.connect(server.url) as client:
        collection = client.collection("x")
        assert (collection.title, collection.license) == (preset.title, preset.license)
        assert collection.attribution == preset.attribution
        assert own in collection.bands
        array = collection.get_xarray(bands=[alias])[alias]
        with rasterio.open(data / file) as dataset:
            index = dataset.descriptions.index("nir") + 1 if "nir" in dataset.descriptions else dataset.count
            np.testing.assert_array_equal(array.squeeze(), dataset.read(1 if dataset.count == 1 else index))
        assert array.encoding.get("_FillValue", array.attrs.get("_FillValue")) == nodata
        assert (array.attrs.get("scale_factor"), array.attrs.get("add_offset")) in ((scale, offset), (None, None))


def test_an_archive_is_not_indexed_as_a_whole(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="is not indexed as a whole") as caught:
        build_index((), tmp_path / "i", "x", preset="earth-search-naip")
    assert (caught.value.code, caught.value.field) == (ErrorCode.BAD_REQUEST, "search")
    assert "--search bbox=" in caught.value.hint
    done = run_server_command("index", "--out", tmp_path / "i", "--name", "x")
    assert done.returncode == 1
    assert "there is no source to index" in done.stderr


def test_a_configuration_is_shown_and_enforced_by_a_server(data: Path, tmp_path: Path) -> None:
    config = tmp_path / "my.toml"
    config.write_text(
        'title = "New York"\nlicense = "other"\n[bands.qa]\nclasses = true\n[bands.red]\naliases = ["rot"]\nnodata = 3\n'
        "[limits]\nrecords = 5\n"
    )
    items = data / "landsat8-ny-cog" / "items.json"
    done = run_server_command("index", items, "--out", tmp_path / "ny", "--name", "ny", "--config", config)
    assert done.returncode == 0, done.stderr
    with ServerProcess({"ny": tmp_path / "ny"}) as server, rf.connect(server.url) as client:
        ny = client.collection("ny")
        text = ny.describe()
        assert text.startswith("ny: New York\n")
        assert "\nlicense   other\n" in text
        assert "2018-04 to 2018-10 by month, at most 2" in text
        assert "crs       EPSG:32618\n" in text
        lines = {line.split()[0]: line for line in text.splitlines() if line}
        assert lines["red"].split()[1:3] == ["uint16", "3024.1"]
        assert "rot" in lines["red"]
        assert " 3 " in lines["red"]
        assert "classes" in lines["qa"]
        with pytest.raises(rf.errors.LimitExceededError, match="gives 5 at a time") as caught:
            ny.get_gdf(bands=["rot"])
        assert "filters" in str(caught.value)
        some = ny.subset(date_range=("2018-04-01", "2018-05-31"))
        ds = some.get_xarray(bands=["rot", "qa"], resolution=5000)
        assert ds["qa"].dtype == np.uint16
        assert ds["rot"].dtype == np.float32
        assert len(some.plot().collections[0].get_paths()) == 3


def test_whoever_reads_the_list_may_stop() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "rasterflight_server", "presets"],
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
