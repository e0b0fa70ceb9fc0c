"""What an answer says, whichever dialect it was told in: the same thing in the same words, so that two can be compared.

Chat completions, Anthropic Messages and OpenAI Responses, as one body or as an event stream. What is none of these is
left as its text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from shared.records.answers import understood

Json = dict[str, Any]


class ToolCall(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str | None
    arguments: str
    id: str | None = None


class Choice(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of the answers to one request; nearly always the only one."""

    content: str = ""
    reasoning: str = ""
    tool_calls: list[ToolCall] = []
    finish_reason: str | None = None


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """An answer. `text` where nothing else of it was understood."""

    choices: list[Choice] = []
    usage: Json | None = None
    error: Json | None = None
    text: str | None = None

    @property
    def is_well(self) -> bool:
        """An answer that came to its end."""
        ended = bool(self.choices) and all(choice.finish_reason for choice in self.choices)
        return self.error is None and (ended or self.text is not None)


def told(data: bytes | None, content_type: str | None) -> Told:
    """Never fails: a recording may hold anything."""
    if not data:
        return Told()
    body = understood(data, content_type)
    if isinstance(body, dict):
        for reader in (_chat, _messages, _responses, _error):
            found = reader(body)
            if found is not None:
                return found
    return Told(text=data.decode("utf-8", "replace"))


def _chat(body: Json) -> Told | None:
    choices = body.get("choices")
    if not isinstance(choices, list):
        return None
    found = [_chat_choice(choice) for choice in choices if isinstance(choice, dict)]
    usage = body.get("usage") or next((choice["usage"] for choice in _dicts(choices) if choice.get("usage")), None)
    return Told(choices=found, usage=_dict(usage), error=_dict(body.get("error")))


def _chat_choice(choice: Json) -> Choice:
    message = _dict(choice.get("message")) or {}
    calls = (_dict(call.get("function")) and call for call in _dicts(message.get("tool_calls")))
    return Choice(
        content=_text(message.get("content")),
        reasoning=_text(message.get("reasoning_content") or message.get("reasoning")),
        tool_calls=[
            ToolCall(call["function"].get("name"), _text(call["function"].get("arguments")), call.get("id"))
            for call in calls
            if call
        ],
        finish_reason=choice.get("finish_reason"),
    )


def _messages(body: Json) -> Told | None:
    if body.get("type") != "message":
        return None
    blocks = list(_dicts(body.get("content")))
    choice = Choice(
        content="".join(_text(block.get("text")) for block in blocks if block.get("type") == "text"),
        reasoning="".join(_text(block.get("thinking")) for block in blocks if block.get("type") == "thinking"),
        tool_calls=[
            ToolCall(block.get("name"), _text(block.get("input")), block.get("id"))
            for block in blocks
            if block.get("type") == "tool_use"
        ],
        finish_reason=body.get("stop_reason"),
    )
    return Told(choices=[choice], usage=_dict(body.get("usage")), error=_dict(body.get("error")))


def _responses(body: Json) -> Told | None:
    if body.get("object") != "response":
        return None
    items = list(_dicts(body.get("output")))
    parts = [part for item in items if item.get("type") == "message" for part in _dicts(item.get("content"))]
    thoughts = [part for item in items if item.get("type") == "reasoning" for part in _reasoning(item)]
    calls = [item for item in items if item.get("type") in ("function_call", "custom_tool_call")]
    choice = Choice(
        content="".join(_text(part.get("text")) for part in parts),
        reasoning="".join(_text(part.get("text")) for part in thoughts),
        tool_calls=[
            ToolCall(item.get("name"), _text(item.get("arguments") or item.get("input")), item.get("call_id"))
            for item in calls
        ],
        finish_reason=body.get("status"),
    )
    return Told(choices=[choice], usage=_dict(body.get("usage")), error=_dict(body.get("error")))


def _reasoning(item: Json) -> list[Json]:
    return list(_dicts(item.get("content"))) or list(_dicts(item.get("summary")))


def _error(body: Json) -> Told | None:
    error = body.get("error")
    if error is None and body.get("type") == "error":
        error = body
    if error is None:
        return None
    return Told(error=_dict(error) or {"message": _text(error)})


def _dict(value: Any) -> Json | None:
    return value if isinstance(value, dict) else None


def _dicts(values: Any) -> Iterator[Json]:
    return (value for value in values if isinstance(value, dict)) if isinstance(values, list) else iter(())


def _text(value: Any) -> str:
    """A text as it is; pieces of one joined; anything else as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(one, dict) and isinstance(one.get("text"), str) for one in value):
        return "".join(one["text"] for one in value)
    return msgspec.json.encode(value).decode()
