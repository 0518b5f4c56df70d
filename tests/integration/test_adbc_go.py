"""Flight SQL through the ADBC driver for Go, which is a module of its own; without Go these tests are skipped, and say so."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rasterflight_server.flight.identity.tokens import create_token
from support.scenes import write_items, write_scene
from support.server import ServerProcess, run_server_command
from support.toolchains import run_tool

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "tests" / "support" / "adbc"

pytestmark = [
    pytest.mark.skipif(shutil.which("go") is None, reason="GO IS NOT INSTALLED: ADBC was not tested from Go"),
    pytest.mark.timeout(900),  # the first run compiles Arrow
]


@pytest.fixture(scope="module")
def served(indexes: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server of "ny", and of "big": 4096 x 4096 pixels of four bands."""
    folder = tmp_path_factory.mktemp("big")
    pixels = np.add.outer(np.arange(4096, dtype=np.uint16), np.arange(4096, dtype=np.uint16))
    write_scene(folder / "b.tif", pixels)
    items = write_items(folder / "items.json", {"one": {f"b{number}": "b.tif" for number in range(1, 5)}})
    done = run_server_command("index", items, "--out", folder / "index", "--name", "big")
    assert done.returncode == 0, done.stderr
    with ServerProcess({"ny": indexes["ny"], "big": folder / "index"}) as server:
        yield server.url


def go(*arguments: str, folder: Path = MODULE, **variables: str) -> str:
    """Run the Go command; gives what it prints."""
    environment = {"GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false", **variables}
    return run_tool(["go", *arguments], folder, timeout=800, environment=environment)


def test_the_driver(served: str, indexes: dict[str, Path], tmp_path: Path) -> None:
    token = create_token(tmp_path / "tokens", "go", collections=None, admin=False, expires=None)
    options = [f"--set=access.tokens={tmp_path / 'tokens'}"]
    with ServerProcess({"ny": indexes["ny"]}, options=options) as closed:
        told = go(
            *("test", "-count=1", "-v", "."),
            RASTERFLIGHT_URL=served,
            RASTERFLIGHT_TEST_CLOSED_URL=closed.url,
            RASTERFLIGHT_TEST_TOKEN=token,
        )
    assert "--- PASS: TestAContextEndsAStatement/cancel" in told
    assert "--- SKIP" not in told


def test_the_code_on_the_page(served: str, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "flight-sql.md").read_text()
    code, _, rest = page.partition("```go\n")[2].partition("```\n")
    (tmp_path / "main.go").write_text(code)
    replaced = (MODULE / "go.mod").read_text().replace("../../../client/go", str(ROOT / "client" / "go"))
    (tmp_path / "go.mod").write_text(replaced)
    shutil.copy(MODULE / "go.sum", tmp_path)
    output = rest.partition("```console\n")[2].partition("```\n")[0]
    assert output.count("\n") == 2
    assert go("run", ".", folder=tmp_path, RASTERFLIGHT_URL=served) == output


def test_the_code_is_tidy() -> None:
    assert not subprocess.run(["gofmt", "-l", "."], cwd=MODULE, capture_output=True, text=True, check=True).stdout
    go("vet", ".")
