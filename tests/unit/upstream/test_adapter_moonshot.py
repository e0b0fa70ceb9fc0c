"""What Moonshot refuses is made acceptable, and said; everything else goes out as it came."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.upstream.adapters import Thoughts, adapter_of
from shared.config import Model, Target
from shared.contracts import HttpRequest
from tests.unit.upstream.asking import HELLO, Asked, asking, provider

K3 = asking("moonshot", "kimi-k3")
K26 = asking("moonshot", "kimi-k2.6")
K27 = asking("moonshot", "kimi-k2.7-code")
OLD = asking("moonshot", "moonshot-v1-8k")
CALL = {"id": "look:0", "type": "function", "function": {"name": "look", "arguments": "{}"}}


def tool(name: str, **parameters: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", **parameters}}}


def turn(**fields: Any) -> dict[str, Any]:
    """An assistant turn with a tool call."""
    return {"role": "assistant", "content": None, "tool_calls": [CALL], **fields}


def assistant(asked: Asked) -> dict[str, Any]:
    return dict(asked.body["messages"][-1])


def test_a_request_that_moonshot_takes_goes_out_byte_for_byte() -> None:
    messages = [*HELLO, turn(reasoning_content="because"), {"role": "tool", "tool_call_id": "look:0", "content": "1"}]
    body = {"model": "kimi-k3", "messages": messages, "tools": [tool("look")], "tool_choice": "required", "stop": "x"}

    assert K3.raw(json.dumps(body, indent=1).encode()).is_untouched


@pytest.mark.parametrize("ask", [K3, K26, K27])
def test_sampling_that_the_model_fixes_is_dropped(ask: Any) -> None:
    asked = ask(temperature=1, top_p=0.95, n=1, presence_penalty=0, frequency_penalty=0)

    assert asked.body == {"model": ask.model, "messages": HELLO}
    assert asked.outgoing.changes["why"][0] == "temperature: fixed by the model"


def test_a_model_whose_sampling_is_free_keeps_it() -> None:
    assert OLD(temperature=0.3, top_p=0.5, n=2).is_untouched


def test_fields_that_moonshot_does_not_know_are_dropped() -> None:
    asked = K3(parallel_tool_calls=True, seed=1, top_k=4, logit_bias={}, functions=[], function_call="auto", user="me")

    assert asked.body == {"model": "kimi-k3", "messages": HELLO, "user": "me"}
    assert asked.dropped == ["parallel_tool_calls", "seed", "top_k", "logit_bias", "functions", "function_call"]


def test_max_tokens_gets_its_newer_name() -> None:
    asked = K3(max_tokens=100)

    assert asked.body["max_completion_tokens"] == 100
    assert asked.outgoing.changes == {
        "dropped": ["max_tokens"],
        "set": ["max_completion_tokens"],
        "why": ["max_tokens: its older name here"],
    }


def test_of_both_names_of_max_tokens_the_newer_one_counts() -> None:
    assert K3(max_tokens=100, max_completion_tokens=7).body["max_completion_tokens"] == 7


def test_the_developer_is_the_system() -> None:
    asked = K3(messages=[{"role": "developer", "content": "Be brief.", "name": "d"}, *HELLO])

    assert asked.body["messages"] == [{"role": "system", "content": "Be brief.", "name": "d"}, *HELLO]


@pytest.mark.parametrize(
    ("effort", "sent"),
    [("none", "low"), ("minimal", "low"), ("medium", "high"), ("xhigh", "max"), ({"effort": "low"}, "low")],
)
def test_efforts_become_those_that_k3_knows(effort: object, sent: str) -> None:
    assert K3(reasoning_effort=effort).body["reasoning_effort"] == sent


def test_an_effort_that_nobody_knows_is_the_clients_affair() -> None:
    assert K3(reasoning_effort="heroic").body["reasoning_effort"] == "heroic"


def test_an_effort_in_a_reasoning_object_is_understood() -> None:
    asked = K3(reasoning={"effort": "medium"})

    assert asked.body == {"model": "kimi-k3", "messages": HELLO, "reasoning_effort": "high"}


def test_models_without_efforts_get_none() -> None:
    assert K27(reasoning_effort="high", reasoning={"effort": "high"}).body == {"model": K27.model, "messages": HELLO}


def test_no_effort_switches_the_thinking_off_where_that_is_possible() -> None:
    assert K26(reasoning_effort="none").body["thinking"] == {"type": "disabled"}
    assert K26(reasoning_effort="none", thinking={"type": "enabled"}).body["thinking"] == {"type": "enabled"}


def test_required_is_asked_of_k3_only() -> None:
    assert K3(tool_choice="required", tools=[tool("look")]).body["tool_choice"] == "required"
    assert K27(tool_choice="required", tools=[tool("look")]).body["tool_choice"] == "auto"


def test_a_named_function_becomes_the_only_one_there_is() -> None:
    named = {"type": "function", "function": {"name": "look"}}
    asked = K3(tool_choice=named, tools=[tool("look"), tool("listen")])

    assert (asked.body["tool_choice"], asked.body["tools"]) == ("required", [tool("look")])
    assert K26(tool_choice=named, tools=[tool("look")]).body["tool_choice"] == "auto"


def test_a_named_function_that_is_not_offered_leaves_the_tools_alone() -> None:
    asked = K3(tool_choice={"type": "function", "function": {"name": "smell"}}, tools=[tool("look")])

    assert (asked.body["tool_choice"], asked.body["tools"]) == ("required", [tool("look")])


def test_a_named_function_may_be_asked_of_a_model_that_does_not_think() -> None:
    named = {"type": "function", "function": {"name": "look"}}
    asked = K26(tool_choice=named, tools=[tool("look")], thinking={"type": "disabled"})

    assert asked.is_untouched


@pytest.mark.parametrize("choice", [{}, {"function": "look"}])
def test_a_choice_of_nothing_is_a_call_of_anything(choice: dict[str, Any]) -> None:
    assert K3(tool_choice=choice, tools=[tool("look")]).body["tool_choice"] == "required"


def test_a_schema_loses_its_references_and_gains_its_types() -> None:
    offered = tool("look", properties={"city": {"$ref": "#/$defs/City"}}, **{"$defs": {"City": {"minLength": 1}}})
    asked = K3(tools=[offered, tool("listen"), "no tool", {"type": "builtin_function"}])

    assert asked.body["tools"][0] == tool("look", properties={"city": {"minLength": 1, "type": "string"}})
    assert asked.body["tools"][1:] == [tool("listen"), "no tool", {"type": "builtin_function"}]


@pytest.mark.parametrize("content", ["", [], [{"type": "text", "text": ""}]])
def test_empty_text_beside_tool_calls_is_left_out(content: object) -> None:
    asked = K3(messages=[*HELLO, turn(content=content, reasoning_content="because")])

    assert assistant(asked) == {"role": "assistant", "tool_calls": [CALL], "reasoning_content": "because"}


@pytest.mark.parametrize("content", [None, "I look.", [{"type": "text", "text": "I look."}]])
def test_text_beside_tool_calls_stays(content: object) -> None:
    assert K3(messages=[*HELLO, turn(content=content, reasoning_content="")]).is_untouched


def test_an_empty_answer_without_tool_calls_stays() -> None:
    assert K3(messages=[*HELLO, {"role": "assistant", "content": "", "tool_calls": []}]).is_untouched


def test_lost_reasoning_comes_back() -> None:
    asked = K3(messages=[*HELLO, turn()], recalled={1: Thoughts("It is far.")})

    assert assistant(asked)["reasoning_content"] == "It is far."


def test_reasoning_that_was_empty_is_empty_again() -> None:
    assert assistant(K3(messages=[*HELLO, turn()], recalled={1: Thoughts("")}))["reasoning_content"] == ""


@pytest.mark.parametrize("recalled", [{}, {1: Thoughts(None, [{"type": "reasoning.encrypted"}])}])
def test_reasoning_that_nobody_remembers_becomes_a_blank(recalled: Any) -> None:
    assert assistant(K3(messages=[*HELLO, turn()], recalled=recalled))["reasoning_content"] == " "


def test_reasoning_under_another_name_is_taken() -> None:
    assert assistant(K3(messages=[*HELLO, turn(reasoning="Hm.")]))["reasoning_content"] == "Hm."


def test_a_model_that_does_not_think_needs_no_reasoning() -> None:
    assert K26(messages=[*HELLO, turn()], thinking={"type": "disabled"}).is_untouched
    assert OLD(messages=[*HELLO, turn()]).is_untouched


def named(strategy: str = "first", headers: dict[str, str] | None = None, **fields: Any) -> str | None:
    adapter = adapter_of(provider("moonshot"))
    body = json.dumps({"model": "kimi-k3", "messages": HELLO, **fields}).encode()
    request = HttpRequest(
        id="R1", at=0.0, method="POST", path="/v1/chat/completions", model="kimi-k3", headers=headers or {}
    )
    model = Model(targets=(), strategy=strategy, drop=("prompt_cache_key",) if fields.pop("dropped", None) else ())  # type: ignore[arg-type]
    outgoing = adapter.chat(request, body, model, Target(provider="it"), False)
    found = json.loads(outgoing.body).get("prompt_cache_key")
    return None if found is None else str(found)


def test_moonshot_is_told_which_conversation_it_is_where_that_is_known_or_wanted() -> None:
    assert named() is None
    by_header = named(headers={"x-session-id": "s1"})
    assert by_header is not None
    assert len(by_header) == 32
    assert "s1" not in by_header
    assert named(headers={"x-session-id": "s2"}) != by_header
    assert named("sticky") == named("sticky") != by_header


def test_the_clients_own_name_for_its_conversation_wins_and_so_does_the_configuration() -> None:
    assert named("sticky", prompt_cache_key="mine") == "mine"
    assert named("sticky", dropped=True) is None
