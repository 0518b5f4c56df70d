"""How often and how long things are tried again."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from itertools import pairwise

import pytest
from obstore.exceptions import GenericError

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.store.refusals import is_busy
from rasterflight_server.store.retrying import FailedTryError, Patience, Tries
from rasterflight_server.telemetry import Telemetry

QUICK = Patience(retries=3, pause=0.01, busy_pause=0.05, longest_pause=0.1)
DOWN = SourceError(ErrorCode.SOURCE_UNAVAILABLE, "down")


class Store:
    """Fails a number of times, then answers; keeps the times at which it was asked."""

    def __init__(self, failures: int, *, busy: bool = False, lasting: float = 0.0) -> None:
        self.asked: list[float] = []
        self._failures, self._busy, self._lasting = failures, busy, lasting

    def __call__(self) -> str:
        self.asked.append(time.monotonic())
        time.sleep(self._lasting)
        if len(self.asked) > self._failures:
            return "answer"
        raise FailedTryError(DOWN, busy=self._busy)

    @property
    def pauses(self) -> list[float]:
        return [later - earlier for earlier, later in pairwise(self.asked)]


def counts(telemetry: Telemetry) -> tuple[int, int]:
    counted = telemetry.snapshot()
    return counted["source_retries"], counted["source_errors"]


def fails(tries: Tries, attempt: Callable[[], str]) -> SourceError:
    with pytest.raises(SourceError) as caught:
        tries.run(attempt)
    return caught.value


@pytest.mark.parametrize(
    ("answer", "busy"),
    [
        ("429 Too Many Requests: ", True),
        ("503 Service Unavailable: <Error><Code>SlowDown</Code></Error>", True),
        ("503 Service Unavailable: ", False),
    ],
)
def test_stores_that_are_asked_too_often(answer: str, *, busy: bool) -> None:
    assert is_busy(GenericError(f"Server returned non-2xx status code: {answer}")) is busy


@pytest.mark.parametrize("failures", [0, 1, 3])
def test_goes_on_until_it_goes_well(failures: int) -> None:
    telemetry, store = Telemetry(), Store(failures)
    assert Tries(QUICK, telemetry).run(store) == "answer"
    assert len(store.asked) == failures + 1
    assert counts(telemetry) == (failures, 0)


def test_gives_up_after_as_many_tries_as_it_was_told() -> None:
    telemetry, store = Telemetry(), Store(9)
    assert fails(Tries(QUICK, telemetry), store) is DOWN
    assert len(store.asked) == 4
    assert counts(telemetry) == (3, 1)


def test_what_will_not_be_better_is_not_tried_again() -> None:
    telemetry, asked = Telemetry(), []
    gone = SourceError(ErrorCode.SOURCE_NOT_FOUND, "gone")

    def attempt() -> str:
        asked.append(1)
        raise gone

    assert fails(Tries(QUICK, telemetry), attempt) is gone
    assert len(asked) == 1
    assert counts(telemetry) == (0, 1)


def test_pauses_grow_and_are_longer_where_the_store_is_busy() -> None:
    for busy, least in ((False, 0.005), (True, 0.025)):
        store = Store(3, busy=busy)
        Tries(QUICK).run(store)
        longest = [min(2 * least * 2**number, QUICK.longest_pause) for number in range(3)]
        assert all(pause >= most / 2 for pause, most in zip(store.pauses, longest, strict=True))


def test_no_try_begins_when_the_time_is_over() -> None:
    store = Store(99, lasting=0.1)
    fails(Tries(Patience(retries=99, seconds=0.25, pause=0.01, longest_pause=0.01)), store)
    assert 2 <= len(store.asked) <= 3


def test_a_pause_ends_when_nobody_waits_any_more() -> None:
    stop, telemetry = threading.Event(), Telemetry()
    threading.Timer(0.05, stop.set).start()
    begun = time.monotonic()
    with pytest.raises(CancelledError):
        Tries(Patience(pause=5.0, longest_pause=5.0), telemetry, stop).run(Store(9))
    assert time.monotonic() - begun < 2
    assert counts(telemetry) == (0, 0)


def test_nothing_begins_when_nobody_waits_any_more() -> None:
    stop, store = threading.Event(), Store(0)
    stop.set()
    with pytest.raises(CancelledError):
        Tries(QUICK, stop=stop).run(store)
    assert store.asked == []


def test_a_store_that_is_down_costs_what_the_docs_say() -> None:
    patience = Patience()
    pauses = [min(patience.pause * 2**number, patience.longest_pause) for number in range(patience.retries)]
    assert sum(pauses) / 2 > 2.5
    assert sum(pauses) < 6
    assert 2 * patience.timeout <= 12
    assert patience.seconds + patience.timeout <= 16
