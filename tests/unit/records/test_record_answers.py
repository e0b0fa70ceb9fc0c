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


def test_what_is_no_json_is_not_understood() -> None:
    assert understood(b"plain text", "text/plain") is None
    assert understood(b"", "application/json") is None
    assert understood(None, None) is None
    assert understood(b"data: nothing\n\n", "text/event-stream") is None


values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "delta", "index", "tool_calls", "function", "arguments", "usage", "error", "content", "id"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.lists(values, max_size=4))
def test_no_stream_is_too_strange_to_be_read(chunks: list[Any]) -> None:
    merged(stream(*chunks))


@given(st.binary(max_size=200))
def test_no_bytes_are_too_strange_to_be_read(data: bytes) -> None:
    understood(data, "text/event-stream")
    understood(data, "application/json")
