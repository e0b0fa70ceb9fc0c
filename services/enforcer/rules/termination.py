"""The tool that a model calls when it has finished, and what it is told about it. The client sees none of it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from shared.contracts import EnsureToolCall

ANSWER = "final_answer"
PREFIX = "moontide_"

INSTRUCTION = (
    "Your turns are run by a program: it goes on only when you call a tool. So end every turn with a tool call. "
    "As long as something is left to do, call the tool that does it; never only announce it. "
    "When everything is done, call `{tool}`, with your answer to the user in `final_answer` unless you have written "
    "it in this turn already."
)
WITHOUT_TOOL = (
    "Your turns are run by a program: it goes on only when you call a tool. So end this turn with a tool call; never "
    "only announce it."
)
REMINDER = (
    "Your turn ended without a tool call, so nothing was done. If something is left to do, call the tool that does it "
    "now. If everything is done, call `{tool}`; put your answer into `final_answer` unless it is written above."
)
REMINDER_WITHOUT_TOOL = "Your turn ended without a tool call, so nothing was done. Call the tool now."


def name_for(wanted: str, taken: Collection[str]) -> str:
    """`wanted`, or what is made of it until no tool of the client has that name, capitals apart."""
    known = {name.lower() for name in taken}
    names = (wanted, f"{PREFIX}{wanted}", *(f"{PREFIX}{wanted}_{number}" for number in range(2, len(known) + 3)))
    return next(name for name in names if name.lower() not in known)


def tool(name: str) -> dict[str, Any]:
    answer = {"type": "string", "description": "The answer to the user, unless it is written in this turn already."}
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": "Ends your turn. Call it when everything that was asked for is done.",
            "parameters": {"type": "object", "properties": {ANSWER: answer}},
        },
    }


def instruction(settings: EnsureToolCall, name: str | None) -> str:
    return _said(settings.instruction, name, INSTRUCTION, WITHOUT_TOOL)


def reminder(settings: EnsureToolCall, name: str | None) -> str:
    return _said(settings.reminder, name, REMINDER, REMINDER_WITHOUT_TOOL)


def _said(own: str | None, name: str | None, with_tool: str, without: str) -> str:
    text = own or (with_tool if name is not None else without)
    return text.replace("{tool}", name or "a tool")
