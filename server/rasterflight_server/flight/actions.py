"""Actions: short questions with JSON answers."""

import json
import os
from collections.abc import Callable
from importlib.metadata import version

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import RequestError
from rasterflight_server.flight.observe.team import figures_of_all
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
        BAD_REQUEST: there is no such action.
    """
    if name not in ACTIONS:
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            f"there is no action {name[:100]!r}",
            field="action",
            hint=f"actions here: {', '.join(ACTIONS)}",
        )
    return json.dumps(ACTIONS[name][1](service, body, caller)).encode()


def _healthcheck(service: Service, _body: bytes, _caller: Caller) -> dict[str, object]:
    return {
        "status": "ok",
        "version": version("rasterflight"),
        "collections": _snapshots(service),
    }


def _snapshots(service: Service) -> dict[str, str]:
    return {name: collection.snapshot for name, collection in sorted(service.collections.items())}


def _refresh(service: Service, body: bytes, _caller: Caller) -> dict[str, object]:
    name = body.decode(errors="replace")
    names = [service.collection(name).name] if name else sorted(service.collections)
    before = _snapshots(service)
    for each in names:
        service.snapshots.refresh(each)
    after = _snapshots(service)
    return {
        "collections": after,
        "replaced": {each: before[each] for each in names if before[each] != after[each]},
    }


def _stats(service: Service, _body: bytes, _caller: Caller) -> dict[str, object]:
    figures = figures_of_all(service)
    return {
        **figures.counts,
        "process": os.getpid(),
        "processes": service.crew.size,
        "calls": figures.calls(),
        "durations": figures.totals(),
        "callers": figures.callers,
        "collections": _snapshots(service),
    }


def _drop_upload(service: Service, body: bytes, caller: Caller) -> dict[str, object]:
    upload_id = body.decode(errors="replace")
    service.uploads.drop(upload_id, caller.key)
    return {"dropped": upload_id}


#: Name -> what it does, and how.
ACTIONS: dict[str, tuple[str, Callable[[Service, bytes, Caller], dict[str, object]]]] = {
    "collection.refresh": (
        "take the newest snapshot of the collection that the body names, or of all; the snapshots then served, as JSON",
        _refresh,
    ),
    "healthcheck": ("status, version, and the snapshot of each collection, as JSON", _healthcheck),
    "stats": (
        "counters of streams, requests, bytes, tiles, cache, uploads, calls and callers; snapshots of collections, as JSON",
        _stats,
    ),
    "upload.drop": ("forget areas that went up by DoPut; the body is the id of the upload", _drop_upload),
}
