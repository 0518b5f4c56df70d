"""Spans of a real server, as a collector gets them by OTLP."""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pyarrow.flight as fl
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import TracerProvider

import rasterflight as rf
from support.observed import calls
from support.server import ServerProcess, run_server_command
from support.telemetry import wait_for
from support.web import WebServer


class Collector:
    """Takes spans by OTLP over HTTP."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == "/v1/traces"
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    for attribute in resource.resource.attributes:
                        if attribute.key == "service.name":
                            collector.services.add(attribute.value.string_value)
                    for scope in resource.scope_spans:
                        collector.spans.extend(scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = WebServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    made = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    yield made
    made.close()


def attributes(span: Span) -> dict[str, object]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def test_calls_are_parts_of_the_callers_trace(collector: Collector, indexes: dict[str, Path], tmp_path: Path) -> None:
    log = tmp_path / "log"
    options = ("--set", "observe.tracing=true", "--set", f"observe.access_log={log}")
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    with ServerProcess({"ny": indexes["ny"]}, options=options) as server, rf.connect(server.url) as client:
        ny = client.collection("ny")
        with tracer.start_as_current_span("mine") as mine:
            table = ny.read(windows=[(10, 10, 32, 32)], bands=["red"]).read_all()
        with pytest.raises(rf.errors.UnknownBandError):
            ny.read(bands=["rde"]).read_all()
        assert wait_for(lambda: len(collector.named("rasterflight.DoGet")) == 2, 10)
        assert server.log == ""
    context = mine.get_span_context()
    first, second = collector.named("rasterflight.DoGet")
    assert first.trace_id == context.trace_id.to_bytes(16)
    assert first.parent_span_id == context.span_id.to_bytes(8)
    assert first.kind == Span.SPAN_KIND_SERVER
    told = attributes(first)
    assert told["rasterflight.rows"] == table.num_rows
    assert (told["rasterflight.collection"], told["rasterflight.code"]) == ("ny", "OK")
    assert told["rasterflight.bytes"] > 0
    assert second.trace_id != first.trace_id
    assert attributes(second)["rasterflight.code"] == "UNKNOWN_BAND"
    assert second.status.code == Status.STATUS_CODE_UNSET  # the caller's fault
    parts = {span.name: span for span in collector.spans if span.parent_span_id == first.span_id}
    assert {"plan", "stream"} <= set(parts)
    for part in parts.values():
        assert first.start_time_unix_nano <= part.start_time_unix_nano
        assert part.end_time_unix_nano <= first.end_time_unix_nano + 1_000_000
    assert parts["plan"].end_time_unix_nano <= parts["stream"].start_time_unix_nano
    assert collector.services == {"rasterflight-server"}
    traces = [line["trace_id"] for line in calls(log) if line["method"] == "DoGet"]
    assert traces == [first.trace_id.hex(), second.trace_id.hex()]


def test_what_was_not_sent_is_sent_at_the_end(
    collector: Collector, indexes: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "rasters of ours")
    options = ("--set", "observe.tracing=true")
    with ServerProcess({"ny": indexes["ny"]}, workers=2, options=options) as server:
        traceparent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        with fl.connect(server.url) as client:
            list(client.do_action("healthcheck", fl.FlightCallOptions(headers=[(b"traceparent", traceparent)])))
        assert collector.spans == []
    [span] = collector.named("rasterflight.DoAction")
    assert span.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert span.parent_span_id.hex() == "b7ad6b7169203331"
    assert collector.services == {"rasters of ours"}


def test_without_the_library(tmp_path: Path, indexes: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = tmp_path / "opentelemetry"
    hidden.mkdir()
    (hidden / "__init__.py").write_text("raise ModuleNotFoundError('hidden', name='opentelemetry')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    done = run_server_command(
        *("serve", f"--collection=ny={indexes['ny']}", "--listen=grpc://127.0.0.1:0"),
        *("--set", "observe.tracing=true"),
    )
    assert done.returncode == 1
    assert 'opentelemetry is not installed (pip install "rasterflight[otel]"' in done.stderr
