"""A whole completion as the event stream that was asked for."""

from __future__ import annotations

from typing import Any

import msgspec

from shared import sse

Json = dict[str, Any]
DONE = sse.event(b"[DONE]")

decode_object = msgspec.json.Decoder(Json).decode


def objects(value: Any) -> list[Json]:
    """The objects of a list; providers write null for a list, and null into one."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def as_stream(body: bytes) -> bytes:
    """A whole completion as the event stream that a client asked for."""
    completion = decode_object(body)
    choices = objects(completion.get("choices"))
    top = {name: value for name, value in completion.items() if name not in ("choices", "usage")}
    top["object"] = "chat.completion.chunk"
    events = [event({**top, "choices": [_first_chunk(choice)]}) for choice in choices]
    for choice in choices:
        last = {"index": choice.get("index", 0), "delta": {}, "finish_reason": choice.get("finish_reason")}
        events.append(event({**top, "choices": [last]}))
    if completion.get("usage"):
        events.append(event({**top, "choices": [], "usage": completion["usage"]}))
    return b"".join(events) + DONE


def _first_chunk(choice: Json) -> Json:
    message: Json = dict(choice.get("message") or {})
    calls = [{"index": index, **call} for index, call in enumerate(objects(message.get("tool_calls")))]
    delta = {"role": "assistant", **message} | ({"tool_calls": calls} if calls else {})
    first = {"index": choice.get("index", 0), "delta": delta, "finish_reason": None}
    return first | ({"logprobs": choice["logprobs"]} if choice.get("logprobs") else {})


def event(value: Json) -> bytes:
    return sse.event(msgspec.json.encode(value))
