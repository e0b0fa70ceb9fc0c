"""What a model is told when its answer was not good enough: the answer itself, and what was wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.enforcer.rules import termination
from services.enforcer.rules.calls import UNREADABLE, Call, Invalid
from services.enforcer.rules.demand import Demand

Json = dict[str, Any]

NOT_DONE = "Not executed, because another call of the same turn was invalid. Make this call again with the others."
INVALID = "Not executed, the call is invalid. {message} Make the call again, corrected."


def answered(content: str, reasoning: str, calls: Sequence[Call] = ()) -> list[Json]:
    """A failed answer as a message; none where it said nothing, which providers refuse."""
    if not content.strip() and not calls:
        return []
    message: Json = {"role": "assistant", "content": content or None}
    if reasoning:
        message["reasoning_content"] = reasoning
    if calls:
        message["tool_calls"] = [call.as_json() for call in calls]
    return [message]


def without_call(content: str, reasoning: str, demand: Demand) -> list[Json]:
    assert demand.ensure is not None  # noqa: S101 - only then a turn without a call is asked again
    reminder = termination.reminder(demand.ensure, demand.termination)
    return [*answered(content, reasoning), {"role": "user", "content": reminder}]


def with_invalid_calls(
    content: str, reasoning: str, calls: Sequence[Call], invalid: Mapping[int, Invalid], unreadable: bool = False
) -> list[Json]:
    """Every call gets a result, as providers want it; `invalid` is by the call's place in `calls`. Of one that was
    `unreadable` there is only word."""
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": _result(invalid.get(at))} for at, call in enumerate(calls)
    ]
    word = [{"role": "user", "content": f"{UNREADABLE} Make it again."}] if unreadable else []
    return [*answered(content, reasoning, calls), *results, *word]


def _result(invalid: Invalid | None) -> str:
    return NOT_DONE if invalid is None else INVALID.format(message=invalid.message)
