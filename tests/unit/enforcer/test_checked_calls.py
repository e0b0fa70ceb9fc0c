"""Calls that have to fit what was offered."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.enforcer.rules.calls import Call
from services.enforcer.rules.steps import Last
from shared.contracts import CheckToolCalls, Enforcement, EnsureToolCall
from shared.schemas import MESSAGE_CHARACTERS, fits, misfit
from tests.fixtures.turns import CHECK, REFUSED, WEATHER, a_turn, call, end, messages_of, say, text

CITY = '{"city": "Lima"}'
CALLS = say({}, "tool_calls")
BOTH = Enforcement(ensure=EnsureToolCall(), check=CheckToolCalls())
SCHEMAS = {"get_weather": WEATHER["function"]["parameters"], "anything": {}}


@pytest.mark.parametrize(
    ("name", "arguments", "problem"),
    [
        ("get_weather", CITY, None),
        ("anything", '{"x": 1}', None),
        ("anything", "", None),
        ("get_weather", "{}", "schema"),
        ("get_weather", '{"city": 1}', "schema"),
        ("get_weather", "[]", "not_json"),
        ("get_weather", '{"city"', "not_json"),
        ("delete_everything", "{}", "unknown_tool"),
    ],
)
def test_a_call_is_judged_by_what_was_offered(name: str, arguments: str, problem: str | None) -> None:
    invalid = Call(name=name, pieces=[arguments]).invalid(SCHEMAS)

    assert (invalid and invalid.problem) == problem
    assert invalid is None or (invalid.tool == name and invalid.message)


def test_an_unknown_tool_is_answered_with_those_that_there_are() -> None:
    invalid = Call(name="delete_everything").invalid(SCHEMAS)

    assert invalid is not None
    assert invalid.message == "There is no such tool. There are: get_weather, anything."


def test_the_validator_says_what_and_where() -> None:
    schema = {"properties": {"a": {"properties": {"b": {"type": "integer"}}}}}

    assert misfit({"a": {"b": "x"}}, schema) == 'a.b: "x" is not of type "integer"'
    assert misfit({"a": {"b": 1}}, schema) is None
    assert misfit({}, {"required": ["a"]}) == '"a" is a required property'
    assert len(misfit({"a": {"b": "x" * 9999}}, schema) or "") == MESSAGE_CHARACTERS


def test_a_schema_that_is_none_accepts_everything() -> None:
    assert fits({}, {"type": 7})
    assert misfit({}, {"type": 7}) is None


def test_an_invalid_call_is_held_back_and_asked_again_with_the_reason() -> None:
    turn = a_turn(CHECK)
    step = turn.asked_again(text("Hm.", field="reasoning_content"), text("See:"), call("get_weather", "{}"), CALLS)
    answer, result = messages_of(step)[-2:]

    assert turn.client.calls == []
    assert (answer["content"], answer["reasoning_content"]) == ("See:", "Hm.")
    assert [one["function"]["name"] for one in answer["tool_calls"]] == ["get_weather"]
    assert (result["role"], result["tool_call_id"]) == ("tool", answer["tool_calls"][0]["id"])
    assert '"city" is a required property' in result["content"]
    assert [(one.tool, one.problem) for one in step.invalid] == [("get_weather", "schema")]


def test_calls_beside_an_invalid_one_wait_for_it() -> None:
    turn = a_turn(CHECK)
    step = turn.asked_again(call("get_weather", CITY), call("look", "{}", index=1), CALLS)
    results = [one for one in messages_of(step) if one["role"] == "tool"]

    assert turn.client.calls == []
    assert ["another call" in one["content"] for one in results] == [True, False]
    assert messages_of(step)[-3]["content"] is None


def test_the_corrected_calls_reach_the_client() -> None:
    turn = a_turn(CHECK)
    turn.asked_again(text("See:"), call("get_weather", "{}"), CALLS)
    turn.is_over(text("See:", id="d"), call("get_weather", CITY, id="d"), say({}, "tool_calls", id="d"))

    assert (turn.client.text(), turn.client.calls) == ("See:", [("get_weather", CITY)])
    assert (turn.client.reasons, turn.client.ids) == (["tool_calls"], {"c"})


def test_a_call_that_nobody_could_read_is_made_again() -> None:
    turn = a_turn(CHECK)
    lost = end(repairs={"hopeless_call_dropped": 1, "tool_call_id_rewritten": 2})
    step = turn.asked_again(text("See:"), say({}, "stop"), ended=lost)

    assert [(one.tool, one.problem) for one in step.invalid] == [("", "unreadable")]
    assert [one["role"] for one in messages_of(step)] == ["user", "assistant", "user"]
    assert "could not be read" in messages_of(step)[-1]["content"]


def test_where_it_can_not_be_made_again_the_mark_says_so() -> None:
    turn = a_turn(CHECK)
    turn.asked_again(text("See:"), say({}, "stop"), ended=end(repairs={"oversized_call_dropped": 1}))

    assert turn.is_over(ended=REFUSED).unmet == "check_tool_calls"


def test_calls_beside_one_that_nobody_could_read_wait_for_it() -> None:
    turn = a_turn(CHECK)
    step = turn.asked_again(call("get_weather", CITY), CALLS, ended=end(repairs={"incomplete_call_dropped": 1}))

    assert turn.client.calls == []
    assert [one["role"] for one in messages_of(step)] == ["user", "assistant", "tool", "user"]


@pytest.mark.parametrize("streamed", [True, False])
def test_exhausted_attempts_give_the_last_calls_as_they_are_with_a_mark(streamed: bool) -> None:
    turn = a_turn(CHECK, streamed=streamed)
    for _ in range(2):
        turn.asked_again(call("get_weather", "{}"), CALLS)
    last = turn.is_over(call("get_weather", '{"city": 2}'), CALLS)

    assert last.unmet == "check_tool_calls"
    assert [one.problem for one in last.invalid] == ["schema"]
    assert turn.client.calls == [("get_weather", '{"city": 2}')]


def test_where_no_other_call_can_be_had_the_invalid_one_stays_with_a_mark() -> None:
    turn = a_turn(CHECK)
    turn.asked_again(call("get_weather", "{}"), CALLS)
    last = turn.is_over(ended=REFUSED)

    assert (last.unmet, last.finish_reason) == ("check_tool_calls", "tool_calls")
    assert turn.client.calls == [("get_weather", "{}")]


def test_a_turn_in_words_is_fine_where_only_calls_are_checked() -> None:
    turn = a_turn(CHECK)
    last = turn.is_over(text("It is warm."), say({}, "stop"))

    assert (last.unmet, turn.client.text(), turn.client.reasons) == (None, "It is warm.", ["stop"])


@pytest.mark.parametrize("arguments", ["{}", '{"final_answer": 7}', "nonsense"])
def test_the_termination_call_is_never_invalid(arguments: str) -> None:
    last = a_turn(BOTH).is_over(call("done", arguments), CALLS)

    assert (last.unmet, last.finish_reason) == (None, "stop")


def test_both_rules_share_the_attempts_of_a_turn() -> None:
    turn = a_turn(BOTH)
    turn.asked_again(text("I will."), say({}, "stop"))
    turn.asked_again(call("get_weather", "{}"), CALLS)
    last = turn.is_over(text("I won't."), say({}, "stop"))

    assert last.unmet == "ensure_tool_call"
    assert turn.turn.attempts == 3


def test_a_rule_with_fewer_attempts_is_given_up_earlier() -> None:
    few: Any = Enforcement(ensure=EnsureToolCall(max_attempts=5), check=CheckToolCalls(max_attempts=1))
    last = a_turn(few).is_over(call("get_weather", "{}"), CALLS)

    assert last.unmet == "check_tool_calls"


def test_what_is_asked_holds_the_calls_as_the_model_made_them() -> None:
    turn = a_turn(CHECK)
    step = turn.asked_again(call("get_weather", '{"city": 5}'), CALLS)
    made = json.loads(step.body)["messages"][-2]["tool_calls"][0]

    assert made == {
        "id": "get_weather_0",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city": 5}'},
    }


ARGUMENTS = st.sampled_from([CITY, "{}", '{"city": 1}', "[]", "nonsense"])


@given(
    turns=st.lists(st.lists(ARGUMENTS, min_size=1, max_size=3), min_size=1, max_size=5),
    streamed=st.booleans(),
    cuts=st.integers(1, 200),
)
def test_a_client_gets_the_calls_of_one_turn_and_invalid_ones_only_with_a_mark(
    turns: list[list[str]], streamed: bool, cuts: int
) -> None:
    turn = a_turn(Enforcement(check=CheckToolCalls(max_attempts=len(turns))), streamed=streamed)
    for made in turns:
        said = b"".join(call("get_weather", one, index=at) for at, one in enumerate(made)) + CALLS
        step = turn.hears(*(said[at : at + cuts] for at in range(0, len(said), cuts)))
        if isinstance(step, Last):
            break
        assert turn.client.calls == []
    assert isinstance(step, Last)

    assert turn.client.calls == [("get_weather", one) for one in made]
    assert (step.unmet is None) == all(one == CITY for one in made)
    assert step.unmet is None or made is turns[-1]
    assert (turn.client.reasons, turn.client.dones) == (["tool_calls"], 1)
