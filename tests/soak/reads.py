"""What clients of a soak do: reads of every kind whose answers are known, and rudeness whose outcome is."""

import hashlib
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.flight as fl
import shapely

import rasterflight as rf
from rasterflight_protocol.v1.error_pb2 import ErrorDetail

NEW_YORK = (-74.3, 40.4, -73.5, 41.0)
TRIANGLES = [
    shapely.Polygon([(-74.2 + d, 40.5), (-73.9 + d, 40.6), (-74.0 + d, 40.9)]) for d in np.linspace(-0.05, 0.3, 60)
]
SPOTS = np.column_stack([np.linspace(-74.3, -73.5, 200), np.linspace(40.4, 41.0, 200)])
TALL = b'{"collection": "tall", "bands": ["B1"]}'

Read = Callable[[rf.Client], Any]


def _chips(client: rf.Client) -> Any:
    return client.collection("ny").read(geometries=TRIANGLES[:8], geometry_crs=4326, bands=["red", "nir08"]).read_all()


def _boxes(client: rf.Client) -> Any:
    return (
        client.collection("naip").read(windows=[(100, 50, 300, 200)], bands=["red", "green", "blue", "nir"]).read_all()
    )


def _whole(client: rf.Client) -> Any:
    return client.collection("ny").get_numpy(windows=[(0, 0, 60, 60)], bands=["red"])


def _records(client: rf.Client) -> Any:
    return client.collection("ny").records()


def _plan(client: rf.Client) -> Any:
    return str(client.collection("ny").plan(geometries=NEW_YORK, bands=["red"]))


def _points(client: rf.Client) -> Any:
    return client.collection("ny").sample_points(SPOTS, ["red"], geometry_crs=4326)


def _warped(client: rf.Client) -> Any:
    made = client.collection("ny").read(geometries=NEW_YORK, bands=["red"], target_crs=3857, resolution=3000)
    return made.read_all()


def _uploaded(client: rf.Client) -> Any:
    return client.collection("ny").read(geometries=_MANY, geometry_crs=4326, bands=["red"]).read_all()


def _tall(client: rf.Client) -> Any:
    return client.collection("tall").read(windows=[(100, 5000, 700, 2000)], bands=["B1"]).read_all()


_MANY = TRIANGLES * 20

#: Answers are always the same.
READS: dict[str, Read] = {
    "chips": _chips,
    "boxes": _boxes,
    "numpy": _whole,
    "records": _records,
    "plan": _plan,
    "points": _points,
    "warped": _warped,
    "uploaded": _uploaded,
    "tall": _tall,
}


def digest(answer: Any) -> str:
    """The same for equal answers, in whatever batches and blocks they came."""
    if not isinstance(answer, pa.Table):
        return hashlib.sha256(answer.tobytes() if isinstance(answer, np.ndarray) else answer.encode()).hexdigest()
    made = hashlib.sha256()
    pixels = [column for column in answer.columns if pa.types.is_list(column.type)]
    # Where there are pixels, how many rows they are cut into depends on how many streams there were.
    for column in pixels or answer.columns:
        flat = pa.chunked_array([chunk.flatten() for chunk in column.chunks]) if pixels else column
        made.update(f"{len(flat)} {flat.null_count} {flat.type}".encode())
        values = flat.combine_chunks()
        made.update(
            values.fill_null(0).to_numpy(zero_copy_only=False).tobytes()
            if pixels
            else repr(values.to_pylist()).encode()
        )
    return made.hexdigest()


def connect(url: str) -> fl.FlightClient:
    """A client with a connection that it does not share, as another process has."""
    return fl.connect(url, generic_options=[("grpc.use_local_subchannel_pool", 1)])


class Rude:
    """Calls that end badly on purpose; each gives what came of it, and raises what should not."""

    def __init__(self, raw: fl.FlightClient, url: str, stalled_seconds: float) -> None:
        self._raw = raw
        self._url = url
        self._stalled_seconds = stalled_seconds

    def cancelled(self) -> None:
        """Somebody thinks better of it."""
        reader = self._raw.do_get(fl.Ticket(TALL))
        reader.read_chunk()
        reader.cancel()

    def dropped(self) -> None:
        """Somebody forgets what he asked for."""
        self._raw.do_get(fl.Ticket(TALL)).read_chunk()

    def late(self) -> str:
        """Somebody has no time."""
        try:
            self._raw.do_get(fl.Ticket(TALL), fl.FlightCallOptions(timeout=random.uniform(0.001, 0.2))).read_all()
        except fl.FlightTimedOutError:
            return "TIMED_OUT"
        return "OK"

    def stalled(self) -> str:
        """Somebody falls asleep over it."""
        # The server may close the connection, and nobody else's with it.
        with connect(self._url) as alone:
            reader = alone.do_get(fl.Ticket(TALL))
            reader.read_chunk()
            time.sleep(4 * self._stalled_seconds)
            try:
                reader.read_all()
            except fl.FlightError as error:
                return ErrorDetail.FromString(error.extra_info).code or type(error).__name__
        return "OK"

    def wrong(self) -> str:
        """Somebody asks for what there is not."""
        try:
            self._raw.do_get(fl.Ticket(b'{"collection": "ny", "bands": ["rde"]}')).read_all()
        except fl.FlightError as error:
            return ErrorDetail.FromString(error.extra_info).code
        return "OK"


#: What may come of rudeness. A connection that nobody reads from is closed after a while; a busy server is still sending by then.
OUTCOMES = {
    "cancelled": {"None"},
    "dropped": {"None"},
    "late": {"TIMED_OUT", "OK"},
    "stalled": {"DEADLINE", "OK", "FlightUnavailableError", "FlightInternalError"},
    "wrong": {"UNKNOWN_BAND"},
}
