"""Calls that are made: each follows from a seed and its number, and can be written to a file and read again."""

import base64
import json
import random
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from fuzz.messages import bases, damaged, ticket, wkb
from rasterflight_protocol import pack

ACTIONS = ["healthcheck", "stats", "collection.refresh", "upload.drop", "explode"]
_BODIES = [b"", b"ny", b"nope", b'{"collection": "ny"}', b"\xff\xfe", b"0" * 32]


class Frame(NamedTuple):
    """One message of an Arrow stream: its header, a flatbuffer, and what follows it."""

    header: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Case:
    """A call.

    ``rpc`` is GetFlightInfo, GetSchema, DoGet, DoAction, DoPut or DoExchange; ``command`` is its ticket, command, path or
    body; ``name`` that of an action, or "path" of a descriptor with a path.
    """

    rpc: str
    command: bytes
    name: str = ""
    frames: tuple[Frame, ...] = ()

    def to_json(self) -> str:
        """For a file."""
        frames = [[_b64(frame.header), _b64(frame.body)] for frame in self.frames]
        return json.dumps({"rpc": self.rpc, "name": self.name, "command": _b64(self.command), "frames": frames})

    @classmethod
    def from_json(cls, text: str) -> "Case":
        """From a file."""
        told = json.loads(text)
        frames = tuple(Frame(base64.b64decode(header), base64.b64decode(body)) for header, body in told["frames"])
        return cls(told["rpc"], base64.b64decode(told["command"]), told["name"], frames)


def case(seed: int, number: int) -> Case:
    """One case; always the same for a seed and a number."""
    rng = random.Random(f"{seed}/{number}")
    rpc = rng.choices(
        ("DoGet", "GetFlightInfo", "GetSchema", "DoAction", "DoPut", "DoExchange"), (40, 15, 3, 7, 20, 15)
    )[0]
    match rpc:
        case "DoAction":
            body = rng.choice(_BODIES)
            return Case(rpc, damaged(rng, body) if rng.random() < 0.6 else body, rng.choice(ACTIONS))
        case "DoPut":
            path = b"areas" if rng.random() < 0.9 else _path(rng, b"areas")
            return Case(rpc, path, "path" if rng.random() < 0.95 else "", _stream(rng, _areas(rng)))
        case "DoExchange":
            whole = rng.random() < 0.6
            return Case(rpc, pack(_POINTS) if whole else ticket(rng), "", _stream(rng, _points(rng)))
        case _ if rpc != "DoGet" and rng.random() < 0.1:
            return Case(rpc, _path(rng, b"ny"), "path")
        case _:
            return Case(rpc, ticket(rng))


def frames_of(batches: list[pa.RecordBatch]) -> list[Frame]:
    """A stream of record batches as messages."""
    return [_frame(batches[0].schema.serialize()), *(_frame(batch.serialize()) for batch in batches)]


def ipc(frames: tuple[Frame, ...]) -> bytes:
    """The messages as a stream of Arrow."""
    return b"".join(_message(frame) for frame in frames)


def begins(frames: tuple[Frame, ...]) -> bool:
    """Whether there is a schema at the beginning."""
    try:
        pa.ipc.open_stream(ipc(frames))
    except (pa.ArrowException, OSError):
        return False
    return True


def _message(frame: Frame) -> bytes:
    header = frame.header + bytes(-len(frame.header) % 8)
    return b"\xff\xff\xff\xff" + len(header).to_bytes(4, "little") + header + frame.body


def _frame(message: pa.Buffer) -> Frame:
    data = message.to_pybytes()
    end = 8 + int.from_bytes(data[4:8], "little")
    return Frame(data[8:end], data[end:])


_POINTS = next(base for base in bases() if base.HasField("points"))
del _POINTS.points.x[:], _POINTS.points.y[:]


def _path(rng: random.Random, name: bytes) -> bytes:
    """A part of a path, which gRPC takes only as UTF-8."""
    return damaged(rng, name).decode(errors="replace").encode()


def _areas(rng: random.Random) -> list[pa.RecordBatch]:
    values = [wkb(rng) for _ in range(rng.choice((0, 1, 3, 20)))]
    type_ = rng.choice(
        (*[pa.binary()] * 8, *[pa.large_binary()] * 3, pa.string(), pa.binary_view(), pa.list_(pa.binary()))
    )
    if type_ == pa.string():
        values = [value.hex() for value in values]
    elif pa.types.is_list(type_):
        values = [[value] for value in values]
    if rng.random() < 0.1:
        values.append(None)
    return _batches(rng, {"geometry": pa.array(values, type_)})


def _points(rng: random.Random) -> list[pa.RecordBatch]:
    count = rng.choice((0, 1, 5, 100))
    x, y = (np.array([rng.uniform(low, low + 1) for _ in range(count)]) for low in (-74.3, 40.2))
    if count and rng.random() < 0.2:
        x[rng.randrange(count)] = rng.choice((np.nan, np.inf, 1e300, 181))
    columns = {"x": pa.array(x), "y": pa.array(y)}
    if rng.random() < 0.2:
        columns["y"] = rng.choice(
            (
                columns["y"].cast(pa.string()),
                columns["y"].cast(pa.float32()),
                pa.array([None] * count, pa.float64()),
                columns["y"].dictionary_encode(),
            )
        )
    return _batches(rng, columns)


def _batches(rng: random.Random, columns: dict[str, pa.Array]) -> list[pa.RecordBatch]:
    if rng.random() < 0.1:
        name, column = next(iter(columns.items()))
        columns |= {rng.choice(("z", "", "geometry ", "ü")): column}
        if rng.random() < 0.5:
            del columns[name]
    metadata = {b"areas": b"7"} if rng.random() < 0.1 else None
    schema = pa.schema([pa.field(name, column.type) for name, column in columns.items()], metadata=metadata)
    return [pa.record_batch(list(columns.values()), schema=schema)] * rng.choice((1, 1, 2))


def _stream(rng: random.Random, batches: list[pa.RecordBatch]) -> tuple[Frame, ...]:
    """The messages of a stream; most of the time one of them is damaged, lost, doubled or out of place."""
    frames = frames_of(batches)
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        at = rng.randrange(len(frames))
        match rng.randrange(7):
            case 6 if len(batches[0]):
                # The header of more than there is.
                more = pa.Table.from_batches(batches * 30).combine_chunks().to_batches()
                frames[-1] = Frame(frames_of(more)[-1].header, frames[-1].body)
            case 0 | 1:
                frames[at] = Frame(damaged(rng, frames[at].header), frames[at].body)
            case 2:
                frames[at] = Frame(frames[at].header, damaged(rng, frames[at].body))
            case 3:
                frames[at] = Frame(frames[at].header, frames[at].body[: rng.randrange(len(frames[at].body) + 1)])
            case 4 if len(frames) > 1:
                del frames[at]
            case _:
                frames.insert(rng.randrange(len(frames) + 1), frames[at])
    return tuple(frames)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
