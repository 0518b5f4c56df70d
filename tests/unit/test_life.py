"""A server takes calls, drains, and ends."""

import threading
import time

import pytest

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import ServiceError
from rasterflight_server.flight.life import Life
from rasterflight_server.flight.readiness import Readiness


def test_health_and_calls_know_the_same() -> None:
    readiness = Readiness()
    life, heard = Life(readiness), []
    readiness.on_change(lambda: heard.append(life.draining))
    readiness.serve()
    life.check_open()
    life.drain()
    assert heard == [False, True]
    assert not readiness.serving
    with pytest.raises(
        ServiceError, match=r"the server is shutting down \(try again, or try another server\)"
    ) as caught:
        life.check_open()
    assert caught.value.code is ErrorCode.DRAINING
    assert caught.value.code.retryable


def test_what_runs_goes_on_while_it_drains_and_ends_with_it() -> None:
    life = Life(Readiness())
    with life.running():
        life.drain()
        life.check()
        assert life.wait(0.05) == 1
        life.end()
        with pytest.raises(ServiceError, match="shutting down"):
            life.check()
    assert life.wait(0) == 0


def test_waiting_ends_with_the_last_call() -> None:
    life, done = Life(Readiness()), threading.Event()

    def call() -> None:
        with life.running():
            done.wait(10)

    thread = threading.Thread(target=call)
    thread.start()
    threading.Timer(0.1, done.set).start()
    began = time.monotonic()
    while life.wait(0) == 0:
        time.sleep(0.001)
    assert life.wait(10) == 0
    assert time.monotonic() - began < 5
    thread.join()
