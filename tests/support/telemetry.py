"""What servers count, and waiting for it."""

import json
import time
from collections.abc import Callable

import pyarrow.flight as fl


def stats(url: str) -> dict[str, int]:
    """The counters of a server."""
    with fl.connect(url) as client:
        return stats_of(client)


def stats_of(client: fl.FlightClient) -> dict[str, int]:
    """The counters of the server at the other end."""
    [answer] = client.do_action("stats")
    return json.loads(answer.body.to_pybytes())


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until something holds; False when it does not in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return condition()
