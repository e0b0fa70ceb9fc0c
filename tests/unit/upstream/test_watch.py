"""What an answer says about itself, however its bytes are cut."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.upstream.rules import watch
from services.upstream.rules.watch import AnswerFacts, StreamWatch, error_fault
from shared.contracts import Fault, Usage

Json = dict[str, Any]


def seen(*pieces: bytes) -> AnswerFacts:
    watching = StreamWatch()
    for piece in pieces:
        watching.feed(piece)
    watching.finish()
    return watching.facts


def data(value: Json, newline: bytes = b"\n") -> bytes:
    return b"data: " + msgspec.json.encode(value) + newline * 2


def choice(finish: str | None = None, content: str = "", **more: Any) -> Json:
    return {"id": "c1", "choices": [{"delta": {"content": content}, "finish_reason": finish, **more}]}


def told(facts: AnswerFacts) -> tuple[Any, ...]:
    return (facts.completion_id, facts.finish_reason, facts.usage, facts.error, facts.done_seen, facts.is_whole)


# -- streams


def test_a_stream_tells_its_id_its_end_and_its_usage() -> None:
    facts = seen(
        data(choice(content="Hello")),
        data(choice("stop")),
        data({"id": "c1", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}),
        b"data: [DONE]\n\n",
    )

    assert told(facts) == (
        "c1",
        "stop",
        Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3),
        None,
        True,
        True,
    )


def test_events_that_come_together_tell_no_more_than_those_that_come_alone() -> None:
    events = [data(choice(content="Hello")), data({"error": 7}), data(choice("stop"))]

    assert told(seen(*events)) == told(seen(b"".join(events))) == ("c1", "stop", None, None, False, True)


def test_a_stream_that_only_stops_is_not_whole() -> None:
    assert seen(data(choice(content="Hello"))).is_whole is False


@pytest.mark.parametrize("last", [data(choice("stop")), b"data: [DONE]\n\n", b"data: [DONE]", b"data:[DONE]\r\n\r\n"])
def test_a_finish_reason_or_done_makes_it_whole(last: bytes) -> None:
    assert seen(data(choice(content="Hello")), last).is_whole is True


def test_done_inside_a_text_is_not_the_end() -> None:
    facts = seen(data(choice(content="data: [DONE]\n\ndata: [DONE]")), data(choice(content="[DONE]")))

    assert (facts.done_seen, facts.is_whole) == (False, False)


def test_a_finish_reason_inside_a_text_is_not_the_end() -> None:
    facts = seen(
        data(choice(content='"finish_reason": "stop", "usage": {"total_tokens": 9}, "error": {"message": "x"}'))
    )

    assert told(facts) == ("c1", None, None, None, False, False)


def test_a_null_usage_takes_nothing_away() -> None:
    facts = seen(data({**choice(), "usage": {"total_tokens": 3}}), data({**choice("stop"), "usage": None}))

    assert facts.usage == Usage(total_tokens=3)


def test_the_id_may_come_late() -> None:
    assert seen(data({"choices": []}), data({"id": None}), data(choice())).completion_id == "c1"


def test_other_lines_and_what_is_no_json_are_read_over() -> None:
    noise = b": comment\n\nevent: x\nid: 3\nretry: 1\n\ndata: {oops}\n\ndata:\n\n"

    assert told(seen(noise + data(choice("stop")))) == ("c1", "stop", None, None, False, True)


@pytest.mark.parametrize(
    ("value", "message", "code"),
    [
        ({"error": {"type": "server_error", "message": "It broke."}}, "It broke.", "server_error"),
        ({"error": {"code": 502, "message": "Gone."}, "choices": [{"finish_reason": "error"}]}, "Gone.", "502"),
        ({"error": "exploded"}, "exploded", "provider_error"),
        ({"error": {"message": None}}, "The provider reported an error without a message.", "provider_error"),
        ({"error": {"message": ["odd"], "code": "x"}}, '{"message":["odd"],"code":"x"}', "provider_error"),
    ],
)
def test_an_error_event_is_the_providers_fault(value: Json, message: str, code: str) -> None:
    fault = seen(data(choice(content="Hello")), data(value)).error

    assert fault is not None
    assert (fault.status, fault.code, fault.message) == (502, code, message)
    assert fault.body == msgspec.json.encode(value).decode()


@pytest.mark.parametrize("nothing", [None, "", {}, False])
def test_an_error_that_says_nothing_is_none(nothing: Any) -> None:
    assert seen(data({**choice("stop"), "error": nothing})).error is None


# -- any cut gives the same facts

values = st.one_of(
    st.builds(choice, st.sampled_from([None, "stop", "length"]), st.text(max_size=8)),
    st.builds(lambda n: {"choices": [], "usage": {"total_tokens": n}}, st.integers(0, 9)),
    st.builds(lambda n: choice("stop", usage={"prompt_tokens": n}), st.integers(0, 9)),
    st.just({"error": {"message": "x"}}),
    st.just({"id": None, "choices": None, "usage": None}),
)
parts = st.lists(
    st.one_of(values, st.sampled_from([b"[DONE]", b": comment", b"{oops", b""])),
    max_size=8,
)


@given(
    parts=parts,
    newline=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    places=st.lists(st.integers(0, 2000), max_size=16),
    ended=st.booleans(),
)
def test_facts_do_not_depend_on_the_cuts(parts: list[Any], newline: bytes, places: list[int], ended: bool) -> None:
    lines = [b"data: " + (part if isinstance(part, bytes) else msgspec.json.encode(part)) for part in parts]
    stream = b"".join(line + newline * 2 for line in lines)
    stream = stream if ended else stream.rstrip(b"\r\n")
    cuts = [0, *sorted({place % (len(stream) + 1) for place in places}), len(stream)]

    assert told(seen(*(stream[a:b] for a, b in pairwise(cuts)))) == told(seen(stream))


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_facts_are_known_as_soon_as_their_line_has_come(newline: bytes) -> None:
    watching = StreamWatch()
    watching.feed(data(choice("stop"), newline))

    assert watching.facts.finish_reason == "stop"


# -- lines that are too long


def test_a_line_that_is_too_long_is_let_go_of_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LINE_BYTES", 100)
    long = b"data: " + b"x" * 80
    facts = seen(
        long, b"y" * 80, b'data: {"id":"wrong","choices":[{"finish_reason":"length"}]}', b"\n\n", data(choice("stop"))
    )

    assert (facts.completion_id, facts.finish_reason) == ("c1", "stop")


def test_an_endless_line_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LINE_BYTES", 100)
    watching = StreamWatch()
    for _ in range(50):
        watching.feed(b"x" * 30)

    assert len(watching._tail) <= 100


def test_a_large_event_in_small_pieces_costs_linear_time() -> None:
    watching = StreamWatch()
    began = time.process_time()
    for _ in range(64 * 1024):
        watching.feed(b"x" * 16)

    assert time.process_time() - began < 2


# -- one body


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 1, "completion_tokens": 2}, Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)),
        ({"total_tokens": 9, "cached_tokens": 4}, Usage(total_tokens=9, cached_tokens=4)),
        ({"total_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}}, Usage(total_tokens=9, cached_tokens=4)),
        (
            {"total_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 4}},
            Usage(total_tokens=9, reasoning_tokens=4),
        ),
        (
            {"total_tokens": 9, "prompt_tokens_details": None, "cached_tokens": None, "completion_tokens_details": {}},
            Usage(total_tokens=9),
        ),
        ({"prompt_tokens": 3.0, "completion_tokens": "4"}, Usage(prompt_tokens=3, completion_tokens=4, total_tokens=7)),
    ],
)
def test_tokens_are_counted_wherever_they_stand(usage: Json, counted: Usage) -> None:
    beside, inside = AnswerFacts(), AnswerFacts()

    assert beside.learn(msgspec.json.encode({"usage": usage, "choices": [{}]}))
    assert inside.learn(msgspec.json.encode({"choices": [{"usage": usage}]}))
    assert (beside.usage, inside.usage) == (counted, counted)


@pytest.mark.parametrize("text", [b"", b"<html>", b"null", b'"text"', b"[]", b'{"id":', b"\xff", b"[" * 5000])
def test_what_is_no_json_object_teaches_nothing(text: bytes) -> None:
    facts = AnswerFacts()

    assert facts.learn(text) is False
    assert told(facts) == (None, None, None, None, False, False)


@pytest.mark.parametrize(
    "odd",
    [
        {"id": 7},
        {"usage": "none"},
        {"usage": {"prompt_tokens": 1.5}},
        {"usage": {"total_tokens": 3, "prompt_tokens_details": []}},
    ],
)
def test_a_field_of_an_odd_type_does_not_hide_the_others(odd: Json) -> None:
    facts = AnswerFacts()

    assert facts.learn(msgspec.json.encode({**choice("stop"), **odd})) is True
    assert facts.finish_reason == "stop"


def test_an_error_is_seen_beside_fields_of_an_odd_type() -> None:
    facts = AnswerFacts()
    facts.learn(b'{"id":7,"choices":"none","error":{"message":"It broke."}}')

    assert facts.error is not None
    assert facts.error.message == "It broke."


def test_half_a_surrogate_pair_is_no_reason_not_to_read_an_answer() -> None:
    facts = AnswerFacts()

    assert facts.learn(b'{"id":"c1","choices":[{"message":{"content":"\\ud83d"},"finish_reason":"stop"}]}') is True
    assert (facts.completion_id, facts.finish_reason) == ("c1", "stop")


# -- faults


def test_a_fault_keeps_the_providers_own_body() -> None:
    body = b'{"error":{"message":"m","type":"t","code":"c","param":"p"}}'

    assert error_fault(400, body[9:-1], body, 2.0) == Fault(
        status=400, code="c", type="t", message="m", param="p", retry_after_s=2.0, body=body.decode()
    )


def test_a_huge_error_fits_into_a_message_of_the_bus() -> None:
    error = b'{"message":"' + b"x" * 900_000 + b'"}'
    fault = error_fault(500, error, b'{"error":' + error + b"}")

    assert (fault.body, len(fault.message)) == (None, 4000)
