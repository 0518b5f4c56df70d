"""Callers who go away: whatever they asked for, and however they go, nothing of it is left two seconds later."""

import gc
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.flight as fl
import pytest

from rasterflight_protocol import ErrorCode, pack
from rasterflight_protocol.v1.read_pb2 import (
    LAYOUT_CHIPS,
    LAYOUT_OUTLINES,
    LAYOUT_POINTS,
    LAYOUT_RECORDS,
    BBox,
    BBoxes,
    Geometries,
    GridOptions,
    Points,
    ReadRequest,
)
from rasterflight_server.catalog import Collection
from rasterflight_server.errors import ServiceError
from rasterflight_server.flight.service import Service
from rasterflight_server.read.workers import REMOTE_REQUESTS
from support.http_server import FileServer
from support.proxy import CuttingProxy
from support.scenes import noise, write_items, write_scene
from support.server import ServerProcess, run_server_command
from support.telemetry import stats, wait_for

SIDE, SCENES = 1024, 8
WEST, NORTH, UTM = 500_000, 5_700_000, "EPSG:32631"
XY = pa.schema([("x", pa.float64()), ("y", pa.float64())])
HANGS = 20.0
MIB = 1 << 20
#: Threads of a server besides those that fetch: of gRPC, Arrow, DuckDB, the stores, and those that decode.
OTHERS = 64


@pytest.fixture(scope="module")
def hanging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FileServer, ServerProcess]]:
    """A server whose files lie in a store that has stopped to answer."""
    folder = tmp_path_factory.mktemp("vanishing")
    for number in range(SCENES):
        write_scene(folder / f"{number}.tif", noise(SIDE, SIDE, number), tile=128)
    with FileServer(folder) as files:
        items = write_items(
            folder / "items.json", {f"r{number}": {"B1": f"{files.url}/{number}.tif"} for number in range(SCENES)}
        )
        done = run_server_command("index", items, "--out", folder / "index", "--name", "made")
        assert done.returncode == 0, done.stderr
        with ServerProcess({"made": folder / "index"}, cache_size="0") as server:
            files.delay = HANGS
            yield files, server


def spots(count: int) -> pa.RecordBatch:
    rng = np.random.default_rng(count)
    x, y = rng.uniform(WEST, WEST + 10 * SIDE, count), rng.uniform(NORTH - 10 * SIDE, NORTH, count)
    return pa.record_batch([x, y], schema=XY)


def get(client: fl.FlightClient, timeout: float | None, **fields: Any) -> tuple[Any, ...]:
    request = ReadRequest(collection="made", **{"bands": ["B1"], **fields})
    return (client.do_get(fl.Ticket(pack(request)), fl.FlightCallOptions(timeout=timeout)),)


def chips(client: fl.FlightClient, timeout: float | None) -> tuple[Any, ...]:
    return get(client, timeout)


def warped(client: fl.FlightClient, timeout: float | None) -> tuple[Any, ...]:
    return get(client, timeout, grid=GridOptions(target_crs="EPSG:3857", resolution=[20]))


def points(client: fl.FlightClient, timeout: float | None) -> tuple[Any, ...]:
    where = spots(5000)
    return get(
        client,
        timeout,
        layout=LAYOUT_POINTS,
        points=Points(crs=UTM, x=where["x"].to_pylist(), y=where["y"].to_pylist()),
    )


def exchange(client: fl.FlightClient, timeout: float | None) -> tuple[Any, ...]:
    request = ReadRequest(collection="made", bands=["B1"], layout=LAYOUT_POINTS, points=Points(crs=UTM))
    writer, reader = client.do_exchange(
        fl.FlightDescriptor.for_command(pack(request)), fl.FlightCallOptions(timeout=timeout)
    )
    writer.begin(XY)
    writer.write_batch(spots(5000))
    return reader, writer


def cancelled(client: fl.FlightClient, call: list[Any], _: CuttingProxy) -> None:
    call[0].cancel()


def dropped(client: fl.FlightClient, call: list[Any], _: CuttingProxy) -> None:
    call.clear()
    gc.collect()


def cut(client: fl.FlightClient, call: list[Any], proxy: CuttingProxy) -> None:
    proxy.cut()


def late(client: fl.FlightClient, call: list[Any], _: CuttingProxy) -> None:
    with pytest.raises(fl.FlightTimedOutError):
        call[0].read_all()


Start = Callable[[fl.FlightClient, float | None], tuple[Any, ...]]
STREAMS = [chips, warped, points, exchange]


# pyarrow itself waits for the end of an exchange whose writer is dropped
WAYS = [
    (start, leave)
    for leave in (cancelled, dropped, cut, late)
    for start in STREAMS
    if (start, leave) != (exchange, dropped)
]


@pytest.mark.parametrize(("start", "leave"), WAYS)
def test_nothing_is_left(hanging: tuple[FileServer, ServerProcess], start: Start, leave: Callable[..., None]) -> None:
    _, server = hanging
    with CuttingProxy(server.url) as proxy, fl.connect(proxy.url) as client:
        call = list(start(client, 1.0 if leave is late else None))
        assert wait_for(lambda: stats(server.url)["streams"] == 1, 5)
        leave(client, call, proxy)
        assert wait_for(lambda: stats(server.url)["streams"] == 0, 2)
        # those that wait for an answer of the store, and for the next reads
        assert wait_for(lambda: server.threads() <= REMOTE_REQUESTS + OTHERS, 2)
        for one in call[1:]:
            with pytest.raises((fl.FlightError, pa.ArrowException, OSError)):
                one.close()


VANISHES = """
import sys
sys.path[:0] = [sys.argv[2]]
import pyarrow.flight as fl
from integration import test_vanishing
call = getattr(test_vanishing, sys.argv[3])(fl.connect(sys.argv[1]), None)
print("begun", flush=True)
call[0].read_all()
"""


@pytest.mark.parametrize("start", STREAMS)
def test_a_killed_client(hanging: tuple[FileServer, ServerProcess], start: Start) -> None:
    _, server = hanging
    here = str(Path(__file__).parent.parent)
    victim = subprocess.Popen(
        [sys.executable, "-c", VANISHES, server.url, here, start.__name__], stdout=subprocess.PIPE
    )
    assert victim.stdout is not None
    assert victim.stdout.readline() == b"begun\n"
    assert wait_for(lambda: stats(server.url)["streams"] == 1, 5)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    assert wait_for(lambda: stats(server.url)["streams"] == 0, 2)


@pytest.mark.parametrize("layout", [LAYOUT_CHIPS, LAYOUT_POINTS])
def test_memory_comes_back_while_the_store_hangs(hanging: tuple[FileServer, ServerProcess], layout: int) -> None:
    """The requests go on, up to their end; the memory that their pixels were for does not wait for it."""
    files, _ = hanging
    collection = Collection.open(str(files.root / "index"), name="made")
    service = Service({"made": collection})
    message = ReadRequest(collection="made", bands=["B1"], layout=layout)
    if layout == LAYOUT_POINTS:
        where = spots(400_000)
        message.points.CopyFrom(Points(crs=UTM, x=where["x"].to_pylist(), y=where["y"].to_pylist()))
    request, collection = service.request(pack(message))
    asked = len(files.requests)

    def check() -> None:
        if len(files.requests) > asked:
            raise ServiceError(ErrorCode.CANCELLED, "gone")

    tracemalloc.start()
    try:
        batches = service.pixels(collection, request).batches(check)
        # pytest.raises would keep the frames of the error, and what is in them
        with suppress(ServiceError):
            next(batches)
        with pytest.raises(StopIteration):
            next(batches)
        del batches, request
        gc.collect()
        # of arrays alone: the store is a part of this process
        arrays = tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)
        left = sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([arrays]).traces)
    finally:
        tracemalloc.stop()
    assert left < MIB
    assert service.workers.cache.counts()["cache_bytes"] == 0
    service.workers.close()
    collection.close()


@pytest.mark.parametrize("layout", [LAYOUT_OUTLINES, LAYOUT_RECORDS])
def test_streams_without_pixels(hanging: tuple[FileServer, ServerProcess], layout: int) -> None:
    _, server = hanging
    box = BBox(minx=WEST, miny=NORTH - 10 * SIDE, maxx=WEST + 10 * SIDE, maxy=NORTH)
    fields = {
        "layout": layout,
        "bands": [] if layout == LAYOUT_RECORDS else ["B1"],
        "geometries": Geometries(crs=UTM, bboxes=BBoxes(values=[box] * (20_000 if layout == LAYOUT_OUTLINES else 1))),
    }
    with fl.connect(server.url) as client:
        (reader,) = get(client, None, **fields)
        reader.read_chunk()
        reader.cancel()
        assert wait_for(lambda: stats(server.url)["streams"] == 0, 2)
