"""What a provider is told of the trace that a call belongs to."""

from __future__ import annotations

from collections.abc import Mapping

from shared.config import Traces
from shared.contracts import HttpRequest
from shared.traces import PARENT_HEADER, STATE_HEADER, call_headers

NOTHING: Mapping[str, str] = {}


def context_headers(traces: Traces, request: HttpRequest, call: str) -> Mapping[str, str]:
    """Nothing, unless `traces.propagate`. Where no spans are made the caller's is the nearest one: what it said."""
    if not traces.propagate:
        return NOTHING
    if traces.enabled:
        return call_headers(request.id, call, request.headers, traces.ratio)
    return {name: request.headers[name] for name in (PARENT_HEADER, STATE_HEADER) if name in request.headers}
