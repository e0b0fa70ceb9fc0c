"""To which requests the rules apply, and what is added to them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.enforcer.rules.demand import demand_of, prepared
from services.enforcer.rules.request import Request
from services.enforcer.rules.termination import name_for
from shared.contracts import Enforcement, EnsureToolCall
from shared.prefixes import Prefix
from tests.fixtures.turns import CHECK, ENSURE, RETRY, USER, WEATHER, request_of

DONE = {"type": "function", "function": {"name": "done", "parameters": {"type": "object"}}}


def asked(**fields: Any) -> dict[str, Any]:
    """What the provider is asked."""
    request = request_of(**fields)
    return dict(json.loads(prepared(request, demand_of(request, ENSURE)).body()))


# -- to which requests


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": None},
        {"tools": []},
        {"tools": None, "functions": [{"name": "get_weather"}]},
        {"tool_choice": "none"},
        {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {}}},
        {"response_format": "json"},
    ],
)
def test_a_turn_that_may_end_otherwise_is_left_alone(fields: dict[str, Any]) -> None:
    request = request_of(**fields)
    demand = demand_of(request, ENSURE)

    assert (demand.ensure, demand.termination) == (None, None)
    assert json.loads(prepared(request, demand).body()) == json.loads(request.body())


@pytest.mark.parametrize("fields", [{}, {"tool_choice": "auto"}, {"response_format": {"type": "text"}}])
def test_an_agents_turn_gets_a_way_to_end(fields: dict[str, Any]) -> None:
    assert demand_of(request_of(**fields), ENSURE).termination == "done"


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
def test_who_demands_a_call_gets_one_of_its_own_tools(choice: Any) -> None:
    body = asked(tool_choice=choice)

    assert body["tools"] == [WEATHER]
    assert "tool call" in body["messages"][0]["content"]
    assert "done" not in body["messages"][0]["content"]


@pytest.mark.parametrize(("fields", "checks"), [({}, True), ({"tools": None}, False), ({"tool_choice": "none"}, False)])
def test_calls_are_checked_where_some_can_be_made(fields: dict[str, Any], checks: bool) -> None:
    assert (demand_of(request_of(**fields), CHECK).check is not None) == checks


@pytest.mark.parametrize(
    ("fields", "continues"),
    [({}, True), ({"response_format": {"type": "json_object"}}, False), ({"n": 2}, False)],
)
def test_a_text_is_gone_on_with_where_that_can_be(fields: dict[str, Any], continues: bool) -> None:
    assert demand_of(request_of(**fields), RETRY).continues == continues
    assert not demand_of(request_of(**fields), ENSURE).continues


# -- a turn that has ended already

CALL = {"id": "a", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("last", "is_finished"),
    [
        ({"role": "assistant", "content": None, "tool_calls": [CALL]}, True),
        ({"role": "assistant", "content": "Well, "}, False),
        ({"role": "assistant", "content": "Well, ", "partial": True}, False),
        ({"role": "tool", "tool_call_id": "a", "content": "warm"}, False),
        (USER, False),
    ],
)
def test_a_conversation_may_end_in_a_finished_turn(last: dict[str, Any], is_finished: bool) -> None:
    assert (demand_of(request_of(messages=[USER, last]), ENSURE).finished == last) == is_finished


def test_without_the_rule_nobody_looks_for_a_finished_turn() -> None:
    last = {"role": "assistant", "content": None, "tool_calls": [CALL]}

    assert demand_of(request_of(messages=[USER, last]), CHECK).finished is None


@pytest.mark.parametrize(("tools", "ending"), [([WEATHER], "done"), ([WEATHER, DONE], None)])
def test_what_ends_a_turn_in_a_history_is_no_tool_of_the_client(tools: list[Any], ending: str | None) -> None:
    assert demand_of(request_of(tools=tools), ENSURE).ending == ending
    assert demand_of(request_of(tools=tools), CHECK).ending is None


# -- names


def test_a_clients_own_tool_keeps_its_name() -> None:
    body = asked(tools=[WEATHER, DONE])

    assert [tool["function"]["name"] for tool in body["tools"]] == ["get_weather", "done", "moontide_done"]
    assert "`moontide_done`" in body["messages"][0]["content"]


def test_a_tool_that_only_earlier_turns_have_called_keeps_it_too() -> None:
    earlier = {"role": "assistant", "tool_calls": [{"function": {"name": "Done"}}, {"function": None}, None]}
    odd = {"role": "assistant", "tool_calls": None, "content": '"tool_calls"'}

    assert demand_of(request_of(messages=[USER, earlier, odd]), ENSURE).termination == "moontide_done"


@pytest.mark.parametrize(
    ("taken", "name"),
    [
        ([], "done"),
        (["DONE"], "moontide_done"),
        (["done", "moontide_done"], "moontide_done_2"),
        (["done", "moontide_done", "moontide_done_2", "moontide_done_3"], "moontide_done_4"),
    ],
)
def test_a_name_is_found_that_nobody_has(taken: list[str], name: str) -> None:
    assert name_for("done", taken) == name


# -- words


def test_words_are_the_operators() -> None:
    own = Enforcement(ensure=EnsureToolCall(termination_tool="end", instruction="Call {tool}!", reminder="{tool}?"))
    request = request_of()

    assert json.loads(prepared(request, demand_of(request, own)).body())["messages"][0]["content"] == "Call end!"


@pytest.mark.parametrize(
    ("first", "content"),
    [
        ({"role": "system", "content": "Be brief."}, "Be brief.\n\nYour turns"),
        ({"role": "developer", "content": "Be brief."}, "Be brief.\n\nYour turns"),
        ({"role": "system", "content": ""}, "Your turns"),
    ],
)
def test_they_stand_behind_the_clients_own(first: dict[str, Any], content: str) -> None:
    messages = asked(messages=[first, USER])["messages"]

    assert len(messages) == 2
    assert messages[0]["role"] == first["role"]
    assert messages[0]["content"].startswith(content)


def test_they_are_a_part_where_there_are_parts() -> None:
    first = {"role": "system", "content": [{"type": "text", "text": "Be brief.", "cache_control": {}}]}
    parts = asked(messages=[first, USER])["messages"][0]["content"]

    assert parts[0] == first["content"][0]
    assert parts[1]["text"].startswith("Your turns")


# -- requests


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"messages": 1}', b"\xff"])
def test_what_is_no_chat_request_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Request(body)


def test_without_messages_there_is_no_last_one() -> None:
    for messages in ([], [1]):
        request = request_of(messages=messages)

        assert request.last == {}
        assert request.with_instruction("Hm.").last == ({"role": "system", "content": "Hm."} if not messages else {})


def test_what_nobody_touched_stays_as_the_client_wrote_it() -> None:
    body = b'{"messages":[{"role":"user","content":"\\u00e9 1.0"}],"top_p":1.00,"tools":[{"type":"function"}]}'
    request = Request(body)

    assert request.body() == body
    assert b'"top_p":1.00' in request.followed_by([USER]).body()
    assert request.followed_by([USER]).changed_from(body) == ["messages"]
    assert request.changed_from(body) == []


@pytest.mark.parametrize(
    ("given", "turn", "sampling"),
    [
        ({}, 1, {"frequency_penalty": 0.3}),
        ({}, 4, {"frequency_penalty": 1.0}),
        ({"frequency_penalty": 1.5, "seed": 7}, 2, {"frequency_penalty": 1.5, "seed": 9}),
        ({"temperature": 0.5, "seed": True}, 1, {"frequency_penalty": 0.3, "temperature": 0.7, "seed": 2}),
        ({"temperature": 1.3}, 3, {"frequency_penalty": 0.9, "temperature": 1.3}),
        ({"temperature": True, "seed": "x"}, 1, {"frequency_penalty": 0.3, "temperature": True, "seed": "x"}),
    ],
)
def test_sampling_moves_on_but_not_past_what_is_accepted(
    given: dict[str, Any], turn: int, sampling: dict[str, Any]
) -> None:
    body = json.loads(request_of(**given).shaken(turn).body())
    names = ("frequency_penalty", "temperature", "seed")

    assert {name: body[name] for name in names if name in body} == sampling


def test_a_text_is_gone_on_with_in_partial_mode() -> None:
    body = json.loads(request_of().going_on(Prefix("Well, ", "Hm.")).body())

    assert body["messages"][-1] == {
        "role": "assistant",
        "content": "Well, ",
        "reasoning_content": "Hm.",
        "partial": True,
    }


def test_tools_without_their_envelope_have_names_too() -> None:
    bare = {"name": "look", "parameters": {"type": "object"}}
    request = request_of(tools=[bare, {"type": "function", "function": {"name": 1, "parameters": 2}}, "x"])

    assert request.schemas == {"look": {"type": "object"}, "": {}}
