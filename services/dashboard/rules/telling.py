"""One exchange while it happens: its messages as what a page adds to itself, piece by piece.

What the client gets is the legs that are addressed to an ingress; a raw leg that goes to a normalizer is only counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from services.dashboard.rules.views import request_view
from shared.contracts import Done, End, Event, Head, HttpRequest, decode
from shared.records.answers import json_of
from shared.secrets import scrub
from shared.sse import OversizedEvent, SseParser

CLIENT_SIDE = "ingress-"  # the beginning of the names of those who answer clients
TEXTS = ("content", "reasoning_content", "reasoning")

Told = dict[str, Any]


class Telling:
    """The messages of one request, in order."""

    def __init__(self) -> None:
        self._parsers: dict[str, SseParser] = {}

    def take(self, tokens: Sequence[str], data: bytes, at: float) -> Iterator[Told]:
        """What a message says. `tokens` stand behind the request's id."""
        try:
            yield from self._told(tokens, data, at)
        except msgspec.DecodeError:
            yield {"kind": "fact", "at": at, "name": "unreadable", "facts": {"subject": ".".join(tokens)}}

    def _told(self, tokens: Sequence[str], data: bytes, at: float) -> Iterator[Told]:
        match tokens:
            case ["request"]:
                yield {"kind": "asked", "at": at, **_asked(decode(HttpRequest, data))}
            case ["event", name]:
                event = decode(Event, data)
                yield {"kind": "fact", "at": event.at, "name": name, "call": event.call, "facts": event.facts}
            case ["done"]:
                done = decode(Done, data)
                yield {"kind": "done", "at": at, "status": done.status, "outcome": done.outcome}
            case [call, leg, to, kind]:
                yield from self._frame(f"{call}.{leg}", to, kind, data, at)

    def _frame(self, leg: str, to: str, kind: str, data: bytes, at: float) -> Iterator[Told]:
        if kind == "head":
            head = decode(Head, data)
            yield {
                "kind": "fact",
                "at": at,
                "name": f"{leg} begins",
                "facts": {"status": head.status, "provider": head.provider, "model": head.model},
            }
        elif kind == "end":
            end = decode(End, data)
            why = {"fault": scrub(end.fault.message)} if end.fault else {}
            yield {"kind": "fact", "at": at, "name": f"{leg} ends", "facts": {"outcome": end.outcome, **why}}
        elif to.startswith(CLIENT_SIDE):
            yield from self._pieces(leg, data)

    def _pieces(self, leg: str, data: bytes) -> Iterator[Told]:
        parser = self._parsers.setdefault(leg, SseParser())
        try:
            events = list(parser.feed(data))
        except OversizedEvent:
            return
        deltas = [delta for text in events for delta in _deltas(json_of(text))]
        if deltas:
            yield {"kind": "piece", "leg": leg, "deltas": _joined(deltas)}


def _asked(request: HttpRequest) -> Told:
    body = bytes(request.body.json) if request.body.json is not msgspec.UNSET else request.body.data
    facts = {"model": request.model, "client": request.client, "path": request.path, "method": request.method}
    return {**facts, "stream": request.stream, "request": request_view(body, "application/json")}


def _deltas(chunk: Any) -> Iterator[Told]:
    choices = chunk.get("choices") if isinstance(chunk, dict) else None
    for choice in choices if isinstance(choices, list) else ():
        delta = choice.get("delta") if isinstance(choice, dict) else None
        if isinstance(delta, dict):
            yield from _of_choice(choice.get("index") or 0, delta)


def _of_choice(index: Any, delta: Told) -> Iterator[Told]:
    for name in TEXTS:
        if isinstance(delta.get(name), str) and delta[name]:
            what = "content" if name == "content" else "reasoning"
            yield {"choice": index, "what": what, "text": delta[name]}
    calls = delta.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, dict):
            said = call.get("function")
            function = said if isinstance(said, dict) else {}
            yield {
                "choice": index,
                "what": "call",
                "number": call.get("index") or 0,
                "name": function.get("name"),
                "text": function.get("arguments") or "",
            }


def _joined(deltas: Sequence[Told]) -> list[Told]:
    """Texts that go on from each other as one."""
    joined: list[Told] = []
    for delta in deltas:
        last = joined[-1] if joined else None
        is_same = last is not None and {**last, "text": "", "name": None} == {**delta, "text": "", "name": None}
        if last is not None and is_same and not delta.get("name"):
            last["text"] += delta["text"]
        else:
            joined.append(dict(delta))
    return joined
