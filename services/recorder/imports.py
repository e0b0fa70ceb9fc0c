"""Exchanges that others recorded, told as the pipeline would have told them, so that the same fold makes their rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from typing import Any

from services.recorder.rules.messages import Message, read
from services.recorder.rules.position import Position
from services.recorder.rules.redaction import Redaction
from services.recorder.store import Batch, Store
from shared.bus import Captured
from shared.contracts import Body, CallOutcome, Done, End, Fault, Head, HttpRequest, Usage, encode
from shared.ids import new_id
from shared.legs import FRAME_HEADER
from shared.records.answers import understood
from shared.secrets import redact_headers
from shared.subjects import Subjects

AT_ONCE = 200  # exchanges in one transaction
BY = "import"
NOBODY = "-"


@dataclass(frozen=True, kw_only=True)
class Past:
    """One exchange as another proxy has it. `key` names it within all that was ever imported."""

    key: str
    at: float
    method: str
    path: str
    id: str | None = None  # it was ours once
    dialect: str = "openai_chat"
    model: str | None = None
    provider: str = BY
    endpoint: str = ""  # of the provider
    status: int | None = None
    request_headers: Mapping[str, str] = field(default_factory=dict)
    response_headers: Mapping[str, str] = field(default_factory=dict)
    request: bytes = b""
    response: bytes = b""
    sent: bytes | None = None  # what the provider got, where that was something else
    answered: bytes | None = None  # what the provider said, likewise
    error: str | None = None
    first_byte_s: float | None = None
    total_s: float | None = None
    category: str | None = None
    tags: Sequence[str] = ()


@dataclass
class Taken:
    new: list[str] = field(default_factory=list)
    known: int = 0


def id_of(past: Past) -> str:
    """The same each time, and sorted by the exchange's own time."""
    return past.id or new_id(max(0.0, past.at), sha256(past.key.encode()).digest()[:10])


def take(url: str, pasts: Iterable[Past], redact: Sequence[str] = ()) -> Iterator[tuple[list[Past], Taken]]:
    """Writes them batch by batch, and tells of each what was new; those that are recorded already are passed over."""
    store = Store.open(url, BY, redaction=Redaction(redact))
    every = iter(pasts)
    try:
        while some := list(islice(every, AT_ONCE)):
            by_id = {id_of(past): past for past in some}
            known = set(store.known(list(by_id)))
            fresh = {id: past for id, past in by_id.items() if id not in known}
            if fresh:
                before = store.position()
                messages = [(id, message) for id, past in fresh.items() for message in told(id, past)]
                after = Position(before.seq + 1, max(before.at, *(past.at for past in fresh.values())))
                store.write(Batch(messages=messages, poison=[], before=before, after=after))
            yield list(fresh.values()), Taken(list(fresh), len(some) - len(fresh))
    finally:
        store.close()


def told(id: str, past: Past) -> list[Message]:
    """The messages that would have passed."""
    subjects = Subjects()
    leg = subjects.leg(id, "c1", "raw", NOBODY)
    said = [
        (subjects.request(id), encode(_request(id, past)), 0),
        (subjects.call_request(id, "c1"), encode(_sent(id, past)), 0),
    ]
    answer = past.answered if past.answered is not None else past.response
    if past.status:
        said.append((f"{leg}.head", encode(_head(past)), 0))
    if past.status and answer:
        said.append((f"{leg}.data", answer, 1))
    said.append((f"{leg}.end", encode(_end(past, answer)), 2 if past.status and answer else 1 if past.status else 0))
    said.append((subjects.done(id), encode(_done(past, answer)), 0))
    captured = (
        Captured(seq, subject, data, past.at, {FRAME_HEADER: f"{frame} {BY}"}, "")
        for seq, (subject, data, frame) in enumerate(said, 1)
    )
    return [read(message, subjects.root)[1] for message in captured]


def _request(id: str, past: Past) -> HttpRequest:
    return HttpRequest(
        id=id,
        at=past.at,
        method=past.method,
        path=past.path,
        dialect=past.dialect,
        headers=redact_headers(past.request_headers),
        body=_body(past.request),
        model=past.model,
        stream=_streams(past),
    )


def _sent(id: str, past: Past) -> HttpRequest:
    return HttpRequest(
        id=id,
        at=past.at,
        method=past.method,
        path=past.endpoint + past.path,
        headers=redact_headers(past.request_headers),
        body=_body(past.sent) if past.sent is not None else Body(),
        model=past.model,
        stream=_streams(past),
        provider=past.provider,
        same_body=past.sent is None,
    )


def _head(past: Past) -> Head:
    return Head(
        status=past.status or 0,
        worker=BY,
        at=past.at,
        provider=past.provider,
        model=past.model,
        content_type=_type(past),
        headers=redact_headers(past.response_headers),
    )


def _end(past: Past, answer: bytes) -> End:
    return End(
        outcome=_outcome(past),
        worker=BY,
        at=past.at + (past.total_s or 0),
        body_bytes=len(answer),
        first_byte_s=past.first_byte_s,
        total_s=past.total_s,
        fault=_fault(past),
        **_facts(answer, _type(past)),
    )


def _done(past: Past, answer: bytes) -> Done:
    is_leg = past.answered is None and past.status is not None
    return Done(
        at=past.at + (past.total_s or 0),
        worker=NOBODY,
        status=past.status or 502,
        outcome=_outcome(past),
        calls=1,
        body_bytes=len(past.response),
        streamed=_streams(past),
        total_s=past.total_s or 0.0,
        first_byte_s=past.first_byte_s,
        leg="c1.raw" if is_leg else None,
        body=None if is_leg else _body(past.response),
        headers={**redact_headers(past.response_headers), "content-type": _type(past)},
        fault=_fault(past),
        **_facts(past.response, _type(past)),
    )


def _body(data: bytes) -> Body:
    """Exactly: as data, for nobody sends it on."""
    return Body(data=data, size=len(data)) if data else Body()


def _type(past: Past) -> str:
    found = (value for name, value in past.response_headers.items() if name.lower() == "content-type")
    return next(found, "application/json")


def _streams(past: Past) -> bool:
    return _type(past).startswith("text/event-stream")


def _outcome(past: Past) -> CallOutcome:
    if past.status is None or past.status >= 400:
        return "refused"
    return "broken" if past.error else "complete"


def _fault(past: Past) -> Fault | None:
    if _outcome(past) == "complete":
        return None
    message = past.error or f"The provider answered {past.status}."
    return Fault(status=past.status or 502, code="imported_error", message=message)


def _facts(answer: bytes, content_type: str) -> dict[str, Any]:
    """What the answer says of itself."""
    body = understood(answer, content_type)
    if not isinstance(body, dict):
        return {}
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    facts: dict[str, Any] = {"usage": _usage(body.get("usage") or first.get("usage"))}
    for name, value in (("finish_reason", first.get("finish_reason")), ("completion_id", body.get("id"))):
        facts[name] = value if isinstance(value, str) else None
    return facts


def _usage(usage: Any) -> Usage | None:
    if not isinstance(usage, dict):
        return None

    def count(*way: str) -> int:
        found: Any = usage
        for name in way:
            found = found.get(name) if isinstance(found, dict) else None
        return found if isinstance(found, int) else 0

    prompt = count("prompt_tokens") or count("input_tokens")
    completion = count("completion_tokens") or count("output_tokens")
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=count("total_tokens") or prompt + completion,
        cached_tokens=count("cached_tokens") or count("prompt_tokens_details", "cached_tokens"),
        reasoning_tokens=count("completion_tokens_details", "reasoning_tokens"),
    )
