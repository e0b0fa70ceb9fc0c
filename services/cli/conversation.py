"""What was said in a chat, as lines for a person: roles, reasoning, texts and calls."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
import msgspec

from services.cli.terminal import block, visible, width
from shared.records.answers import understood
from shared.records.queries import Part, Row

SHOWN_CHARACTERS = 2000  # of one text
SHOWN_MESSAGES = 8  # the last ones of a long history
INDENT = "  "
NARROWEST = 20  # columns of text, however narrow the terminal

Json = dict[str, Any]


@dataclass(frozen=True)
class Manner:
    """How it is shown."""

    columns: int | None  # of the terminal; None: lines as long as they are
    shows_all: bool = False

    def indented(self, text: str, depth: int = 1, **style: Any) -> list[str]:
        """A text's lines; those that are too long for the terminal go on below themselves."""
        if len(text) > SHOWN_CHARACTERS and not self.shows_all:
            text = f"{text[:SHOWN_CHARACTERS]} … ({len(text)} characters; --all shows them)"
        space = INDENT * depth
        lines = (piece for line in block(text).split("\n") for piece in self._wrapped(line, len(space)))
        return [click.style(space + line, **style) if style else space + line for line in lines]

    def _wrapped(self, line: str, indent: int) -> list[str]:
        room = max(NARROWEST, self.columns - indent) if self.columns is not None else None
        if room is None or width(line) <= room:
            return [line]
        if width(line) > len(line):  # characters of two columns
            room = max(NARROWEST // 2, room // 2)
        return textwrap.wrap(line, room, drop_whitespace=False, replace_whitespace=False) or [line]


def request_lines(part: Part | None, manner: Manner) -> list[str]:
    """Its settings and tools in a line each, then its messages."""
    body = understood(part.data, part.content_type) if part else None
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
        return unread(part, manner)
    rest = {name: value for name, value in body.items() if name not in ("messages", "tools")}
    lines = manner.indented("  ".join(f"{name}: {text_of(value)}" for name, value in rest.items()), 0, dim=True)
    tools = [_tool_name(tool) for tool in body.get("tools") or ()]
    lines += manner.indented(f"tools: {', '.join(tools)}", 0, dim=True) if tools else []
    messages = body["messages"]
    left_out = 0 if manner.shows_all else max(0, len(messages) - SHOWN_MESSAGES)
    if left_out:
        lines.append(f"… {left_out} earlier messages (--all shows them)")
    for message in messages[left_out:]:
        lines += message_lines(message, manner) if isinstance(message, dict) else manner.indented(text_of(message))
    return lines


def answer_lines(part: Part | None, manner: Manner, made: Mapping[tuple[int, int], Row] | None = None) -> list[str]:
    """Each choice's message and how it ended. `made` is what is known of its tool calls, by choice and place."""
    body = understood(part.data, part.content_type) if part else None
    choices = body.get("choices") if isinstance(body, dict) else None
    if not isinstance(choices, list) or not choices:
        return unread(part, manner)
    lines: list[str] = []
    for at, choice in enumerate(choice for choice in choices if isinstance(choice, dict)):
        message = choice.get("message")
        lines += message_lines(message if isinstance(message, dict) else {}, manner, made, choice.get("index", at))
        lines.append(f"finish_reason: {visible(text_of(choice.get('finish_reason')) or 'none')}")
    return lines


def message_lines(
    message: Json, manner: Manner, made: Mapping[tuple[int, int], Row] | None = None, choice: int = 0
) -> list[str]:
    """`[role]`, then what it thought, said and called, each indented."""
    role = click.style(f"[{visible(text_of(message.get('role')) or 'assistant')}]", fg="cyan")
    lines = [role + (f" for {visible(text_of(message['tool_call_id']))}" if message.get("tool_call_id") else "")]
    for name in ("reasoning_content", "reasoning"):
        if message.get(name):
            lines += [f"{INDENT}(reasoning)", *manner.indented(text_of(message[name]), 2, dim=True)]
    if message.get("content"):
        lines += [line for piece in _pieces(message["content"]) for line in manner.indented(piece)]
    calls = message.get("tool_calls")
    for at, call in enumerate(calls if isinstance(calls, list) else ()):
        lines += manner.indented(_tool_call(call), fg="green")
        lines += _verdict((made or {}).get((choice, at)))
    if message.get("function_call"):
        lines += manner.indented(_tool_call({"function": message["function_call"]}), fg="green")
    return lines


def _verdict(row: Row | None) -> Iterator[str]:
    """What is wrong with a call, or was."""
    if row is None:
        return
    if row["offered"] is False:
        yield click.style(f"{INDENT * 2}no such tool was offered", fg="red")
    if row["valid"] is False:
        yield click.style(f"{INDENT * 2}does not fit its schema: {visible(row['problem'] or '')}", fg="red")
    if row["repaired"]:
        yield click.style(f"{INDENT * 2}mended: the provider wrote it differently", fg="yellow")


def _tool_name(tool: Any) -> str:
    function = tool.get("function") if isinstance(tool, dict) else None
    named = function if isinstance(function, dict) else tool if isinstance(tool, dict) else {}
    return str(named["name"]) if named.get("name") else text_of(tool)


def _pieces(content: Any) -> Iterator[str]:
    """The texts of a message; what is no text is named."""
    for piece in content if isinstance(content, list) else [content]:
        if isinstance(piece, dict) and piece.get("type") == "text":
            yield text_of(piece.get("text"))
        elif isinstance(piece, dict):
            yield f"<{text_of(piece.get('type'))}>"
        else:
            yield text_of(piece)


def _tool_call(call: Any) -> str:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return text_of(call)
    return f"-> {text_of(function.get('name'))}({text_of(function.get('arguments'))})  {text_of(call.get('id'))}"


def unread(part: Part | None, manner: Manner) -> list[str]:
    """A body that is no chat: its text, or what it is."""
    if part is None:
        return []
    if part.data is None:
        return ["the bytes were gone before they could be recorded"]
    try:
        return manner.indented(part.data.decode())
    except UnicodeDecodeError:
        return [f"{len(part.data)} bytes of {visible(part.content_type or 'something')}"]


def text_of(value: Any) -> str:
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode() if value is not None else ""


def by_place(rows: Sequence[Row], call: str | None) -> dict[tuple[int, int], Row]:
    """What is known of the tool calls of one call to a provider."""
    return {(row["choice"], row["number"]): row for row in rows if row["call"] == call}
