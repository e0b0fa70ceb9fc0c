"""An exchange as the page shows it: what was said, taken apart. Bounded: the bytes themselves can be had whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import msgspec

from shared.records.answers import understood
from shared.records.exports.whole import Whole
from shared.records.queries import Part, Row
from shared.records.told import told

LONGEST = 200_000  # characters of one text
MOST_MESSAGES = 300  # the latest ones of a history
MOST_CHUNKS = 5000

Json = dict[str, Any]


def cut(text: str) -> str:
    """A text that a page can hold."""
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]} … ({len(text)} characters; the body has them all)"


def exchange_view(whole: Whole, events: Sequence[Row], tool_calls: Sequence[Row]) -> Json:
    """All that is known of an exchange, but the bodies themselves."""
    request, answer = whole.canonical_request or whole.parts.get("client.request"), whole.canonical_answer
    answer = answer or whole.parts.get("client.response")
    answering = whole.answering
    return {
        "exchange": whole.exchange,
        "calls": list(whole.calls),
        "events": list(events),
        "tool_calls": [{**row, "pretty": pretty(row["arguments"] or "")} for row in tool_calls],
        "marks": asdict(whole.marks),
        "parts": [part_view(part) for part in whole.parts.values()],
        "answering": answering["call"] if answering else None,
        "request": request_view(request.data, request.content_type) if request else None,
        "answer": answer_view(answer),
    }


def part_view(part: Part) -> Json:
    size = len(part.data) if part.data is not None else None
    media = part.content_type
    return {
        "name": part.name,
        "content_type": media,
        "size": size,
        "same_as": part.same_as,
        "chunks": len(part.chunks) if size else 0,
    }


def request_view(data: bytes | None, content_type: str | None) -> Json | None:
    """The messages of a chat, its tools and its settings; None where it is no chat."""
    body = understood(data, content_type)
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
        return None
    messages = body["messages"]
    left_out = max(0, len(messages) - MOST_MESSAGES)
    rest = {name: value for name, value in body.items() if name not in ("messages", "tools")}
    tools = body.get("tools")
    return {
        "left_out": left_out,
        "messages": [_message(message) for message in messages[left_out:]],
        "tools": [_tool(tool) for tool in tools] if isinstance(tools, list) else [],
        "settings": {name: cut(_text(value)) for name, value in rest.items()},
    }


def answer_view(part: Part | None) -> Json | None:
    if part is None or part.data is None:
        return None
    found = told(part.data, part.content_type)
    choices = [
        {
            "content": cut(choice.content),
            "reasoning": cut(choice.reasoning),
            "tool_calls": [
                {"id": call.id, "name": call.name, "arguments": pretty(call.arguments)} for call in choice.tool_calls
            ],
            "finish_reason": choice.finish_reason,
        }
        for choice in found.choices
    ]
    text = cut(found.text) if found.text is not None else None
    return {"choices": choices, "usage": found.usage, "error": found.error, "text": text}


def pretty(text: str) -> str:
    """JSON on several lines, its numbers digit by digit as they were; anything else as it is."""
    try:
        data = text.encode()
        msgspec.json.decode(data)
        return cut(msgspec.json.format(data, indent=2).decode())
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return cut(text)


def chunks_view(part: Part) -> list[tuple[int, float, int]]:
    """Each piece: where it began, milliseconds since the first one, its bytes."""
    size = len(part.data or b"")
    begins = [offset for offset, _ in part.chunks][:MOST_CHUNKS]
    ends = [*begins[1:], size] if len(part.chunks) <= MOST_CHUNKS else [o for o, _ in part.chunks[1 : MOST_CHUNKS + 1]]
    return [
        (begin, at / 1000, end - begin)
        for begin, (_, at), end in zip(begins, part.chunks[:MOST_CHUNKS], ends, strict=True)
    ]


def _message(message: Any) -> Json:
    if not isinstance(message, dict):
        return {"role": "?", "pieces": [{"text": cut(_text(message))}]}
    content = message.get("content")
    pieces = [_piece(piece) for piece in (content if isinstance(content, list) else [content]) if piece is not None]
    calls = message.get("tool_calls")
    return {
        "role": _text(message.get("role")) or "assistant",
        "for": _text(message.get("tool_call_id")) or None,
        "reasoning": cut(_text(message.get("reasoning_content") or message.get("reasoning"))),
        "pieces": pieces,
        "tool_calls": [_call(call) for call in calls] if isinstance(calls, list) else [],
    }


def _piece(piece: Any) -> Json:
    if isinstance(piece, Mapping):
        if piece.get("type") == "text":
            return {"text": cut(_text(piece.get("text")))}
        return {"label": _text(piece.get("type")) or "part", "text": cut(_text(piece))}
    return {"text": cut(_text(piece))}


def _call(call: Any) -> Json:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return {"id": None, "name": None, "arguments": cut(_text(call))}
    return {
        "id": _text(call.get("id")),
        "name": _text(function.get("name")),
        "arguments": pretty(_text(function.get("arguments"))),
    }


def _tool(tool: Any) -> Json:
    function = tool.get("function") if isinstance(tool, dict) else None
    named = function if isinstance(function, dict) else tool if isinstance(tool, dict) else {}
    return {"name": _text(named.get("name")) or "?", "text": pretty(_text(tool))}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode() if value is not None else ""
