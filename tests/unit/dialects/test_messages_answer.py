"""Chat answers as Anthropic's messages and events."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingress.dialects import ANTHROPIC, carriers
from services.ingress.dialects.anthropic.answer import MessagesAnswering
from shared.assembly import Assembly
from shared.contracts import Fault
from shared.errors import Refused
from tests.fixtures.streams import (
    BROKEN,
    COMPLETE,
    THINK_TEXT_CALLS,
    USAGE,
    call,
    chunk,
    cuts,
    deltas,
    events,
    message_of,
    stream,
)

Json = dict[str, Any]
ANSWERING = MessagesAnswering(id="X1", model="kimi", input_tokens=7)


def written(data: bytes, answering: MessagesAnswering = ANSWERING) -> bytes:
    codec = answering.codec()
    return codec.feed(data) + codec.finish(COMPLETE)


def streamed(said: list[Json], finish: str = "stop", answering: MessagesAnswering = ANSWERING) -> Json:
    return message_of(events(written(stream(said, finish), answering)))


def plain(said: list[Json], finish: str = "stop") -> Json:
    assembly = Assembly()
    assembly.feed(stream(said, finish))
    message: Json = msgspec.json.decode(ANSWERING.plain(assembly.completion(), COMPLETE))
    return message


def test_thinking_text_and_calls_become_blocks_in_their_order() -> None:
    message = streamed(THINK_TEXT_CALLS, "tool_calls")

    assert message["content"] == [
        {"type": "thinking", "thinking": "I need the shell.", "signature": carriers.mark("I need the shell.")},
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "run_0", "name": "run_shell", "input": {"command": "echo 42"}},
        {"type": "tool_use", "id": "toolu_mt_MZ2W4Y3UNFXW44ZOM5SXIORR", "name": "get", "input": {}},
    ]
    assert message["stop_reason"] == "tool_use"


def test_cached_tokens_are_counted_beside_the_others() -> None:
    usage = streamed([{"content": "Hi"}])["usage"]

    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (40, 60, 20)


@pytest.mark.parametrize(
    ("finish", "reason"),
    [("stop", "end_turn"), ("length", "max_tokens"), ("content_filter", "refusal"), ("repeat", "end_turn")],
)
def test_why_it_stopped(finish: str, reason: str) -> None:
    assert streamed([{"content": "Hi"}], finish)["stop_reason"] == reason


def test_a_call_is_a_tool_use_whatever_the_provider_says() -> None:
    assert streamed([call(0, "a", "run", "{}")], "stop")["stop_reason"] == "tool_use"


def test_an_empty_answer_is_one_empty_text() -> None:
    assert streamed([])["content"] == [{"type": "text", "text": ""}]
    assert plain([])["content"] == [{"type": "text", "text": ""}]


def test_a_ping_follows_the_start() -> None:
    assert [event["type"] for event in events(written(stream([{"content": "Hi"}])))][:2] == ["message_start", "ping"]


def test_a_piece_goes_out_at_once() -> None:
    codec = ANSWERING.codec()
    codec.feed(chunk({"role": "assistant"}))

    assert b'"Hel' in codec.feed(chunk({"content": "Hel"}))


def test_hidden_thinking_travels_in_its_signature() -> None:
    hidden = MessagesAnswering(id="X1", model="kimi", shows_thinking=False)

    block = streamed(THINK_TEXT_CALLS, answering=hidden)["content"][0]

    assert block["thinking"] == ""
    assert carriers.unpack(block["signature"]) == "I need the shell."


def test_a_broken_stream_ends_in_an_error_event() -> None:
    codec = ANSWERING.codec()

    found = events(codec.feed(chunk({"content": "Hi"})) + codec.finish(BROKEN))

    assert found[-1]["type"] == "error"
    assert found[-1]["error"] == {"type": "api_error", "message": "It broke off."}
    assert "message_stop" not in [event["type"] for event in found]


STOPPED = msgspec.structs.replace(COMPLETE, outcome="stopped")


def stopped(said: list[Json]) -> list[Json]:
    codec = ANSWERING.codec()
    return events(codec.feed(stream(said, "repeat")) + codec.finish(STOPPED))


def test_an_answer_that_we_ended_is_an_ended_turn() -> None:
    found = stopped([{"content": "and again and again"}])

    assert found[-2]["delta"]["stop_reason"] == "end_turn"
    assert found[-1]["type"] == "message_stop"


def test_an_answer_that_we_ended_within_a_call_is_one_that_was_cut() -> None:
    found = stopped([call(0, "run_0", "run_shell"), call(0, arguments='{"command": "ls && ls')])

    assert "error" not in [event["type"] for event in found]
    assert found[-2]["delta"]["stop_reason"] == "max_tokens"


def test_a_keep_alive_before_anything_begins_the_message() -> None:
    codec = ANSWERING.codec()

    early = codec.keep_alive()
    found = events(early + codec.keep_alive() + codec.feed(stream([{"content": "Hi"}])) + codec.finish(COMPLETE))

    assert [event["type"] for event in found][:3] == ["message_start", "ping", "ping"]
    assert message_of(found)["content"] == [{"type": "text", "text": "Hi"}]


def test_interleaved_calls_come_out_one_after_the_other() -> None:
    said = [
        call(0, "a", "run"),
        call(1, "b", "run"),
        call(0, arguments='{"x":'),
        call(1, arguments='{"y":'),
        call(0, arguments="1}"),
        call(1, arguments="2}"),
    ]

    assert [block["input"] for block in streamed(said)["content"]] == [{"x": 1}, {"y": 2}]


def test_text_between_unfinished_calls_waits_for_them() -> None:
    said = [call(0, "a", "run", '{"x":'), {"content": "Meanwhile."}, call(0, arguments="1}")]

    assert [block["type"] for block in streamed(said)["content"]] == ["tool_use", "text"]


@pytest.mark.parametrize(
    "said",
    [
        [{"tool_calls": [{"id": "a", "function": {"name": "run", "arguments": "{}"}}]}],
        [{"tool_calls": [{"index": 0, "id": "a", "function": {"name": "run", "arguments": {}}}]}],
        [call(0, "a", "run"), call(0, "a", "run", "{}")],
        [call(3, "a", "run", "{}")],
    ],
)
def test_odd_calls_of_a_raw_stream_are_understood(said: list[Json]) -> None:
    assert streamed(said)["content"] == [{"type": "tool_use", "id": "a", "name": "run", "input": {}}]


def test_calls_that_share_an_index_are_told_apart_by_their_ids() -> None:
    said = [call(0, "a", "run", "{}"), call(0, "b", "run", "{}")]

    assert [block["id"] for block in streamed(said)["content"]] == ["a", "b"]


def test_arguments_that_are_no_object_are_an_error_and_not_a_call() -> None:
    found = events(written(stream([call(0, "a", "run", '{"x": nope}')])))

    assert found[-1]["type"] == "error"
    with pytest.raises(Refused, match="no JSON object"):
        plain([call(0, "a", "run", '{"x": nope}')])


def test_arguments_cut_by_the_token_limit_are_left_cut() -> None:
    found = events(written(stream([call(0, "a", "run", '{"x": 1')], "length")))

    assert found[-2]["delta"]["stop_reason"] == "max_tokens"


def test_usage_within_a_choice_is_found() -> None:
    data = (
        chunk({"content": "Hi"}) + b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop","usage":%b}]}\n\n'
    )

    message = message_of(events(written(data % msgspec.json.encode(USAGE))))

    assert message["usage"]["output_tokens"] == 20


@given(deltas(), st.data())
def test_the_same_bytes_in_other_pieces_give_the_same_events(said: list[Json], data: st.DataObject) -> None:
    whole = stream(said)
    codec = ANSWERING.codec()

    out = b"".join(codec.feed(piece) for piece in data.draw(cuts(whole))) + codec.finish(COMPLETE)

    assert out == written(whole)


@given(deltas())
def test_a_stream_builds_the_same_message_as_the_plain_answer(said: list[Json]) -> None:
    finish = "tool_calls" if any("tool_calls" in delta for delta in said) else "stop"

    assert streamed(said, finish) == plain(said, finish)


@given(deltas())
def test_what_was_said_comes_back_with_the_next_request(said: list[Json]) -> None:
    assembly = Assembly()
    assembly.feed(stream(said))
    original: Json = msgspec.json.decode(assembly.completion())["choices"][0]["message"]
    history = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": streamed(said)["content"]},
        {"role": "user", "content": "On."},
    ]

    body = ANTHROPIC.read(msgspec.json.encode({"model": "m", "messages": history})).body

    returned = next((m for m in msgspec.json.decode(body)["messages"] if m["role"] == "assistant"), {})
    for name in ("content", "reasoning_content"):
        assert (returned.get(name) or "") == (original.get(name) or "")
    assert [call["id"] for call in returned.get("tool_calls", ())] == [
        call["id"] for call in original.get("tool_calls", ())
    ]


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        (Fault(status=400, code="x", message="m"), 400, "invalid_request_error"),
        (Fault(status=401, code="x", message="m"), 401, "authentication_error"),
        (Fault(status=402, code="x", message="m"), 402, "billing_error"),
        (Fault(status=403, code="x", message="m"), 403, "permission_error"),
        (Fault(status=404, code="x", message="m"), 404, "not_found_error"),
        (Fault(status=405, code="x", message="m"), 405, "invalid_request_error"),
        (Fault(status=408, code="x", message="m"), 408, "timeout_error"),
        (Fault(status=409, code="x", message="m"), 409, "conflict_error"),
        (Fault(status=413, code="x", message="m"), 413, "request_too_large"),
        (Fault(status=422, code="x", message="m"), 422, "invalid_request_error"),
        (Fault(status=429, code="x", message="m"), 429, "rate_limit_error"),
        (Fault(status=429, code="x", type="engine_overloaded_error", message="m"), 529, "overloaded_error"),
        (Fault(status=429, code="x", type="exceeded_current_quota_error", message="m"), 402, "billing_error"),
        (Fault(status=500, code="x", message="m"), 500, "api_error"),
        (Fault(status=502, code="x", message="m"), 502, "api_error"),
        (Fault(status=503, code="x", message="m"), 529, "overloaded_error"),
        (Fault(status=504, code="x", message="m"), 504, "timeout_error"),
        (Fault(status=524, code="x", message="m"), 529, "overloaded_error"),
        (Fault(status=599, code="x", message="m"), 599, "api_error"),
    ],
)
def test_each_fault_has_its_type_and_status(fault: Fault, status: int, kind: str) -> None:
    refusal = ANTHROPIC.refusal(fault, "X1")

    assert refusal.status == status
    assert msgspec.json.decode(refusal.body) == {
        "type": "error",
        "error": {"type": kind, "message": "m"},
        "request_id": "req_X1",
    }


def test_a_conversation_that_is_too_long_is_told_in_the_words_that_claude_code_acts_upon() -> None:
    said = "Your request exceeded model token limit: 262144 (requested: 300000)"

    refusal = ANTHROPIC.refusal(Fault(status=400, code="invalid_request_error", message=said))

    assert msgspec.json.decode(refusal.body)["error"]["message"].startswith(
        "prompt is too long: 300000 tokens > 262144 maximum"
    )


def test_an_empty_purse_is_not_asked_again() -> None:
    refusal = ANTHROPIC.refusal(Fault(status=429, code="exceeded_current_quota_error", message="m"))

    assert refusal.headers["x-should-retry"] == "false"
