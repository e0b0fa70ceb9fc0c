"""Answers that run in a loop, asked again: the client never gets to see more than a first round."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts import Enforcement, EnsureToolCall, RepeatSettings
from shared.repeats.again import SHORTEST
from tests.fixtures.turns import REFUSED, RETRY, Driven, a_turn, call, end, fragment, messages_of, say, text, usage

UNIT = "and once more those very same words, "
GOOD = "It was a dark and stormy night in the harbour of Valparaíso; nobody had expected guests. "
LOOP = UNIT * 60
STOPPED = end("stopped", finish_reason="repeat")
STOP = say({}, "stop")
RESTART = Enforcement(retry=RepeatSettings(action="retry"), continues=False)


def chunks(words: str, field: str = "content", id: str = "c") -> list[bytes]:
    return [text(words[at : at + 11], field=field, id=id) for at in range(0, len(words), 11)]


def looped(turn: Driven, *pieces: bytes) -> Any:
    for piece in pieces:
        turn.client.take(turn.turn.feed(piece))
    assert turn.turn.looping is not None
    return turn.hears(say({}, "repeat"), ended=STOPPED)


def test_a_loop_is_told_while_it_runs_so_that_the_call_can_be_ended() -> None:
    turn = a_turn(RETRY).turn
    fed = 0
    assert turn.retry == RETRY.retry
    for piece in chunks(GOOD + LOOP):
        turn.feed(piece)
        fed += 11
        if turn.looping is not None:
            break

    assert turn.looping is not None
    assert turn.looping.channel == "content"
    assert fed < len(GOOD) + 700


def test_a_stream_goes_on_behind_what_the_client_has() -> None:
    turn = a_turn(RETRY)
    step = looped(turn, *chunks(GOOD + LOOP))
    has = turn.client.text()
    prefix = messages_of(step)[-1]

    assert (prefix["role"], prefix["partial"], prefix["content"]) == ("assistant", True, has)
    assert has.startswith(GOOD)
    assert has.count(UNIT) <= 1
    assert (step.why, step.has_prefix, step.attempt, step.most) == ("loop", True, 2, 3)


def test_the_end_of_the_text_is_the_next_calls() -> None:
    turn = a_turn(RETRY)
    looped(turn, *chunks(GOOD + LOOP))
    has = turn.client.text()
    last = turn.is_over(say({"role": "assistant"}, id="d"), text("the end.", id="d"), say({}, "stop", id="d"))

    assert turn.client.text() == f"{has}the end."
    assert (turn.client.ids, turn.client.roles, turn.client.reasons) == ({"c"}, 1, ["stop"])
    assert (last.outcome, last.unmet, turn.turn.attempts) == ("complete", None, 2)


def test_a_plain_answer_is_cut_where_the_loop_began() -> None:
    turn = a_turn(RETRY, streamed=False)
    step = looped(turn, *chunks(GOOD + LOOP))
    prefix = messages_of(step)[-1]["content"]
    turn.is_over(text("the end."), STOP, usage())

    assert prefix == GOOD[: len(prefix)]
    assert len(prefix) >= len(GOOD) - 1
    assert turn.client.text() == f"{prefix}the end."
    assert turn.client.usages[0]["total_tokens"] == 30


def test_a_loop_of_thoughts_is_gone_on_with_as_thoughts() -> None:
    turn = a_turn(RETRY, streamed=False)
    step = looped(turn, *chunks(GOOD + LOOP, field="reasoning_content"))
    prefix = messages_of(step)[-1]
    turn.is_over(text("so:", field="reasoning_content"), text("Lima."), STOP)

    assert prefix["content"] == ""
    assert turn.client.text("reasoning_content") == f"{prefix['reasoning_content']}so:"
    assert turn.client.text() == "Lima."


def test_sampling_changes_each_time() -> None:
    turn = a_turn(RETRY, seed=1)
    steps = [looped(turn, *chunks(GOOD + LOOP)) for _ in range(2)]

    assert [json.loads(step.body)["seed"] for step in steps] == [2, 3]
    assert [json.loads(step.body)["frequency_penalty"] for step in steps] == [0.3, 0.6]


@pytest.mark.parametrize("streamed", [True, False])
def test_a_model_that_only_loops_gets_the_end_of_stop(streamed: bool) -> None:
    turn = a_turn(RETRY, streamed=streamed, stream_options={"include_usage": True})
    for _ in range(2):
        looped(turn, *chunks(GOOD + LOOP))
    last = looped(turn, *chunks(LOOP))

    assert (last.outcome, last.finish_reason, last.unmet) == ("stopped", "repeat", "loop")
    assert (turn.client.reasons, turn.client.dones) == (["repeat"], 1)
    assert turn.client.text().startswith(GOOD[:-1])
    assert turn.client.text().count(UNIT) <= 2
    assert turn.client.usages[0]["total_tokens"] == 45
    assert turn.turn.attempts == 3


def test_where_nothing_can_be_gone_on_with_the_answer_begins_again() -> None:
    turn = a_turn(RESTART, streamed=False)
    step = looped(turn, *chunks(GOOD + LOOP))
    turn.is_over(text("Lima."), STOP)

    assert not step.has_prefix
    assert [one["role"] for one in messages_of(step)] == ["user"]
    assert turn.client.text() == "Lima."


def test_thoughts_that_went_out_are_followed_by_new_ones() -> None:
    turn = a_turn(RESTART)
    step = looped(turn, *chunks(GOOD + LOOP, field="reasoning_content"))
    has = turn.client.text("reasoning_content")
    turn.is_over(text("Hm.", field="reasoning_content"), text("Lima."), STOP)

    assert not step.has_prefix
    assert turn.client.text("reasoning_content") == f"{has}\n\nHm."


def test_content_that_went_out_and_cannot_be_gone_on_with_is_ended() -> None:
    turn = a_turn(RESTART)
    last = looped(turn, *chunks(GOOD + LOOP))

    assert (last.outcome, last.finish_reason) == ("stopped", "repeat")
    assert turn.client.reasons == ["repeat"]


def test_a_call_that_loops_is_dropped_and_made_again() -> None:
    turn = a_turn(RETRY)
    arguments = json.dumps({"city": LOOP})
    opened = say(fragment("get_weather", ""))
    pieces = [say(fragment(None, arguments[at : at + 20])) for at in range(0, len(arguments), 20)]
    step = looped(turn, text("Let me see."), opened, *pieces)
    turn.is_over(call("get_weather", '{"city": "Lima"}'), say({}, "tool_calls"))

    assert step.looping is not None
    assert step.looping.channel == "tool_calls.0.arguments"
    assert messages_of(step)[-1]["content"] == "Let me see."
    assert turn.client.calls == [("get_weather", '{"city": "Lima"}')]


def test_a_final_answer_that_loops_is_gone_on_with_as_content() -> None:
    both = Enforcement(ensure=EnsureToolCall(), retry=RepeatSettings(action="retry"), continues=True)
    turn = a_turn(both)
    answer = json.dumps({"final_answer": GOOD + LOOP}, ensure_ascii=False)
    opened = say(fragment("done", ""))
    pieces = [say(fragment(None, answer[at : at + 20])) for at in range(0, len(answer), 20)]
    step = looped(turn, opened, *pieces)

    assert messages_of(step)[-1]["content"] == turn.client.text()
    assert turn.client.text().startswith(GOOD)


def test_a_loop_that_only_the_sentinel_saw_is_one() -> None:
    turn = a_turn(RETRY)
    step = turn.asked_again(text("Let me "), text("see."), say({}, "repeat"), ended=STOPPED)

    assert step.looping is None
    assert messages_of(step)[-1]["content"] == "Let me see."


def test_an_answer_of_nothing_but_a_loop_begins_again() -> None:
    turn = a_turn(RETRY, streamed=False)
    step = looped(turn, *chunks(LOOP))

    assert not step.has_prefix


def test_where_no_other_call_can_be_had_the_answer_ends_as_with_stop() -> None:
    turn = a_turn(RETRY)
    looped(turn, *chunks(GOOD + LOOP))
    last = turn.is_over(ended=REFUSED)

    assert (last.outcome, last.finish_reason, turn.client.reasons) == ("stopped", "repeat", ["repeat"])


def test_a_retried_turn_still_has_to_end_in_a_call() -> None:
    both = Enforcement(ensure=EnsureToolCall(), retry=RepeatSettings(action="retry"), continues=True)
    turn = a_turn(both)
    looped(turn, *chunks(GOOD + LOOP))
    has = turn.client.text()
    step = turn.asked_again(text("the end."), STOP)

    assert messages_of(step)[-2]["content"] == f"{has}the end."
    assert messages_of(step)[-1]["role"] == "user"
    assert step.why == "ensure_tool_call"


def test_healthy_text_is_left_alone_to_the_last_character() -> None:
    turn = a_turn(RETRY)
    said = GOOD * 3 + "And that was that, and that was that."
    turn.is_over(*chunks(said), STOP)

    assert turn.client.text() == said


def test_a_call_that_is_whole_passes_at_the_end() -> None:
    turn = a_turn(RETRY)
    turn.is_over(text("See:"), call("get_weather", '{"city": "Lima"}'), say({}, "tool_calls"))

    assert turn.client.calls == [("get_weather", '{"city": "Lima"}')]


@settings(max_examples=40, deadline=None)
@given(
    before=st.text("abcdefgh ,.\n", max_size=400),
    unit=st.text("ijklmnop ", min_size=20, max_size=200).filter(lambda text: len(set(text)) > 3),
    channel=st.sampled_from(["content", "reasoning_content"]),
    streamed=st.booleans(),
    step=st.integers(1, 30),
)
def test_whatever_loops_no_more_than_a_first_round_is_shown(
    before: str, unit: str, channel: str, streamed: bool, step: int
) -> None:
    turn = a_turn(RETRY, streamed=streamed)
    said = before + unit * (700 // len(unit) + 15)
    for at in range(0, len(said), step):
        turn.client.take(turn.turn.feed(text(said[at : at + step], field=channel)))
    assert turn.turn.looping is not None
    turn.hears(say({}, "repeat"), ended=STOPPED)
    turn.is_over(text("The end."), STOP)
    shown = turn.client.text(channel).removesuffix("The end.")

    assert said.startswith(shown)
    assert len(shown) <= len(before) + len(unit) + SHORTEST + step
    assert turn.client.text().endswith("The end.")
    assert (turn.client.reasons, turn.client.dones, turn.client.roles) == (["stop"], 1, 1)
