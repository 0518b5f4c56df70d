"""Files that are read by pixel windows only, and types that Arrow has no name for, from end to end."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

import rasterflight as rf
from rasterflight.errors import RasterflightError
from rasterflight_server.ingest import build_index

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

ROTATED = Affine(10, 2, 500_000, 3, -10, 5_700_000)
AREA = (2.9, 51.3, 3.2, 51.5)
WINDOW = (3, 4, 20, 10)


def write(path: Path, pixels: np.ndarray, **profile) -> None:
    height, width = pixels.shape
    path.parent.mkdir(exist_ok=True)
    shape = {"width": width, "height": height, "count": 1, "dtype": pixels.dtype}
    with rasterio.open(path, "w", driver="GTiff", **shape, **profile) as dataset:
        dataset.write(pixels, 1)


def pixels_of(kind: str) -> np.ndarray:
    ramp = np.arange(40 * 50).reshape(40, 50)
    return (ramp + 1j * ramp[::-1]).astype(kind) if kind.startswith("complex") else ramp.astype(kind)


CASES = {
    "nowhere": ("uint16", {}),
    "rotated": ("uint16", {"crs": "EPSG:32631", "transform": ROTATED}),
    "without_transform": ("uint16", {"crs": "EPSG:32631"}),
    "complex64": ("complex64", {}),
    "complex128": ("complex128", {"compress": "deflate"}),
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rf.Client]:
    root = tmp_path_factory.mktemp("layouts")
    for name, (kind, profile) in CASES.items():
        write(root / name / "a.tif", pixels_of(kind), **profile)
        build_index(root / name, root / f"{name}-index", name)
    with rf.local({name: root / f"{name}-index" for name in CASES}) as client:
        yield client


@pytest.mark.parametrize("name", CASES)
def test_windows_are_read(client: rf.Client, name: str) -> None:
    collection = client.collection(name)
    found = collection.get_numpy(windows=[WINDOW], bands=["band_1"])
    expected = pixels_of(CASES[name][0])[4:14, 3:23]
    assert found.dtype == expected.dtype
    assert np.array_equal(found[0], expected)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nowhere", "no raster that matches the filters says where it lies"),
        ("without_transform", "no raster that matches the filters says where it lies"),
        ("rotated", "the raster's grid is rotated"),
    ],
)
def test_areas_are_refused(client: rf.Client, name: str, why: str) -> None:
    with pytest.raises(RasterflightError, match=why) as caught:
        client.collection(name).get_numpy(geometries=AREA, bands=["band_1"])
    assert "ask for pixel windows instead" in str(caught.value)


def test_one_that_is_refused_does_not_keep_the_others(tmp_path: Path) -> None:
    conic = {"crs": "EPSG:2154", "transform": Affine(10, 0, 700_000, 0, -10, 7_150_000)}
    upright = {"crs": "EPSG:32631", "transform": Affine(10, 0, 500_000, 0, -10, 5_700_000)}
    for name, profile in {"a": upright, "b": conic, "c": upright, "d": conic}.items():
        write(tmp_path / "files" / f"{name}.tif", pixels_of("uint16"), **profile)
    build_index(tmp_path / "files", tmp_path / "index", "mixed", pattern="{id}.tif")
    to_the_pole = (AREA[0], -90, *AREA[2:])
    words = "geometry 1 reaches where EPSG:2154 has no coordinates"
    with rf.local({"mixed": tmp_path / "index"}) as client:
        mixed = client.collection("mixed")
        assert mixed.plan(AREA, bands=["band_1"]).records == 4
        with pytest.raises(RasterflightError, match=words) as caught:
            mixed.get_numpy(geometries=to_the_pole, bands=["band_1"])
        assert caught.value.code == "BAD_GEOMETRY"
        with pytest.warns(RuntimeWarning, match=words):
            rows = mixed.get_gdf(geometries=to_the_pole, bands=["band_1"], on_error="skip")
    assert list(rows["record_id"]) == ["a", "c"]
    for pixels in rows["data"]:
        assert np.array_equal(pixels, pixels_of("uint16"))
