"""The server's code comes with the light client; without what it needs, it says what to install."""

import subprocess
import sys

WITHOUT = """
import sys
sys.modules["duckdb"] = None
from rasterflight_server.cli import main
sys.exit(main(["serve", "--collection", "a=b"]))
"""


def test_server_without_its_packages() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: the package 'duckdb' is missing (pip install \"rasterflight[server]\")\n"


LIGHT = """
import sys
heavy = ["shapely", "geopandas", "xarray", "pandas", "duckdb", "affine", "pyproj", "obstore", "imagecodecs", "tqdm", "rasterflight_server"]
for name in heavy:
    sys.modules[name] = None
import rasterflight
print(rasterflight.connect("grpc://127.0.0.1:1"))
"""


def test_the_client_needs_only_the_light_packages() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "grpc://127.0.0.1:1" in done.stdout


AREAS = """
import json
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("shapely", "geopandas", "xarray", "pandas", "duckdb", "affine", "pyproj"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
import pyarrow as pa
from rasterflight._geometries import areas_from
from rasterflight._points import point_sets
wkb = [b"\\x01one", b"\\x01two"]
told = {"ARROW:extension:name": "geoarrow.wkb", "ARROW:extension:metadata": json.dumps({"crs": "EPSG:2263"})}
geoarrow = pa.Table.from_arrays([pa.array(wkb)], schema=pa.schema([pa.field("area", pa.binary(), metadata=told)]))
print(areas_from((0, 1, 2, 3)).message.bboxes.values[0].maxx, areas_from((170, 0, -170, 1)).crs)
for given in (wkb, pa.array(wkb), pa.chunked_array([wkb]), geoarrow, geoarrow.to_reader()):
    areas = areas_from(given)
    assert list(areas.message.wkb.values) == wkb
    print(areas.crs)
print(areas_from(geoarrow, "epsg:2263").crs, areas_from(pa.table({"area": wkb}), 2263, "area").crs)
points = next(point_sets(pa.table({"x": [1], "y": [2.5], "name": ["a"]}), x_column="x", y_column="y", geometry_crs=4326, size=9))
print(points.x, points.y, points.columns.column_names, next(point_sets([(1, 2)], size=9)).crs)
try:
    areas_from({"type": "Point", "coordinates": [1, 2]})
except ImportError as error:
    print(error)
"""


def test_areas_of_the_light_client() -> None:
    done = subprocess.run([sys.executable, "-c", AREAS], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "2.0 OGC:CRS84",
        *["OGC:CRS84"] * 3,
        *["EPSG:2263"] * 2,
        "epsg:2263 EPSG:2263",
        "[1.] [2.5] ['name'] OGC:CRS84",
        'shapely is not installed: pip install "rasterflight[geo]"',
    ]
