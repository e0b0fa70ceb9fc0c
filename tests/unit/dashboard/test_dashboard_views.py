"""An exchange as the page shows it."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.dashboard.rules.views import (
    LONGEST,
    MOST_CHUNKS,
    MOST_MESSAGES,
    answer_view,
    chunks_view,
    exchange_view,
    part_view,
    pretty,
    request_view,
)
from shared.records.exports.whole import Whole
from shared.records.queries import Part


def part(data: bytes | None, content_type: str = "application/json", chunks: Any = None) -> Part:
    return Part("client.response", content_type, data, chunks or [(0, 0)], None)


def view(value: Any) -> dict[str, Any]:
    found = request_view(msgspec.json.encode(value), "application/json")
    assert found is not None
    return found


def test_messages_settings_and_tools_stand_apart() -> None:
    tools = [{"type": "function", "function": {"name": "look"}}, 7, {"name": "plain"}]
    found = view({"model": "k", "temperature": 0.6, "messages": [{"role": "user", "content": "hi"}], "tools": tools})

    assert found["settings"] == {"model": "k", "temperature": "0.6"}
    assert [tool["name"] for tool in found["tools"]] == ["look", "?", "plain"]
    assert found["messages"][0]["role"] == "user"


def test_a_message_has_its_thoughts_calls_and_parts() -> None:
    call = {"id": "a", "function": {"name": "look", "arguments": '{"q":1}'}}
    content = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {}}, "bare"]
    message = {"content": content, "reasoning": "hm", "tool_calls": [call, 5], "tool_call_id": "t"}
    (found,) = view({"messages": [message]})["messages"]

    assert (found["role"], found["reasoning"], found["for"]) == ("assistant", "hm", "t")
    assert [piece.get("label") for piece in found["pieces"]] == [None, "image_url", None]
    assert found["tool_calls"][0]["arguments"] == '{\n  "q": 1\n}'
    assert found["tool_calls"][1] == {"id": None, "name": None, "arguments": "5"}


def test_a_message_that_is_none_is_shown_as_it_is() -> None:
    assert view({"messages": ["what", None]})["messages"][0] == {"role": "?", "pieces": [{"text": "what"}]}


def test_a_long_history_is_shown_from_its_end() -> None:
    found = view({"messages": [{"role": "user", "content": str(n)} for n in range(MOST_MESSAGES + 5)], "tools": None})

    assert (found["left_out"], found["messages"][0]["pieces"][0]["text"]) == (5, "5")


def test_a_long_text_is_cut_and_says_so() -> None:
    (found,) = view({"messages": [{"role": "user", "content": "x" * (LONGEST + 1)}]})["messages"]

    assert found["pieces"][0]["text"].endswith(f"({LONGEST + 1} characters; the body has them all)")


def test_what_is_no_chat_has_no_messages() -> None:
    assert request_view(b"[]", "application/json") is None
    assert request_view(b"\xff", None) is None
    assert request_view(b'{"messages": 1}', None) is None


def test_numbers_keep_their_digits() -> None:
    assert "12345678901234567890.10" in pretty('{"id":12345678901234567890.10}')


def test_what_is_no_json_stays_as_it_is() -> None:
    assert pretty("{broken") == "{broken"
    assert pretty("\ud800") == "\ud800"


def test_an_answer_is_told_whichever_dialect() -> None:
    body = b'{"type": "message", "content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn"}'
    found = answer_view(part(body))
    assert found is not None

    assert found["choices"][0]["content"] == "hi"
    assert answer_view(None) is None
    assert answer_view(part(None)) is None
    plain = answer_view(part(b"Internal Server Error", "text/plain"))
    assert plain is not None
    assert plain["text"] == "Internal Server Error"


def test_pieces_have_their_sizes_and_times() -> None:
    found = chunks_view(part(b"abcdef", chunks=[(0, 0), (2, 1500), (5, 4000)]))

    assert found == [(0, 0.0, 2), (2, 1.5, 3), (5, 4.0, 1)]


def test_of_very_many_pieces_the_first_ones_are_told() -> None:
    many = [(at, at) for at in range(MOST_CHUNKS + 10)]
    found = chunks_view(part(b"x" * len(many), chunks=many))

    assert len(found) == MOST_CHUNKS
    assert {size for _, _, size in found} == {1}


def test_bytes_that_are_gone_have_no_size() -> None:
    assert (part_view(part(None))["size"], part_view(part(None))["chunks"]) == (None, 0)


def test_an_exchange_without_anything_is_shown() -> None:
    exchange = {"id": "x", "number": 1, "path": None}
    found = exchange_view(Whole(exchange=exchange, calls=[], parts={}), [], [])

    assert (found["request"], found["answer"], found["answering"]) == (None, None, None)


@given(st.binary(max_size=300), st.sampled_from(["application/json", "text/event-stream", None]))
def test_bytes_of_any_kind_can_be_shown(data: bytes, content_type: str | None) -> None:
    found = Part("client.response", content_type, data, [(0, 0)], None)
    msgspec.json.encode([request_view(data, content_type), answer_view(found)])
