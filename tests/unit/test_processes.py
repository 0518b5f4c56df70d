"""A process that does not last is not started for ever."""

import queue
import sys
import threading

import pytest

from rasterflight_server.flight import processes


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
