"""Agents that need to be told twice: what they say depends on how often they were asked in this turn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from services.provider_sim import seeds
from services.provider_sim.ask import Ask
from services.provider_sim.behaviours.offered import WEATHER, Call, fragments, offered
from services.provider_sim.behaviours.talk import pieces, said
from services.provider_sim.codec import encode
from services.provider_sim.plan import Delta, Plan

Wrong = Literal["missing", "type", "name"]
Ending = Literal["call", "done", "silent"]


def forgetful(plan: Plan, ask: Ask, *, times: int = 1, then: Ending = "call", thoughts: int = 0) -> Plan:
    """Announces a tool call and stops, until it has been reminded `times` times; `then` calls the tool, or ends the
    turn with the last tool that is offered, with an answer (`done`) or `silent`ly."""
    failed = _reminders(ask)
    thinking = pieces("reasoning_content", seeds.prose(thoughts, ask.seed, failed, "thoughts"))
    if failed < times:
        announcement = f"Attempt {failed + 1}: I am going to do that now."
        return said(plan, *thinking, *pieces("content", seeds.split(announcement, ask.random("forgetful", failed), 12)))
    call = offered(ask, 1)[0] if then == "call" else _ending(ask, then)
    parts: list[Delta] = [{"tool_calls": [part]} for part in fragments(call, ask.random(call.id))]
    return said(plan, *thinking, *parts, finish="tool_calls")


def _reminders(ask: Ask) -> int:
    """User messages right behind an answer of the assistant that called no tool, since the last real one."""
    failed = 0
    for before, after in zip(ask.messages, ask.messages[1:], strict=False):
        is_reminder = after.get("role") == "user" and before.get("role") == "assistant"
        failed = failed + 1 if is_reminder and not before.get("tool_calls") else failed
    return failed


def _ending(ask: Ask, then: Ending) -> Call:
    tools = ask.tools or [WEATHER]
    arguments = {"final_answer": "All done: 42 🌤️\n“really”."} if then == "done" else {}
    return Call(tools[-1]["name"], encode(arguments).decode(), 0, 0)


def careless(plan: Plan, ask: Ask, *, times: int = 1, wrong: Wrong = "missing", calls: int = 1) -> Plan:
    """Tool calls of which the first doesn't fit its schema, until `times` tool results have said so: without what is
    required, with a wrong `type`, or with the `name` of no tool."""
    told = sum(message.get("role") == "tool" and "invalid" in str(message.get("content")) for message in ask.messages)
    made = offered(ask, calls)
    if told < times:
        made[0] = _spoilt(made[0], wrong)
    parts: list[Delta] = [{"tool_calls": [part]} for call in made for part in fragments(call, ask.random(call.id))]
    return said(plan, *pieces("content", ["Let me ", "see."]), *parts, finish="tool_calls")


def _spoilt(call: Call, wrong: Wrong) -> Call:
    if wrong == "name":
        return replace(call, name="delete_everything")
    values: dict[str, Any] = {} if wrong == "missing" else {"city": {"name": [1, 2]}}
    return replace(call, arguments=encode(values).decode())


BEHAVIOURS = (forgetful, careless)
