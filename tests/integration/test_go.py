"""The Go client: its own tests against real servers, and its answers against those of the Python client."""

import base64
import hashlib
import json
import os
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

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "client" / "go"
BOROUGHS = ROOT / "tests" / "data" / "aoi" / "nyc-boroughs.geojson"

pytestmark = [
    pytest.mark.skipif(shutil.which("go") is None, reason="GO IS NOT INSTALLED: the Go client was not tested"),
    pytest.mark.timeout(900),  # the first run compiles Arrow
]


@pytest.fixture(scope="module")
def served(indexes: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server of "ny", and of "made", whose records are worth an endpoint each when read often enough."""
    folder = tmp_path_factory.mktemp("made")
    write_scene(folder / "B1.tif", noise(2048, 2048))
    items = write_items(folder / "items.json", {name: {"B1": "B1.tif"} for name in ("first", "second")})
    done = run_server_command("index", items, "--out", folder / "index", "--name", "made")
    assert done.returncode == 0, done.stderr
    with ServerProcess({"ny": indexes["ny"], "made": folder / "index"}) as server:
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
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RASTERFLIGHT_")}
    done = subprocess.run(
        ["go", *map(str, arguments)],
        cwd=folder,
        env={**inherited, "GOTOOLCHAIN": "local", **variables},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_code_is_tidy() -> None:
    unformatted = subprocess.run(["gofmt", "-l", "."], cwd=MODULE, capture_output=True, text=True, check=True).stdout
    assert not unformatted
    go("vet", "./...")
    go("mod", "tidy", "-diff")


def test_the_messages_are_those_of_proto() -> None:
    subprocess.run([sys.executable, ROOT / "proto" / "generate_go.py", "--check"], check=True)


def test_its_own_tests(served: str, encrypted: dict[str, str]) -> None:
    race = ["-race"] if shutil.which("gcc") else []
    told = go("test", "-count=1", "-v", *race, "./...", RASTERFLIGHT_URL=served, **encrypted)
    assert "--- PASS: TestManyEndpoints" in told
    assert "--- SKIP" not in told


def answers(url: str, tickets: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What the command conformance makes of tickets."""
    file = folder / "tickets.json"
    file.write_text(json.dumps([{"name": name, "ticket": ticket} for name, ticket in tickets.items()]))
    told = json.loads(go("run", "./cmd/conformance", "-url", url, file))
    return {answer.pop("name"): answer for answer in told}


AREAS = {"crs": "OGC:CRS84", "bboxes": {"values": [{"minx": -74.3, "miny": 40.4, "maxx": -73.5, "maxy": 41.0}]}}
TICKETS: dict[str, dict[str, Any]] = {
    "whole": {"collection": "ny", "bands": ["red", "nir08"]},
    "areas": {"collection": "ny", "bands": ["nir08", "red"], "geometries": AREAS, "grid": {"masked": True}},
    "scaled": {"collection": "ny", "bands": ["red"], "geometries": AREAS, "grid": {"values": "VALUES_SCALED"}},
    "warped": {
        "collection": "ny",
        "bands": ["red", "qa"],
        "grid": {"targetCrs": "EPSG:3857", "resolution": [2500], "common": True, "masked": True},
        "compression": "COMPRESSION_ZSTD",
    },
    "blocks": {"collection": "made", "bands": ["B1"], "batchBytes": 300_000, "compression": "COMPRESSION_LZ4"},
}


def test_pixels_are_those_of_the_python_client(served: str, tmp_path: Path) -> None:
    tickets: dict[str, Any] = {name: json.dumps(ticket).encode() for name, ticket in TICKETS.items()}
    as_json = answers(served, TICKETS, tmp_path)
    # the same as messages
    as_messages = answers(
        served, {name: base64.b64encode(pack(unpack(ticket))).decode() for name, ticket in tickets.items()}, tmp_path
    )
    assert as_json == as_messages
    with rf.connect(served) as client:
        for name, ticket in tickets.items():
            request = unpack(ticket)
            stream = client.collection(request.collection)._open(request)
            pixels = {band: hashlib.sha256() for band in request.bands}
            masks = {band: hashlib.sha256() for band in request.bands}
            chips = 0
            for chip in stream.chips():
                chips += 1
                for band, array in chip.pixels.items():
                    pixels[band].update(np.ascontiguousarray(array).tobytes())
                for band, mask in chip.masks.items():
                    masks[band].update(np.ascontiguousarray(mask).tobytes())
            answer = as_json[name]
            assert answer["chips"] == chips == answer["plan"]["chips"], name
            assert answer["rows"] == answer["plan"]["rows"], name
            assert {band["band"]: band["sha256"] for band in answer["bands"]} == {
                band: digest.hexdigest() for band, digest in pixels.items()
            }, name
            if request.grid.masked:
                assert {band["band"]: band["mask_sha256"] for band in answer["bands"]} == {
                    band: digest.hexdigest() for band, digest in masks.items()
                }, name
    assert as_json["blocks"]["rows"] > as_json["blocks"]["chips"]


def test_errors_are_those_of_the_python_client(served: str, tmp_path: Path) -> None:
    tickets = {
        "band": {"collection": "ny", "bands": ["rad"]},
        "collection": {"collection": "nz", "bands": ["red"]},
        "nothing": {"collection": "ny", "bands": ["red"], "filters": [{"dateRange": {"end": "1999-01-01"}}]},
        "where": {"collection": "ny", "bands": ["red"], "filters": [{"where": "no_such = 1"}]},
        "record": {"collection": "ny", "bands": ["red"], "filters": [{"ids": ["none"]}]},
    }
    found = answers(served, tickets, tmp_path)
    with rf.connect(served) as client:
        ny = client.collection("ny")
        for name, ticket in tickets.items():
            with pytest.raises(rf.RasterflightError) as caught:
                ny._open(unpack(json.dumps(ticket).encode())).read_all()
            told = found[name]["error"]
            error = caught.value
            assert (told["code"], told["message"]) == (error.code, error.message)
            assert (told.get("field", ""), told.get("hint", "")) == (error.field, error.hint)


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
            if seen.any():
                ndvi = (nir - red) / (nir + red)
                name = plots[chip.geometry_id - 1]["properties"]["BoroName"]
                numbers = [seen.sum(), ndvi.mean(), ndvi.std(), ndvi.min(), ndvi.max()]
                expected[f"{chip.datetime:%Y-%m-%d}", name] = numbers
    assert table.keys() == expected.keys()
    for key, numbers in expected.items():
        np.testing.assert_allclose(table[key], numbers, atol=6e-5, err_msg=str(key))
    assert picture.read_bytes().startswith(b"\x89PNG")
