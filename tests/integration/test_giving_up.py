"""Calls that are still planned, or warp, when their caller gives up or their time is over: they end then, and not when they are done."""

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.flight as fl
import pytest

from rasterflight_protocol import ErrorCode, pack
from rasterflight_protocol.v1.error_pb2 import ErrorDetail
from rasterflight_protocol.v1.read_pb2 import (
    RESAMPLING_CUBIC,
    BBox,
    BBoxes,
    Geometries,
    GridOptions,
    ReadRequest,
)
from support.observed import calls
from support.proxy import CuttingProxy
from support.scenes import noise, write_items, write_scene
from support.server import ServerProcess, run_server_command
from support.telemetry import stats, wait_for

WEST, NORTH, UTM = 500_000, 5_700_000, "EPSG:32631"
SIDE, SCENES = 1500, 4
#: Until the server has begun, on a machine that is busy; and until nothing of a call is left: 2, and the time that such a machine takes.
BEGINS, ENDS = 30.0, 5.0


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heavy")
    records = {}
    for number in range(SCENES):
        write_scene(folder / f"{number}.tif", noise(SIDE, SIDE, number), tile=512)
        records[f"r{number}"] = {"B1": f"{number}.tif"}
    done = run_server_command(
        "index", write_items(folder / "i.json", records), "--out", folder / "index", "--name", "made"
    )
    assert done.returncode == 0, done.stderr
    return folder / "index"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "access.jsonl"


@pytest.fixture(scope="module")
def server(index: Path, log: Path) -> Iterator[ServerProcess]:
    with ServerProcess({"made": index}, options=("--set", f"observe.access_log={log}")) as running:
        yield running


@pytest.fixture(scope="module")
def brief(index: Path) -> Iterator[ServerProcess]:
    """A server that gives a request a second."""
    with ServerProcess({"made": index}, options=("--set", "limits.request.seconds=1")) as running:
        yield running


def request(**fields: Any) -> ReadRequest:
    return ReadRequest(**{"collection": "made", "bands": ["B1"], **fields})


def many_boxes(count: int, side: float) -> Geometries:
    rng = np.random.default_rng(count)
    x, y = (rng.uniform(0, 10 * SIDE - side, count) for _ in range(2))
    boxes = [
        BBox(minx=WEST + a, maxx=WEST + a + side, miny=NORTH - b - side, maxy=NORTH - b)
        for a, b in zip(x, y, strict=True)
    ]
    return Geometries(crs=UTM, bboxes=BBoxes(values=boxes))


def reprojected() -> ReadRequest:
    """Many areas, each of which has a place to be found on another grid."""
    return request(geometries=many_boxes(60_000, 200), grid=GridOptions(target_crs="EPSG:3857", resolution=[13]))


def rescaled() -> ReadRequest:
    """The same without projection."""
    return request(geometries=many_boxes(60_000, 200), grid=GridOptions(resolution=[13]))


def enlarged() -> ReadRequest:
    """Nearly a billion pixels, none of which is as it was stored."""
    return request(grid=GridOptions(target_crs="EPSG:3857", resolution=[1], resampling=RESAMPLING_CUBIC))


def plan(client: fl.FlightClient, asked: ReadRequest, options: fl.FlightCallOptions) -> None:
    client.get_flight_info(fl.FlightDescriptor.for_command(pack(asked)), options)


def read(client: fl.FlightClient, asked: ReadRequest, options: fl.FlightCallOptions) -> None:
    client.do_get(fl.Ticket(pack(asked)), options).read_all()


Call = Callable[[fl.FlightClient, ReadRequest, fl.FlightCallOptions], None]
CALLS = [(plan, reprojected), (read, reprojected), (plan, rescaled), (read, rescaled), (read, enlarged)]


def last_call(log: Path, count: int) -> dict[str, Any]:
    """The call that ended after so many others."""
    assert wait_for(lambda: len(calls(log)) > count, ENDS)
    return calls(log)[count]


@pytest.mark.parametrize(("call", "make"), CALLS)
def test_a_deadline(server: ServerProcess, log: Path, call: Call, make: Callable[[], ReadRequest]) -> None:
    asked, before = make(), len(calls(log))
    with fl.connect(server.url) as client:
        with pytest.raises(fl.FlightTimedOutError):
            call(client, asked, fl.FlightCallOptions(timeout=1.5))
        ended = last_call(log, before)
        assert ended["code"] == "CANCELLED"
        assert ended["ms"] < 1000 * (1.5 + ENDS)
    assert wait_for(lambda: stats(server.url)["streams"] == 0, ENDS)


@pytest.mark.parametrize(("call", "make"), CALLS)
def test_a_caller_who_vanishes(server: ServerProcess, log: Path, call: Call, make: Callable[[], ReadRequest]) -> None:
    asked, before = make(), len(calls(log))
    with CuttingProxy(server.url) as proxy, fl.connect(proxy.url) as client, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(call, client, asked, fl.FlightCallOptions())
        time.sleep(1.5)
        proxy.cut()
        with pytest.raises((fl.FlightUnavailableError, fl.FlightInternalError)):
            waiting.result(BEGINS)
        ended = last_call(log, before)
    assert ended["code"] == "CANCELLED"
    assert ended["ms"] < 1000 * (1.5 + ENDS)


@pytest.mark.parametrize(("call", "make"), CALLS)
def test_the_time_of_a_request(brief: ServerProcess, call: Call, make: Callable[[], ReadRequest]) -> None:
    asked = make()
    with fl.connect(brief.url) as client:
        began = time.monotonic()
        with pytest.raises(fl.FlightTimedOutError, match="longer than the 1 s that one may take") as caught:
            call(client, asked, fl.FlightCallOptions(timeout=BEGINS))
    assert time.monotonic() - began < 1 + ENDS
    detail = ErrorDetail.FromString(caught.value.extra_info)
    assert (detail.code, detail.field) == (ErrorCode.DEADLINE.code, "limits.request.seconds")
    assert wait_for(lambda: stats(brief.url)["streams"] == 0, ENDS)


def test_a_server_that_ends(index: Path) -> None:
    """Plans end with the grace, as streams do."""
    asked = reprojected()
    with (
        ServerProcess({"made": index}, grace=1) as server,
        fl.connect(server.url) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        waiting = pool.submit(plan, client, asked, fl.FlightCallOptions())
        time.sleep(1)
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(fl.FlightUnavailableError, match="the server is shutting down"):
            waiting.result(1 + ENDS + BEGINS)
        assert server.process.wait(ENDS) == 0
