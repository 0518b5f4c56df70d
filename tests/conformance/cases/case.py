"""What a case is before its answer is known."""

import base64
import math
from dataclasses import dataclass, field
from typing import Any

import shapely
from google.protobuf import json_format

from rasterflight_protocol import pack
from rasterflight_protocol.v1.read_pb2 import ReadRequest


@dataclass(frozen=True)
class Call:
    """How the Python client asks for it."""

    kwargs: dict[str, Any]
    method: str = "read"
    subset: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        subset = {"subset": self.subset} if self.subset else {}
        return {"method": self.method, **subset, "kwargs": self.kwargs}


@dataclass(frozen=True)
class Case:
    """A ticket, and what it shows."""

    name: str
    shows: str
    #: None: ``data`` is no ticket.
    request: ReadRequest | None
    call: Call | None = None
    data: bytes = b""
    upload: tuple[bytes, ...] = ()
    exchange: tuple[dict[str, list[float]], ...] = ()
    timeout: float | None = None
    #: The only RPC that it is about.
    only: str | None = None
    #: How the message of the error begins, where the rest is that of a library.
    begins: str | None = None

    def to_json(self) -> dict[str, Any]:
        case: dict[str, Any] = {"name": self.name, "shows": self.shows}
        if self.request is None:
            case["ticket_base64"] = _text(self.data)
        else:
            case["ticket"] = json_format.MessageToDict(self.request)
            if not any(mark in str(case["ticket"]) for mark in ("{snapshot}", "{upload}")):
                case["ticket_base64"] = _text(pack(self.request))
        if self.upload:
            case["upload"] = [_text(area) for area in self.upload]
        if self.exchange:
            case["exchange"] = [
                {name: [_number(value) for value in values] for name, values in points.items()}
                for points in self.exchange
            ]
        if self.only is not None:
            case["only"] = self.only
        if self.timeout is not None:
            case["timeout"] = self.timeout
        if self.call is not None:
            case["call"] = self.call.to_json()
        return case


def wkb(shape: shapely.Geometry) -> dict[str, str]:
    """A geometry as it stands in ``call``."""
    return {"wkb": _text(shapely.to_wkb(shape))}


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
