"""Which text of an answer runs in a loop."""

from __future__ import annotations

from typing import Any

import pytest

from services.sentinel.rules.answer import MAX_WATCHED, AnswerWatch, ChoiceWatch, Found
from shared.repeats.loop import RepeatSettings

AGAIN = "and again "


def chunk(index: int, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": delta}]}


def call(index: int, arguments: str) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}


@pytest.mark.parametrize(
    ("delta", "channel"),
    [
        ({"content": AGAIN}, "content"),
        ({"reasoning_content": AGAIN}, "reasoning_content"),
        (call(3, AGAIN), "tool_calls.3.arguments"),
    ],
)
def test_each_text_is_watched(delta: dict[str, Any], channel: str) -> None:
    watch = AnswerWatch(RepeatSettings())

    found = [one for _ in range(80) for one in watch.feed(chunk(1, **delta))]

    assert [(one.choice, one.channel, one.loop.period) for one in found] == [(1, channel, len(AGAIN))]


def test_texts_are_not_mixed() -> None:
    watch = ChoiceWatch(RepeatSettings())

    found = [watch.feed({"content": AGAIN, "reasoning_content": AGAIN, **call(0, AGAIN)}) for _ in range(50)]

    assert found == [None] * 50


def test_choices_are_watched_each_on_its_own() -> None:
    watch = AnswerWatch(RepeatSettings())
    found: list[Found] = []

    for number in range(100):
        found += watch.feed(chunk(0, content=f"{number * number} is a square, {number**3} a cube. "))
        found += watch.feed(chunk(1, content=AGAIN))

    assert [one.choice for one in found] == [1]


def test_a_whole_completion_is_watched_too() -> None:
    found = AnswerWatch(RepeatSettings()).feed({"choices": [{"index": 0, "message": {"content": AGAIN * 100}}]})

    assert [one.channel for one in found] == ["content"]


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"choices": None},
        {"choices": []},
        {"choices": [{"delta": None}]},
        {"choices": [{"index": 0, "delta": {"content": None, "tool_calls": None}}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0}, {"function": {"name": "f"}}]}}]},
    ],
)
def test_a_chunk_without_text_is_nothing(odd: dict[str, Any]) -> None:
    assert AnswerWatch(RepeatSettings()).feed(odd) == []


def test_endless_tool_calls_take_bounded_memory() -> None:
    watch = ChoiceWatch(RepeatSettings())

    for index in range(1_000):
        watch.feed(call(index, '{"path": "a"}'))

    assert len(watch._detectors) == MAX_WATCHED


def test_choices_past_the_limit_are_not_watched() -> None:
    watch = AnswerWatch(RepeatSettings())

    found = [one for index in range(200) for one in watch.feed(chunk(index, content=AGAIN * 100))]

    assert len(found) == 128
