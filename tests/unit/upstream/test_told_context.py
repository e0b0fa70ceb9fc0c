"""What a provider is told of the trace that a call belongs to."""

from __future__ import annotations

import pytest

from services.upstream.rules.tracing import context_headers
from shared.config import Traces
from shared.contracts import HttpRequest
from shared.traces import call_headers

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
CALLERS = {"traceparent": PARENT, "tracestate": "vendor=1"}


def asked(**headers: str) -> HttpRequest:
    return HttpRequest(id="01KAJ1V2Q8Z6W3E9R5T7Y1B2C4", at=0.0, method="POST", path="/v1/x", headers=headers)


@pytest.mark.parametrize("enabled", [True, False])
def test_nothing_is_told_unless_a_setting_says_so(enabled: bool) -> None:
    assert context_headers(Traces(enabled=enabled), asked(**CALLERS), "c1") == {}


def test_the_span_of_the_call_is_told_where_there_is_one() -> None:
    request = asked(**CALLERS)
    told = context_headers(Traces(enabled=True, propagate=True, ratio=0.5), request, "c2")

    assert told == call_headers(request.id, "c2", request.headers, 0.5)
    assert told["tracestate"] == "vendor=1"


def test_what_the_caller_said_is_told_where_no_spans_are_made() -> None:
    assert context_headers(Traces(propagate=True), asked(**CALLERS, other="1"), "c1") == CALLERS
    assert context_headers(Traces(propagate=True), asked(other="1"), "c1") == {}
