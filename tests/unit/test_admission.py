"""Who gets a place, who waits, in which order, and who is turned away with which words."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from rasterflight_protocol import ErrorCode
from rasterflight_server.encode.budget import StreamBudget
from rasterflight_server.errors import ServiceError
from rasterflight_server.flight.admission import Admission, Place
from rasterflight_server.settings import CallerLimits, LimitSettings
from rasterflight_server.telemetry import Telemetry
from support.telemetry import wait_for

MIB = 1 << 20


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class House:
    """An admission, and threads that ask it for places."""

    def __init__(self, budget: int = 1000 * MIB, **limits: object) -> None:
        self.clock = Clock()
        self.telemetry = Telemetry()
        self.budget = StreamBudget(budget)
        self.admission = Admission(LimitSettings(**limits), self.budget, self.telemetry, self.clock)
        self.entered: list[tuple[str, Place]] = []
        self.failed: dict[str, ServiceError] = {}
        self.threads: list[threading.Thread] = []

    def enter(
        self, caller: str = "a", size: int = MIB, *, exactly: bool = False, gone: Callable[[], bool] = lambda: False
    ) -> Place:
        return self.admission.enter(caller, size, exactly=exactly, gone=gone)

    def wait(self, name: str, caller: str, size: int = MIB, **keywords: object) -> None:
        """Ask for a place on a thread, which is waiting when this returns, or has its answer."""

        def ask() -> None:
            try:
                self.entered.append((name, self.enter(caller, size, **keywords)))
            except ServiceError as error:
                self.failed[name] = error

        known = self.admission.waiting + len(self.entered) + len(self.failed)
        thread = threading.Thread(target=ask)
        self.threads.append(thread)
        thread.start()
        assert wait_for(lambda: self.admission.waiting + len(self.entered) + len(self.failed) > known, 5)

    def in_order(self, count: int) -> list[str]:
        """Who comes in, as each leaves after the other."""
        names = []
        for number in range(count):
            assert wait_for(lambda n=number: len(self.entered) > n, 5)
            name, place = self.entered[number]
            names.append(name)
            place.leave()
        return names


@contextmanager
def house(**keywords: object) -> Iterator[House]:
    made = House(**keywords)
    yield made
    made.clock.now += 1000
    for thread in made.threads:
        thread.join(5)
        assert not thread.is_alive()


def test_places_are_given_and_come_back() -> None:
    with house(streams=2) as made:
        first, second = made.enter(), made.enter("b")
        assert (first.batch_bytes, second.batch_bytes) == (MIB, MIB)
        made.wait("third", "c")
        assert made.admission.waiting == 1
        first.leave()
        first.leave()  # counts once
        assert made.in_order(1) == ["third"]
        assert made.telemetry.snapshot()["queued"] == 1
        made.wait("fourth", "d")
        assert [name for name, _ in made.entered] == ["third", "fourth"]


def test_callers_take_turns() -> None:
    with house(streams=1) as made:
        running = made.enter("greedy")
        for number in range(4):
            made.wait(f"greedy {number}", "greedy")
        made.wait("modest", "modest")
        made.wait("other", "other")
        running.leave()
        assert made.in_order(6) == ["greedy 0", "modest", "other", "greedy 1", "greedy 2", "greedy 3"]


def test_too_many_are_turned_away_from_the_longest_line() -> None:
    with house(streams=1, queue=3) as made:
        running = made.enter("greedy")
        for number in range(3):
            made.wait(f"greedy {number}", "greedy")
        made.wait("one more", "greedy")
        error = made.failed["one more"]
        assert error.code is ErrorCode.BUSY
        assert error.message == "1 streams run, which is all that the server takes on, and no more may wait"
        assert (error.field, error.retry_after) == ("limits.streams", 4.0)
        assert error.hint == "try again in 4 s"
        made.wait("modest", "modest")
        assert wait_for(lambda: "greedy 2" in made.failed, 5)
        running.leave()
        assert made.in_order(3) == ["greedy 0", "modest", "greedy 1"]
        assert made.telemetry.snapshot()["rejected_full"] == 2


def test_nobody_waits_for_ever() -> None:
    with house(streams=1, queue_seconds=5) as made:
        made.enter()
        made.wait("late", "b")
        made.clock.now += 4
        assert made.admission.waiting == 1
        made.clock.now += 1
        assert wait_for(lambda: "late" in made.failed, 5)
        error = made.failed["late"]
        assert (error.code, error.code.retryable) == (ErrorCode.BUSY, True)
        assert error.message.endswith("which is all that the server takes on, and none got free in time")
        assert error.retry_after == 5.0
        assert made.telemetry.snapshot()["rejected_waited"] == 1
        assert made.telemetry.snapshot()["queue_wait_ms"] == 5000


def test_one_who_goes_leaves_the_line() -> None:
    gone = threading.Event()
    with house(streams=1, queue=1) as made:
        made.enter()
        made.wait("goes", "b", gone=gone.is_set)
        gone.set()
        assert wait_for(lambda: "goes" in made.failed, 5)
        assert made.failed["goes"].code is ErrorCode.CANCELLED
        assert made.admission.waiting == 0
        assert made.telemetry.snapshot()["rejected_gone"] == 1
        made.wait("comes", "c")
        assert made.admission.waiting == 1


def test_limits_of_a_caller_do_not_touch_others() -> None:
    with house(caller=CallerLimits(streams=2)) as made:
        first = made.enter("a")
        made.enter("a")
        made.wait("third", "a")
        assert made.admission.waiting == 1
        for _ in range(2):
            made.enter("b")
        made.clock.now += 5
        assert wait_for(lambda: "third" in made.failed, 5)
        error = made.failed["third"]
        assert error.message == "2 streams run for this caller, who may have 2, and none got free in time"
        assert (error.code, error.field) == (ErrorCode.BUSY, "limits.caller.streams")
        first.leave()
        assert made.enter("a").batch_bytes == MIB


def test_bytes_of_a_caller() -> None:
    with house(caller=CallerLimits(bytes_in_flight=3 * MIB)) as made:
        first = made.enter("a", 2 * MIB, exactly=True)
        made.wait("second", "a", 2 * MIB, exactly=True)
        assert made.admission.waiting == 1
        made.enter("b", 2 * MIB, exactly=True)
        first.need(MIB)  # all that it has to send
        first.need(2 * MIB)  # is not taken again
        assert wait_for(lambda: len(made.entered) == 1, 5)
        made.wait("third", "a", 2 * MIB, exactly=True)
        made.clock.now += 5
        assert wait_for(lambda: "third" in made.failed, 5)
        assert made.failed["third"].field == "limits.caller.bytes_in_flight"
        assert (
            "3145728 bytes of batches are on their way for this caller, who may have 3145728"
            in made.failed["third"].message
        )
        # One that is larger than all that he may have is not refused for ever.
        assert made.enter("c", 8 * MIB, exactly=True).batch_bytes == 8 * MIB


def test_a_stated_size_waits_for_room_and_small_ones_pass_it() -> None:
    with house(budget=16 * MIB) as made:
        held = [made.enter("a", 8 * MIB, exactly=True) for _ in range(2)]
        made.wait("large", "b", 8 * MIB, exactly=True)
        assert made.admission.waiting == 1
        assert made.enter("c", MIB).batch_bytes == MIB // 4  # as small as they get
        held[0].need(2 * MIB)
        assert made.admission.waiting == 1
        held[1].leave()
        assert made.in_order(1) == ["large"]
        made.enter("a", 8 * MIB, exactly=True)
        made.wait("again", "b", 8 * MIB, exactly=True)
        made.clock.now += 5
        assert wait_for(lambda: "again" in made.failed, 5)
        error = made.failed["again"]
        assert error.message.startswith("other streams have left no room for batches of 8388608 bytes, ")
        assert (error.code, error.field) == (ErrorCode.BUSY, "batch_bytes")
        assert error.hint.endswith("ask for smaller batches, or leave their size to the server")


def test_when_to_come_back_follows_the_pace() -> None:
    with house(streams=1, queue=0) as made:
        for _ in range(30):
            place = made.enter()
            made.clock.now += 0.01
            place.leave()
        place = made.enter()
        with pytest.raises(ServiceError) as caught:
            made.enter("b")
        assert caught.value.retry_after == 0.5
        made.clock.now += 1e6
        with pytest.raises(ServiceError) as caught:
            made.enter("b")
        assert caught.value.retry_after == 30.0


def test_many_threads() -> None:
    with house(streams=3, queue=1000, queue_seconds=1e9) as made:
        most, running, lock = [0], [0], threading.Lock()

        def work(caller: str) -> None:
            for _ in range(50):
                place = made.enter(caller)
                with lock:
                    running[0] += 1
                    most[0] = max(most[0], running[0])
                with lock:
                    running[0] -= 1
                place.leave()

        threads = [threading.Thread(target=work, args=(str(number % 4),)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert most[0] <= 3
        assert made.admission.waiting == 0
        assert made.budget.batch_bytes(1 << 40) == 1000 * MIB // 32


def test_processes_divide_what_all_may_take() -> None:
    part = LimitSettings(streams=10, queue=1, caller=CallerLimits(streams=4)).part(4)
    assert (part.streams, part.queue, part.caller.streams) == (2, 1, 4)
