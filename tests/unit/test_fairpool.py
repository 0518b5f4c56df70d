"""Threads that serve owners in turn."""

import threading
from collections.abc import Callable, Iterator

import pytest

from rasterflight_server.read.fairpool import FairPool
from support.telemetry import wait_for


class Work:
    """A job that says when it ran, or was dropped."""

    def __init__(self, name: str, log: list[str], before: Callable[[], object] = lambda: None) -> None:
        self._name, self._log, self._before = name, log, before

    def run(self) -> None:
        self._before()
        self._log.append(self._name)

    def drop(self) -> None:
        self._log.append(f"no {self._name}")

    def stop(self) -> None:
        self._log.append(f"stop {self._name}")


@pytest.fixture
def pool() -> Iterator[FairPool]:
    made = FairPool(1, "test")
    yield made
    made.close()


def test_a_small_read_passes_a_large_one(pool: FairPool) -> None:
    log: list[str] = []
    gate = threading.Event()
    pool.submit("large", [Work("large 0", log, lambda: gate.wait(10)), *(Work(f"large {n}", log) for n in (1, 2, 3))])
    assert wait_for(lambda: any(thread.name == "test" for thread in threading.enumerate()), 2)
    pool.submit("small", [Work("small 0", log)])
    pool.submit("medium", [Work("medium 0", log), Work("medium 1", log)])
    gate.set()
    assert wait_for(lambda: len(log) == 7, 5)
    assert log[0] == "large 0"
    assert log.index("small 0") <= 2
    assert log.index("medium 1") < log.index("large 3")
    assert [name for name in log if name.startswith("large")] == [f"large {n}" for n in range(4)]


def test_what_its_owner_gave_up_is_dropped(pool: FairPool) -> None:
    log: list[str] = []
    gate, running = threading.Event(), threading.Event()

    def wait() -> None:
        running.set()
        gate.wait(10)

    pool.submit("a", [Work("a0", log, wait), Work("a1", log), Work("a2", log)])
    assert running.wait(5)
    pool.submit("b", [Work("b0", log)])
    pool.drop("a")
    pool.drop("nobody")
    assert log == ["stop a0", "no a1", "no a2"]
    gate.set()
    assert wait_for(lambda: len(log) == 5, 5)
    assert log[3:] == ["a0", "b0"]


def test_a_closed_pool_drops_everything(pool: FairPool) -> None:
    log: list[str] = []
    pool.close()
    pool.submit("a", [Work("a0", log)])
    assert log == ["no a0"]


def test_threads_are_started_as_they_are_needed() -> None:
    pool = FairPool(4, "test-many")
    log: list[str] = []
    together = threading.Barrier(4, timeout=10)
    try:
        pool.submit("a", [Work("a", log, together.wait)])
        pool.submit("b", [Work("b", log, together.wait), Work("c", log, together.wait), Work("d", log, together.wait)])
        assert wait_for(lambda: len(log) == 4, 10), "four jobs ran side by side"
        pool.submit("a", [Work(str(n), log) for n in range(20)])
        assert wait_for(lambda: len(log) == 24, 10)
        assert sum(thread.name == "test-many" for thread in threading.enumerate()) == 4
    finally:
        pool.close()
    assert wait_for(lambda: not any(thread.name == "test-many" for thread in threading.enumerate()), 5)
