"""What streams may hold together: the more of them, the smaller their batches."""

from contextlib import ExitStack

import pytest

from rasterflight_protocol import ErrorCode
from rasterflight_server.encode.budget import SENDING_BYTES, SMALLEST_BATCH, StreamBudget
from rasterflight_server.errors import ServiceError
from rasterflight_server.plan.request import DEFAULT_BATCH_BYTES

MUCH = 1 << 40


def test_batches_shrink_as_streams_begin_and_grow_when_they_end() -> None:
    budget = StreamBudget()
    with ExitStack() as running:
        sizes = [running.enter_context(budget.sending(DEFAULT_BATCH_BYTES, MUCH, exactly=False)) for _ in range(1000)]
        assert sizes[:10] == [DEFAULT_BATCH_BYTES] * 10
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[-1] == SMALLEST_BATCH == budget.batch_bytes(DEFAULT_BATCH_BYTES)
        assert sum(sizes[:300]) < SENDING_BYTES + 50 * (1 << 20)
        assert sum(sizes) < SENDING_BYTES + 1000 * SMALLEST_BATCH
    assert budget.batch_bytes(DEFAULT_BATCH_BYTES) == DEFAULT_BATCH_BYTES


def test_a_small_stream_holds_no_more_than_it_has() -> None:
    budget = StreamBudget(sending=SENDING_BYTES)
    with ExitStack() as running:
        for _ in range(1000):
            running.enter_context(budget.sending(DEFAULT_BATCH_BYTES, 20_000, exactly=False))
        assert budget.batch_bytes(DEFAULT_BATCH_BYTES) == DEFAULT_BATCH_BYTES


def test_a_size_that_was_stated_is_kept_or_refused() -> None:
    size = 8 << 20
    budget = StreamBudget(sending=3 * size)
    with ExitStack() as running:
        for _ in range(3):
            assert running.enter_context(budget.sending(size, MUCH, exactly=True)) == size
        with (
            pytest.raises(ServiceError, match=f"other streams have left no room for batches of {size} bytes") as caught,
            budget.sending(size, MUCH, exactly=True),
        ):
            pass
        assert (caught.value.code, caught.value.field) == (ErrorCode.BUSY, "batch_bytes")
        assert caught.value.code.retryable
        assert running.enter_context(budget.sending(size, MUCH, exactly=False)) == SMALLEST_BATCH
        assert running.enter_context(budget.sending(size, 1000, exactly=True)) == size
    with budget.sending(size, MUCH, exactly=True) as again:
        assert again == size


def test_working_ahead_has_a_limit_of_its_own() -> None:
    budget = StreamBudget(sending=0, ahead=10)
    assert budget.try_take(6)
    assert not budget.try_take(6)
    budget.give_back(6)
    assert budget.try_take(10)
