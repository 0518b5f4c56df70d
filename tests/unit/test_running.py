"""Streams that nobody reads, and those whose time is up, are ended from outside and say so to who goes on."""

import threading
from collections.abc import Callable, Generator
from typing import Any

import pyarrow.flight as fl
import pytest

from rasterflight_protocol import ERROR_TRAILER, ErrorCode
from rasterflight_protocol.v1.error_pb2 import ErrorDetail
from rasterflight_server.encode.budget import StreamBudget
from rasterflight_server.errors import ServiceError
from rasterflight_server.flight.admission import Admission
from rasterflight_server.flight.running import Running, Terms
from rasterflight_server.settings import LimitSettings
from rasterflight_server.telemetry import Telemetry


class Context:
    """A call."""

    def __init__(self) -> None:
        self.trailers: dict[str, bytes] = {}

    def get_middleware(self, name: str) -> None:
        return None

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    def add_trailer(self, name: str, value: bytes) -> None:
        self.trailers[name] = value


class Stage:
    """A stream of numbers, and what became of it."""

    def __init__(self, seconds: float | None = None) -> None:
        self.now = 0.0
        self.freed = 0
        self.gone = False
        self.admission = Admission(LimitSettings(streams=1, queue=0), StreamBudget(), Telemetry())
        self.context: Any = Context()
        self.terms = Terms(lambda: self.gone, seconds, lambda: self.now)
        place = self.admission.enter("a", 1, exactly=True, gone=lambda: False)
        self.running = Running(place, self.terms, self.context)

    def numbers(self, work: Callable[[], None] = lambda: None) -> Generator[int]:
        try:
            for number in range(3):
                work()
                yield number
        finally:
            self.freed += 1

    @property
    def has_room(self) -> bool:
        try:
            self.admission.enter("b", 1, exactly=True, gone=lambda: False).leave()
        except ServiceError:
            return False
        return True


def ended(stage: Stage, words: str, hint: str) -> None:
    with pytest.raises(fl.FlightTimedOutError, match=words) as caught:
        next(stage.running)
    detail = ErrorDetail.FromString(caught.value.extra_info)
    assert (detail.code, detail.retryable) == ("DEADLINE", True)
    assert hint in detail.hint
    assert ErrorDetail.FromString(stage.context.trailers[ERROR_TRAILER]) == detail


def test_a_stream_that_is_read_to_its_end() -> None:
    stage = Stage()
    assert not stage.has_room
    assert list(stage.running.of(stage.numbers())) == [0, 1, 2]
    assert stage.freed == 1
    assert stage.has_room
    stage.now += 1000
    assert not stage.running.look(10)


def test_a_stream_that_nobody_reads_is_freed_and_says_so_later() -> None:
    stage = Stage()
    stage.running.of(stage.numbers())
    stage.now += 1000
    assert not stage.running.look(10)  # it has not begun
    assert next(stage.running) == 0
    stage.now += 9
    assert not stage.running.look(10)
    assert next(stage.running) == 1
    stage.now += 10
    assert stage.running.look(10)
    assert not stage.running.look(10)
    assert stage.freed == 1
    assert stage.has_room
    assert not stage.running.lingers(10)
    stage.now += 10
    assert stage.running.lingers(10)
    assert not stage.running.lingers(10)
    ended(stage, "nothing was read from the stream for 10 s, and it was ended", "read it again from where you were")


def test_the_time_of_a_stream() -> None:
    stage = Stage(seconds=60)
    stage.running.of(stage.numbers())
    assert next(stage.running) == 0
    stage.now = 60
    assert not stage.running.look(1000)  # ended, but not since it stalled
    assert stage.freed == 1
    ended(stage, r"longer than the 60 s that one may take \(limits.request.seconds\)", "ask for less at a time")


def test_the_time_of_a_stream_at_work() -> None:
    stage = Stage(seconds=60)

    def work() -> None:
        stage.now += 100
        stage.terms.check()

    stage.running.of(stage.numbers(work))
    with pytest.raises(ServiceError, match="longer than the 60 s") as caught:
        next(stage.running)
    assert caught.value.field == "limits.request.seconds"
    assert stage.has_room


def test_one_at_work_is_left_alone() -> None:
    stage = Stage()
    looked = []

    def work() -> None:
        stage.now += 1000
        thread = threading.Thread(target=lambda: looked.append(stage.running.look(10)))
        thread.start()
        thread.join()

    assert list(stage.running.of(stage.numbers(work))) == [0, 1, 2]
    assert looked == [False] * 3


def test_one_that_waits_for_what_its_caller_sends() -> None:
    stage = Stage()

    def work() -> None:
        with stage.terms.idle():
            stage.now += 10
            thread = threading.Thread(target=lambda: looked.append((stage.running.look(10), stage.has_room)))
            thread.start()
            thread.join()

    looked: list[tuple[bool, bool]] = []
    stage.running.of(stage.numbers(work))
    with pytest.raises(ServiceError, match="nothing was read") as caught:
        next(stage.running)
    assert caught.value.code is ErrorCode.DEADLINE
    assert looked == [(True, True)]
    assert stage.freed == 1


def test_a_caller_who_has_gone() -> None:
    stage = Stage()
    stage.gone = True
    stage.running.of(stage.numbers())
    with pytest.raises(fl.FlightServerError, match="the caller has gone"):
        next(stage.running)
    assert stage.has_room


def test_what_is_never_begun_or_dropped_leaves_its_place() -> None:
    stage = Stage()
    stage.running.of(stage.numbers())
    del stage.running
    assert stage.has_room
    other = Stage()
    with pytest.raises(ZeroDivisionError), other.running:
        1 / 0  # noqa: B018 - as planning may fail
    assert other.has_room
