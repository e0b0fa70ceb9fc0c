"""Event streams merged into the completion that they spell."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from shared.records.answers import merged, understood


def stream(*chunks: Any) -> bytes:
    return b"".join(b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


def choice(delta: Any, index: int = 0, **more: Any) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "choices": [{"index": index, "delta": delta, **more}]}


def test_texts_are_joined_and_choices_kept_apart() -> None:
    answer = merged(
        stream(
            choice({"role": "assistant", "content": "b"}, 1),
            choice({"reasoning_content": "th"}),
            choice({"reasoning_content": "ink", "content": "a"}),
            choice({"content": "c"}, 1, finish_reason="stop", usage={"total_tokens": 3}),
        )
    )

    assert answer is not None
    assert [one["message"] for one in answer["choices"]] == [
        {"role": "assistant", "reasoning_content": "think", "content": "a"},
        {"role": "assistant", "content": "bc"},
    ]
    assert (answer["usage"], answer["object"]) == ({"total_tokens": 3}, "chat.completion")


def test_tool_calls_are_joined_by_index_and_without_one_by_id() -> None:
    def call(**parts: Any) -> dict[str, Any]:
        return choice({"tool_calls": [parts]})

    by_index = merged(
        stream(
            call(index=0, id="a", function={"name": "f", "arguments": "{"}),
            call(index=1, id="b", function={"name": "g", "arguments": "1"}),
            call(index=0, function={"arguments": "}"}),
        )
    )
    by_id = merged(
        stream(
            call(id="a", function={"name": "f", "arguments": "{"}),
            call(function={"arguments": "}"}),
            call(id="b", function={"name": "g", "arguments": "1"}),
        )
    )

    for answer in (by_index, by_id):
        assert answer is not None
        calls = answer["choices"][0]["message"]["tool_calls"]
        assert [(one["id"], one["function"]["name"], one["function"]["arguments"]) for one in calls] == [
            ("a", "f", "{}"),
            ("b", "g", "1"),
        ]


def test_a_function_call_is_joined() -> None:
    pieces = [{"name": "look", "arguments": ""}, {"arguments": '{"at"'}, {"arguments": ": 1}"}]
    answer = merged(stream(*(choice({"function_call": piece}) for piece in pieces)))

    assert answer is not None
    assert answer["choices"][0]["message"]["function_call"] == {"name": "look", "arguments": '{"at": 1}'}


def test_an_error_in_the_stream_is_kept() -> None:
    answer = merged(stream(choice({"content": "a"}), {"error": {"message": "overloaded"}}))

    assert answer is not None
    assert answer["error"] == {"message": "overloaded"}


def test_a_stream_of_anthropic_messages_is_the_message_that_it_spells() -> None:
    def delta(at: int, **of: Any) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": at, "delta": of}

    answer = merged(
        stream(
            {"type": "message_start", "message": {"id": "msg_1", "content": [], "usage": {"input_tokens": 3}}},
            {"type": "ping"},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
            delta(0, type="thinking_delta", thinking="hm"),
            delta(0, type="thinking_delta", thinking="m"),
            delta(0, type="signature_delta", signature="s="),
            {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
            delta(1, type="text_delta", text="Let me "),
            delta(1, type="text_delta", text="see."),
            {
                "type": "content_block_start",
                "index": 2,
                "content_block": {"type": "tool_use", "name": "f", "input": {}},
            },
            delta(2, type="input_json_delta", partial_json='{"a"'),
            delta(2, type="input_json_delta", partial_json=": 1}"),
            {
                "type": "content_block_start",
                "index": 3,
                "content_block": {"type": "tool_use", "name": "g", "input": {}},
            },
            delta(3, type="input_json_delta", partial_json='{"a"'),
            {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}},
            {"type": "message_stop"},
        )
    )

    assert answer == {
        "id": "msg_1",
        "content": [
            {"type": "thinking", "thinking": "hmm", "signature": "s="},
            {"type": "text", "text": "Let me see."},
            {"type": "tool_use", "name": "f", "input": {"a": 1}},
            {"type": "tool_use", "name": "g", "input": '{"a"'},
        ],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 3, "output_tokens": 5},
    }


def test_an_error_in_a_stream_of_messages_is_kept() -> None:
    answer = merged(
        stream(
            {"type": "message_start", "message": {"id": "msg_1"}}, {"type": "error", "error": {"type": "overloaded"}}
        )
    )

    assert answer == {"id": "msg_1", "content": [], "error": {"type": "overloaded"}}


def test_a_stream_of_responses_is_the_last_response_that_it_tells_of() -> None:
    answer = merged(
        stream(
            {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}},
            {"type": "response.output_text.delta", "delta": "a"},
            {"type": "response.completed", "response": {"id": "resp_1", "status": "completed"}},
        )
    )

    assert answer == {"id": "resp_1", "status": "completed"}


def test_a_stream_that_is_no_chat_is_what_its_events_say_together() -> None:
    assert merged(stream({"type": "progress", "done": 1}, {"error": {"code": "x"}})) == {
        "type": "progress",
        "done": 1,
        "error": {"code": "x"},
    }


def test_what_is_no_json_is_not_understood() -> None:
    assert understood(b"plain text", "text/plain") is None
    assert understood(b"", "application/json") is None
    assert understood(None, None) is None
    assert understood(b"data: nothing\n\n", "text/event-stream") is None


NAMES = (
    "choices delta index tool_calls function arguments name usage content type message content_block response logprobs"
)
TYPES = "message_start content_block_start content_block_delta message_delta response.x"
values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3) | st.sampled_from(TYPES.split()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES.split()), inner, max_size=4),
    max_leaves=20,
)


@given(st.lists(values, max_size=4))
def test_no_stream_is_too_strange_to_be_read(chunks: list[Any]) -> None:
    merged(stream(*chunks))


@given(st.binary(max_size=200))
def test_no_bytes_are_too_strange_to_be_read(data: bytes) -> None:
    understood(data, "text/event-stream")
    understood(data, "application/json")
