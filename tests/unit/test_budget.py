"""What streams may hold together: the more of them, the smaller their batches."""

from rasterflight_server.encode.budget import SENDING_BYTES, SMALLEST_BATCH, StreamBudget
from rasterflight_server.plan.request import DEFAULT_BATCH_BYTES


def test_batches_shrink_as_streams_begin_and_grow_when_they_end() -> None:
    budget = StreamBudget()
    sizes = [budget.reserve(DEFAULT_BATCH_BYTES, exactly=False) or 0 for _ in range(1000)]
    assert sizes[:10] == [DEFAULT_BATCH_BYTES] * 10
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == SMALLEST_BATCH == budget.batch_bytes(DEFAULT_BATCH_BYTES)
    assert sum(sizes[:300]) < SENDING_BYTES + 50 * (1 << 20)
    assert sum(sizes) < SENDING_BYTES + 1000 * SMALLEST_BATCH
    for size in sizes:
        budget.release(size)
    assert budget.batch_bytes(DEFAULT_BATCH_BYTES) == DEFAULT_BATCH_BYTES


def test_a_size_that_was_stated_is_kept_or_not_given() -> None:
    size = 8 << 20
    budget = StreamBudget(sending=3 * size)
    for _ in range(3):
        assert budget.reserve(size, exactly=True) == size
    assert budget.reserve(size, exactly=True) is None
    assert budget.reserve(size, exactly=False) == SMALLEST_BATCH
    assert budget.reserve(SMALLEST_BATCH, exactly=True) == SMALLEST_BATCH
    budget.release(size + 2 * SMALLEST_BATCH)
    assert budget.reserve(size, exactly=True) == size


def test_working_ahead_has_a_limit_of_its_own() -> None:
    budget = StreamBudget(sending=0, ahead=10)
    assert budget.try_take(6)
    assert not budget.try_take(6)
    budget.give_back(6)
    assert budget.try_take(10)
