"""A process that does not last is not started for ever."""

import queue
import signal
import sys
import threading

import pytest

from rasterflight_server.flight import processes
from support.telemetry import wait_for


def test_a_process_that_never_lasts_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(processes, "_FIRST_PAUSE", 0.001)
    told: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    worker = processes._Worker([], "1", threading.Event(), told)
    worker._command = [sys.executable, "-c", "print('listening on x', flush=True); raise SystemExit(3)"]
    assert worker.start()
    worker.watch()
    assert told.get(timeout=0) is None
    pauses = [record.getMessage() for record in caplog.records]
    assert pauses[0] == "worker 1 ended with status 3, and is started again in 0.001 s"
    assert pauses[1] == "worker 1 ended with status 3, and is started again in 0.002 s"
    assert pauses[-1] == f"worker 1 ended {len(pauses)} times soon after it started: all are ended"
    assert len(pauses) == processes._MOST_STARTS
    assert not worker.running
    worker.hang_up()


def test_nothing_is_started_after_the_end() -> None:
    ending = threading.Event()
    worker = processes._Worker([], "1", ending, queue.SimpleQueue())
    ending.set()
    assert not worker.start()
    assert not worker.running


def test_one_that_makes_room_is_told_once_and_another_takes_its_place(caplog: pytest.LogCaptureFixture) -> None:
    ending = threading.Event()
    worker = processes._Worker([], "1", ending, queue.SimpleQueue())
    # Ends a moment after the first signal, at once at the second.
    worker._command = [sys.executable, "-c", STUBBORN]
    assert worker.start()
    first = worker._process
    assert first is not None
    watching = threading.Thread(target=worker.watch)
    watching.start()
    renewing = threading.Thread(target=worker.renew)
    renewing.start()
    assert wait_for(lambda: worker._leaving is first, 10)
    worker.end(signal.SIGTERM)
    renewing.join(20)
    assert not renewing.is_alive()
    assert first.returncode == 0
    assert worker.running
    assert worker._process is not first
    assert not caplog.records
    ending.set()
    worker.end(signal.SIGTERM)
    watching.join(20)
    assert not worker.running


STUBBORN = """
import signal, sys, time
told = []
signal.signal(signal.SIGTERM, lambda *_: sys.exit(9) if told else told.append(1))
print("listening on x", flush=True)
while not told:
    time.sleep(0.01)
time.sleep(0.5)
"""
