"""Spans of OpenTelemetry: one for each call, in the trace of the caller, with one for each of its parts."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import ConfigError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, Tracer

_NAME: Final = "rasterflight-server"
#: What a span tells, of what is told of its call.
_ATTRIBUTES: Final = ("collection", "layout", "rows", "bytes", "pixels", "gets", "bytes_fetched", "tiles", "code")
#: What spans that were not sent yet may take at the end of the process.
_FLUSH_MILLISECONDS: Final = 2000


class Trace:
    """A call as a span."""

    def __init__(self, tracer: "Tracer", span: "Span") -> None:
        self._tracer = tracer
        self._span = span

    @property
    def id(self) -> str:
        """Of the whole trace, as it stands in ``traceparent``."""
        return format(self._span.get_span_context().trace_id, "032x")

    def part(self, name: str, began_at: int) -> None:
        """Tell of a part of the call that ends now.

        Parameters
        ----------
        began_at
            Nanoseconds since the epoch.
        """
        from opentelemetry.trace import set_span_in_context

        self._tracer.start_span(name, set_span_in_context(self._span), start_time=began_at).end()

    def end(self, told: Mapping[str, Any]) -> None:
        """Tell how the call ended."""
        from opentelemetry.trace import StatusCode

        for name in _ATTRIBUTES:
            self._span.set_attribute(f"rasterflight.{name}", told[name])
        self._span.set_attribute("rasterflight.request_id", told["request_id"])
        # What the caller is at fault for, the server answered rightly.
        if told["code"] == ErrorCode.INTERNAL.code:
            self._span.set_status(StatusCode.ERROR, told["code"])
        self._span.end()


class Tracing:
    """Begins spans, and sends those that ended to where the ``OTEL_*`` variables of the environment say.

    Parameters
    ----------
    exporter
        Where they go instead.

    Raises
    ------
    ConfigError
        OpenTelemetry is not installed.
    """

    def __init__(self, exporter: "SpanExporter | None" = None) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import OTELResourceDetector, Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"{error.name} is not installed",
                field="observe.tracing",
                hint='pip install "rasterflight[otel]", or set tracing to false',
            ) from None
        resource = Resource.create({"service.name": _NAME}).merge(OTELResourceDetector().detect())
        # Not the provider of the whole process: what else runs in it may have its own.
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer(_NAME)

    def begin(self, method: str, headers: Mapping[str, list[str]]) -> Trace:
        """Begin the span of a call, as a part of the trace that its headers name."""
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind

        # Headers that end in -bin hold bytes.
        carrier = {name.lower(): values[0] for name, values in headers.items() if values and isinstance(values[0], str)}
        span = self._tracer.start_span(f"rasterflight.{method}", extract(carrier), kind=SpanKind.SERVER)
        span.set_attribute("rpc.system", "grpc")
        span.set_attribute("rpc.method", method)
        return Trace(self._tracer, span)

    def close(self) -> None:
        """Send what has not been sent, within a short time."""
        self._provider.force_flush(_FLUSH_MILLISECONDS)
