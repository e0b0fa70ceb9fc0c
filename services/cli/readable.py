"""An exchange as a person reads it: facts, what was said, what was mended, and when everything happened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from services.cli.inspection import Inspection
from services.cli.terminal import block, visible
from shared.records.answers import understood
from shared.records.queries import Part, Row

SHOWN_CHARACTERS = 4000  # of one text; `--print` has all of it
SHOWN_FACTS = 200  # characters of an event's facts
INDENT = "  "

Fact = tuple[str, str | None]


def readable(inspection: Inspection) -> str:
    sections = (
        ("", _facts(inspection.exchange)),
        ("Request", _request(inspection)),
        ("Answer", _answer(inspection.parts.get("client.response"))),
        ("Provider", _provider_side(inspection)),
        ("Timeline", _timeline(inspection)),
    )
    return "\n".join(_section(title, lines) for title, lines in sections if lines)


def local_time(at: float) -> str:
    return datetime.fromtimestamp(at, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _section(title: str, lines: Iterable[str]) -> str:
    return "\n".join([f"\n== {title}"] * bool(title) + list(lines))


def _facts(row: Row) -> list[str]:
    state = row["outcome"] if row["state"] == "done" else row["state"]
    facts: list[Fact] = [
        ("exchange", f"{row['number']}  {row['id']}"),
        ("requested", f"{local_time(row['at'])}  {row['method'] or '?'} {row['path'] or '?'}"),
        ("client", _joined(row["client"], row["peer"])),
        ("status", _joined(row["status"], state, row["finish_reason"])),
        ("model", _route(row)),
        ("chatcmpl", row["completion_id"]),
        ("request_id", row["provider_request_id"]),
        ("server timing", row["server_timing"]),
        ("tokens", _tokens(row)),
        ("speed", _speed(row)),
        ("repairs", ", ".join(f"{name} {count}" for name, count in (row["repairs"] or {}).items())),
        ("error", _joined(row["error_code"], row["error_message"])),
    ]
    return [f"{name:<14} {visible(value)}" for name, value in facts if value]


def _joined(*values: object) -> str:
    return "  ".join(str(value) for value in values if value not in (None, ""))


def _route(row: Row) -> str:
    if not row["provider"]:
        return visible(row["model"] or "")
    way = "stream" if row["streamed"] else "plain"
    return f"{row['model'] or '-'} -> {row['provider']}/{row['provider_model'] or '-'} ({way})"


def _tokens(row: Row) -> str:
    names = ("prompt", "completion", "total", "cached", "reasoning")
    return ", ".join(f"{name} {row[f'{name}_tokens']}" for name in names if row[f"{name}_tokens"])


def _speed(row: Row) -> str:
    facts = (
        f"ttft {row['first_byte_s']:.3f}s" if row["first_byte_s"] is not None else None,
        f"tpot {row['token_s'] * 1000:.1f}ms" if row["token_s"] else None,
        f"{row['tokens_per_s']:.1f} tokens/s" if row["tokens_per_s"] else None,
        f"total {row['latency_s']:.3f}s" if row["latency_s"] is not None else None,
    )
    return ", ".join(fact for fact in facts if fact)


def _request(inspection: Inspection) -> list[str]:
    part = inspection.parts.get("client.request")
    body = understood(part.data, part.content_type) if part else None
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
        return _unread(part)
    rest = {name: value for name, value in body.items() if name not in ("messages", "tools")}
    lines = [f"{name}: {visible(_text(value))}" for name, value in rest.items()]
    tools = [_tool_name(tool) for tool in body.get("tools") or ()]
    lines += [f"tools: {visible(', '.join(tools))}"] if tools else []
    for message in body["messages"]:
        lines += _message(message) if isinstance(message, dict) else _indented(_text(message))
    return lines


def _tool_name(tool: Any) -> str:
    function = tool.get("function") if isinstance(tool, dict) else None
    return str(function.get("name")) if isinstance(function, dict) else _text(tool)


def _answer(part: Part | None) -> list[str]:
    body = understood(part.data, part.content_type) if part else None
    choices = body.get("choices") if isinstance(body, dict) else None
    if not isinstance(choices, list) or not choices:
        return _unread(part)
    lines: list[str] = []
    for choice in (choice for choice in choices if isinstance(choice, dict)):
        message = choice.get("message")
        lines += _message(message if isinstance(message, dict) else {})
        lines.append(f"finish_reason: {visible(_text(choice.get('finish_reason')) or 'none')}")
    return lines


def _message(message: dict[str, Any]) -> list[str]:
    """`[role]`, then what it thought, said and called, each indented."""
    lines = [f"[{visible(_text(message.get('role')))}]"]
    for name in ("reasoning_content", "reasoning"):
        if message.get(name):
            lines += [f"{INDENT}(reasoning)", *_indented(_text(message[name]))]
    content = message.get("content")
    if content:
        lines += [line for piece in _pieces(content) for line in _indented(piece)]
    for call in message.get("tool_calls") or ():
        lines += _indented(_tool_call(call))
    if message.get("function_call"):
        lines += _indented(_tool_call({"function": message["function_call"]}))
    if message.get("tool_call_id"):
        lines[0] += f" for {visible(_text(message['tool_call_id']))}"
    return lines


def _pieces(content: Any) -> Iterator[str]:
    """The texts of a message; what is no text is named."""
    for piece in content if isinstance(content, list) else [content]:
        if isinstance(piece, dict) and piece.get("type") == "text":
            yield _text(piece.get("text"))
        elif isinstance(piece, dict):
            yield f"<{_text(piece.get('type'))}>"
        else:
            yield _text(piece)


def _tool_call(call: Any) -> str:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return _text(call)
    return f"-> {_text(function.get('name'))}({_text(function.get('arguments'))})  {_text(call.get('id'))}"


def _provider_side(inspection: Inspection) -> list[str]:
    lines: list[str] = []
    client = _answer(inspection.parts.get("client.response"))
    for call in inspection.calls:
        facts = _joined(call["status"], call["outcome"], call["provider_request_id"], call["error_message"])
        target = f"{call['provider'] or '-'}/{call['model'] or '-'}"
        lines.append(f"{call['call']}  {visible(target)}  {visible(facts)}")
        changes = call["changes"] or {}
        lines += [f"{INDENT}{visible(name)}: {visible(', '.join(values))}" for name, values in changes.items()]
        lines += _other_answer(inspection.parts.get(f"{call['call']}.raw"), client)
    return lines


def _other_answer(part: Part | None, client: list[str]) -> list[str]:
    """What the provider said, where the client was told something else."""
    answer = _answer(part)
    if not answer or answer == client:
        return []
    return [f"{INDENT}what it sent differs from what the client got:", *(INDENT * 2 + line for line in answer)]


def _timeline(inspection: Inspection) -> list[str]:
    began, row = inspection.exchange["at"], inspection.exchange
    moments: list[tuple[float, str]] = [(began, "accepted")]
    for call in inspection.calls:
        moments += _moments_of(call)
    for event in inspection.events:
        facts = _text(event["facts"]) if event["facts"] else ""
        moments.append((event["at"], _joined(event["call"], event["name"], facts[:SHOWN_FACTS], event["worker"])))
    if row["latency_s"] is not None:
        moments.append((began + row["latency_s"], f"done, {row['body_bytes'] or 0} bytes"))
    return [f"{at - began:+9.3f}s  {visible(what)}" for at, what in sorted(moments, key=lambda moment: moment[0])]


def _moments_of(call: Row) -> list[tuple[float, str]]:
    sent, name = call["at"], call["call"]
    if sent is None:
        return []
    moments = [(sent, f"{name}  sent to {call['url'] or call['provider'] or '-'}")]
    if call["first_byte_s"] is not None:
        moments.append((sent + call["first_byte_s"], f"{name}  first byte"))
    if call["latency_s"] is not None:
        size = f"{call['body_bytes'] or 0} bytes, frames: {call['frames'] or 0}"
        moments.append((sent + call["latency_s"], f"{name}  {call['outcome'] or 'no end'}, {size}"))
    return moments


def _unread(part: Part | None) -> list[str]:
    """A body that is no chat: its text, or what it is."""
    if part is None:
        return []
    if part.data is None:
        return ["the bytes were gone before they could be recorded"]
    try:
        return _indented(part.data.decode())
    except UnicodeDecodeError:
        return [f"{len(part.data)} bytes of {visible(part.content_type or 'something')}"]


def _indented(text: str) -> list[str]:
    if len(text) > SHOWN_CHARACTERS:
        text = f"{text[:SHOWN_CHARACTERS]} … ({len(text)} characters; --print shows all)"
    return [INDENT + line for line in block(text).split("\n")]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode() if value is not None else ""
