"""What one call is found to take: counted to its caller, whoever else reads at the same time."""

import json
from pathlib import Path

import numpy as np
import pytest

from rasterflight_protocol.v1.read_pb2 import LAYOUT_CHIPS
from rasterflight_server.flight.observe.tally import Tally
from rasterflight_server.telemetry import Telemetry
from support.direct import direct
from support.scenes import write_scene


def tally(telemetry: Telemetry, caller: str) -> Tally:
    made = Tally(telemetry, "DoGet", f"request of {caller}", None)
    made.made_by(caller)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    write_scene(tmp_path / "files" / "a.tif", np.arange(512 * 512, dtype=np.uint16).reshape(512, 512))
    return tmp_path


def test_what_is_fetched_is_counted_to_the_caller_whose_stream_asked(folder: Path) -> None:
    with direct(folder / "files", folder / "index") as reads:
        telemetry = reads.service.telemetry
        one, other = tally(telemetry, "one"), tally(telemetry, "other")
        for who in (one, other, one):
            request = reads.request("a")
            who.asks(b"ticket", "files", LAYOUT_CHIPS)
            with who.streaming():
                for batch, _ in reads.service.chips(reads.collection, request, meter=who).batches(lambda: None):
                    who.sent(batch)
        callers = telemetry.callers()
        assert callers["one"]["tiles_decoded"] == 2 * callers["other"]["tiles_decoded"] > 0
        assert callers["one"]["bytes_fetched"] == 2 * callers["other"]["bytes_fetched"] > 0
        assert callers["one"]["pixels"] == 2 * 512 * 512
        total = telemetry.snapshot()
        for name in ("streams", "streams_started", "rows", "bytes_sent", "pixels", "requests", "tiles_decoded"):
            assert total[name] == callers["one"][name] + callers["other"][name]
        assert total["streams"] == 0
        one.end()
        told = one.told()
        assert (told["pixels"], told["tiles"], told["code"]) == (2 * 512 * 512, callers["one"]["tiles_decoded"], "OK")


def test_a_stream_that_nobody_reads_to_its_end_is_cancelled() -> None:
    called = tally(Telemetry(), "me")
    called.streams()
    assert called.code == "CANCELLED"


def test_what_is_told_can_be_written_and_holds_no_ticket() -> None:
    called = tally(Telemetry(), "me")
    called.asks(b"secret ticket", "ny", 0)
    with called.waiting():
        called.planned()
    called.end()
    told = called.told()
    assert "secret" not in json.dumps(told)
    assert len(told["ticket"]) == 16
    assert (told["layout"], told["code"]) == ("chips", "OK")
    assert 0 <= told["queue_ms"] <= told["ms"]
