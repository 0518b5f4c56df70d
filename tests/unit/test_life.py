"""A server takes calls, drains, and ends."""

import threading
import time

import pytest

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import ServiceError
from rasterflight_server.flight.life import Life


def test_health_hears_of_it_before_calls_are_refused() -> None:
    life, heard = Life(), []
    life.on_drain(lambda: heard.append(life.draining))
    life.check_open()
    life.drain()
    assert heard == [False]
    assert life.draining
    with pytest.raises(
        ServiceError, match=r"the server is shutting down \(try again, or try another server\)"
    ) as caught:
        life.check_open()
    assert caught.value.code is ErrorCode.DRAINING
    assert caught.value.code.retryable


def test_a_listener_that_comes_late_is_told_at_once_and_all_only_once() -> None:
    life, heard = Life(), []
    life.on_drain(lambda: heard.append(1))
    life.drain()
    life.on_drain(lambda: heard.append(2))
    life.drain()
    assert heard == [1, 2]


def test_a_listener_that_fails_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    life, heard = Life(), []

    def fail() -> None:
        raise ValueError("no health service")

    life.on_drain(fail)
    life.on_drain(lambda: heard.append(1))
    life.drain()
    assert (heard, life.draining) == ([1], True)
    assert "no health service" in caplog.text


def test_what_runs_goes_on_while_it_drains_and_ends_with_it() -> None:
    life = Life()
    with life.running():
        life.drain()
        life.check()
        assert life.wait(0.05) == 1
        life.end()
        with pytest.raises(ServiceError, match="shutting down"):
            life.check()
    assert life.wait(0) == 0


def test_waiting_ends_with_the_last_call() -> None:
    life, done = Life(), threading.Event()

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
