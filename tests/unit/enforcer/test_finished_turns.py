"""Conversations that end in the model's own finished turn."""

from __future__ import annotations

from typing import Any

import pytest

from services.enforcer.rules import finished
from tests.fixtures.turns import Told

ENVELOPE = {"id": "c", "created": 1, "model": "k"}


def a_call(name: str, arguments: str) -> dict[str, Any]:
    return {"id": name, "type": "function", "function": {"name": name, "arguments": arguments}}


def told(ending: str | None, *calls: Any, content: Any = None) -> Told:
    message = {"role": "assistant", "content": content, "tool_calls": list(calls)}
    client = Told()
    client.take(finished.answer(message, ending, ENVELOPE))
    assert client.reasons == [finished.finish_reason(message, ending)]
    return client


def test_the_final_answer_is_the_answer() -> None:
    client = told("done", a_call("done", '{"final_answer": "It is warm."}'), content="I looked.")

    assert (client.text(), client.calls, client.reasons) == ("I looked.\n\nIt is warm.", [], ["stop"])
    assert (client.dones, client.usages[0]["total_tokens"]) == (1, 0)


def test_calls_that_wait_to_be_made_are_the_answer() -> None:
    client = told("done", a_call("look", "{}"), None, a_call("done", "{}"))

    assert (client.calls, client.reasons) == ([("look", "{}")], ["tool_calls"])


@pytest.mark.parametrize("content", [None, [{"type": "text", "text": "x"}]])
def test_a_clients_own_tool_is_a_call_like_any_other(content: Any) -> None:
    assert told(None, a_call("done", "{}"), content=content).calls == [("done", "{}")]
