"""Exchanges that no pipeline records in this form, and what each shape makes of them all the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.records.answers import understood
from shared.records.comparisons import compared_call, sections
from shared.records.dialects import message_of
from shared.records.exports import curl, moonpalace
from shared.records.exports.training import LeftOut, k2vv_line, openai_line
from shared.records.exports.whole import Whole
from shared.records.marks import Marks
from shared.records.names import meanings
from shared.records.queries import NotFound, Part
from shared.records.told import Choice, ToolCall, told
from shared.sse import MAX_EVENT_BYTES

JSON = "application/json"
STREAM = "text/event-stream"
COLUMNS = {
    **dict.fromkeys(("id", "number", "completion_id", "provider_request_id", "user_id", "group_id", "status")),
    **dict.fromkeys(("server_timing", "first_byte_s", "token_s", "tokens_per_s", "latency_s", "method", "path")),
    **dict.fromkeys(("error_message", "outcome", "request_headers", "response_headers")),
}
ASKED = {"model": "k", "messages": [{"role": "user", "content": "hi"}]}
SAID = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "ho"}, "finish_reason": "stop"}]}

Json = dict[str, Any]


def part(name: str, data: bytes | None, content_type: str = JSON) -> Part:
    return Part(name, content_type, data, [], None)


def whole(
    request: Any = None, response: Any = None, calls: int = 1, marks: Marks | None = None, **columns: Any
) -> Whole:
    """A chat completion; bodies are JSON, or bytes."""
    row: Json = COLUMNS | {"id": "ID", "number": 7, "at": 1.8e9, "path": "/v1/chat/completions"}
    row |= {"method": "POST", "outcome": "complete", "status": 200, **columns}
    call = row | {"call": "c1", "url": "https://api.moonshot.ai/v1/chat/completions", "outcome": "complete"}
    bodies = {"client.request": request, "client.response": response, "c1.request": request, "c1.raw": response}
    as_bytes = {name: body if isinstance(body, bytes) else json.dumps(body).encode() for name, body in bodies.items()}
    parts = {name: part(name, data) for name, data in as_bytes.items() if bodies[name] is not None}
    return Whole(exchange=row, calls=[call] * calls, parts=parts, marks=marks or Marks())


@pytest.mark.parametrize(
    ("request_body", "response", "why"),
    [
        (None, SAID, "no chat completion"),
        ({"model": "k"}, SAID, "no chat completion"),
        ({"messages": ["hi"]}, SAID, "messages are no objects"),
        (ASKED, None, "no whole answer"),
        (ASKED, {"choices": []}, "answer says nothing"),
        (ASKED, b"no JSON", "answer says nothing"),
        (ASKED, {"choices": [{"message": {"content": ""}}]}, "answer says nothing"),
        ({"messages": [{"role": "narrator", "content": "x"}]}, SAID, "the role 'narrator'"),
        ({"messages": [{"role": "assistant", "tool_calls": ["x"]}]}, SAID, "no function call"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"function": "x"}]}]}, SAID, "no function call"),
    ],
)
def test_what_has_no_place_in_a_training_file_is_left_out_with_the_reason(
    request_body: Any, response: Any, why: str
) -> None:
    with pytest.raises(LeftOut, match=why):
        openai_line(whole(request_body, response))


def test_a_call_that_was_cut_short_is_no_training() -> None:
    with pytest.raises(LeftOut, match="no whole answer"):
        openai_line(whole(ASKED, SAID, outcome="broken"))


def test_a_verifier_is_given_requests_with_tools_only() -> None:
    with pytest.raises(LeftOut, match="no tools"):
        k2vv_line(whole(ASKED, SAID))


def test_an_assistants_turn_without_text_or_calls_is_an_empty_one() -> None:
    turns = [{"role": "assistant", "tool_calls": []}, {"role": "tool", "tool_call_id": "1"}]
    line = json.loads(openai_line(whole({**ASKED, "messages": turns, "tools": [{}]}, SAID)))

    assert line["messages"][:2] == [
        {"role": "assistant", "content": ""},
        {"role": "tool", "content": "", "tool_call_id": "1"},
    ]
    assert line["tools"] == [{}]


class TestCurl:
    def test_without_a_provider_there_is_nothing_to_ask_again(self) -> None:
        with pytest.raises(NotFound, match="never got to a provider"):
            curl.command(whole(ASKED, calls=0))

    def test_bytes_that_no_shell_takes_go_through_base64(self) -> None:
        for body in (b"a\0b", b"\xff\xfe"):
            assert b"base64 -d <<'END' | curl" in curl.command(whole(body))

    def test_a_request_without_a_body_has_no_content_type(self) -> None:
        made = curl.command(whole(None, request_headers={"Host": "x", "X-Empty": "", "X-One": "1"})).decode()

        assert "Content-Type" not in made
        assert "--data" not in made
        assert "Host" not in made
        assert "-H 'X-Empty;'" in made

    def test_a_stated_content_type_stays(self) -> None:
        made = curl.command(whole(ASKED, request_headers={"content-type": "text/plain"})).decode()

        assert made.count("Content-Type") == 1
        assert "text/plain" in made


class TestMoonPalace:
    def test_what_is_known_is_shown_and_nothing_else(self) -> None:
        marks = Marks(category="bad", tags=("a", "b"))
        told = json.loads(moonpalace.document(whole(ASKED, b"\xff", error_message="it broke", marks=marks)))

        assert (told["error"], told["category"], told["tags"]) == ("it broke", "badcase", ["a", "b"])
        assert told["response"]["body"] == "\ufffd"
        assert "category" not in json.loads(moonpalace.document(whole(ASKED, SAID)))

    @given(
        st.binary() | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(lambda v: json.dumps(v).encode())
    )
    def test_any_body_has_a_place_in_it(self, body: bytes) -> None:
        assert json.loads(moonpalace.document(whole(body, body)))["metadata"]["moontide_id"] == "ID"

    @pytest.mark.parametrize(
        ("columns", "expected"),
        [
            ({"completion_id": "chatcmpl-1"}, "chatcmpl-1.json"),
            ({"provider_request_id": "a/b"}, "requestid-a_b.json"),
            ({"path": "/v1/files?x=1", "method": None, "user_id": "u"}, "get-files-u-"),
            ({"path": None, "method": None}, "get-"),
        ],
    )
    def test_files_are_named_as_there(self, columns: Json, expected: str) -> None:
        assert moonpalace.file_name(whole(**columns).exchange, is_chat=True).startswith(expected)


def test_an_event_too_long_to_be_one_is_no_answer() -> None:
    assert understood(b"data: " + b"x" * (MAX_EVENT_BYTES + 1), STREAM) is None


def test_the_bytes_of_a_side_that_is_not_there_are_no_lines() -> None:
    (asked, _) = sections(whole(ASKED), {"call": "c9"}, is_raw=True)

    assert all(pair for pair in asked.pairs(is_raw=True, is_whole=True))


def test_without_a_call_to_a_provider_there_is_nothing_to_compare() -> None:
    with pytest.raises(NotFound, match="nothing to compare"):
        compared_call(whole(ASKED, calls=0), None)


def test_a_stream_of_messages_may_hold_what_nobody_knows() -> None:
    start = {"type": "message_start", "message": {"type": "message", "role": "assistant"}}
    events = [start, {"type": "ping"}, {"type": "content_block_delta", "index": 0, "delta": {"type": "new_delta"}}]

    found = message_of(events)

    assert found is not None
    assert found["content"] == [{}]


@pytest.mark.parametrize(("kind", "count"), [("any", 5), ("id", 3), ("completion", 1), ("provider_request", 1)])
def test_a_name_means_what_its_kind_may_mean(kind: Any, count: int) -> None:
    assert len(list(meanings("01k9zzzz", kind))) == count
    assert len(list(meanings("17", "id"))) == 3


class TestTold:
    """Each dialect in the same words."""

    def test_a_message_of_anthropics(self) -> None:
        blocks = [
            {"type": "thinking", "thinking": "hm"},
            {"type": "text", "text": "ho"},
            {"type": "tool_use", "name": "f", "id": "1", "input": {"a": 1}},
        ]
        body = {"type": "message", "content": blocks, "stop_reason": "tool_use", "usage": {"input_tokens": 1}}
        found = told(json.dumps(body).encode(), JSON)

        call = ToolCall("f", '{"a":1}', "1")
        assert found.choices == [Choice(content="ho", reasoning="hm", tool_calls=[call], finish_reason="tool_use")]
        assert found.usage == {"input_tokens": 1}
        assert found.is_well

    def test_a_response(self) -> None:
        output = [
            {"type": "reasoning", "summary": [{"text": "hm"}]},
            {"type": "reasoning", "content": [{"text": "m"}]},
            {"type": "message", "content": [{"type": "output_text", "text": "ho"}]},
            {"type": "function_call", "name": "f", "call_id": "1", "arguments": "{}"},
            {"type": "custom_tool_call", "name": "g", "call_id": "2", "input": "x"},
        ]
        found = told(json.dumps({"object": "response", "status": "completed", "output": output}).encode(), JSON)

        calls = [ToolCall("f", "{}", "1"), ToolCall("g", "x", "2")]
        assert found.choices == [Choice(content="ho", reasoning="hmm", tool_calls=calls, finish_reason="completed")]

    @pytest.mark.parametrize(
        ("body", "error"),
        [
            ({"error": {"code": "x"}}, {"code": "x"}),
            ({"error": "no"}, {"message": "no"}),
            ({"type": "error", "message": "no"}, {"type": "error", "message": "no"}),
        ],
    )
    def test_an_error(self, body: Json, error: Json) -> None:
        found = told(json.dumps(body).encode(), JSON)

        assert found.error == error
        assert not found.is_well

    def test_a_text_in_parts_and_what_is_no_text_at_all(self) -> None:
        message = {"content": [{"text": "a"}, {"text": "b"}], "reasoning": {"odd": 1}}
        (choice,) = told(json.dumps({"choices": [{"message": message}]}).encode(), JSON).choices

        assert (choice.content, choice.reasoning) == ("ab", '{"odd":1}')

    def test_anything_else_is_its_text(self) -> None:
        assert told(b'{"data": []}', JSON).text == '{"data": []}'
        assert told(b"hello", "text/plain").text == "hello"
        assert not told(b"", JSON).is_well
