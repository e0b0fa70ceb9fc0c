"""The messages of one exchange to its rows. Whatever the order and however often each came, the rows are the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from services.recorder.rules import rows
from services.recorder.rules.answers import Answers, Json
from services.recorder.rules.asking import Asking
from services.recorder.rules.bodies import MERGED, Parts, bytes_of
from services.recorder.rules.legs import Leg, Legs, Name
from services.recorder.rules.messages import Message
from services.recorder.rules.rows import Row, indexable
from services.recorder.rules.said import said_in
from services.recorder.rules.tool_calls import tool_call_rows
from shared.contracts import WELL_FORMED, Done, End, Fault, Head, HttpRequest, Usage

LATE = "late."


@dataclass
class Records:
    """The rows of one exchange."""

    exchange: Row
    calls: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    bodies: list[Row] = field(default_factory=list)
    tool_calls: list[Row] = field(default_factory=list)
    said: list[Row] = field(default_factory=list)  # one, or none where nothing was said


@dataclass
class Heard:
    """The messages of an exchange, sorted out by what they say."""

    first_at: float = 0.0
    request: HttpRequest | None = None
    done: Done | None = None
    sent: dict[str, HttpRequest] = field(default_factory=dict)
    legs: Legs = field(default_factory=Legs)
    facts: list[Message] = field(default_factory=list)
    claims: dict[str, bytes] = field(default_factory=dict)

    def take(self, message: Message) -> None:
        match message.kind:
            case "head" | "data" | "end":
                self.legs.take(message)
            case "event" | "cancel":
                self.facts.append(message)
            case "claim":
                self.claims[message.name] = message.data
            case "done":
                self.done = self.done or message.said
            case "request" if message.call:
                self.sent.setdefault(message.call, message.said)
            case _:
                self.request = self.request or message.said

    def asked(self) -> bytes | None:
        """The request's body as a chat completion, where it is one."""
        request = self.sent.get(MERGED) or self.request
        return bytes_of(request.body, self.claims) if request is not None else None

    def offered(self, call: str) -> dict[str, Json]:
        """The tools that a provider was offered in that call: there may be more of them than the client has."""
        request = self.sent.get(call)
        return Asking(bytes_of(request.body, self.claims) if request is not None else None).schemas()


def hear(messages: Iterable[Message]) -> Heard:
    unique = {(message.seq, message.topic): message for message in messages}
    heard = Heard()
    for key in sorted(unique):
        heard.take(unique[key])
    heard.first_at = min((message.at for message in unique.values()), default=0.0)
    return heard


def is_settled(heard: Heard) -> bool:
    """Whether nothing more is to come: the client has its answer, and every leg its end."""
    done = heard.done
    if done is None or done.outcome not in WELL_FORMED or not heard.legs.are_over:
        return False
    chosen, _ = heard.legs.chosen(done.worker)
    return all((call, "raw") in chosen for call in heard.sent if call != MERGED)


def assemble(id: str, messages: Iterable[Message]) -> Records:
    return records_of(id, hear(messages))


def live_row(id: str, heard: Heard) -> Row:
    """The exchange's row as far as these messages tell."""
    legs, _ = heard.legs.chosen(None)
    return _exchange_row(id, heard, legs, _call_rows(id, heard, legs))


def records_of(id: str, heard: Heard) -> Records:
    """Everything there is to record; an exchange without `done` has the state `live`."""
    legs, others = heard.legs.chosen(heard.done.worker if heard.done else None)
    calls = _call_rows(id, heard, legs)
    asking, answers = Asking(heard.asked()), Answers(legs, heard.done)
    said = said_in(asking.new_texts(), answers.delivered())
    return Records(
        exchange=_exchange_row(id, heard, legs, calls) | {"tools_offered": asking.tools()},
        calls=calls,
        events=[_event_row(id, message) for message in heard.facts] + [_stray_row(id, leg) for leg in others],
        bodies=Parts(id, heard.claims).of_exchange(heard.request, heard.sent, legs, heard.done),
        tool_calls=tool_call_rows(id, answers, asking.schemas(), heard.offered),
        said=[{"exchange_id": id, "text": said}] if said else [],
    )


def abandoned(records: Records, after_s: float) -> Records:
    """The same, closed: nobody will ever say how it ended."""
    return replace(records, exchange=records.exchange | abandonment(after_s))


def abandonment(after_s: float) -> Row:
    """What the exchange's row says of it then."""
    message = f"No message for {after_s:g} s: the ingress that had this request is gone."
    fault = Fault(status=502, code="abandoned", message=message)
    return {"state": "abandoned", "outcome": "lost", **rows.fault_row(fault)}


def late_rows(id: str, messages: Iterable[Message]) -> list[Row]:
    """What came after an exchange was closed for good, as events."""
    unique = {message.seq: message for message in messages if message.kind != "claim"}
    return [_late_row(id, unique[seq]) for seq in sorted(unique)]


def _call_rows(id: str, heard: Heard, legs: dict[Name, Leg]) -> list[Row]:
    names = {call for call, _ in legs} | set(heard.sent)
    return [_call_row(id, call, heard.sent.get(call), legs) for call in sorted(names, key=_order) if call != MERGED]


def _order(call: str) -> tuple[int, str]:
    """c2 before c10."""
    return (len(call), call)


def _exchange_row(id: str, heard: Heard, legs: dict[Name, Leg], calls: list[Row]) -> Row:
    request, done = heard.request, heard.done
    answer = _answering(done, calls)
    end = _delivered_end(done, legs)
    usage = (done.usage if done else None) or (end.usage if end else None)
    total_s = done.total_s if done else None
    first_byte_s = done.first_byte_s if done else None
    streamed = done.streamed if done else request.stream if request else None
    return {
        "id": id,
        "state": "done" if done else "live",
        "at": request.at if request else heard.first_at,
        **_request_columns(request),
        "provider": answer.get("provider"),
        "provider_model": answer.get("model"),
        "status": done.status if done else None,
        "outcome": done.outcome if done else None,
        "streamed": streamed,
        "finish_reason": _said("finish_reason", done, end),
        "completion_id": indexable(_said("completion_id", done, end)),
        "provider_request_id": answer.get("provider_request_id"),
        "server_timing": answer.get("server_timing"),
        **_account_columns(answer.get("response_headers")),
        **rows.usage_row(usage),
        "cost_usd": rows.total_cost(call["cost_usd"] for call in calls),
        **rows.speed_row(usage, bool(streamed), first_byte_s, total_s),
        "first_byte_s": first_byte_s,
        "latency_s": total_s,
        "answered_at": end.at if end else None,
        "calls": max(len(calls), done.calls if done else 0),
        "tools_offered": None,  # a live exchange's request is not looked into
        "body_bytes": done.body_bytes if done else None,
        "repairs": (done.repairs or None if done else None) or rows.repairs_of(leg.end for leg in legs.values()),
        "response_headers": rows.recorded_headers(done.headers) if done else None,
        "response_type": _response_type(done, legs),
        **rows.fault_row(done.fault if done else None),
    }


def _request_columns(request: HttpRequest | None) -> Row:
    if request is None:
        names = ("method", "path", "dialect", "model", "client", "peer", "request_type", "request_headers")
        return dict.fromkeys(names)
    return {
        "method": request.method,
        "path": rows.recorded_path(request.path),
        "dialect": request.dialect,
        "model": indexable(request.model),
        "client": request.client,
        "peer": request.peer,
        "request_type": rows.content_type(request.headers),
        "request_headers": rows.recorded_headers(request.headers),
    }


def _account_columns(headers: dict[str, str] | None) -> Row:
    headers = headers or {}
    return {"user_id": headers.get("msh-uid"), "group_id": headers.get("msh-gid")}


def _answering(done: Done | None, calls: list[Row]) -> Row:
    """The call whose answer the client got; where that can't be said, the last one."""
    delivered = done.leg.partition(".")[0] if done and done.leg else ""
    return next((row for row in calls if row["call"] == delivered), calls[-1] if calls else {})


def _delivered_end(done: Done | None, legs: dict[Name, Leg]) -> End | None:
    if done is None or not done.leg:
        return None
    call, _, name = done.leg.partition(".")
    leg = legs.get((call, name))
    return leg.end if leg else None


def _said(name: str, done: Done | None, end: End | None) -> str | None:
    return next((value for said in (done, end) if said and (value := getattr(said, name))), None)


def _response_type(done: Done | None, legs: dict[Name, Leg]) -> str | None:
    if done is None:
        return None
    stated = rows.content_type(done.headers)
    if stated is not None:
        return stated
    call, _, name = (done.leg or "").partition(".")
    leg = legs.get((call, name))
    return leg.head.content_type if leg and leg.head else None


def _call_row(id: str, call: str, sent: HttpRequest | None, legs: dict[Name, Leg]) -> Row:
    """A call as the provider saw it: the raw leg; where there is none, the first leg that tells of it."""
    of_call = [leg for (name, _), leg in legs.items() if name == call]
    raw = legs.get((call, "raw")) or next(iter(of_call), None)
    head, end = (raw.head, raw.end) if raw else (None, None)
    usage: Usage | None = end.usage if end else None
    streamed = sent.stream if sent else None
    first_byte_s, total_s = (end.first_byte_s, end.total_s) if end else (None, None)
    return {
        "exchange_id": id,
        "call": call,
        **_sent_columns(sent),
        "provider": (sent.provider if sent else None) or (head.provider if head else None),
        "model": _model(sent, head),
        "streamed": streamed,
        "status": head.status if head else end.fault.status if end and end.fault else None,
        "outcome": end.outcome if end else None,
        "worker": raw.producer if raw else None,
        "finish_reason": end.finish_reason if end else None,
        "completion_id": indexable(end.completion_id) if end else None,
        **rows.provider_row(head.headers if head else {}),
        **rows.usage_row(usage),
        "cost_usd": rows.cost(_model(sent, head), usage),
        "first_byte_s": first_byte_s,
        "latency_s": total_s,
        "body_bytes": end.body_bytes if end else None,
        "frames": end.frames if end else None,
        "frames_missing": sum(leg.missing for leg in of_call),
        "repairs": rows.repairs_of(leg.end for leg in of_call),
        "response_headers": rows.recorded_headers(head.headers) if head else None,
        **rows.fault_row(end.fault if end else None),
    }


def _model(sent: HttpRequest | None, head: Head | None) -> str | None:
    return (sent.model if sent else None) or (head.model if head else None)


def _sent_columns(sent: HttpRequest | None) -> Row:
    return {
        "at": sent.at if sent else None,
        "method": sent.method if sent else None,
        "url": rows.recorded_path(sent.path) if sent else None,
        "same_body": sent.same_body if sent else False,
        "changes": sent.changes or None if sent else None,
        "request_headers": rows.recorded_headers(sent.headers) if sent else None,
    }


def _event_row(id: str, message: Message) -> Row:
    said = message.said
    if message.kind == "cancel":
        return _row_of_event(id, message, "cancel", said.worker, None, {"by": said.by, "why": said.why})
    return _row_of_event(id, message, message.name, said.worker, said.call, said.facts)


def _late_row(id: str, message: Message) -> Row:
    if message.kind == "event":
        return _event_row(id, message)
    facts = {"topic": message.topic, "bytes": len(message.data)} if message.kind == "data" else {"topic": message.topic}
    if message.text:
        facts["said"] = message.text.decode("utf-8", "replace")
    return _row_of_event(id, message, LATE + message.kind, message.producer or None, message.call or None, facts)


def _stray_row(id: str, leg: Leg) -> Row:
    """Frames that nobody used: the worker lost its job to another one."""
    first = next(iter(leg.frames.values()))
    facts = {"leg": leg.leg, "to": leg.to, "frames": len(leg.frames), "bytes": len(leg.data)}
    return _row_of_event(id, first, "stray", leg.producer, leg.call, facts)


def _row_of_event(id: str, message: Message, name: str, worker: str | None, call: str | None, facts: object) -> Row:
    return {
        "exchange_id": id,
        "seq": message.seq,
        "at": message.at,
        "name": name,
        "call": call,
        "worker": worker,
        "facts": rows.recorded_facts(facts) or None,
    }
