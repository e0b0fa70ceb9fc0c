"""What was said, out of the recorded bytes: an event stream merged into the completion that it spells.

A reader of records meets whatever a provider sent: what can't be understood is left out, never a reason to fail.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from shared.sse import OversizedEvent, SseParser

EVENT_STREAM = "text/event-stream"
FRAGMENTS = ("content", "reasoning_content", "reasoning", "refusal")  # texts that come in pieces

Json = dict[str, Any]


def understood(data: bytes | None, content_type: str | None) -> Any:
    """A body as JSON, an event stream merged first; None where it is neither."""
    if not data:
        return None
    if (content_type or "").startswith(EVENT_STREAM):
        return merged(data)
    return _json(data)


def merged(stream: bytes) -> Json | None:
    """The chat completion that a stream's chunks make; None where it holds no chunk."""
    chunks = [chunk for text in _events(stream) if isinstance(chunk := _json(text), dict)]
    if not chunks:
        return None
    answer: Json = {}
    choices: dict[int, Json] = {}
    for chunk in chunks:
        for choice in _dicts(chunk.get("choices")):
            answer.update({"usage": choice["usage"]} if choice.get("usage") else {})
            at = choice.get("index")
            at = at if isinstance(at, int) else 0
            _take_choice(choices.setdefault(at, _new_choice(at)), choice)
        told = {name: value for name, value in chunk.items() if name != "choices" and value is not None}
        answer.update({name: value for name, value in told.items() if name not in answer or name in ("usage", "error")})
    is_chat = bool(choices) or "choices" in chunks[0]
    answer.update({"object": "chat.completion", "choices": [choices[at] for at in sorted(choices)]} if is_chat else {})
    return answer


def _new_choice(at: int) -> Json:
    return {"index": at, "message": {"role": "assistant"}, "finish_reason": None}


def _take_choice(whole: Json, choice: Json) -> None:
    delta = choice.get("delta")
    for name, value in (delta if isinstance(delta, dict) else {}).items():
        _take_field(whole["message"], name, value)
    whole["finish_reason"] = choice.get("finish_reason") or whole["finish_reason"]


def _take_field(message: Json, name: str, value: Any) -> None:
    if name == "tool_calls":
        for fragment in _dicts(value):
            _take_call(message.setdefault("tool_calls", []), fragment)
    elif name == "function_call" and isinstance(value, dict):
        _take_said(message.setdefault("function_call", {"name": None, "arguments": ""}), value)
    elif name in FRAGMENTS and isinstance(value, str):
        message[name] = (message.get(name) or "") + value
    elif value is not None:
        message[name] = value


def _take_call(calls: list[Json], fragment: Json) -> None:
    """A piece of a tool call: by its index; without one, a new id begins a new call."""
    at = fragment.get("index")
    call = next((one for one in calls if one.get("index") == at), None) if at is not None else None
    if call is None and at is None and calls and fragment.get("id") in (None, calls[-1].get("id")):
        call = calls[-1]
    if call is None:
        call = {"index": at, "id": None, "type": "function", "function": {"name": None, "arguments": ""}}
        calls.append(call)
    said = fragment.get("function")
    call["id"] = call["id"] or fragment.get("id")
    _take_said(call["function"], said if isinstance(said, dict) else {})


def _take_said(function: Json, said: Json) -> None:
    function["name"] = function["name"] or said.get("name")
    function["arguments"] += str(said.get("arguments") or "")


def _events(stream: bytes) -> list[bytes]:
    parser = SseParser()
    try:
        return [*parser.feed(stream), *parser.finish()]
    except OversizedEvent:
        return []


def _json(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _dicts(values: Any) -> Iterable[Json]:
    return (value for value in values if isinstance(value, dict)) if isinstance(values, list) else ()
