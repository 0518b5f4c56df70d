"""The trace that a call belongs to, where the program keeps one by OpenTelemetry."""

import sys


def trace_headers() -> list[tuple[bytes, bytes]]:
    """Headers that let the server join the span that is active now, such as ``traceparent``; none where no span is."""
    # What nobody has imported keeps no span.
    if "opentelemetry.trace" not in sys.modules:
        return []
    from opentelemetry import propagate, trace

    if not trace.get_current_span().get_span_context().is_valid:
        return []
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return [(name.lower().encode(), value.encode()) for name, value in carrier.items()]
