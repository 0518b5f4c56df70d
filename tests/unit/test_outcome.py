"""Waiting for work that many threads do."""

import pytest

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import SourceError
from rasterflight_server.read.outcome import Outcome


class WaitedError(Exception):
    """Was still waiting."""


def wait(outcome: Outcome, *, hasty: bool) -> None:
    looks = []

    def check() -> None:
        looks.append(1)
        if len(looks) > 1:
            raise WaitedError

    outcome.wait(check, hasty=hasty)


@pytest.mark.parametrize(
    ("code", "hasty", "waits"),
    [
        (ErrorCode.SOURCE_UNAVAILABLE, True, False),
        (ErrorCode.SOURCE_UNAVAILABLE, False, True),
        (ErrorCode.SOURCE_NOT_FOUND, True, True),
    ],
)
def test_those_in_haste_do_not_wait_for_others_that_will_fail_too(code: ErrorCode, *, hasty: bool, waits: bool) -> None:
    outcome = Outcome()
    for _ in range(2):
        outcome.begin()
    error = SourceError(code, "down")
    outcome.end(0, error)
    if waits:
        with pytest.raises(WaitedError):
            wait(outcome, hasty=hasty)
    else:
        wait(outcome, hasty=hasty)
    assert outcome.first_failure is error
