"""Event streams of the other dialects, merged: Anthropic's Messages and OpenAI's Responses.

Events are plain objects of whatever a provider or a worker sent: what can't be understood is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

Json = dict[str, Any]

JOINED = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}
"""Deltas of a content block, and the field that their pieces make."""


def response_of(events: Sequence[Json]) -> Json | None:
    """The response that a Responses stream ends with, or the latest that it tells of; None for another stream."""
    told = [event.get("response") for event in events if str(event.get("type")).startswith("response.")]
    return next((response for response in reversed(told) if isinstance(response, dict)), None)


def message_of(events: Sequence[Json]) -> Json | None:
    """The message that a Messages stream spells; None for another stream."""
    begun = next((event["message"] for event in events if event.get("type") == "message_start"), None)
    if not isinstance(begun, dict):
        return None
    message, blocks = dict(begun), dict[int, Json]()
    for event in events:
        match event:
            case {"type": "content_block_start", "index": int(at), "content_block": dict(block)}:
                blocks[at] = dict(block)
            case {"type": "content_block_delta", "index": int(at), "delta": dict(delta)}:
                _take_delta(blocks.setdefault(at, {}), delta)
            case {"type": "message_delta", "delta": dict(delta)}:
                message |= delta
                message["usage"] = _object(message.get("usage")) | _object(event.get("usage"))
            case {"type": "error", "error": error}:
                message["error"] = error
    message["content"] = [_whole(blocks[at]) for at in sorted(blocks)]
    return message


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _take_delta(block: Json, delta: Json) -> None:
    name = JOINED.get(str(delta.get("type")))
    if name is not None:
        block[name] = str(block.get(name) or "") + str(delta.get(name) or "")
    elif "partial_json" in delta:
        block["partial_json"] = str(block.get("partial_json") or "") + str(delta["partial_json"])


def _whole(block: Json) -> Json:
    """A block with its input as JSON, where its pieces are that."""
    text = block.pop("partial_json", None)
    if text:
        try:
            block["input"] = msgspec.json.decode(text)
        except msgspec.DecodeError:
            block["input"] = text
    return block
