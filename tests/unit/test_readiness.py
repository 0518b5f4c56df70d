"""Whether a server takes calls, and who hears of it."""

from rasterflight_server.flight.readiness import DRAINING, STARTING, Readiness


def test_from_start_to_drain() -> None:
    readiness = Readiness()
    seen: list[bool] = []
    readiness.on_change(lambda: seen.append(readiness.serving))
    assert (readiness.serving, readiness.reason) == (False, STARTING)
    for _ in range(2):
        readiness.serve()
    assert (readiness.serving, readiness.reason) == (True, None)
    for _ in range(2):
        readiness.drain()
    assert (readiness.serving, readiness.reason) == (False, DRAINING)
    readiness.serve()
    assert readiness.reason == DRAINING
    assert seen == [True, False]
