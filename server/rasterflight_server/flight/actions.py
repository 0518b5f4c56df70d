"""Actions: short questions with JSON answers."""

import json
from collections.abc import Callable
from importlib.metadata import version

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.flight.service import Service


def run_action(service: Service, name: str) -> bytes:
    """Answer an action.

    Raises
    ------
    RequestError
        BAD_REQUEST: there is no such action.
    """
    if name not in ACTIONS:
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            f"there is no action {name[:100]!r}",
            field="action",
            hint=f"actions here: {', '.join(ACTIONS)}",
        )
    return json.dumps(ACTIONS[name][1](service)).encode()


def _healthcheck(service: Service) -> dict[str, object]:
    return {
        "status": "ok",
        "version": version("rasterflight"),
        "collections": {name: collection.snapshot for name, collection in sorted(service.collections.items())},
    }


def _stats(service: Service) -> dict[str, object]:
    return dict(service.telemetry.snapshot())


#: Name -> what it does, and how.
ACTIONS: dict[str, tuple[str, Callable[[Service], dict[str, object]]]] = {
    "healthcheck": ("status, version, and the snapshot of each collection, as JSON", _healthcheck),
    "stats": ("counters of streams, requests, bytes and tiles, as JSON", _stats),
}
