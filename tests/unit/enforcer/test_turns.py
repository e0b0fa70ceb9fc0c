"""Turns that have to end in a tool call: what is asked, and what the client gets of all the attempts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.enforcer.rules.attempt import TooLong
from services.enforcer.rules.message import SEPARATOR
from shared.contracts import Enforcement, EnsureToolCall, Fault
from tests.fixtures.turns import ENSURE, REFUSED, USER, a_turn, call, end, fragment, messages_of, say, text, usage

CITY = '{"city": "Lima"}'
PROMISE = ("I will ", "look it up.")
SAID = "".join(PROMISE)
STOP = say({}, "stop")
CALLS = say({}, "tool_calls")
BUFFER = Enforcement(ensure=EnsureToolCall(mode="buffer"))
COUNTED = {"stream_options": {"include_usage": True}}


def done(**arguments: Any) -> bytes:
    return call("done", json.dumps(arguments), id="d") + say({}, "tool_calls", id="d")


# -- what is asked


def test_the_model_is_offered_a_way_to_end_its_turn_and_told_of_it() -> None:
    asked = json.loads(a_turn().turn.body)

    assert [tool["function"]["name"] for tool in asked["tools"]] == ["get_weather", "done"]
    assert asked["messages"][0]["role"] == "system"
    assert "`done`" in asked["messages"][0]["content"]
    assert asked["messages"][1:] == [USER]


def test_a_turn_without_a_call_is_asked_again_with_the_answer_and_a_reminder() -> None:
    turn = a_turn()
    step = turn.asked_again(say({"role": "assistant"}), text("Hm.", field="reasoning_content"), text(*PROMISE), STOP)
    answer, reminder = messages_of(step)[-2:]

    assert answer == {"role": "assistant", "content": SAID, "reasoning_content": "Hm."}
    assert reminder["role"] == "user"
    assert "`done`" in reminder["content"]
    assert (step.why, step.attempt, step.most, step.has_prefix) == ("ensure_tool_call", 2, 3, False)


def test_every_failed_answer_is_in_the_next_request() -> None:
    turn = a_turn()
    turn.asked_again(text("one"), STOP)
    step = turn.asked_again(text("two"), STOP)

    assert [one["content"] for one in messages_of(step) if one["role"] == "assistant"] == ["one", "two"]


def test_an_answer_without_a_word_is_not_repeated_to_those_who_refuse_empty_ones() -> None:
    step = a_turn().asked_again(text("thinking", field="reasoning_content"), STOP)

    assert [one["role"] for one in messages_of(step)] == ["system", "user", "user"]


def test_what_the_client_had_begun_of_the_answer_is_part_of_it() -> None:
    begun = {"role": "assistant", "content": "Well, ", "partial": True}
    step = a_turn(messages=[USER, begun]).asked_again(text(*PROMISE), STOP)

    assert messages_of(step)[2] == {"role": "assistant", "content": f"Well, {SAID}"}


def test_what_the_client_had_begun_stays_where_nothing_came_of_it() -> None:
    begun = {"role": "assistant", "content": "Well, ", "partial": True}
    step = a_turn(messages=[USER, begun]).asked_again(STOP)

    assert messages_of(step)[2] == {"role": "assistant", "content": "Well, "}


# -- what the client gets


def test_a_turn_that_ends_in_a_call_is_over() -> None:
    turn = a_turn()
    last = turn.is_over(text(*PROMISE), call("get_weather", CITY), CALLS)

    assert (last.outcome, last.finish_reason, last.unmet) == ("complete", "tool_calls", None)
    assert turn.client.calls == [("get_weather", CITY)]
    assert (turn.client.text(), turn.client.reasons, turn.client.dones) == (SAID, ["tool_calls"], 1)
    assert turn.turn.attempts == 1


def test_a_stream_goes_out_as_it_comes() -> None:
    turn = a_turn()
    events = [say({"role": "assistant", "content": ""}), *map(text, PROMISE)]

    assert [turn.turn.feed(event) for event in events] == events


def test_the_next_attempt_goes_on_with_the_same_message() -> None:
    turn = a_turn(**COUNTED)
    turn.asked_again(say({"role": "assistant"}), text("Hm.", field="reasoning_content"), text(*PROMISE), STOP, usage())
    again = (say({"role": "assistant"}, id="d"), text("Right.", field="reasoning_content", id="d"))
    turn.is_over(*again, text("Here.", id="d"), call("get_weather", CITY, id="d"), say({}, "tool_calls"), usage("d"))
    client = turn.client

    assert (client.ids, client.roles, client.dones) == ({"c"}, 1, 1)
    assert client.text() == f"{SAID}{SEPARATOR}Here."
    assert client.text("reasoning_content") == f"Hm.{SEPARATOR}Right."
    assert client.calls == [("get_weather", CITY)]
    assert client.reasons == ["tool_calls"]
    assert [one["total_tokens"] for one in client.usages] == [30]
    assert turn.turn.attempts == 2


def test_the_termination_call_becomes_the_answer() -> None:
    turn = a_turn()
    turn.asked_again(text(*PROMISE), STOP)
    last = turn.is_over(done(final_answer="It is warm."))

    assert turn.client.text() == f"{SAID}{SEPARATOR}It is warm."
    assert (turn.client.calls, turn.client.reasons, last.finish_reason) == ([], ["stop"], "stop")


def test_its_text_goes_out_while_it_arrives() -> None:
    turn = a_turn().turn
    turn.feed(say(fragment("done", '{"final_answer": "It ')))

    assert b"is warm" in turn.feed(say(fragment(None, "is warm")))


def test_an_answer_that_is_said_again_is_said_once() -> None:
    turn = a_turn()
    turn.asked_again(text(*PROMISE), STOP)
    turn.is_over(text(*PROMISE, id="d"), done(final_answer=SAID))

    assert turn.client.text() == SAID


@pytest.mark.parametrize("streamed", [True, False])
def test_a_final_answer_that_stands_in_the_same_turn_is_said_once(streamed: bool) -> None:
    turn = a_turn(streamed=streamed)
    turn.is_over(text(*PROMISE), done(final_answer=SAID))

    assert turn.client.text() == SAID


def test_of_several_final_answers_the_first_counts() -> None:
    turn = a_turn()
    turn.is_over(call("done", '{"final_answer": "one"}'), call("done", '{"final_answer": "two"}', index=1), CALLS)

    assert turn.client.text() == "one"


def test_a_final_answer_that_is_no_text_comes_at_the_end() -> None:
    turn = a_turn()
    turn.is_over(done(final_answer=[1, 2]))

    assert turn.client.text() == "[1, 2]"


def test_calls_beside_the_termination_call_are_the_clients() -> None:
    turn = a_turn()
    ending = call("done", '{"final_answer": "Soon."}', index=1)
    turn.is_over(call("get_weather", CITY), ending, call("get_weather", "{}", index=2), CALLS)

    assert turn.client.calls == [("get_weather", CITY), ("get_weather", "{}")]
    assert (turn.client.reasons, turn.client.text()) == (["tool_calls"], "Soon.")


def test_the_name_never_gets_out_not_even_of_exhausted_attempts() -> None:
    turn = a_turn()
    for _ in range(2):
        turn.asked_again(text(*PROMISE), STOP)
    turn.is_over(text("Sorry."), STOP)

    assert "done" not in json.dumps([one["delta"] for event in turn.client.events for one in event["choices"]])


@pytest.mark.parametrize("most", [1, 2, 5])
def test_attempts_are_bounded_and_the_last_answer_is_marked(most: int) -> None:
    turn = a_turn(Enforcement(ensure=EnsureToolCall(max_attempts=most)))
    for number in range(1, most):
        turn.asked_again(text(f"Try {number}."), STOP)
    last = turn.is_over(text("I give up."), STOP)

    assert (last.unmet, last.outcome, last.finish_reason) == ("ensure_tool_call", "complete", "stop")
    assert turn.client.text().endswith("I give up.")
    assert (turn.client.reasons, turn.client.dones) == (["stop"], 1)


# -- the last attempt alone

whole = pytest.mark.parametrize(("enforcement", "streamed"), [(BUFFER, True), (ENSURE, False)], ids=["buffer", "plain"])


@whole
def test_nothing_of_a_failed_attempt_is_in_the_answer(enforcement: Enforcement, streamed: bool) -> None:
    turn = a_turn(enforcement, streamed=streamed)
    step = turn.asked_again(text("Hm.", field="reasoning_content"), text(*PROMISE), STOP)
    turn.is_over(text("Right.", field="reasoning_content"), text("Here."), call("get_weather", CITY), CALLS, usage())

    assert step.out == b""
    assert (turn.client.text(), turn.client.text("reasoning_content")) == ("Here.", "Right.")
    assert turn.client.calls == [("get_weather", CITY)]
    assert [one["total_tokens"] for one in turn.client.usages] == [30]


@whole
def test_an_attempt_that_only_ends_the_turn_leaves_the_words_before_it(
    enforcement: Enforcement, streamed: bool
) -> None:
    turn = a_turn(enforcement, streamed=streamed)
    turn.asked_again(text("It is warm."), STOP)
    turn.asked_again(STOP)
    turn.is_over(done())

    assert (turn.client.text(), turn.client.reasons) == ("It is warm.", ["stop"])


@whole
def test_a_final_answer_stands_behind_the_content_of_its_attempt(enforcement: Enforcement, streamed: bool) -> None:
    turn = a_turn(enforcement, streamed=streamed)
    turn.is_over(text("I looked."), done(final_answer="It is warm."))

    assert turn.client.text() == f"I looked.{SEPARATOR}It is warm."


def test_an_answer_without_anything_has_a_role_all_the_same() -> None:
    turn = a_turn(streamed=False)
    turn.is_over(done())

    assert (turn.client.roles, turn.client.text(), turn.client.reasons) == (1, "", ["stop"])


def test_a_plain_answer_tells_its_tokens_even_where_the_provider_did_not() -> None:
    turn = a_turn(streamed=False)
    turn.is_over(done())

    assert turn.client.usages == [{"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}]


def test_nobody_counts_what_nobody_knows() -> None:
    turn = a_turn(streamed=False)
    turn.is_over(done(), ended=end(usage=None))

    assert turn.client.usages == []


def test_an_answer_that_came_as_one_body_is_read() -> None:
    message = {"role": "assistant", "content": SAID}
    body = {"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    turn = a_turn(streamed=False)

    assert turn.turn.feed_whole(json.dumps(body).encode()) == b""
    assert messages_of(turn.asked_again())[2]["content"] == SAID


# -- turns that nobody asks again


@pytest.mark.parametrize("reason", ["length", "content_filter", "anything"])
def test_a_turn_that_was_cut_is_not_asked_again(reason: str) -> None:
    turn = a_turn()
    last = turn.is_over(text(*PROMISE), say({}, reason))

    assert (last.unmet, last.finish_reason, turn.client.reasons) == (None, reason, [reason])


def test_a_refusal_is_an_answer() -> None:
    turn = a_turn()
    turn.is_over(say({"refusal": "No."}), STOP)

    assert (turn.client.text("refusal"), turn.client.reasons) == ("No.", ["stop"])


@pytest.mark.parametrize("other", [{"refusal": ""}, {"annotations": [1]}, {"reasoning": "Hm."}])
def test_whatever_else_is_said_passes_and_is_no_answer(other: dict[str, Any]) -> None:
    turn = a_turn()
    turn.asked_again(say({**other, "content": "I will."}), STOP)

    assert next(iter(other)) in turn.client.deltas[-2] | turn.client.deltas[-1]


def test_a_call_that_was_stopped_is_over() -> None:
    turn = a_turn()
    last = turn.is_over(text(*PROMISE), say({}, "repeat"), ended=end("stopped", finish_reason="repeat"))

    assert (last.outcome, last.finish_reason) == ("stopped", "repeat")


def test_a_reason_that_only_the_end_tells_counts() -> None:
    turn = a_turn()
    turn.is_over(text(*PROMISE), ended=end(finish_reason="length"))

    assert turn.client.reasons == ["length"]


# -- calls that fail


def test_a_call_that_breaks_ends_the_answer_as_it_is() -> None:
    turn = a_turn()
    fault = Fault(status=502, code="provider_broke", message="it broke")
    last = turn.is_over(text(*PROMISE), ended=end("broken", fault=fault))

    assert (last.outcome, turn.client.text(), turn.client.reasons, turn.client.dones) == ("broken", SAID, [], 0)


def test_the_providers_own_error_goes_out() -> None:
    turn = a_turn()
    last = turn.is_over(text(*PROMISE), b'data: {"error": {"message": "it broke"}}\n\n', ended=end("broken"))

    assert (last.outcome, turn.client.events[-1]) == ("broken", {"error": {"message": "it broke"}})


@pytest.mark.parametrize("streamed", [True, False])
def test_where_no_other_call_can_be_had_the_answer_stays(streamed: bool) -> None:
    turn = a_turn(streamed=streamed)
    turn.asked_again(text(*PROMISE), STOP, usage())
    last = turn.is_over(ended=REFUSED)

    assert (last.outcome, last.unmet) == ("complete", "ensure_tool_call")
    assert (turn.client.text(), turn.client.reasons, turn.client.dones) == (SAID, ["stop"], 1)
    assert [one["total_tokens"] for one in turn.client.usages] == ([15] if not streamed else [])


def test_a_first_call_that_is_refused_is_an_error() -> None:
    last = a_turn().is_over(ended=REFUSED)

    assert (last.outcome, last.out) == ("refused", b"")


def test_a_void_call_counts_but_says_nothing() -> None:
    turn = a_turn(streamed=False)
    turn.turn.feed(text("void"))
    turn.turn.void(end("broken", next_call="c2"))
    turn.is_over(done(final_answer="Here."), usage())

    assert (turn.client.text(), turn.client.usages[0]["total_tokens"]) == ("Here.", 30)


def test_a_call_is_only_kept_up_to_a_limit() -> None:
    turn = a_turn().turn
    piece = text("a" * (8 * 1024 * 1024))
    for _ in range(4):
        turn.feed(piece)

    with pytest.raises(TooLong):
        turn.feed(text("a"))


# -- what providers write


def test_odd_events_are_read_over() -> None:
    turn = a_turn()
    odd = b'data: {"choices": null}\n\ndata: {"choices": ["x", {"index": 1, "delta": {"content": "no"}}]}\n\n'
    broken = b'data: not json\n\ndata: {"choices": [{"index": 0, "delta": null}]}\n\ndata: [DONE]\n\n'
    calls = say({"tool_calls": ["x", {"index": 0, "function": None}]})
    turn.is_over(odd, broken, calls, text(*PROMISE), say({}, "length"))

    assert turn.client.text() == SAID


def test_a_last_event_without_a_blank_line_counts() -> None:
    turn = a_turn()
    turn.is_over(text(*PROMISE), say({}, "length").rstrip())

    assert turn.client.reasons == ["length"]


def test_a_name_that_comes_behind_its_arguments_loses_none_of_them() -> None:
    turn = a_turn()
    late = {"tool_calls": [{"index": 0, "id": "a", "function": {"arguments": '{"city"'}}]}
    named = {"tool_calls": [{"index": 0, "function": {"name": "get_weather", "arguments": ': "Lima"}'}}]}
    turn.is_over(say(late), say(named), CALLS)

    assert turn.client.calls == [("get_weather", CITY)]


def test_calls_without_an_index_are_told_apart_by_their_ids() -> None:
    turn = a_turn()

    def unnumbered(**fields: Any) -> bytes:
        return say({"tool_calls": [fields]})

    opened = {"type": "function", "function": {"name": "get_weather", "arguments": ""}}
    turn.is_over(
        unnumbered(id="a", **opened),
        unnumbered(function={"arguments": CITY}),
        unnumbered(id="b", **opened),
        unnumbered(function={"arguments": "{}"}),
        CALLS,
    )

    assert turn.client.calls == [("get_weather", CITY), ("get_weather", "{}")]


def test_tokens_in_the_finish_frame_are_summed_there() -> None:
    counts = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    choice = {"index": 0, "delta": {}, "finish_reason": "stop", "usage": counts}
    finish = b"data: " + json.dumps({"id": "c", "choices": [choice]}).encode() + b"\n\n"
    turn = a_turn()
    turn.asked_again(text("one"), finish)
    turn.is_over(done(), finish)
    told = [one["usage"]["total_tokens"] for event in turn.client.events for one in event["choices"] if "usage" in one]

    assert told == [30]


@given(
    attempts=st.lists(st.tuples(st.text("ab ", max_size=9), st.text("cd ", max_size=9)), min_size=1, max_size=5),
    ends_in=st.sampled_from(["call", "done", "words"]),
    streamed=st.booleans(),
    cuts=st.integers(1, 200),
)
def test_whatever_is_said_the_client_gets_one_well_formed_message(
    attempts: list[tuple[str, str]], ends_in: str, streamed: bool, cuts: int
) -> None:
    turn = a_turn(Enforcement(ensure=EnsureToolCall(max_attempts=len(attempts))), streamed=streamed, **COUNTED)
    endings = {"call": call("get_weather", CITY) + CALLS, "done": done(final_answer="Bye."), "words": STOP}
    for number, (reasoning, content) in enumerate(attempts, start=1):
        ending = endings[ends_in] if number == len(attempts) else STOP
        said = text(reasoning, field="reasoning_content", id=str(number)) + text(content, id=str(number)) + ending
        turn.hears(*(said[at : at + cuts] for at in range(0, len(said), cuts)))
    client = turn.client

    assert (client.roles, client.dones, len(client.reasons), len(client.ids)) == (1, 1, 1, 1)
    assert client.calls == ([("get_weather", CITY)] if ends_in == "call" else [])
    assert client.text().endswith("Bye.") or ends_in != "done"
    assert client.usages[0]["total_tokens"] == 15 * len(attempts)
    assert turn.turn.attempts == len(attempts)
