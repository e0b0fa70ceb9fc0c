"""What was said in a chat, as lines for a person, on terminals of any width."""

from __future__ import annotations

from typing import Any

import click
import msgspec
import pytest

from services.cli.conversation import SHOWN_CHARACTERS, SHOWN_MESSAGES, Manner, answer_lines, request_lines
from services.cli.terminal import width
from shared.records.queries import Part

WIDE = Manner(columns=None)


def part(value: Any, content_type: str | None = "application/json") -> Part:
    data = value if isinstance(value, bytes) or value is None else msgspec.json.encode(value)
    return Part("part", content_type, data, [(0, 0)], None)


def lines(shown: list[str]) -> list[str]:
    return [click.unstyle(line) for line in shown]


def asked(*messages: Any, **more: Any) -> Part:
    return part({"model": "kimi", "messages": list(messages), **more})


def said(text: Any, role: str = "user", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": text, **more}


def test_settings_and_tools_have_a_line_each() -> None:
    tools = [{"type": "function", "function": {"name": "lookup"}}, {"name": "theirs"}, {"type": "web_search"}]

    assert lines(request_lines(asked(said("hi"), temperature=0.6, tools=tools), WIDE)) == [
        "model: kimi  temperature: 0.6",
        'tools: lookup, theirs, {"type":"web_search"}',
        "[user]",
        "  hi",
    ]


def test_of_a_long_history_the_last_messages_are_shown() -> None:
    history = asked(*(said(f"message {number}") for number in range(SHOWN_MESSAGES + 3)))

    shown = lines(request_lines(history, WIDE))
    assert shown[1] == "… 3 earlier messages (--all shows them)"
    assert "  message 2" not in shown
    assert "  message 0" in lines(request_lines(history, Manner(None, shows_all=True)))


def test_of_a_long_text_the_beginning_is_shown() -> None:
    text = "x" * (SHOWN_CHARACTERS + 1)

    assert lines(request_lines(asked(said(text)), WIDE))[-1].endswith(f"({len(text)} characters; --all shows them)")
    assert lines(request_lines(asked(said(text)), Manner(None, shows_all=True)))[-1] == f"  {text}"


@pytest.mark.parametrize("columns", [30, 80, 200])
@pytest.mark.parametrize("text", ["several words " * 40, "x" * 500, "月亮" * 200])
def test_no_line_is_wider_than_the_terminal(columns: int, text: str) -> None:
    shown = lines(request_lines(asked(said(text)), Manner(columns)))

    assert max(width(line) for line in shown) <= columns
    assert "".join(line.strip() for line in shown[2:]).replace(" ", "") == text.replace(" ", "")


def test_parts_of_a_message_are_texts_or_named() -> None:
    content = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {}}, "bare"]

    assert lines(request_lines(asked(said(content)), WIDE))[-3:] == ["  see", "  <image_url>", "  bare"]


def test_a_tools_result_names_its_call() -> None:
    shown = lines(request_lines(asked(said("42", "tool", tool_call_id="lookup_0")), WIDE))

    assert shown[-2:] == ["[tool] for lookup_0", "  42"]


def test_a_message_that_is_none_is_shown_as_it_is() -> None:
    assert lines(request_lines(asked("text", 7), WIDE))[-2:] == ["  text", "  7"]


def test_a_calls_verdict_stands_below_it() -> None:
    call = {"id": "a_0", "function": {"name": "a", "arguments": "{"}}
    choices = [{"index": 0, "message": {"tool_calls": [call, call, "odd"], "reasoning": "hm"}, "finish_reason": None}]
    known = {
        (0, 0): {"offered": True, "valid": False, "problem": "no JSON", "repaired": True},
        (0, 1): {"offered": False, "valid": None, "problem": None, "repaired": False},
    }

    assert lines(answer_lines(part({"choices": choices}), WIDE, known)) == [
        "[assistant]",
        "  (reasoning)",
        "    hm",
        "  -> a({)  a_0",
        "    does not fit its schema: no JSON",
        "    mended: the provider wrote it differently",
        "  -> a({)  a_0",
        "    no such tool was offered",
        "  odd",
        "finish_reason: none",
    ]


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (None, []),
        (part(None), ["the bytes were gone before they could be recorded"]),
        (part(b"\xff\xfe", "audio/mp3"), ["2 bytes of audio/mp3"]),
        (part(b"plain\nwords", "text/plain"), ["  plain", "  words"]),
        (part({"choices": []}), ['  {"choices":[]}']),
    ],
)
def test_what_is_no_chat_is_shown_as_it_is(body: Part | None, shown: list[str]) -> None:
    assert lines(answer_lines(body, WIDE)) == shown
    assert lines(request_lines(body, WIDE)) == shown


def test_nothing_that_was_said_commands_the_terminal() -> None:
    message = {"content": "\x1b[31mred", "reasoning_content": "\x1b]0;x\x07", "role": "\x1b[2J"}
    call = {"id": "\x1b[1m", "function": {"name": "\x1b[2m", "arguments": "\x1b[3m"}}
    shown = answer_lines(
        part({"choices": [{"message": message | {"tool_calls": [call]}, "finish_reason": "\x1b["}]}), WIDE
    )

    assert "\x1b" not in "".join(lines(shown))
