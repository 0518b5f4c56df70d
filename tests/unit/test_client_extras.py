import json
import subprocess
import sys

import numpy as np
import pytest

from rasterflight._extras import need
from rasterflight_protocol import BandField, chips_schema
from support.fake_server import batch, collection, pixels, row

RED = chips_schema([BandField("red", "uint16", "0")])
LOADED = "import json, sys, rasterflight, rasterflight.cli; print(json.dumps(sorted(sys.modules)))"


@pytest.fixture
def without(monkeypatch):
    """Make a library look as if it were not installed."""

    def hide(name):
        for module in [module for module in sys.modules if module == name or module.startswith(f"{name}.")]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setattr("sys.meta_path", [_Missing(name), *sys.meta_path])

    return hide


class _Missing:
    def __init__(self, name):
        self._name = name

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == self._name:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_the_client_is_light():
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, check=True, timeout=60)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    heavy = {"affine", "dask", "geopandas", "h5netcdf", "osgeo", "pandas", "pyproj", "rasterflight_server", "rasterio"}
    assert loaded & (heavy | {"shapely", "tqdm", "xarray"}) == set()


@pytest.mark.parametrize(
    ("library", "extra", "call"),
    [
        ("xarray", "xarray", lambda toy: toy.get_xarray(bands="red")),
        ("dask", "dask", lambda toy: toy.get_xarray(bands="red", chunks={})),
        ("geopandas", "geo", lambda toy: toy.get_gdf(bands="red")),
        ("affine", "geo", lambda toy: toy.get_gdf(bands="red")),
        ("shapely", "geo", lambda toy: toy.read({"type": "Polygon", "coordinates": []}, bands="red")),
        ("duckdb", "duckdb", lambda toy: toy.to_duckdb(None)),
        ("polars", "polars", lambda toy: toy.scan_polars()),
        ("tqdm", "cli", lambda toy: toy.get_numpy(bands="red", progress=True)),
    ],
)
def test_a_missing_library_says_how_to_install_it(without, library, extra, call):
    with collection(RED, batch(RED, row("a", red=pixels(2, 2)))) as (toy, _):
        without(library)
        with pytest.raises(ImportError, match=rf'{library} is not installed: pip install "rasterflight\[{extra}\]"'):
            call(toy)


def test_pixels_need_no_extra(without):
    for library in ("xarray", "geopandas", "shapely", "affine", "tqdm", "pandas"):
        without(library)
    with collection(RED, batch(RED, row("a", red=pixels(2, 2)))) as (toy, _):
        np.testing.assert_array_equal(toy.get_numpy((0, 0, 1, 1), bands="red"), [pixels(2, 2)])
        assert toy.read(b"wkb", bands="red").read_all().num_rows == 1


def test_a_broken_library_is_not_called_missing(monkeypatch, tmp_path):
    (tmp_path / "broken_library.py").write_text("import a_thing_that_it_needs")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_thing_that_it_needs"):
        need("broken_library", "geo")
