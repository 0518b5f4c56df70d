"""A running server takes new snapshots of its indexes while streams go on."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.flight as fl
import pytest

import rasterflight as rf
from rasterflight_protocol import ErrorCode
from rasterflight_server.ingest import build_index, update_index
from support.http_server import FileServer
from support.scenes import noise, write_scene
from support.server import ServerProcess
from support.telemetry import wait_for


class Served:
    """A server of one collection: a record for each file of a folder."""

    def __init__(self, root: Path) -> None:
        self.files = root / "files"
        self.index = root / "index"
        self.files.mkdir()

    def write(self, name: str, size: int = 64) -> np.ndarray:
        pixels = noise(size, size)
        write_scene(self.files / f"{name}.tif", pixels)
        return pixels

    def build(self) -> str:
        return build_index(self.files, self.index, "c").snapshot

    def update(self) -> str:
        return update_index(self.index).snapshot


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(tmp_path)


@pytest.fixture
def flight(served: Served) -> Iterator[tuple[ServerProcess, fl.FlightClient]]:
    """A server of one small scene, and a bare client."""
    served.write("a")
    served.build()
    with ServerProcess({"c": served.index}) as server, fl.connect(server.url.replace("grpc://", "grpc+tcp://")) as bare:
        yield server, bare


def action(client: fl.FlightClient, name: str, body: str = "") -> dict:
    [answer] = client.do_action(fl.Action(name, body.encode()))
    return json.loads(answer.body.to_pybytes())


def snapshot(client: fl.FlightClient) -> str:
    return str(action(client, "healthcheck")["collections"]["c"])


def test_the_watch_notices(served: Served, flight: tuple[ServerProcess, fl.FlightClient]) -> None:
    server, bare = flight
    before = snapshot(bare)
    served.write("b")
    after = served.update()
    assert wait_for(lambda: snapshot(bare) == after, 20)
    assert action(bare, "stats")["collections"] == {"c": after}
    [listed] = list(bare.list_flights())
    assert json.loads(listed.app_metadata)["snapshot"] == after
    assert listed.total_records == 2
    assert f"collection 'c': snapshot {after} takes the place of {before}" in server.log
    with rf.connect(server.url) as client:
        assert client.collection("c").get_numpy(windows=[(0, 0, 8, 8)], ids=["b"], bands=["band_1"]).shape == (1, 8, 8)


def test_the_action(served: Served, flight: tuple[ServerProcess, fl.FlightClient]) -> None:
    _, bare = flight
    before = snapshot(bare)
    assert action(bare, "collection.refresh") == {"collections": {"c": before}, "replaced": {}}
    served.write("b")
    after = served.update()
    answer = action(bare, "collection.refresh", "c")
    assert answer["collections"] == {"c": after}
    assert answer["replaced"] in ({"c": before}, {})  # the watch may have been there first
    with pytest.raises(fl.FlightServerError, match="there is no collection 'd'"):
        action(bare, "collection.refresh", "d")


def test_sighup(served: Served, flight: tuple[ServerProcess, fl.FlightClient]) -> None:
    server, bare = flight
    served.write("b")
    after = served.update()
    server.process.send_signal(signal.SIGHUP)
    assert wait_for(lambda: snapshot(bare) == after, 20)
    assert server.process.poll() is None


def test_a_stream_goes_on_with_the_snapshot_that_it_began_with(served: Served) -> None:
    pixels = served.write("a", 6000)
    before = served.build()
    with ServerProcess({"c": served.index}) as server, rf.connect(server.url) as client:
        stream = client.collection("c").read(bands=["band_1"])
        batches = [next(stream)]
        served.write("b")
        after = served.update()
        assert not (served.index / before).exists()
        with fl.connect(server.url) as bare:
            assert action(bare, "collection.refresh")["collections"] == {"c": after}
        batches += list(stream)
        rows = [row for batch in batches for row in batch.to_pylist()]
        assert {row["record_id"] for row in rows} == {"a"}
        found = np.concatenate([np.array(row["band_1"], pixels.dtype).reshape(row["height"], -1) for row in rows])
        np.testing.assert_array_equal(found, pixels)


def test_pinned_tickets_are_stale_and_others_go_on(
    served: Served, flight: tuple[ServerProcess, fl.FlightClient]
) -> None:
    _, bare = flight
    ticket = {"collection": "c", "bands": ["band_1"]}
    pinned = fl.Ticket(json.dumps({**ticket, "snapshot": snapshot(bare)}).encode())
    loose = fl.Ticket(json.dumps(ticket).encode())
    assert len(bare.do_get(pinned).read_all()) == len(bare.do_get(loose).read_all()) == 1
    served.write("b")
    after = served.update()
    action(bare, "collection.refresh")
    with pytest.raises(fl.FlightServerError, match=f"the server has '{after}'") as caught:
        bare.do_get(pinned).read_all()
    assert ErrorCode.STALE_SNAPSHOT.code.encode() in caught.value.extra_info
    assert len(bare.do_get(loose).read_all()) == 2


@pytest.mark.parametrize("damage", ["{", '{"format": "rasterflight-index", "format_version": 99}', "snapshot"])
def test_a_broken_snapshot_is_refused(
    served: Served, flight: tuple[ServerProcess, fl.FlightClient], damage: str
) -> None:
    server, bare = flight
    before = snapshot(bare)
    manifest = served.index / "manifest.json"
    good = manifest.read_text()
    manifest.write_text(good.replace(before, "0" * 16) if damage == "snapshot" else damage)
    assert wait_for(lambda: f"collection 'c' stays at snapshot {before}: " in server.log, 20)
    with pytest.raises(fl.FlightInternalError, match=r"manifest|newer version|missing"):
        action(bare, "collection.refresh")
    assert snapshot(bare) == before
    assert len(bare.do_get(fl.Ticket(b'{"collection": "c", "bands": ["band_1"]}')).read_all()) == 1
    served.write("b")
    manifest.write_text(good)
    after = served.update()
    assert wait_for(lambda: snapshot(bare) == after, 20)


def test_a_configuration_is_taken_without_a_rebuild(
    served: Served, flight: tuple[ServerProcess, fl.FlightClient]
) -> None:
    server, bare = flight
    before = snapshot(bare)
    configuration = served.index / "collection.toml"
    configuration.write_text("title = 'New'\n[limits]\npixels = 1")
    ticket = fl.Ticket(b'{"collection": "c", "bands": ["band_1"]}')

    def listed() -> dict:
        return json.loads(next(iter(bare.list_flights())).app_metadata)

    assert wait_for(lambda: listed()["title"] == "New", 20)
    assert snapshot(bare) == before
    with pytest.raises(fl.FlightServerError, match="the collection gives 1 at a time"):
        bare.do_get(ticket).read_all()
    configuration.write_text("[bands.band_9]\nnodata = 3")
    assert wait_for(lambda: "the collection has no band 'band_9'" in server.log, 20)
    assert listed()["title"] == "New"
    configuration.write_text("[bands.band_1]\nnodata = 3")
    assert wait_for(lambda: snapshot(bare).startswith(f"{before}-"), 20)
    assert len(bare.do_get(ticket).read_all()) == 1


def test_options_of_stores_are_taken_without_a_rebuild(served: Served, tmp_path: Path) -> None:
    pixels = served.write("a")
    with FileServer(served.files) as files:
        feature = {"type": "Feature", "id": "a", "assets": {"red": {"href": f"{files.url}/a.tif"}}}
        (tmp_path / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
        build_index(tmp_path / "items.json", served.index, "c")
        options = ["--cache-size=0"]
        with ServerProcess({"c": served.index}, options=options) as server, rf.connect(server.url) as client:
            assert client.collection("c").get_numpy(bands=["red"]).shape == (1, *pixels.shape)
            rewrite = f'[[rewrite]]\nfrom = "{files.url}/"\nto = "{files.url}/elsewhere/"'
            (served.index / "collection.toml").write_text(rewrite)
            assert wait_for(lambda: "takes the place of" in server.log, 20)
            with pytest.raises(rf.errors.SourceNotFoundError):
                client.collection("c").get_numpy(bands=["red"])
            assert files.requests[-1].path == "/elsewhere/a.tif"


def test_every_process_takes_it(served: Served) -> None:
    served.write("a")
    served.build()
    with ServerProcess({"c": served.index}, workers=2) as server:
        location = server.url.replace("grpc://", "grpc+tcp://")
        pool = [("grpc.use_local_subchannel_pool", 1)]
        with fl.connect(location, generic_options=pool) as one, fl.connect(location, generic_options=pool) as other:
            assert action(one, "stats")["process"] != action(other, "stats")["process"]
            served.write("b")
            after = served.update()
            server.process.send_signal(signal.SIGHUP)
            assert wait_for(lambda: snapshot(one) == snapshot(other) == after, 20)
        assert server.process.poll() is None


def test_behind_a_url_it_is_taken_when_asked(served: Served, tmp_path: Path) -> None:
    served.write("a")
    before = served.build()
    with (
        FileServer(tmp_path) as files,
        ServerProcess({"c": f"{files.url}/index"}, options=[f"--index-cache={tmp_path / 'cache'}"]) as server,
        fl.connect(server.url.replace("grpc://", "grpc+tcp://")) as bare,
    ):
        assert snapshot(bare) == before
        served.write("b")
        after = served.update()
        assert action(bare, "collection.refresh") == {"collections": {"c": after}, "replaced": {"c": before}}
        server.process.send_signal(signal.SIGHUP)
        assert len(bare.do_get(fl.Ticket(b'{"collection": "c", "bands": ["band_1"]}')).read_all()) == 2
