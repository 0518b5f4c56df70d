"""Actions: short questions with JSON answers."""

import json
import os
from collections.abc import Callable
from importlib.metadata import version
from typing import Final

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.flight.service import Service
from rasterflight_server.types.caller import Caller


def run_action(service: Service, name: str, body: bytes, caller: Caller) -> bytes:
    """Answer an action.

    Parameters
    ----------
    body
        What the action is about.
    caller
        Who asks.

    Raises
    ------
    RequestError
        BAD_REQUEST: there is no such action. FORBIDDEN: it is for operators, and the caller is none.
    """
    if name not in ACTIONS:
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            f"there is no action {name[:100]!r}",
            field="action",
            hint=f"actions here: {', '.join(actions_of(caller))}",
        )
    if name not in actions_of(caller):
        raise RequestError(
            ErrorCode.FORBIDDEN,
            f"the action {name!r} is for operators",
            field="action",
            hint="use a token that was made with --admin",
        )
    return json.dumps(ACTIONS[name][1](service, body, caller)).encode()


def actions_of(caller: Caller) -> list[str]:
    """Names of the actions that a caller may run."""
    return [name for name in ACTIONS if caller.admin or name not in _FOR_OPERATORS]


def _healthcheck(service: Service, _body: bytes, caller: Caller) -> dict[str, object]:
    return {
        "status": "ok",
        "version": version("rasterflight"),
        "collections": _snapshots(service, caller),
    }


def _snapshots(service: Service, caller: Caller) -> dict[str, str]:
    return {name: collection.snapshot for name, collection in service.readable(caller).items()}


def _refresh(service: Service, body: bytes, caller: Caller) -> dict[str, object]:
    name = body.decode(errors="replace")
    names = [service.collection(name, caller).name] if name else list(service.readable(caller))
    before = _snapshots(service, caller)
    for each in names:
        service.snapshots.refresh(each)
    after = _snapshots(service, caller)
    return {
        "collections": after,
        "replaced": {each: before[each] for each in names if before[each] != after[each]},
    }


def _stats(service: Service, _body: bytes, caller: Caller) -> dict[str, object]:
    about = {"process": os.getpid(), "processes": service.crew.size}
    counted = {**service.telemetry.snapshot(), **service.workers.cache.counts(), **service.uploads.counts()}
    return {**counted, **about, "collections": _snapshots(service, caller)}


def _drop_upload(service: Service, body: bytes, caller: Caller) -> dict[str, object]:
    upload_id = body.decode(errors="replace")
    service.uploads.drop(upload_id, caller.key)
    return {"dropped": upload_id}


_FOR_OPERATORS: Final = ("collection.refresh", "stats")

#: Name -> what it does, and how.
ACTIONS: dict[str, tuple[str, Callable[[Service, bytes, Caller], dict[str, object]]]] = {
    "collection.refresh": (
        "take the newest snapshot of the collection that the body names, or of all; the snapshots then served, as JSON",
        _refresh,
    ),
    "healthcheck": ("status, version, and the snapshot of each collection, as JSON", _healthcheck),
    "stats": (
        "counters of streams, requests, bytes, tiles, cache, uploads; snapshots of collections; of the process that answers, as JSON",
        _stats,
    ),
    "upload.drop": ("forget areas that went up by DoPut; the body is the id of the upload", _drop_upload),
}
