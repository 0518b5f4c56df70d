"""Whatever goes wrong wherever it does: the caller gets a code and an ErrorDetail, and nothing that is none of his business."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import obstore.exceptions
import pyarrow as pa
import pyarrow.flight as fl
import pytest

from rasterflight_protocol import ERROR_TRAILER, ErrorCode, pack
from rasterflight_protocol.schemas import areas_schema
from rasterflight_protocol.v1.error_pb2 import ErrorDetail
from rasterflight_protocol.v1.read_pb2 import LAYOUT_POINTS, LAYOUT_RECORDS, Points, ReadRequest
from rasterflight_server.catalog import Collection
from rasterflight_server.encode.outlines import OutlinesStream
from rasterflight_server.encode.pointstream import PointsStream
from rasterflight_server.encode.records import RecordsStream
from rasterflight_server.encode.stream import ChipsStream
from rasterflight_server.errors import BadIndexError, ConfigError, NoDataError, RequestError, ServiceError, SourceError
from rasterflight_server.flight.entrance import Entrance
from rasterflight_server.flight.identity.gate import Gate
from rasterflight_server.flight.life import Life
from rasterflight_server.flight.observe.observer import Observer
from rasterflight_server.flight.server import FlightServer
from rasterflight_server.flight.service import Service
from rasterflight_server.settings import ObserveSettings, ServerSettings, Settings
from support.observed import calls
from support.telemetry import wait_for

SECRET = "/srv/secret/place?sig=hunter2"


class PanicException(BaseException):
    """As libraries in Rust raise them: no Exception."""


def service_errors() -> dict[str, ServiceError]:
    plain = {code.code: ServiceError(code, "in plain words", field="a.field", hint="the way out") for code in ErrorCode}
    return plain | {
        "RequestError": RequestError(ErrorCode.BAD_REQUEST, "in plain words", retry_after=7.0),
        "NoDataError": NoDataError("in plain words", collection="ny"),
        "SourceError": SourceError(ErrorCode.SOURCE_CORRUPT, "in plain words", record="r", asset="a"),
        "BadIndexError": BadIndexError("in plain words"),
        "ConfigError": ConfigError("in plain words"),
        "very long": ServiceError(ErrorCode.BAD_REQUEST, "in plain words " + "x" * 100_000, hint="ü" * 100_000),
    }


#: What is no ServiceError is a bug, or something that was not thought of.
BUGS: dict[str, BaseException] = {
    type(error).__name__: error
    for error in (
        ValueError(SECRET),
        KeyError(SECRET),
        TypeError(SECRET),
        OSError(2, "No such file", SECRET),
        ConnectionResetError(104, SECRET),
        MemoryError(),
        RecursionError(SECRET),
        AssertionError(SECRET),
        StopIteration(SECRET),
        UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, SECRET),
        pa.ArrowInvalid(SECRET),
        pa.ArrowKeyError(SECRET),
        pa.ArrowMemoryError(SECRET),
        duckdb.IOException(SECRET),
        obstore.exceptions.PermissionDeniedError(SECRET),
        fl.FlightInternalError(SECRET),
        fl.FlightServerError(SECRET),
        KeyboardInterrupt(SECRET),
        SystemExit(SECRET),
        PanicException(SECRET),
    )
}
ERRORS: dict[str, BaseException] = {**service_errors(), **BUGS}


class Trailers(fl.ClientMiddlewareFactory):
    """Keeps what came beside the last answer."""

    def __init__(self) -> None:
        self.seen: dict[str, list[Any]] = {}

    def start_call(self, info: fl.CallInfo) -> fl.ClientMiddleware:
        seen = self.seen

        class Middleware(fl.ClientMiddleware):
            def received_headers(self, headers: dict[str, list[Any]]) -> None:
                seen.update(headers)

        return Middleware()


@dataclass
class Served:
    """A server in this process, and a client of it."""

    client: fl.FlightClient
    trailers: Trailers
    log: Path


@pytest.fixture(scope="module")
def served(indexes: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    log = tmp_path_factory.mktemp("log") / "access"
    settings = Settings(
        server=ServerSettings(listen="grpc://127.0.0.1:0"),
        observe=ObserveSettings(access_log=log),
    )
    service = Service({"ny": Collection.open(indexes["ny"])}, settings=settings)
    observer = Observer.of(settings.observe, service.telemetry)
    trailers = Trailers()
    with (
        FlightServer(service, Entrance.open(settings), observer) as server,
        fl.connect(f"grpc://127.0.0.1:{server.port}", middleware=[trailers]) as client,
    ):
        yield Served(client, trailers, log)
    observer.close()
    service.workers.close()
    service.collections["ny"].close()


CHIPS = pack(ReadRequest(collection="ny", bands=["red"]))
RECORDS = pack(ReadRequest(collection="ny", layout=LAYOUT_RECORDS))
OUTLINES = pack(ReadRequest(collection="ny", bands=["red"], layout=4))
ONE_POINT = Points(crs="OGC:CRS84", x=[-74.0], y=[40.7])
POINTS = pack(ReadRequest(collection="ny", bands=["red"], layout=LAYOUT_POINTS, points=ONE_POINT))
EXCHANGE = pack(ReadRequest(collection="ny", bands=["red"], layout=LAYOUT_POINTS, points=Points(crs="OGC:CRS84")))
XY = pa.record_batch({"x": np.array([-74.0]), "y": np.array([40.7])})


def by_command(ticket: bytes) -> fl.FlightDescriptor:
    return fl.FlightDescriptor.for_command(ticket)


def get(client: fl.FlightClient, ticket: bytes) -> None:
    client.do_get(fl.Ticket(ticket)).read_all()


def put(client: fl.FlightClient) -> None:
    schema = areas_schema()
    writer, reader = client.do_put(fl.FlightDescriptor.for_path("areas"), schema)
    writer.write_batch(pa.record_batch([pa.array([b""], schema.field(0).type)], schema=schema))
    writer.done_writing()
    reader.read()
    writer.close()


def exchange(client: fl.FlightClient) -> None:
    writer, reader = client.do_exchange(by_command(EXCHANGE))
    with writer:
        writer.begin(XY.schema)
        writer.write_batch(XY)
        writer.done_writing()
        reader.read_all()


def act(client: fl.FlightClient, name: str) -> None:
    list(client.do_action(fl.Action(name, b"")))


_ACTIONS = "rasterflight_server.flight.actions"
#: Name -> where it goes wrong (an object and its attribute), the RPC in the access log, and the call that meets it.
PLACES: dict[str, tuple[Any, str, str, Callable[[fl.FlightClient], object]]] = {
    "ListFlights": (Service, "readable", "ListFlights", lambda c: list(c.list_flights())),
    "GetFlightInfo path": (Service, "collection", "GetFlightInfo", lambda c: c.get_flight_info(fl.FlightDescriptor.for_path("ny"))),
    "GetFlightInfo ticket": (Service, "request", "GetFlightInfo", lambda c: c.get_flight_info(by_command(CHIPS))),
    "GetFlightInfo plan": (Service, "planned", "GetFlightInfo", lambda c: c.get_flight_info(by_command(CHIPS))),
    "GetSchema": (Service, "planned", "GetSchema", lambda c: c.get_schema(by_command(CHIPS))),
    "DoGet ticket": (Service, "request", "DoGet", lambda c: get(c, CHIPS)),
    "DoGet plan": (Service, "pixels", "DoGet", lambda c: get(c, CHIPS)),
    "DoPut": (Service, "uploads", "DoPut", put),
    "DoExchange ticket": (Service, "request", "DoExchange", exchange),
    "DoExchange plan": (Service, "points", "DoExchange", exchange),
    "healthcheck": (_ACTIONS, "version", "DoAction", lambda c: act(c, "healthcheck")),
    "stats": (_ACTIONS, "figures_of_all", "DoAction", lambda c: act(c, "stats")),
    "collection.refresh": (Service, "readable", "DoAction", lambda c: act(c, "collection.refresh")),
    "upload.drop": (Service, "uploads", "DoAction", lambda c: act(c, "upload.drop")),
    "ListActions": ("rasterflight_server.flight.server", "actions_of", "ListActions", lambda c: c.list_actions()),
    "who calls": (Gate, "identify", "DoGet", lambda c: get(c, CHIPS)),
}  # fmt: skip
STREAMS: dict[str, tuple[Any, str, Callable[[fl.FlightClient], object]]] = {
    "chips": (ChipsStream, "DoGet", lambda c: get(c, CHIPS)),
    "points": (PointsStream, "DoGet", lambda c: get(c, POINTS)),
    "records": (RecordsStream, "DoGet", lambda c: get(c, RECORDS)),
    "outlines": (OutlinesStream, "DoGet", lambda c: get(c, OUTLINES)),
    "exchange": (PointsStream, "DoExchange", exchange),
}


def fail(error: BaseException) -> Callable[..., Any]:
    def failing(*_: object, **__: object) -> Any:
        raise error

    return failing


def fail_after(batches: Callable[..., Any], error: BaseException) -> Callable[..., Any]:
    def failing(*arguments: object) -> Iterator[Any]:
        made = batches(*arguments)
        yield next(made)
        made.close()
        raise error

    return failing


def check_words(error: BaseException, text: str) -> str:
    """That the text tells nothing; gives the code that belongs to the error."""
    for secret in ("Traceback", ".py", "hunter2", "/srv", str(Path(__file__).parents[2])):
        assert secret not in text.partition("gRPC client debug context")[0]
    return error.code.code if isinstance(error, ServiceError) else "INTERNAL"


def check(served: Served, name: str, rpc: str, call: Callable[[fl.FlightClient], object]) -> None:
    served.trailers.seen.clear()
    served.log.write_text("")
    error = ERRORS[name]
    with pytest.raises((fl.FlightError, pa.ArrowException, OSError)) as caught:
        call(served.client)
    expected = check_words(error, str(caught.value))
    [trailer] = served.trailers.seen[ERROR_TRAILER]
    detail = ErrorDetail.FromString(trailer)
    assert detail.code == expected
    if rpc != "GetSchema":  # where Arrow loses it
        assert ErrorDetail.FromString(caught.value.extra_info) == detail
    if isinstance(error, ServiceError):
        assert detail.message.startswith("in plain words")
        assert (detail.field, detail.record, detail.asset) == (error.field, error.record, error.asset)
        assert (detail.retryable, detail.retry_after) == (error.code.retryable, error.retry_after or 0)
    else:
        assert detail.message == f"the server failed; its log says why under request {detail.request_id}"
    assert wait_for(lambda: bool(calls(served.log)), 5)
    [line] = calls(served.log)
    assert (line["request_id"], line["method"], line["code"]) == (detail.request_id, rpc, expected)


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("place", PLACES)
def test_before_the_answer(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, place: str, name: str
) -> None:
    where, attribute, rpc, call = PLACES[place]
    failing = fail(ERRORS[name])
    if isinstance(where, str):
        monkeypatch.setattr(f"{where}.{attribute}", failing)
    else:
        monkeypatch.setattr(where, attribute, property(failing) if attribute == "uploads" else failing, raising=False)
    with caplog.at_level(logging.CRITICAL + 1 if name not in BUGS else logging.ERROR, "rasterflight_server"):
        check(served, name, rpc, call)
    if name in BUGS:
        assert any(record.exc_info for record in caplog.records), "bugs are logged in full"


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize(("where", "attribute", "rpc"), [(Gate, "welcome", "Handshake"), (Life, "check_open", "DoGet")])
def test_before_the_call(
    served: Served, monkeypatch: pytest.MonkeyPatch, where: type, attribute: str, rpc: str, name: str
) -> None:
    """Where Arrow takes no trailers."""
    error = ERRORS[name]
    served.log.write_text("")
    monkeypatch.setattr(where, attribute, fail(error))
    with pytest.raises((fl.FlightError, pa.ArrowException, OSError)) as caught:
        served.client.authenticate_basic_token("a", "b") if rpc == "Handshake" else get(served.client, CHIPS)
    expected = check_words(error, str(caught.value))
    assert f"[{expected}] " in str(caught.value)
    assert wait_for(lambda: bool(calls(served.log)), 5)
    [line] = calls(served.log)
    assert (line["method"], line["code"]) == (rpc, expected)


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("middle", [False, True], ids=["first batch", "middle"])
def test_in_a_stream(served: Served, monkeypatch: pytest.MonkeyPatch, stream: str, *, middle: bool, name: str) -> None:
    where, rpc, call = STREAMS[stream]
    error = ERRORS[name]
    monkeypatch.setattr(where, "batches", fail_after(where.batches, error) if middle else fail(error))
    check(served, name, rpc, call)
