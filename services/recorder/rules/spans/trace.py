"""An exchange's messages to its spans: the request, the stages that worked on it, and every call to a provider.

When a stage took its job is not among the messages, so it begins with what it was first seen to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.recorder.rules import rows
from services.recorder.rules.exchange import Heard
from services.recorder.rules.legs import Name
from services.recorder.rules.spans import conventions as convention
from services.recorder.rules.spans.facts import attributes_of, repaired
from services.recorder.rules.spans.relations import REQUEST, WHOLE, Relations
from services.recorder.rules.spans.span import Moment, Span, Value, known
from shared.contracts import CallOutcome, Done, End, HttpRequest
from shared.subjects import call_number
from shared.traces import TraceContext

FAILED: frozenset[CallOutcome] = frozenset({"broken", "truncated", "lost"})
"""Outcomes with which a client got an answer that is none, whatever its status."""

LOST = "worker_lost"  # of a call that nobody ended
UPSTREAM = "upstream"  # in the place of an instance that nothing names


@dataclass(frozen=True, kw_only=True)
class Finished:
    """An exchange that is over."""

    id: str
    context: TraceContext
    request: HttpRequest
    done: Done
    heard: Heard
    kinds: Mapping[str, str] = field(default_factory=dict)  # of providers, by name


def trace_of(it: Finished) -> list[Span]:
    """The request's span first, each other one behind its parent."""
    relations = Relations(it.id, it.heard)
    stages = [_stage(it, relations, name) for name in relations.stages]
    return [_request(it, relations), *stages, *(_call(it, relations, call) for call in relations.calls)]


def _request(it: Finished, relations: Relations) -> Span:
    request, done, route = it.request, it.done, convention.route_of(it.request)
    return Span(
        context=it.context,
        id=relations.id(REQUEST),
        parent_id=it.context.parent_id,
        name=" ".join(filter(None, (convention.method_of(request), route))),
        kind="server",
        worker=done.worker,
        began_at=request.at,
        ended_at=max(request.at, done.at),
        attributes=known({**_asked(request), **_answered(it, relations), **_account(it, relations)}),
        moments=tuple(relations.moments.get(REQUEST, ())),
        error=done.fault.code if done.fault and (done.status >= 500 or done.outcome in FAILED) else None,
    )


def _asked(request: HttpRequest) -> dict[str, Value | None]:
    return {
        "http.request.method": convention.method_of(request),
        "http.route": convention.route_of(request),
        "url.path": convention.path_of(request),
        "url.scheme": "http",
        "gen_ai.operation.name": convention.operation_of(request),
        "gen_ai.request.model": request.model,
        "gen_ai.request.stream": request.stream or None,
    }


def _answered(it: Finished, relations: Relations) -> dict[str, Value | None]:
    """What the client got, and from whom."""
    done = it.done
    call, _, leg = (done.leg or "").partition(".")
    delivered = relations.legs.get((call, leg))
    head = delivered.head if delivered else None
    return {
        "http.response.status_code": done.status,
        "error.type": done.fault.code if done.fault else None,
        "gen_ai.provider.name": _provider(it, relations, head.provider) if head else None,
        "gen_ai.response.id": done.completion_id,
        "gen_ai.response.model": head.model if head else None,
        "gen_ai.response.finish_reasons": convention.finish_reasons(done.finish_reason),
        "gen_ai.response.time_to_first_chunk": done.first_byte_s if done.streamed else None,
        **convention.usage(done.usage),
    }


def _account(it: Finished, relations: Relations) -> dict[str, Value | None]:
    return {
        "moontide.request.id": it.id,
        "moontide.dialect": it.request.dialect,
        "moontide.client": it.request.client,
        "moontide.outcome": it.done.outcome,
        "moontide.calls": len(relations.calls),
        "moontide.attempts": it.done.attempts,
        "moontide.unmet": it.done.unmet,
    }


def _provider(it: Finished, relations: Relations, name: str | None) -> str | None:
    """As others know it."""
    url = next((sent.path for sent in relations.sent.values() if sent.provider == name), "")
    return convention.provider_name(name, it.kinds.get(name or ""), url)


def _stage(it: Finished, relations: Relations, name: Name) -> Span:
    leg, is_whole = relations.legs[name], name == WHOLE
    end, began_at = leg.end, _stage_began_at(it, relations, name)
    attributes: dict[str, Value | None] = {
        "error.type": _error(end),
        "moontide.call": None if is_whole else name[0],
        "moontide.outcome": end.outcome if end else "lost",
        "moontide.attempts": end.attempts if end and is_whole else None,
    }
    mended = repaired(end.repairs, end.at) if end and not is_whole else []
    return Span(
        context=it.context,
        id=relations.id(name),
        parent_id=relations.id(REQUEST if is_whole else relations.whole),
        name="enforce" if is_whole else "normalize",
        kind="internal",
        worker=leg.producer,
        began_at=began_at,
        ended_at=max(began_at, end.at if end else it.done.at),
        attributes=known(attributes),
        moments=(*relations.moments.get(name, ()), *mended),
        error=_error(end),
    )


def _stage_began_at(it: Finished, relations: Relations, name: Name) -> float:
    leg, moments = relations.legs[name], relations.moments.get(name, ())
    asked = [relations.sent[call].at for call in relations.calls if name == WHOLE or relations.asker(call) == name]
    said = [one.at for one in (leg.head, leg.end) if one is not None]
    return min([*asked, *said, *(moment.at for moment in moments)], default=it.request.at)


def _call(it: Finished, relations: Relations, call: str) -> Span:
    sent, name = relations.sent[call], (call, "raw")
    leg, before = relations.legs.get(name), relations.before(call)
    end = leg.end if leg else None
    operation, model = convention.operation_of(it.request), _model(it, relations, call)
    return Span(
        context=it.context,
        id=relations.id(name),
        parent_id=relations.id(relations.asker(call)),
        name=f"{operation} {model}" if operation and model else convention.method_of(sent),
        kind="client",
        worker=leg.producer if leg else UPSTREAM,
        began_at=sent.at,
        ended_at=max(sent.at, end.at if end else it.done.at),
        attributes=known({**_sent(it, relations, call), **_heard(it, relations, call), **_cause(relations, call)}),
        moments=(*_first_byte(sent, end), *relations.moments.get(name, ())),
        links=(relations.id((before, "raw")),) if before is not None else (),
        error=_error(end),
    )


def _model(it: Finished, relations: Relations, call: str) -> str | None:
    leg = relations.legs.get((call, "raw"))
    answering = leg.head.model if leg and leg.head else None
    return relations.sent[call].model or answering or it.request.model


def _sent(it: Finished, relations: Relations, call: str) -> dict[str, Value | None]:
    sent = relations.sent[call]
    return {
        "http.request.method": convention.method_of(sent),
        **convention.server(sent.path),
        "gen_ai.operation.name": convention.operation_of(it.request),
        "gen_ai.provider.name": _provider(it, relations, sent.provider),
        "gen_ai.request.model": _model(it, relations, call),
        "gen_ai.request.stream": sent.stream or None,
        "moontide.call": call,
        "moontide.call.number": call_number(call),
        "moontide.provider": sent.provider,
    }


def _heard(it: Finished, relations: Relations, call: str) -> dict[str, Value | None]:
    """What came of a call."""
    leg = relations.legs.get((call, "raw"))
    head, end = (leg.head, leg.end) if leg else (None, None)
    is_chat = convention.operation_of(it.request) is not None
    return {
        "http.response.status_code": head.status if head else None,
        "error.type": _error(end),
        **(convention.response(end, relations.sent[call].stream) if is_chat else {}),
        "moontide.outcome": end.outcome if end else "lost",
        "moontide.cost_usd": rows.cost(_model(it, relations, call), end.usage if end else None),
    }


def _cause(relations: Relations, call: str) -> dict[str, Value | None]:
    """Why there was another call: what had become of the one before it."""
    cause = relations.causes.get(call)
    if cause is None:
        return {}
    facts = attributes_of(cause.name, cause.said.facts)
    return {"moontide.call.reason": cause.name, "moontide.call.why": facts.get(f"moontide.{cause.name}.why")}


def _first_byte(sent: HttpRequest, end: End | None) -> tuple[Moment, ...]:
    if end is None or end.first_byte_s is None:
        return ()
    return (Moment(name="moontide.first-byte", at=sent.at + end.first_byte_s),)


def _error(end: End | None) -> str | None:
    """Which one; a call that was stopped or called off on purpose has none."""
    if end is None:
        return LOST
    if end.is_well_formed or end.outcome == "cancelled":
        return None
    return end.fault.code if end.fault else end.outcome
