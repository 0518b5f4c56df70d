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
