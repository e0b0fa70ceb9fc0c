"""One exchange while it happens."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.dashboard.rules.telling import Telling
from shared.contracts import Body, Fault
from shared.subjects import Subjects
from tests.fixtures.exchanges import BEGAN, NORMALIZER, Script
from tests.fixtures.found import chunk

SUBJECTS = Subjects("moontide")
ID = "01K9ZZZZZZZZZZZZZZZZZZZZZA"


def told(script: Script) -> list[dict[str, Any]]:
    telling = Telling()
    return [
        one
        for subject, data, _ in script.messages
        for one in telling.take(SUBJECTS.below_request(subject)[1:], data, BEGAN)
    ]


def pieces(script: Script) -> list[dict[str, Any]]:
    return [delta for one in told(script) if one["kind"] == "piece" for delta in one["deltas"]]


def test_the_request_comes_first_with_its_messages() -> None:
    (asked,) = told(Script(ID).request())

    assert (asked["kind"], asked["model"]) == ("asked", "kimi-k2")
    assert asked["request"]["messages"][0]["pieces"] == [{"text": "hi"}]


def test_a_request_that_is_no_json_is_told_without_messages() -> None:
    (asked,) = told(Script(ID).request(Body(data=b"\xff", size=1)))

    assert asked["request"] is None


def test_texts_that_go_on_are_one_piece() -> None:
    data = chunk(reasoning_content="hm") + chunk(reasoning_content="m") + chunk(content="Hel") + chunk(content="lo")

    assert [(one["what"], one["text"]) for one in pieces(Script(ID).data(data))] == [
        ("reasoning", "hmm"),
        ("content", "Hello"),
    ]


def test_a_tool_call_grows_under_its_number() -> None:
    begin = {"index": 1, "id": "x", "function": {"name": "lookup", "arguments": '{"q"'}}
    data = chunk(tool_calls=[begin]) + chunk(tool_calls=[{"index": 1, "function": {"arguments": ": 1}"}}])
    (call,) = pieces(Script(ID).data(data))

    assert (call["what"], call["number"], call["name"], call["text"]) == ("call", 1, "lookup", '{"q": 1}')


def test_two_calls_of_one_chunk_stay_two() -> None:
    calls = [{"index": at, "function": {"name": f"f{at}", "arguments": "{}"}} for at in (0, 1)]

    assert [one["name"] for one in pieces(Script(ID).data(chunk(tool_calls=calls)))] == ["f0", "f1"]


def test_an_event_that_is_cut_between_two_frames_is_one_event() -> None:
    data = chunk(content="Hello")

    assert [one["text"] for one in pieces(Script(ID).data(data[:20]).data(data[20:]))] == ["Hello"]


def test_what_goes_to_a_normalizer_is_not_what_the_client_gets() -> None:
    assert pieces(Script(ID).data(chunk(content="<|raw|>"), to=NORMALIZER)) == []


def test_an_answer_that_is_no_stream_tells_no_pieces() -> None:
    assert pieces(Script(ID).data(b'{"choices": [{"message": {"content": "x"}}]}')) == []


def test_odd_chunks_are_passed_over() -> None:
    odd = b'{"choices": [1, {"delta": 2}, {"delta": {"tool_calls": [1, {}]}}]}'
    lines = [b"[DONE]", b"[1]", b'{"choices": 1}', odd]
    data = b"".join(b"data: " + line + b"\n\n" for line in lines)

    assert [one["what"] for one in pieces(Script(ID).data(data))] == ["call"]


def test_an_event_that_never_ends_is_given_up() -> None:
    assert pieces(Script(ID).data(b"data: " + b"x" * (40 << 20))) == []


def test_facts_begin_and_end_each_leg() -> None:
    fault = Fault(status=502, code="broke", message="with key sk-0123456789abcdefghijklmnopqrstuv")
    names = told(Script(ID).head().end(outcome="broken", fault=fault).event("retried", pause_s=1).done())

    assert [one.get("name", one["kind"]) for one in names] == ["c1.raw begins", "c1.raw ends", "retried", "done"]
    assert "sk-0123456789" not in str(names)


def test_a_message_that_can_t_be_read_is_named() -> None:
    (fact,) = Telling().take(["done"], b"{", BEGAN)

    assert (fact["name"], fact["facts"]) == ("unreadable", {"subject": "done"})


def test_what_means_nothing_is_passed_over() -> None:
    assert list(Telling().take(["c1", "request"], b"{}", BEGAN)) == []


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_no_error(data: bytes) -> None:
    msgspec.json.encode(list(Telling().take(["c1", "raw", "ingress-1", "data"], data + b"\n\n", BEGAN)))
