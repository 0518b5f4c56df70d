"""Which errors are worth another try, and how long is waited before it."""

import threading
import time

import pytest
from pyarrow import flight

import rasterflight as rf
from rasterflight import _retries, errors
from rasterflight._deadline import Deadline
from rasterflight._retries import Attempts, Retries
from rasterflight_protocol import BandField, chips_schema
from support.fake_server import Answers, batch, collection, failure, pixels, row, serving

LOST = errors.ServerUnavailableError("gone")
RED = chips_schema([BandField("red", "uint16", "0")])
ONE = batch(RED, row("a", red=pixels(2, 3)))


class Clock(threading.Event):
    """Counts pauses instead of making them."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.pauses.append(timeout)
        return self.is_set()


def attempts(most: int = 5, seconds: float | None = None, *, reached: bool = True) -> tuple[Attempts, Clock]:
    clock = Clock()
    retries = Retries(most)
    retries.reached = reached
    return Attempts(retries, Deadline(seconds), clock), clock


def test_pauses_double_with_a_part_by_chance() -> None:
    tries, clock = attempts(7)
    for _ in range(7):
        tries.wait(LOST)
    for pause, most in zip(clock.pauses, [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10], strict=True):
        assert most / 2 <= pause <= most
    with pytest.raises(errors.ServerUnavailableError, match="gone"):
        tries.wait(LOST)


def test_an_answer_begins_a_new_count() -> None:
    tries, clock = attempts(1)
    for _ in range(3):
        tries.wait(LOST)
        tries.answered()
    assert max(clock.pauses) <= 0.2


def test_a_busy_server_says_when() -> None:
    tries, clock = attempts()
    tries.wait(errors.BusyError("full", code="BUSY", retry_after=7.5))
    assert clock.pauses == [7.5]


def test_no_pause_goes_beyond_the_timeout() -> None:
    tries, clock = attempts(seconds=5)
    with pytest.raises(errors.BusyError):
        tries.wait(errors.BusyError("full", retry_after=6))
    assert clock.pauses == []


def test_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_retries, "_MOST_SECONDS", 3.0)
    tries, _ = attempts(1000)
    with pytest.raises(errors.BusyError):
        tries.wait(errors.BusyError("full", retry_after=4))


def test_not_for_a_caller_who_has_gone() -> None:
    tries, clock = attempts()
    clock.set()
    with pytest.raises(errors.ServerUnavailableError):
        tries.wait(LOST)


@pytest.mark.parametrize(
    "error",
    [
        errors.SourceUnavailableError("the store"),
        errors.DeadlineError("late"),
        errors.CancelledError("gone"),
        errors.InternalServerError("a bug"),
        errors.BadRequestError("no"),
        errors.BusyError("never", retryable=False),
    ],
)
def test_other_errors_are_raised_at_once(error: rf.RasterflightError) -> None:
    tries, clock = attempts()
    with pytest.raises(type(error)):
        tries.wait(error)
    assert clock.pauses == []


def test_a_server_that_never_answered_is_not_waited_for() -> None:
    tries, clock = attempts(reached=False)
    with pytest.raises(errors.ServerUnavailableError):
        tries.wait(LOST)
    # what is refused with a code is an answer
    tries.wait(errors.DrainingError("shutting down", code="DRAINING"))
    tries.wait(LOST)
    assert len(clock.pauses) == 2


@pytest.mark.parametrize("most", [-1, 1.5, None, True, "3"])
def test_bad_numbers(most: object) -> None:
    with pytest.raises(ValueError, match=r"retries is .*, expected an integer from 0 on"):
        rf.connect("grpc://127.0.0.1:1", retries=most)  # type: ignore[arg-type]


def test_calls_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_retries, "_FIRST_PAUSE", 0.3)
    answers = Answers(schema=RED, stream=[ONE])
    draining = failure("DRAINING", "the server is shutting down", flight.FlightUnavailableError, retryable=True)
    with serving(answers) as url, rf.connect(url) as client:
        for ask in (
            client.collections,
            lambda: client.collection("toy"),
            lambda: client.collection("toy").plan(bands=["red"]),
            lambda: client.collection("toy").read(bands=["red"]).read_all(),
        ):
            answers.error = draining
            threading.Timer(0.1, lambda: setattr(answers, "error", None)).start()
            assert ask()
            assert answers.error is None
    with serving(answers) as url, rf.connect(url, retries=0) as client:
        answers.error = draining
        with pytest.raises(errors.DrainingError):
            client.collections()


def test_a_stream_that_does_not_say_where_it_stands_is_not_taken_up() -> None:
    with collection(RED, ONE, failure("DRAINING", "shutting down", flight.FlightUnavailableError, retryable=True)) as (
        toy,
        answers,
    ):
        stream = toy.read(bands=["red"])
        next(stream)
        with pytest.raises(errors.DrainingError, match="this read cannot be taken up where it broke off") as caught:
            next(stream)
        assert caught.value.retryable
        assert len(answers.requests) == 1


def test_without_a_row_it_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_retries, "_FIRST_PAUSE", 0.01)
    with collection(RED, failure("BUSY", "full", flight.FlightUnavailableError, retryable=True)) as (toy, answers):
        began = time.monotonic()
        with pytest.raises(errors.BusyError):
            toy.read(bands=["red"]).read_all()
        assert len(answers.requests) == 1 + _retries.DEFAULT_RETRIES
        assert time.monotonic() - began < 5
        assert not any(request.HasField("start") for request in answers.requests)
