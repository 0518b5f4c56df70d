"""The client hands on the trace that a span of its caller belongs to."""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

import rasterflight as rf
from support.fake_server import Answers, serving


def traceparents(answers: Answers) -> list[list[str]]:
    return [headers.get("traceparent", []) for headers in answers.headers]


@pytest.fixture
def answers() -> Answers:
    return Answers()


def test_the_active_span_is_handed_on(answers: Answers) -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    with serving(answers) as url, rf.connect(url, token="t") as client:
        client.healthcheck()
        with tracer.start_as_current_span("mine") as span:
            client.collections()
            context = span.get_span_context()
        client.healthcheck()
    before, [during], after = traceparents(answers)
    assert before == after == []
    assert during.startswith(f"00-{context.trace_id:032x}-{context.span_id:016x}-")
    assert [headers["authorization"] for headers in answers.headers] == [["Bearer t"]] * 3


def test_a_span_of_no_trace_is_none(answers: Answers) -> None:
    with serving(answers) as url, rf.connect(url) as client, trace.use_span(trace.INVALID_SPAN):
        client.healthcheck()
    assert traceparents(answers) == [[]]
