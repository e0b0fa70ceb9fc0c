"""Spans in OpenTelemetry's protocol. The only module that imports opentelemetry: the extra `moontide[traces]`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from google.protobuf.message import DecodeError
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from services.recorder.rules.spans import Moment, Span
from shared.ids import service_of
from shared.version import version

NAME = "moontide"
LATEST_AT = 2**63 / 1e9  # Unix seconds; times are told in nanoseconds, 64 bits
MOST_WORKERS = 1024  # whose resources are remembered

_KINDS: Mapping[str, SpanKind] = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "internal": SpanKind.INTERNAL,
}


class Encoder:
    """`OTEL_RESOURCE_ATTRIBUTES` says more of all workers, such as `deployment.environment.name=staging`."""

    def __init__(self) -> None:
        self._common = Resource.create({"service.namespace": NAME, "service.version": version()})
        self._scope = InstrumentationScope(NAME, version())
        self._resources: dict[str, Resource] = {}

    def encoded(self, spans: Sequence[Span]) -> bytes:
        """An ExportTraceServiceRequest."""
        return bytes(encode_spans([self._readable(span) for span in spans]).SerializeToString())

    def _readable(self, span: Span) -> ReadableSpan:
        parent = _context(span, span.parent_id, is_remote=True) if span.parent_id is not None else None
        return ReadableSpan(
            name=span.name,
            context=_context(span, span.id),
            parent=parent,
            resource=self._resource(span.worker),
            attributes=span.attributes,
            events=[_event(moment) for moment in span.moments],
            links=[Link(_context(span, id)) for id in span.links],
            kind=_KINDS[span.kind],
            instrumentation_scope=self._scope,
            status=Status(StatusCode.ERROR, span.error) if span.error is not None else Status(StatusCode.UNSET),
            start_time=_ns(span.began_at),
            end_time=_ns(span.ended_at),
        )

    def _resource(self, worker: str) -> Resource:
        """Each worker is a service's instance of its own: it may be a process of its own."""
        if worker not in self._resources:
            if len(self._resources) >= MOST_WORKERS:
                self._resources.clear()
            named = {"service.name": f"{NAME}-{service_of(worker) or worker}", "service.instance.id": worker}
            self._resources[worker] = self._common.merge(Resource(named))
        return self._resources[worker]

    def rejected(self, answer: bytes) -> tuple[int, str]:
        """How many spans a collector says it has not kept of a post that it took, and why."""
        try:
            partial = ExportTraceServiceResponse.FromString(answer).partial_success
        except DecodeError:  # it took the post, in whatever words
            return 0, ""
        return partial.rejected_spans, partial.error_message


def _context(span: Span, id: int, is_remote: bool = False) -> SpanContext:
    state = TraceState.from_header([span.context.state]) if span.context.state else TraceState()
    return SpanContext(span.context.trace_id, id, is_remote, TraceFlags(TraceFlags.SAMPLED), state)


def _event(moment: Moment) -> Event:
    return Event(moment.name, moment.attributes, _ns(moment.at))


def _ns(at: float) -> int:
    return round(min(max(at, 0.0), LATEST_AT) * 1e9)
