"""The request that asks a provider to go on with a text. The form is Moonshot's partial mode: a last message of the
assistant with `partial: true`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec


@dataclass(frozen=True)
class Prefix:
    """What was said."""

    content: str = ""
    reasoning: str = ""


class _Request(msgspec.Struct):
    messages: list[msgspec.Raw]
    n: Any = None
    response_format: Any = None


class _Last(msgspec.Struct):
    role: Any = None
    partial: Any = None
    content: Any = None
    reasoning_content: Any = None


_decode_request = msgspec.json.Decoder(_Request).decode
_decode_last = msgspec.json.Decoder(_Last).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def may_be_continued(body: bytes) -> bool:
    """Whether partial mode can serve this request at all."""
    try:
        request = _decode_request(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    form = request.response_format
    is_text = form is None or (isinstance(form, dict) and form.get("type") == "text")
    return is_text and request.n in (None, 1)


def continued_body(body: bytes, prefix: Prefix) -> bytes:
    """The request that goes on after `prefix`; a prefix that the client itself had written is part of it."""
    fields = _decode_fields(body)
    messages = _decode_request(body).messages
    last = _decode_last(messages[-1]) if messages else _Last()
    content, reasoning = prefix.content, prefix.reasoning
    message: dict[str, Any] = {"role": "assistant"}
    if last.role == "assistant" and last.partial:
        message = msgspec.json.decode(messages.pop())
        content = _text(last.content) + content
        reasoning = _text(last.reasoning_content) + reasoning
    message |= {"content": content, "partial": True}
    if reasoning:
        message["reasoning_content"] = reasoning
    fields["messages"] = msgspec.Raw(msgspec.json.encode([*messages, message]))
    return msgspec.json.encode(fields)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
