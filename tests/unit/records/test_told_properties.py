"""What an answer says, and what others recorded: rules that hold for anything."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.recorder.imports import Past, id_of
from services.recorder.imports import told as told_by_import
from shared.ids import is_id
from shared.records.marks import LONGEST_BYTES, Name, Unmarkable, check
from shared.records.told import Choice, Told, told

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts
names = st.sampled_from(["choices", "message", "type", "object", "content", "output", "error", "tool_calls", "usage"])
words = st.sampled_from(["message", "response", "error", "text", "tool_use", "reasoning", "function_call"])
anything = st.recursive(
    scalars | words, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names | texts, inner, max_size=5)
)


@given(anything, st.sampled_from([None, "application/json", "text/event-stream", "text/plain"]))
def test_any_json_is_told_somehow_and_can_be_kept(value: Any, content_type: str | None) -> None:
    found = told(msgspec.json.encode(value), content_type)

    assert msgspec.json.decode(msgspec.json.encode(found), type=Told) == found


@given(st.binary(), st.sampled_from([None, "application/json", "text/event-stream"]))
def test_any_bytes_are_told_somehow(data: bytes, content_type: str | None) -> None:
    assert isinstance(told(data, content_type), Told)


@given(texts, texts, st.sampled_from(["stop", "length", None]))
def test_a_body_and_its_stream_say_the_same(content: str, reasoning: str, finish: str | None) -> None:
    message = {"role": "assistant", "content": content, "reasoning_content": reasoning}
    body = {"id": "x", "choices": [{"index": 0, "message": message, "finish_reason": finish}]}
    deltas = [{"reasoning_content": reasoning}, {"content": content}]
    chunks = [{"id": "x", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks.append({"id": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    stream = b"".join(b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks)

    expected = Told(choices=[Choice(content=content, reasoning=reasoning, finish_reason=finish)])
    assert told(msgspec.json.encode(body), "application/json") == expected
    assert told(stream, "text/event-stream") == expected


pasts = st.builds(
    Past,
    key=texts,
    at=st.floats(0, 4e9),
    method=st.sampled_from(["GET", "POST"]),
    path=st.just("/v1/chat/completions"),
    status=st.none() | st.integers(200, 599),
    request=st.binary(max_size=50),
    response=st.binary(max_size=50),
    sent=st.none() | st.binary(max_size=50),
    answered=st.none() | st.binary(max_size=50),
    error=st.none() | texts,
)


@given(pasts)
def test_a_past_exchange_is_told_from_its_request_to_its_end(past: Past) -> None:
    messages = told_by_import(id_of(past), past)

    assert messages[0].kind == "request"
    assert messages[-1].kind == "done"


@given(pasts)
def test_a_past_exchange_has_one_id_for_ever(past: Past) -> None:
    assert id_of(past) == id_of(past)
    assert is_id(id_of(past))


@given(st.floats(0, 4e9), st.floats(0, 4e9), texts, texts)
def test_ids_of_past_exchanges_sort_by_their_times(first: float, second: float, one: str, other: str) -> None:
    earlier, later = sorted((first, second))
    ids = [id_of(Past(key=key, at=at, method="GET", path="/")) for key, at in ((one, earlier), (other, later))]

    assert ids[0][:10] <= ids[1][:10]


@given(st.sampled_from(["tag", "note"]), st.text(max_size=3000))
def test_a_mark_is_kept_or_refused_by_what_a_key_takes(name: Name, text: str) -> None:
    is_sound = bool(text.strip()) and "\0" not in text and not any("\ud800" <= one <= "\udfff" for one in text)
    fits = is_sound and len(text.encode()) <= LONGEST_BYTES[name]

    if fits:
        check(name, text)
    else:
        with pytest.raises(Unmarkable):
            check(name, text)
