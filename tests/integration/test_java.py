"""The Java client: its own tests against real servers, its answers against those of the Python client, and the page about it."""

import base64
import hashlib
import json
import os
import shutil
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
from support.toolchains import maven
from support.unsteady import unsteady

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "client" / "java"
BOROUGHS = ROOT / "tests" / "data" / "aoi" / "nyc-boroughs.geojson"
AREAS = {"crs": "OGC:CRS84", "bboxes": {"values": [{"minx": -74.3, "miny": 40.4, "maxx": -73.5, "maxy": 41.0}]}}

pytestmark = [
    pytest.mark.skipif(
        shutil.which("mvn") is None or shutil.which("javac") is None,
        reason="MAVEN OR A JDK IS NOT INSTALLED: the Java client was not tested",
    ),
    pytest.mark.timeout(900),  # the first run fetches what Maven needs
]


def ticket(**fields: Any) -> dict[str, Any]:
    return {"collection": "ny", "bands": ["red"], **fields}


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
    "32 MiB in a chip": ticket(collection="made", bands=["B1", "B2", "B3", "B4"]),
    "unknown band": ticket(bands=["rad"]),
    "unknown collection": ticket(collection="nz"),
    "unknown record": ticket(filters=[{"ids": ["none"]}]),
    "unknown column": ticket(filters=[{"where": "no_such = 1"}]),
    "nothing": ticket(filters=[{"dateRange": {"end": "1999-01-01"}}]),
}


@pytest.fixture(scope="module")
def served(indexes: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Servers that the tests in Java are told of: open ones, and one that wants to see a client certificate and a token."""
    folder = tmp_path_factory.mktemp("made")
    write_scene(folder / "B1.tif", noise(2048, 2048))
    bands = {f"B{number}": f"B{number}.tif" for number in range(1, 5)}
    for name in list(bands.values())[1:]:
        os.link(folder / "B1.tif", folder / name)
    items = write_items(folder / "items.json", {"first": bands})
    done = run_server_command("index", items, "--out", folder / "index", "--name", "made")
    assert done.returncode == 0, done.stderr
    authority = Authority(folder)
    server, client = authority.issue("server", "127.0.0.1"), authority.issue("client")
    token = create_token(folder / "tokens", "java", collections=None, admin=False, expires=None)
    options = [
        f"--tls-certificate={server.certificate}",
        f"--tls-key={server.key}",
        f"--tls-client-ca={authority.root}",
        f"--set=access.tokens={folder / 'tokens'}",
    ]
    ny = {"ny": indexes["ny"]}
    with (
        ServerProcess({**ny, "made": folder / "index"}) as tcp,
        ServerProcess(ny, listen="unix") as unix,
        ServerProcess(ny, listen="grpc+tls://127.0.0.1:0", options=options) as tls,
        unsteady(tcp.url, {"made": folder / "index"}) as (cut, pair),
    ):
        yield {
            "url": tcp.url,
            "unix": unix.url,
            "cut": cut.url,
            "workers": pair.url,
            "tls": {
                "url": tls.url,
                "token": token,
                "root": str(authority.root),
                "certificate": str(client.certificate),
                "key": str(client.key),
            },
        }


def expected(client: rf.Client, name: str, request: bytes) -> dict[str, Any]:
    """What the Python client makes of a ticket."""
    told: dict[str, Any] = {"name": name, "ticket": base64.b64encode(request).decode()}
    hashes: dict[str, Any] = {}
    chips = 0
    try:
        for chip in client.collection("ny")._open(unpack(request)).chips():
            chips += 1
            for kind, arrays in (("pixels", chip.pixels), ("masks", chip.masks)):
                for band, array in arrays.items():
                    digest = hashes.setdefault(f"{kind} {band}", hashlib.sha256())
                    digest.update(np.ascontiguousarray(array).tobytes())
    except rf.RasterflightError as error:
        return told | {"code": error.code, "message": error.message, "field": error.field, "hint": error.hint}
    digests = {name: digest.hexdigest() for name, digest in hashes.items()} | {"chips": str(chips)}
    return told | {"digests": dict(sorted(digests.items()))}


def test_its_own_tests(served: dict[str, Any], tmp_path: Path) -> None:
    with rf.connect(served["url"]) as client:
        requests = {name: json.dumps(fields).encode() for name, fields in TICKETS.items()}
        requests |= {f"{name}, binary": pack(unpack(request)) for name, request in requests.items()}
        cases = [expected(client, name, request) for name, request in requests.items()]
        ndvi = ndvi_of_boroughs(client)
    assert {case.get("code") for case in cases} >= {None, "UNKNOWN_BAND", "NO_DATA"}
    facts = tmp_path / "facts.json"
    facts.write_text(json.dumps(served | {"cases": cases, "ndvi": ndvi}))
    told = maven(PROJECT, "test", f"-Drasterflight.test={facts}", f"-Drasterflight.url={served['url']}")
    assert "Skipped: 0" in told
    assert "Skipped: 1" not in told
    for name in ("StreamTest", "ServerTest", "UnsteadyTest", "UploadTest", "NdviPerPlotTest", "PageTest"):
        assert f"{name}" in told


def ndvi_of_boroughs(client: rf.Client) -> list[dict[str, Any]]:
    """What the example has to print, in its order."""
    plots = json.loads(BOROUGHS.read_text())["features"]
    shapes = [shapely.from_geojson(json.dumps(plot["geometry"])) for plot in plots]
    rows = []
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
            numbers = [float(number) for number in (len(ndvi), ndvi.mean(), ndvi.min(), ndvi.max())]
            rows.append({"date": f"{chip.datetime:%Y-%m-%d}", "plot": name, "numbers": numbers})
    assert len(rows) > 20
    return rows
