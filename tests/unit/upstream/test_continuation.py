"""The text so far, and the request that goes on with it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.upstream.rules import continuation
from services.upstream.rules.continuation import TextSoFar
from shared.prefixes import Prefix, continued_body, may_be_continued


def events(*deltas: dict[str, Any], index: int = 0) -> bytes:
    chunks = ({"choices": [{"index": index, "delta": delta}]} for delta in deltas)
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)


def after(*pieces: bytes, keep: bool = True) -> TextSoFar:
    text = TextSoFar(keep)
    for piece in pieces:
        text.feed(piece)
    return text


def test_content_and_reasoning_are_kept_apart_and_whole() -> None:
    text = after(
        events({"role": "assistant", "content": ""}, {"reasoning_content": "Hm"}, {"reasoning": "m"}, {"content": "A"}),
        events({"content": "B"}) + b"data: [DONE]\n\n",
    )

    assert text.prefix == Prefix("AB", "Hmm")
    assert not text.is_empty


def test_a_half_sent_event_does_not_count_and_the_next_call_begins_anew() -> None:
    text = after(events({"content": "A"}) + events({"content": "lost"})[:-1])
    text.begin_call()
    text.feed(events({"content": "B"}))

    assert text.prefix == Prefix("AB")


def test_nothing_counts_from_an_error_on() -> None:
    error = b'data: {"error": {"code": 502}, "choices": [{"index": 0, "delta": {"content": "x"}}]}\n\n'

    assert after(events({"content": "A"}) + error + events({"content": "B"})).prefix == Prefix("A")


@pytest.mark.parametrize(
    "delta",
    [
        {"tool_calls": [{"index": 0}]},
        {"function_call": {"name": "f"}},
        {"refusal": "no"},
        {"audio": {"id": "a"}},
        {"content": [{"type": "text", "text": "parts"}]},
        {"content": "<|tool_calls_section_begin|>"},
        {"reasoning_content": "so <tool_call>"},
    ],
)
def test_what_is_more_than_text_can_not_be_continued(delta: dict[str, Any]) -> None:
    text = after(events({"content": "A"}, delta, {"content": "B"}))

    assert text.prefix is None
    assert not text.is_empty


def test_several_choices_and_chunks_without_sense_can_not_be_continued() -> None:
    assert after(events({"content": "B"}, index=1)).prefix is None
    assert after(b"data: {broken\n\n").prefix is None
    assert after(b'data: {"choices": [{"index": 0}, {"delta": null}]}\n\n').prefix == Prefix()


def test_before_anything_is_said_any_target_may_begin_again() -> None:
    role = events({"role": "assistant", "content": ""}, {"content": None})

    assert after(role).is_empty
    assert after(role, keep=False).is_empty
    assert not after(role, events({"content": "A"}), keep=False).is_empty
    assert not after(events({"tool_calls": [{"index": 0}]}), keep=False).is_empty


def test_where_nobody_can_go_on_nothing_is_kept() -> None:
    assert after(events({"content": "A"}), keep=False).prefix is None


def test_a_long_stream_is_read_in_batches_and_a_very_long_one_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(continuation, "BATCH_BYTES", 100)
    monkeypatch.setattr(continuation, "TEXT_CHARACTERS", 1000)
    pieces = [events({"content": "0123456789"})] * 100

    assert after(*pieces[:100]).prefix == Prefix("0123456789" * 100)
    assert after(*pieces, pieces[0]).prefix is None
    text = after(*pieces, keep=False)
    text.feed(pieces[0])
    assert not text.is_empty


def test_an_event_without_end_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(continuation, "MAX_EVENT_BYTES", 10)

    assert after(b"data: " + b"x" * 100).prefix is None


ASKED = {"model": "kimi", "messages": [{"role": "user", "content": "Hi"}], "stream": True, "seed": 7}


def messages(body: bytes) -> list[dict[str, Any]]:
    fields = json.loads(body)
    assert {**fields, "messages": 0} == {**ASKED, "messages": 0}
    return list(fields["messages"])


def test_the_prefix_becomes_the_assistants_partial_message() -> None:
    body = json.dumps(ASKED).encode()

    assert messages(continued_body(body, Prefix("Hel", "Hm"))) == [
        *ASKED["messages"],
        {"role": "assistant", "content": "Hel", "partial": True, "reasoning_content": "Hm"},
    ]
    assert messages(continued_body(body, Prefix("Hel")))[1:] == [
        {"role": "assistant", "content": "Hel", "partial": True}
    ]


@pytest.mark.parametrize("said", [{"content": "Once "}, {"content": None, "reasoning_content": "Hm"}])
def test_a_prefix_that_the_client_wrote_itself_is_part_of_it(said: dict[str, Any]) -> None:
    last = {"role": "assistant", "partial": True, "name": "Kelsier", **said}
    body = json.dumps({**ASKED, "messages": [*ASKED["messages"], last]}).encode()
    merged = messages(continued_body(body, Prefix("upon", "m")))[1:]

    assert merged == [
        {
            **last,
            "content": (said["content"] or "") + "upon",
            "reasoning_content": said.get("reasoning_content", "") + "m",
        }
    ]


def test_an_empty_conversation_is_no_obstacle() -> None:
    assert json.loads(continued_body(b'{"messages": []}', Prefix("x")))["messages"][0]["content"] == "x"


@pytest.mark.parametrize(
    ("fields", "may"),
    [
        ({}, True),
        ({"n": 1}, True),
        ({"n": 2}, False),
        ({"response_format": {"type": "text"}}, True),
        ({"response_format": {"type": "json_object"}}, False),
        ({"response_format": 7}, False),
        ({"messages": 7}, False),
    ],
)
def test_partial_mode_does_not_serve_every_request(fields: dict[str, Any], may: bool) -> None:
    assert may_be_continued(json.dumps({**ASKED, **fields}).encode()) is may
