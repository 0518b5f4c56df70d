"""The Go client: its own tests against real servers, and its answers against those of the Python client."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

import rasterflight as rf
from rasterflight_protocol import pack, unpack
from rasterflight_server.flight.identity.tokens import create_token
from support.certificates import Authority
from support.scenes import noise, write_items, write_scene
from support.server import ServerProcess, run_server_command
from support.toolchains import run_tool
from support.unsteady import unsteady

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "client" / "go"
BOROUGHS = ROOT / "tests" / "data" / "aoi" / "nyc-boroughs.geojson"

pytestmark = [
    pytest.mark.skipif(shutil.which("go") is None, reason="GO IS NOT INSTALLED: the Go client was not tested"),
    pytest.mark.timeout(900),  # the first run compiles Arrow
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of two records, which are worth an endpoint each when read often enough."""
    folder = tmp_path_factory.mktemp("made")
    write_scene(folder / "B1.tif", noise(2048, 2048))
    items = write_items(folder / "items.json", {name: {"B1": "B1.tif"} for name in ("first", "second")})
    done = run_server_command("index", items, "--out", folder / "index", "--name", "made")
    assert done.returncode == 0, done.stderr
    return folder / "index"


@pytest.fixture(scope="module")
def served(indexes: dict[str, Path], made: Path) -> Iterator[str]:
    with ServerProcess({"ny": indexes["ny"], "made": made}) as server:
        yield server.url


@pytest.fixture(scope="module")
def encrypted(indexes: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Variables that name a server which wants to see a client certificate and a token."""
    folder = tmp_path_factory.mktemp("encrypted")
    authority = Authority(folder)
    server, client = authority.issue("server", "127.0.0.1"), authority.issue("client")
    token = create_token(folder / "tokens", "go", collections=None, admin=False, expires=None)
    options = [
        f"--tls-certificate={server.certificate}",
        f"--tls-key={server.key}",
        f"--tls-client-ca={authority.root}",
        f"--set=access.tokens={folder / 'tokens'}",
    ]
    with ServerProcess({"ny": indexes["ny"]}, listen="grpc+tls://127.0.0.1:0", options=options) as process:
        yield {
            "RASTERFLIGHT_TEST_TLS_URL": process.url,
            "RASTERFLIGHT_TEST_TOKEN": token,
            "RASTERFLIGHT_TEST_ROOT_CERTS": str(authority.root),
            "RASTERFLIGHT_TEST_CLIENT_CERTIFICATE": str(client.certificate),
            "RASTERFLIGHT_TEST_CLIENT_KEY": str(client.key),
        }


def go(*arguments: object, folder: Path = MODULE, timeout: float = 600, **variables: str) -> str:
    """Run the Go command; gives what it prints."""
    environment = {"GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false", **variables}
    return run_tool(["go", *map(str, arguments)], folder, timeout=timeout, environment=environment)


def test_the_code_is_tidy() -> None:
    unformatted = subprocess.run(["gofmt", "-l", "."], cwd=MODULE, capture_output=True, text=True, check=True).stdout
    assert not unformatted
    go("vet", "./...")
    go("mod", "tidy", "-diff")


def test_the_messages_are_those_of_proto() -> None:
    subprocess.run([sys.executable, ROOT / "proto" / "generate_go.py", "--check"], check=True)


def ticket(**fields: Any) -> dict[str, Any]:
    return {"collection": "ny", "bands": ["red"], **fields}


AREAS = {"crs": "OGC:CRS84", "bboxes": {"values": [{"minx": -74.3, "miny": 40.4, "maxx": -73.5, "maxy": 41.0}]}}
TICKETS: dict[str, dict[str, Any]] = {
    "whole": ticket(bands=["red", "nir08"]),
    "areas": ticket(bands=["nir08", "red"], geometries=AREAS, grid={"masked": True}),
    "scaled": ticket(geometries=AREAS, grid={"values": "VALUES_SCALED"}),
    "warped": ticket(
        bands=["red", "qa"],
        grid={"targetCrs": "EPSG:3857", "resolution": [2500], "common": True, "masked": True},
        compression="COMPRESSION_ZSTD",
    ),
    "blocks": ticket(collection="made", bands=["B1"], batchBytes=300_000, compression="COMPRESSION_LZ4"),
    "unknown band": ticket(bands=["rad"]),
    "unknown collection": ticket(collection="nz"),
    "unknown record": ticket(filters=[{"ids": ["none"]}]),
    "unknown column": ticket(filters=[{"where": "no_such = 1"}]),
    "nothing": ticket(filters=[{"dateRange": {"end": "1999-01-01"}}]),
}


def expected(client: rf.Client, name: str, request: bytes) -> dict[str, Any]:
    """What the Python client makes of a ticket."""
    told: dict[str, Any] = {"name": name, "ticket": base64.b64encode(request).decode()}
    pixels: dict[str, Any] = {}
    masks: dict[str, Any] = {}
    chips = 0
    try:
        for chip in client.collection("ny")._open(unpack(request)).chips():
            chips += 1
            for hashes, arrays in ((pixels, chip.pixels), (masks, chip.masks)):
                for band, array in arrays.items():
                    hashes.setdefault(band, hashlib.sha256()).update(np.ascontiguousarray(array).tobytes())
    except rf.RasterflightError as error:
        return told | {"code": error.code, "message": error.message, "field": error.field, "hint": error.hint}
    digests = {
        kind: {band: one.hexdigest() for band, one in hashes.items()}
        for kind, hashes in (("pixels", pixels), ("masks", masks))
    }
    return told | {"chips": chips} | digests


def test_its_own_tests(served: str, made: Path, encrypted: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "expected.json"
    with rf.connect(served) as client:
        requests = {name: json.dumps(fields).encode() for name, fields in TICKETS.items()}
        requests |= {f"{name}, binary": pack(unpack(request)) for name, request in requests.items()}
        cases = [expected(client, name, request) for name, request in requests.items()]
    assert {case.get("code") for case in cases} >= {None, "UNKNOWN_BAND", "NO_DATA"}
    file.write_text(json.dumps(cases))
    race = ["-race"] if shutil.which("gcc") else []
    variables = {"RASTERFLIGHT_URL": served, "RASTERFLIGHT_TEST_EXPECTED": str(file), **encrypted}
    with unsteady(served, {"made": made}) as (cut, pair):
        variables |= {"RASTERFLIGHT_TEST_CUT_URL": cut.url, "RASTERFLIGHT_TEST_WORKERS_URL": pair.url}
        told = go("test", "-count=1", "-v", *race, "./...", **variables)
    assert cut.connections > 4
    assert "--- PASS: TestManyEndpoints" in told
    assert "--- PASS: TestReadsOverConnectionsThatAreCut" in told
    assert "--- PASS: TestPixelsAndErrorsAreThoseOfPython/blocks,_binary" in told
    assert "--- SKIP" not in told


def test_the_example_gives_the_numbers_of_python(served: str, tmp_path: Path) -> None:
    picture = tmp_path / "ndvi.png"
    told = go(*("run", "./examples/ndvi", "-url", served, "-plots", BOROUGHS, "-name", "BoroName", "-picture", picture))
    lines = [re.split(r"\s{2,}", line) for line in told.splitlines()]
    begin = next(number for number, line in enumerate(lines) if line[0] == "date")
    table = {
        (line[0], line[1]): [float(number) for number in line[2:]] for line in lines[begin + 1 :] if len(line) == 7
    }
    plots = json.loads(BOROUGHS.read_text())["features"]
    expected = {}
    with rf.connect(served) as client:
        shapes = [shapely.from_geojson(json.dumps(plot["geometry"])) for plot in plots]
        for chip in client.collection("ny").read(geometries=shapes, bands=["red", "nir08"], masked=True).chips():
            assert chip.datetime is not None
            assert chip.geometry_id is not None
            seen = ~(chip.masks["red"] | chip.masks["nir08"])
            red, nir = (chip.pixels[band][seen].astype(float) for band in ("red", "nir08"))
            with np.errstate(invalid="ignore"):
                ndvi = (nir - red) / (nir + red)
            ndvi = ndvi[np.isfinite(ndvi)]
            if len(ndvi):
                name = plots[chip.geometry_id - 1]["properties"]["BoroName"]
                numbers = [len(ndvi), ndvi.mean(), ndvi.std(), ndvi.min(), ndvi.max()]
                expected[f"{chip.datetime:%Y-%m-%d}", name] = numbers
    assert table.keys() == expected.keys()
    for key, numbers in expected.items():
        np.testing.assert_allclose(table[key], numbers, atol=6e-5, err_msg=str(key))
    assert picture.read_bytes().startswith(b"\x89PNG")


#: What the pieces of the page are put into.
PROGRAM = """package main

import (
{imports}

	rf "github.com/rasterflight/rasterflight/client/go"
)

func main() {{
	ctx := context.Background()
	client, err := rf.Connect(ctx, "")
	if err != nil {{
		log.Fatal(err)
	}}
	defer client.Close()
	ny, err := client.Collection(ctx, "ny")
	if err != nil {{
		log.Fatal(err)
	}}
{pieces}
}}
"""


def run_beside(program: str, url: str, folder: Path) -> str:
    """Run a program as a module of its own, the way that the page says."""
    folder.mkdir()
    (folder / "main.go").write_text(program)
    go("mod", "init", "example.com/first", folder=folder)
    go("mod", "edit", f"-replace=github.com/rasterflight/rasterflight/client/go={MODULE}", folder=folder)
    go("mod", "tidy", folder=folder)
    return go("run", ".", folder=folder, RASTERFLIGHT_URL=url)


def test_the_page(served: str, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "go.md").read_text()
    assert "client/go" in page
    found = re.findall(r"```go\n(.*?)```\n\n```text\n(.*?)```\n", page, re.DOTALL)
    assert len(found) == page.count("```go\n"), "a piece does not say what it prints"
    (whole, printed), *pieces = found
    assert run_beside(whole, served, tmp_path / "whole") == printed
    code = "\n".join(f"\tfunc() {{\n{piece}\t}}()\n\tfmt.Println(`\x1e`)" for piece, _ in pieces)
    used = sorted(
        name for name in ("context", "errors", "fmt", "log", "time") if re.search(rf"\b{name}\.", code + PROGRAM)
    )
    imports = "\n".join(f'\t"{name}"' for name in used)
    told = run_beside(PROGRAM.format(imports=imports, pieces=code), served, tmp_path / "pieces")
    for (piece, said), output in zip(pieces, told.split("\x1e\n"), strict=False):
        assert output == said, piece
